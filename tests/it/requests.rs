//! Conditional and repeated requests: nobody moves what is not as he saw it, or moves it twice.

use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::Barrier;
use std::thread;

use crate::support::client::Client;
use crate::support::daemon::POINTSMAN;
use crate::support::pair::{ISPOT, Pair};
use crate::support::wait::until;

const ISPOT_MOVES: &str = r#"{"moves": [{"site": "ispot"}]}"#;

fn if_match(tag: &str) -> String {
    format!("If-Match: {tag}")
}

fn tag(pair: &Pair) -> String {
    let status = pair.place.get("/api/v1/status", &[]);
    let tag = status.header("etag").to_owned();
    assert!(tag.starts_with('"') && tag.len() > 3, "{status:?}");
    assert_eq!(pair.place.get("/api/v1/sites", &[]).header("etag"), tag);
    tag
}

#[test]
fn the_tag_of_the_status_changes_with_what_is_decided_upon_and_not_with_traffic() {
    let pair = Pair::grouped();
    let mut tags = vec![tag(&pair)];
    let forwarded = || pair.site("ispot")["forwarded"].as_u64().unwrap();
    let before = forwarded();
    assert_eq!(pair.place.curl("/", &[]).1, "live");
    until("it is counted", || (forwarded() > before).then_some(()));

    let known = format!("If-None-Match: \"other\", W/{}", tags[0]);
    for path in ["/api/v1/status", "/api/v1/sites"] {
        let unchanged = pair.place.get(path, &[&known]);
        assert_eq!(unchanged.status, 304, "{unchanged:?}");
        assert_eq!(unchanged.header("etag"), tags[0]);
        assert!(unchanged.body.is_null());
    }

    let edits = [
        (
            "active: live  # ispot",
            "access: read-only\n    active: live  # ispot",
        ),
        (
            "groups: {web: [ispot, megalab]}",
            "groups: {web: [megalab]}",
        ),
    ];
    for (edit, generation) in edits.iter().zip(3..) {
        pair.place.edit(&[*edit]);
        pair.place.until_generation(generation);
        tags.push(tag(&pair));
    }
    assert_eq!(pair.flip(&["megalab"]).0, Some(0));
    tags.push(tag(&pair));
    pair.place.sed("s/^version: 1/version: 9/");
    pair.place.until_not_taken("version");
    tags.push(tag(&pair));

    let answer = pair.place.get("/api/v1/status", &[&known]);
    assert_eq!(answer.status, 200, "{answer:?}");
    let mut different = tags.clone();
    different.sort();
    different.dedup();
    assert_eq!(different.len(), tags.len(), "{tags:?}");
}

#[test]
fn a_flip_of_what_has_changed_since_is_refused_and_nothing_happens() {
    let pair = Pair::new();
    let stale = if_match(&tag(&pair));
    assert_eq!(pair.flip(&["megalab"]).0, Some(0));

    let refused = pair.place.post_flip(&[&stale], ISPOT_MOVES);
    let weak = if_match(&format!("W/{}", tag(&pair)));
    let weak = pair.place.post_flip(&[&weak], ISPOT_MOVES);
    let unquoted = pair.place.post_flip(&["If-Match: 1a-7"], ISPOT_MOVES);

    assert_eq!(
        (refused.status, &refused.body["code"]),
        (412, &"state-changed".into())
    );
    assert_eq!(refused.header("content-type"), "application/problem+json");
    assert_eq!((weak.status, unquoted.status), (412, 400), "{unquoted:?}");
    assert_eq!(pair.place.flips(), 1, "only the one of megalab");
    assert_eq!(pair.site("ispot")["epoch"], 1);
    let fresh = format!("{}, \"other\"", if_match(&tag(&pair)));
    let taken = pair.place.post_flip(&[&fresh], ISPOT_MOVES);
    assert_eq!(taken.status, 202, "{taken:?}");
    assert_eq!(pair.place.flip_ended(2)["outcome"], "settled");
    let any = pair.place.post_flip(&["If-Match: *"], ISPOT_MOVES);
    assert_eq!(any.status, 202, "{any:?}");
}

