//! Two nginx from Debian as live and backup, and the clients that users and programs have: curl,
//! httpx, websockets, and Chromium.

use std::path::Path;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;

use crate::support::browser::Browser;
use crate::support::client::Client;
use crate::support::daemon::{Daemon, OneSite, Place};
use crate::support::nginx::Nginx;
use crate::support::wait::until;
use crate::tls::{self, HOST, curl};

/// A daemon between two nginx, each with a WebSocket server behind it.
struct Street {
    place: Place,
    live: Nginx,
    _backup: Nginx,
    _websockets: [Daemon; 2],
    _daemon: Daemon,
}

fn python(script: &str, arguments: &[&str]) -> Daemon {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/peers");
    let mut command = Command::new("/usr/bin/python3");
    Daemon::spawn(command.arg(folder.join(script)).args(arguments))
}

fn street(flip: &'static str) -> Street {
    let place = Place::new();
    place.write(&OneSite::flipping(flip));
    tls::listen(&place);
    place.replace(&place.text().replace(
        "    names: {db",
        "    maintenance: {retry_after: 1s}\n    names: {db",
    ));
    let ip = place.ip.to_string();
    let websockets = [("live", "9201"), ("backup", "9202")].map(|(side, port)| {
        let server = python("echo.py", &[&ip, port, side]);
        server.until_said("listening");
        server
    });
    let live = Nginx::start(&place, "live", &format!("{ip}:9201"));
    let backup = Nginx::start(&place, "backup", &format!("{ip}:9202"));
    let daemon = place.start();
    Street {
        place,
        live,
        _backup: backup,
        _websockets: websockets,
        _daemon: daemon,
    }
}

/// The last line that a script says, as JSON.
fn outcome(script: &mut Daemon) -> Value {
    assert_eq!(script.wait(), Some(0), "{}", script.said());
    // What it said last may be read a moment after it has ended.
    until("the script says what it saw", || {
        let said = script.said();
        serde_json::from_str(said.lines().last()?).ok()
    })
}

fn now() -> f64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap().as_secs_f64()
}

/// Flips, and gives the time at which the flip was acknowledged.
fn flip(street: &Street, to: &str) -> f64 {
    let (code, said) = street.place.flip(to);
    assert_eq!(code, 0, "{said}");
    now()
}

#[test]
fn curl_sees_both_nginx_by_http_1_http_2_and_http_2_without_tls() {
    let street = street("{during: page}");
    let place = &street.place;
    for (to, other) in [("backup", "live"), ("live", "backup")] {
        for (arguments, version) in [(&["--http2"][..], "2"), (&["--http1.1"], "1.1")] {
            let (said, body) = curl(place, "site.pem", HOST, arguments);
            assert_eq!(said, format!("200 {version}"));
            assert!(body.contains(&format!("<p id=side>{other}</p>")), "{body}");
        }
        let (code, body) = place.curl("/side", &["--http2-prior-knowledge"]);
        assert_eq!((code, body.as_str()), (200, other));
        flip(&street, to);
    }
}

#[test]
fn curl_is_shown_the_page_by_each_protocol_while_what_is_in_flight_goes_on() {
    let street = street("{during: page, drain: {for: 60s}}");
    let place = &street.place;
    let mut film = Client::connect(place.http().parse().unwrap());
    film.send(&format!("GET /film HTTP/1.1\r\nHost: {HOST}\r\n\r\n"));
    assert_eq!(film.head().unwrap().0, 200);
    place.sed("s/active: live/active: backup/");
    place.until_phase("draining");
    for (arguments, version) in [(&["--http2"][..], "2"), (&["--http1.1"], "1.1")] {
        let (said, body) = curl(place, "site.pem", HOST, arguments);
        assert_eq!(said, format!("503 {version}"));
        assert!(body.contains("Back in a moment"), "{body}");
    }
    let head = ["--http2-prior-knowledge", "-D", "-", "-o", "/dev/null"];
    let (code, head) = place.curl("/", &head);
    assert!(code == 503 && head.contains("retry-after: 1"), "{head}");
    assert!(!film.some(1).unwrap().is_empty(), "the film goes on");
    drop(film);
    let flip = place.flip_ended(1);
    assert_eq!(flip["outcome"], "settled", "{flip}");
    let (said, body) = curl(place, "site.pem", HOST, &["--http2"]);
    assert!(said == "200 2" && body.contains("backup"), "{said} {body}");
}

