//! `pointsman access --invite`: a link that lifts `access` for one browser, and nothing else.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::support::daemon::{OneSite, Place};
use crate::support::pair::{ISPOT, MEGALAB, Pair};
use crate::support::stage::Stage;
use crate::tls;

/// A link for a site, which is all that is printed on stdout.
fn link(place: &Place, site: &str) -> String {
    let done = place.pointsman(&["access", site, "--invite"]);
    let complained = String::from_utf8_lossy(&done.stderr).into_owned();
    assert_eq!(done.status.code(), Some(0), "{complained}");
    assert!(
        complained.contains("Whoever opens this link"),
        "{complained}"
    );
    let said = String::from_utf8(done.stdout).unwrap();
    let link = said.strip_suffix('\n').unwrap();
    assert_eq!(link.lines().count(), 1, "{said}");
    link.into()
}

fn token(link: &str) -> &str {
    link.split_once('?').unwrap().1
}

fn say(place: &Place, arguments: &[&str]) {
    let done = place.pointsman(&[&["access"], arguments, &["--yes"]].concat());
    assert!(done.status.success(), "{done:?}");
}

/// A browser: a curl with a jar of cookies of its own.
struct Browser<'a> {
    place: &'a Place,
    jar: PathBuf,
}

impl<'a> Browser<'a> {
    fn new(place: &'a Place, name: &str) -> Self {
        let jar = place.path().join(name);
        Self { place, jar }
    }

    /// Opens a URL, following where it leads; the status and the body.
    fn open(&self, url: &str, more: &[&str]) -> (u16, String) {
        let here = format!("::{}:", self.place.ip);
        let done = Command::new("curl")
            .args(["-s", "-m", "20", "-L", "-w", "\n%{http_code}"])
            .args(["--connect-to", &here])
            .arg("-b")
            .arg(&self.jar)
            .arg("-c")
            .arg(&self.jar)
            .args(more)
            .arg(url)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&done.stdout).into_owned();
        let (body, code) = text.rsplit_once('\n').unwrap_or(("", "0"));
        (code.parse().unwrap_or(0), body.into())
    }

    /// What a path answers: to GET, and to a form that is sent there.
    fn sees(&self, path: &str) -> (u16, u16) {
        let url = format!("http://{ISPOT}:8080{path}");
        let written = self.open(&url, &["-d", "owl"]).0;
        (self.open(&url, &[]).0, written)
    }
}

#[test]
fn a_link_leads_behind_the_page_and_what_is_written_there_is_counted_and_logged() {
    let stage = Stage::with(&OneSite::default());
    let place = &stage.place;
    say(place, &["ispot", "maintenance"]);
    let (invited, other) = (Browser::new(place, "jar"), Browser::new(place, "other"));
    assert_eq!(invited.sees("/observations"), (503, 503), "before");

    let link = link(place, "ispot");
    let expected = format!("http://{ISPOT}:8080/.well-known/pointsman/invite?ispot.");
    assert!(link.starts_with(&expected), "{link}");
    assert_eq!(invited.open(&link, &[]), (200, "live".into()));

    assert_eq!(invited.sees("/observations"), (200, 200));
    assert_eq!(stage.live.observations(), ["owl"]);
    assert_eq!(other.sees("/observations"), (503, 503), "others");
    let written = "pointsman_access_bypass_writes_total{site=\"ispot\"}";
    assert_eq!(place.metric(written), Some(1.0));
    stage.daemon.until_said("a write was let through");
    let said = stage.daemon.said();
    assert!(!said.contains(token(&link)), "{said}");
    let journal = place.journal();
    let events = "SELECT detail FROM events WHERE what = 'invited' AND site = 'ispot'";
    let noted: String = journal.query_row(events, [], |row| row.get(0)).unwrap();
    assert!(
        noted.starts_with("by ") && noted.contains(" until 20"),
        "{noted}"
    );
    assert!(!noted.contains(token(&link)), "{noted}");
}

#[test]
fn a_part_in_maintenance_is_lifted_and_so_is_read_only() {
    let stage = Stage::with(&OneSite::default());
    let place = &stage.place;
    let paths = "    paths: {/quiz: {access: maintenance}}\n    names:";
    place.edit(&[("    names:", paths)]);
    place.until_generation(2);
    let (invited, other) = (Browser::new(place, "jar"), Browser::new(place, "other"));
    invited.open(&link(place, "ispot"), &[]);
    assert_eq!(other.sees("/quiz/1"), (503, 503));
    assert_eq!(invited.sees("/quiz/1"), (200, 200));
    say(place, &["ispot", "read-only"]);
    assert_eq!(other.sees("/observations"), (200, 503));
    assert_eq!(invited.sees("/observations"), (200, 200));
}