#[test]
fn of_those_who_saw_the_same_one_flips() {
    let pair = Pair::new();
    for round in 1..=5_u64 {
        let seen = if_match(&tag(&pair));
        let start = Barrier::new(2);
        let mut answers = thread::scope(|scope| {
            let asking = ["ispot", "megalab"].map(|site| {
                let (pair, seen, start) = (&pair, &seen, &start);
                scope.spawn(move || {
                    let body = format!(r#"{{"moves": [{{"site": "{site}"}}]}}"#);
                    start.wait();
                    pair.place.post_flip(&[seen], &body).status
                })
            });
            asking.map(|asking| asking.join().unwrap())
        });
        answers.sort_unstable();
        assert_eq!(answers, [202, 412], "round {round}");
        pair.place.flip_ended(round);
    }
}

#[test]
fn a_request_with_a_key_that_is_sent_again_moves_nothing_again() {
    let pair = Pair::new();
    let key = "Idempotency-Key: 8e03978e-40d5-43dd-bc93-6894a57f9324";
    let seen = if_match(&tag(&pair));
    let http = pair.place.http().parse().unwrap();
    let _slow = Client::kept_waiting(http, "POST", ISPOT, &pair.ispot.live);

    let first = pair.place.post_flip(&[key, &seen], ISPOT_MOVES);
    pair.place.until_phase("draining");
    let second = pair.place.post_flip(&[key, &seen], ISPOT_MOVES);
    let other = pair
        .place
        .post_flip(&[key], r#"{"moves": [{"site": "megalab"}]}"#);
    let long = pair.place.post_flip(
        &[&format!("Idempotency-Key: {}", "k".repeat(65))],
        ISPOT_MOVES,
    );
    pair.ispot.live.let_go();
    assert_eq!(pair.place.flip_ended(1)["outcome"], "settled");
    let third = pair.place.post_flip(&[key], ISPOT_MOVES);

    for answer in [&first, &second, &third] {
        assert_eq!(
            (answer.status, &answer.body["id"]),
            (202, &1.into()),
            "{answer:?}"
        );
        assert_eq!(answer.header("location"), "/api/v1/flips/1");
    }
    assert_eq!(
        (other.status, &other.body["code"]),
        (422, &"key-reused".into()),
        "{other:?}"
    );
    assert_eq!(
        (long.status, &long.body["code"]),
        (400, &"bad-idempotency-key".into())
    );
    let flips = "SELECT count(*) FROM flips";
    let flips: i64 = pair
        .place
        .journal()
        .query_row(flips, [], |row| row.get(0))
        .unwrap();
    assert_eq!(flips, 1);
    assert_eq!(pair.site("ispot")["epoch"], 2);
}

#[test]
fn a_flip_that_has_gone_on_since_is_not_cancelled() {
    let pair = Pair::new();
    let http = pair.place.http().parse().unwrap();
    let _slow = Client::kept_waiting(http, "POST", ISPOT, &pair.ispot.live);
    assert_eq!(pair.place.post_flip(&[], ISPOT_MOVES).status, 202);
    pair.place.until_phase("draining");
    let path = "/api/v1/flips/1";
    let seen = pair.place.get(path, &[]).header("etag").to_owned();
    let unchanged = pair.place.get(path, &[&format!("If-None-Match: {seen}")]);
    assert_eq!(unchanged.status, 304, "{unchanged:?}");

    let stale = pair
        .place
        .ask("DELETE", path, &["If-Match: \"1-rehearsing\""], "");
    assert_eq!(
        (stale.status, &stale.body["code"]),
        (412, &"state-changed".into())
    );
    assert_eq!(
        pair.place.get(path, &[]).body["phase"],
        "draining",
        "it goes on"
    );
    let cancelled = pair.place.ask("DELETE", path, &[&if_match(&seen)], "");

    assert_eq!(cancelled.status, 202, "{cancelled:?}");
    assert_eq!(pair.place.flip_ended(1)["outcome"], "restored");
    assert_ne!(pair.place.get(path, &[]).header("etag"), seen);
    let gone = pair.place.ask("DELETE", path, &[&if_match(&seen)], "");
    assert_eq!(gone.status, 404, "{gone:?}");
    pair.ispot.live.let_go();
}

#[test]
fn a_body_names_sites_or_a_group() {
    let pair = Pair::grouped();
    for body in [
        "{}",
        r#"{"moves": []}"#,
        r#"{"moves": [{"site": "ispot"}], "group": "web"}"#,
        r#"{"moves": [{"site": "ispot"}], "to": "backup"}"#,
    ] {
        let refused = pair.place.post_flip(&[], body);
        let code = &refused.body["code"];
        assert_eq!(
            (refused.status, code),
            (422, &"moves-or-group".into()),
            "{body}"
        );
    }
    let unknown = pair.place.post_flip(&[], r#"{"group": "db"}"#);
    assert_eq!(
        (unknown.status, &unknown.body["code"]),
        (422, &"unknown-group".into())
    );
    assert_eq!(pair.place.flips(), 0);
}

#[test]
fn what_was_confirmed_on_a_terminal_is_what_moves() {
    let pair = Pair::grouped();

    let (first, shown) = confirmed(&pair, || {
        pair.place.edit(&[(
            "active: live  # ispot",
            "access: read-only\n    active: live  # ispot",
        )]);
        pair.place.until_generation(3);
    });
    let flips = pair.place.flips();
    let (second, _) = confirmed(&pair, || {});

    let both = ["ispot (www.ispot.example): live -> backup", "megalab"];
    assert!(both.iter().all(|site| shown.contains(site)), "{shown}");
    assert_eq!(first, Some(5), "{shown}");
    assert!(shown.contains("have changed since: look again"), "{shown}");
    assert_eq!(flips, 0);
    assert_eq!(second, Some(0));
    assert_eq!(
        pair.place.flip_ended(1)["moves"].as_array().unwrap().len(),
        2
    );
}

/// Flips the group on a terminal, and has something happen before it is confirmed; the exit code
/// and all that was shown.
fn confirmed(pair: &Pair, meanwhile: impl FnOnce()) -> (Option<i32>, String) {
    let shown = pair.place.path().join("shown");
    let flip = format!("{POINTSMAN} flip --group web --to backup");
    let mut terminal = Command::new("script")
        .args(["--quiet", "--return", "--flush", "--command", &flip])
        .arg(&shown)
        .env("POINTSMAN_SOCKET", pair.place.state().join("admin.sock"))
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let text = || std::fs::read_to_string(&shown).unwrap_or_default();
    until("it asks", || text().contains("to go on").then_some(()));
    meanwhile();
    terminal
        .stdin
        .as_mut()
        .unwrap()
        .write_all(b"web\n")
        .unwrap();
    let ended = until("it ends", || terminal.try_wait().unwrap());
    (ended.code(), text())
}