#[test]
fn httpx_on_one_http_2_connection_is_held_and_goes_on_at_the_other_nginx() {
    let street = street("{during: hold, hold: {for: 20s}}");
    let ip = street.place.ip.to_string();
    let certificate = street.place.path().join("etc/certs/site.pem");
    let certificate = certificate.to_str().unwrap();
    let mut script = python("fetch.py", &[&ip, certificate, "backup"]);
    until("httpx is served", || {
        (street.live.requests().len() > 20).then_some(())
    });
    let acknowledged = flip(&street, "backup");
    let saw = outcome(&mut script);
    assert_eq!(saw["bad"], serde_json::json!([]), "{saw}");
    assert_eq!(saw["versions"], serde_json::json!(["HTTP/2"]));
    assert!(saw["seen"]["live"].as_u64() >= Some(20), "{saw}");
    let late = street.live.requests().into_iter();
    let late: Vec<_> = late.filter(|(ended, _)| *ended > acknowledged).collect();
    assert!(late.is_empty(), "the old side was reached: {late:?}");
}

#[test]
fn a_browser_shows_the_site_then_the_page_which_turns_into_the_other_side_by_itself() {
    let street = street("{during: page, drain: {for: 30s}}");
    let ip = street.place.ip;
    let rules = format!("MAP {HOST}:443 {ip}:8443");
    let browser = Browser::start(&rules);
    let url = format!("https://{HOST}/");
    browser.visit(&url);
    assert_eq!(browser.title(), "live");
    let protocol = "return performance.getEntriesByType('navigation')[0].nextHopProtocol";
    assert_eq!(browser.run(protocol), "h2");
    std::thread::scope(|scope| {
        // A slow download keeps the flip draining.
        let slow = scope.spawn(|| street.place.curl("/slow", &[]));
        until("it is in flight", || {
            (street.place.site()["in_flight"] == 1).then_some(())
        });
        let moving = scope.spawn(|| flip(&street, "backup"));
        street.place.until_phase("draining");
        browser.visit(&url);
        assert!(
            browser.title().starts_with("Back in a moment"),
            "{}",
            browser.title()
        );
        // Nobody touches the browser from here on.
        until("the page turns into the other side", || {
            (browser.title() == "backup").then_some(())
        });
        moving.join().unwrap();
        assert_eq!(slow.join().unwrap().0, 200);
    });
}

#[test]
fn websockets_talk_through_a_tunnel_are_ended_by_a_flip_and_come_back_at_the_other_side() {
    let street = street("{during: page, drain: {for: 30s}}");
    let ip = street.place.ip.to_string();
    let certificate = street.place.path().join("etc/certs/site.pem");
    let certificate = certificate.to_str().unwrap();
    let mut scripts = [
        format!("ws://{HOST}:8080/ws"),
        format!("wss://{HOST}:8443/ws"),
    ]
    .map(|address| python("talk.py", &[&ip, &address, certificate]));
    for script in &scripts {
        script.until_said("talked");
    }
    assert_eq!(street.place.site()["in_flight"], 2);
    let asked = now();
    let acknowledged = flip(&street, "backup");
    for script in &mut scripts {
        let saw = outcome(script);
        assert_eq!(saw["side"], "backup");
        assert_eq!(saw["told"], 1012, "service restart");
        let ended = saw["ended"].as_f64().unwrap();
        // Far below the 30 s that the flip might have waited.
        assert!(
            asked < ended && ended < acknowledged + 5.0,
            "{saw}, {acknowledged}"
        );
    }
}