#[test]
fn a_held_gate_holds_the_invited_like_everybody_else() {
    let stage = Stage::with(&OneSite::flipping("{during: page, drain: {for: 30s}}"));
    let place = &stage.place;
    say(place, &["ispot", "read-only"]);
    let invited = Browser::new(place, "jar");
    invited.open(&link(place, "ispot"), &[]);
    assert_eq!(invited.sees("/observations"), (200, 200));
    let mut slow = stage.in_flight("GET");
    stage.edit_until_it_drains();
    assert_eq!(invited.sees("/observations"), (503, 503), "held");
    let opened = invited
        .open(&link(place, "ispot"), &["--max-redirs", "0"])
        .0;
    assert_eq!(opened, 303, "a link is answered, whatever the gates say");
    assert_eq!(stage.live.observations(), ["owl"]);
    stage.live.let_go();
    assert_eq!(slow.answer("GET").unwrap().text(), "live");
    place.flip_ended(1);
    assert_eq!(invited.sees("/observations"), (200, 200));
    assert_eq!(stage.backup.observations(), ["owl"]);
}

#[test]
fn an_invitation_is_to_one_site() {
    let pair = Pair::new();
    let place = &pair.place;
    for site in ["ispot", "megalab"] {
        say(place, &[site, "maintenance"]);
    }
    let browser = Browser::new(place, "jar");
    let to_megalab = link(place, "megalab");
    let moved = to_megalab.replace(MEGALAB, ISPOT);
    let (code, words) = browser.open(&moved, &[]);
    assert_eq!(code, 403, "{words}");
    assert!(words.contains("ask for another link"), "{words}");
    let cookie = format!("pointsman-invite={}", token(&to_megalab));
    assert_eq!(place.curl("/", &["-b", &cookie]).0, 503);
    assert_eq!(browser.open(&to_megalab, &[]).0, 200);

    // However it is wrong, the words are the same.
    let cut = &moved[..moved.len() - 1];
    assert_eq!(browser.open(cut, &[]), (403, words.clone()));
    let old = cut.replace("megalab.", "ispot.1.");
    assert_eq!(browser.open(&old, &[]), (403, words.clone()));
    let bare = moved.split('?').next().unwrap();
    assert_eq!(browser.open(bare, &[]), (403, words));
}

#[test]
fn it_survives_a_restart_until_its_key_is_deleted() {
    let Stage {
        place,
        live,
        backup,
        daemon,
    } = Stage::with(&OneSite::default());
    say(&place, &["ispot", "maintenance"]);
    let link = link(&place, "ispot");
    let invited = Browser::new(&place, "jar");
    assert_eq!(invited.open(&link, &[]).0, 200);
    daemon.kill();
    let daemon = place.start();
    assert_eq!(invited.sees("/observations"), (200, 200), "the cookie");
    assert_eq!(
        Browser::new(&place, "new").open(&link, &[]).0,
        200,
        "the link"
    );

    daemon.kill();
    fs::remove_file(place.state().join("invite.key")).unwrap();
    let daemon = place.start();
    assert_eq!(invited.sees("/observations"), (503, 503));
    assert_eq!(invited.open(&link, &[]).0, 403);

    daemon.kill();
    fs::write(place.state().join("invite.key"), "broken").unwrap();
    let daemon = place.start();
    daemon.until_said("invitations are off");
    let done = place.pointsman(&["access", "ispot", "--invite"]);
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert_eq!(done.status.code(), Some(1), "{said}");
    assert!(
        said.contains("invite.key") && done.stdout.is_empty(),
        "{said}"
    );
    assert_eq!(invited.open(&link, &[]).0, 403);
    say(&place, &["ispot", "open"]);
    assert_eq!(
        invited.sees("/observations"),
        (200, 200),
        "served all the same"
    );
    drop((live, backup));
}

#[test]
fn no_origin_sees_the_cookie() {
    let stage = Stage::with(&OneSite::default());
    let place = &stage.place;
    let ours = format!("pointsman-invite={}", token(&link(place, "ispot")));
    let (alone, among) = (ours.clone(), format!("a=1; {ours}; b=2"));
    for word in ["open", "read-only", "maintenance"] {
        say(place, &["ispot", word]);
        for (cookie, version) in [(&alone, "--http1.1"), (&among, "--http2-prior-knowledge")] {
            let (code, said) = place.curl(&format!("/{word}"), &["-b", cookie, version]);
            assert_eq!(code, 200, "{said}");
        }
        let seen = stage.live.seen_at(&format!("/{word}"));
        let cookies: Vec<_> = seen.iter().map(|seen| seen.header("cookie")).collect();
        assert_eq!(cookies, ["", "a=1; b=2"], "{word}");
    }
}

#[test]
fn over_tls_the_cookie_is_for_tls_alone_and_comes_in_any_field() {
    let (place, origins, _daemon) = tls::serve("    access: maintenance\n    redirect: https\n");
    let link = link(&place, "ispot");
    assert!(
        link.starts_with(&format!("https://{ISPOT}:8443/")),
        "{link}"
    );
    let browser = Browser::new(&place, "jar");
    let ca = tls::certs(&place).join("site.pem");
    let ca = ["--cacert", ca.to_str().unwrap()];
    let (_, head) = browser.open(&link, &[&ca[..], &["-I", "--max-redirs", "0"]].concat());
    let cookie = format!(
        "set-cookie: pointsman-invite={}; Path=/; Max-Age=3",
        token(&link)
    );
    assert!(
        head.contains("303") && head.contains("location: /\r\n"),
        "{head}"
    );
    assert!(head.contains("cache-control: no-store"), "{head}");
    let line = head.lines().find(|line| line.starts_with(&cookie));
    let line = line.unwrap_or_else(|| panic!("no {cookie} in {head}"));
    assert!(line.ends_with("; HttpOnly; SameSite=Lax; Secure"), "{line}");

    // Opened without TLS it is sent on, token and all, to where the cookie is set.
    let plain = link.replace("https:", "http:").replace(":8443", ":8080");
    let (_, head) = browser.open(&plain, &["-I", "--max-redirs", "0"]);
    assert!(head.contains(&format!("location: {link}")), "{head}");

    let fields = ["-H", "Cookie: a=1", "-H"];
    let ours = format!("Cookie: pointsman-invite={}", token(&link));
    let (said, body) = tls::curl(&place, "site.pem", ISPOT, &[&fields[..], &[&ours]].concat());
    assert_eq!((said.as_str(), body.as_str()), ("200 2", "live"));
    assert_eq!(origins[0].seen_at("/")[0].header("cookie"), "a=1");
}

#[test]
fn a_link_is_opened_by_get_and_without_tls_its_cookie_says_so() {
    let stage = Stage::with(&OneSite::default());
    let path = format!(
        "/.well-known/pointsman/invite?{}",
        token(&link(&stage.place, "ispot"))
    );
    let (code, said) = stage.place.curl(&path, &["-i", "-X", "POST"]);
    assert_eq!(code, 405, "{said}");
    assert!(said.contains("allow: GET, HEAD"), "{said}");
    let (code, said) = stage.place.curl(&path, &["-i"]);
    assert_eq!(code, 303, "{said}");
    assert!(said.contains("; HttpOnly; SameSite=Lax\r\n"), "{said}");
    assert!(stage.live.seen_at(&path).is_empty());
}

#[test]
fn who_asks_wrongly_is_told_what_is_right() {
    let stage = Stage::with(&OneSite::default());
    let place = &stage.place;
    let ask = |site: &str, body: &str| {
        let path = format!("/api/v1/sites/{site}/invites");
        let said = place.ask("POST", &path, &[], body);
        (said.status, said.body["code"].as_str().map(str::to_owned))
    };
    let code = |code: &str| Some(code.to_owned());
    assert_eq!(ask("ispot", "{}").0, 201);
    assert_eq!(ask("ispot", "{\"for_s\": 60}").0, 201);
    assert_eq!(ask("ispot", "{\"for_s\": 604800}").0, 201);
    assert_eq!(ask("nowhere", "{}"), (404, code("unknown-site")));
    for wrong in ["59", "604801", "18446744073709551615"] {
        let body = format!("{{\"for_s\": {wrong}}}");
        assert_eq!(ask("ispot", &body), (422, code("out-of-range")), "{wrong}");
    }
    let over_tcp = format!("http://{}:9901/api/v1/sites/ispot/invites", place.ip);
    let json = [
        "-s",
        "-m",
        "20",
        "-H",
        "Content-Type: application/json",
        "-d",
        "{}",
    ];
    let asked = Command::new("curl").args(json).arg(over_tcp).output();
    let said = String::from_utf8(asked.unwrap().stdout).unwrap();
    assert!(said.contains("read-only-listener"), "{said}");

    for wrong in [
        &["ispot"][..],
        &["ispot", "open", "--invite"],
        &["ispot", "--invite", "--reason", "x"],
        &["ispot", "open", "--for", "1h"],
        &["ispot", "--invite", "--for", "soon"],
        &["ispot", "--invite", "--for", "30s"],
        &["ispot/quiz", "--invite"],
        &["nowhere", "--invite"],
    ] {
        let done = place.pointsman(&[&["access"], wrong].concat());
        assert_eq!(done.status.code(), Some(2), "{wrong:?}: {done:?}");
        assert!(done.stdout.is_empty(), "{wrong:?}: {done:?}");
    }
}
