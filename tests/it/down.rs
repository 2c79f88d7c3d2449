//! The active side is down: it is said everywhere, once, and nothing moves by itself.

use std::fs;
use std::net::TcpStream;
use std::process::Command;

use serde_json::Value;

use crate::support::client::Client;
use crate::support::daemon::{Daemon, OneSite, Place};
use crate::support::origin::Origin;
use crate::support::stage::Stage;
use crate::support::wait::until;

const HOST: &str = "www.ispot.example";
const DOWN: &str = "the active side is down";
const BACK: &str = "the active side is back";
const COMMAND: &str = "pointsman flip ispot --to backup --now --reason";

/// Stops an origin, and waits until nobody is let in there.
fn stop(origin: Origin) {
    let address = origin.address;
    drop(origin);
    until("the origin is gone", || {
        TcpStream::connect(address).is_err().then_some(())
    });
}

fn is_down(place: &Place, side: &str) -> Option<f64> {
    place.metric(&format!(
        "pointsman_side_down{{side=\"{side}\",site=\"ispot\"}}"
    ))
}

fn times(daemon: &Daemon, what: &str) -> usize {
    daemon.said().matches(what).count()
}

/// The status as a person reads it, and the page.
fn shown(place: &Place) -> [String; 2] {
    let url = format!("http://{}:9901/", place.ip);
    let done = Command::new("curl").args(["-s", &url]).output().unwrap();
    [place.pointsman(&["status"]), done].map(|done| String::from_utf8_lossy(&done.stdout).into())
}

#[test]
fn a_side_that_is_down_is_said_everywhere_and_once_until_it_is_back() {
    let Stage {
        place,
        live,
        backup,
        daemon,
    } = Stage::with(&OneSite::default());
    assert_eq!(place.curl("/", &[]).1, "live");
    assert_eq!(place.site()["down_since"], Value::Null);
    assert_eq!(is_down(&place, "live"), Some(0.0));

    stop(live);
    for _ in 0..5 {
        assert_eq!(place.curl("/", &[]).0, 502);
    }

    assert!(place.site()["down_since"].is_string(), "{}", place.site());
    let each = ["live", "backup"].map(|side| is_down(&place, side));
    assert_eq!(each, [Some(1.0), Some(0.0)]);
    let [text, page] = shown(&place);
    assert!(text.contains("DOWN, see below"), "{text}");
    assert!(
        text.contains(&format!("  If it is dead: {COMMAND}")),
        "{text}"
    );
    assert!(
        page.contains("live is down") && page.contains(COMMAND),
        "{page}"
    );
    daemon.until_said(DOWN);
    assert_eq!(times(&daemon, DOWN), 1, "{}", daemon.said());
    assert_eq!(times(&daemon, COMMAND), 1, "{}", daemon.said());
    assert_eq!(
        (place.flips(), &place.site()["active"]),
        (0, &"live".into())
    );

    let live = Origin::start(&place.origin("live"), "live");
    let http = place.http().parse().unwrap();
    let _unanswered = Client::kept_waiting(http, "GET", HOST, &live);
    assert_eq!(place.site()["down_since"], Value::Null, "it is reached");
    assert_eq!(place.curl("/", &[]).1, "live");
    assert_eq!(is_down(&place, "live"), Some(0.0));
    daemon.until_said(BACK);
    assert_eq!((times(&daemon, DOWN), times(&daemon, BACK)), (1, 1));
    let [text, page] = shown(&place);
    assert!(
        !text.contains("down") && !page.contains("is down"),
        "{text}"
    );
    drop((live, backup));
}

#[test]
fn the_command_that_is_named_moves_the_site_and_the_new_side_is_not_down() {
    let Stage {
        place,
        live,
        backup,
        daemon,
    } = Stage::with(&OneSite::default());
    stop(live);
    assert_eq!(place.curl("/", &[]).0, 502);
    let [text, _] = shown(&place);
    let line = text
        .lines()
        .find_map(|line| line.split_once("If it is dead: "));
    let (_, command) = line.unwrap();
    let words = command.replace("\"…\"", "fire");
    let mut words: Vec<_> = words.split(' ').skip(1).collect();
    words.push("--yes");

    let done = place.pointsman(&words);

    assert!(done.status.success(), "{done:?}");
    assert_eq!(place.curl("/", &[]).1, "backup");
    let site = place.site();
    assert_eq!(
        (&site["down_since"], &site["active"]),
        (&Value::Null, &"backup".into())
    );
    drop((backup, daemon));
}

#[test]
fn a_side_of_which_one_origin_is_reached_is_never_down() {
    let place = Place::new();
    place.write(&OneSite::default());
    let (only, ip) = (format!("[http://{}]", place.origin("live")), place.ip);
    let both = format!("[http://{ip}:9109, http://{}]", place.origin("live"));
    let text = place.text().replace(&only, &both);
    let text = text.replace("    names:", "    timeouts: {response: 2s}\n    names:");
    fs::write(place.file(), text).unwrap();
    let live = Origin::start(&place.origin("live"), "live");
    let _backup = Origin::start(&place.origin("backup"), "backup");
    let daemon = place.start();

    let mut client = Client::connect(place.http().parse().unwrap());
    for is_new in [false, true] {
        for _ in 0..10 {
            assert_eq!(client.get(HOST, "/").unwrap().text(), "live");
            if is_new {
                live.close_connections();
            }
        }
        assert_eq!(is_down(&place, "live"), Some(0.0));
    }
    for _ in 0..4 {
        assert_eq!(place.curl("/die", &["-X", "POST"]).0, 502);
        assert_eq!(is_down(&place, "live"), Some(0.0));
    }
    assert_eq!(place.curl("/wait", &[]).0, 504);

    assert_eq!(place.site()["down_since"], Value::Null);
    assert_eq!(times(&daemon, DOWN), 0, "{}", daemon.said());
}

#[test]
fn users_of_a_side_that_is_down_get_the_page_of_their_site_with_words_that_fit() {
    let place = Place::new();
    place.write(&OneSite::default());
    let own = "    maintenance: {page: own.html, retry_after: 90s}\n    names:";
    fs::write(place.file(), place.text().replace("    names:", own)).unwrap();
    let page = place.file().with_file_name("own.html");
    fs::write(&page, "<p>OWN {{title}}: {{message}}").unwrap();
    let _daemon = place.start();
    let ask = || {
        let mut client = Client::connect(place.http().parse().unwrap());
        client.send("GET / HTTP/1.1\r\nHost: www.ispot.example\r\nAccept: text/html\r\n\r\n");
        client.answer("GET").unwrap()
    };

    let with_places = ask();
    fs::write(&page, "<p>OWN We mend something.").unwrap();
    place.edit(&[("retry_after: 90s", "retry_after: 91s")]);
    let with_words = until("the edit is taken", || {
        // The page may have been read by itself before, at the first look after the start.
        let answer = ask();
        (answer.header("retry-after") == "91").then_some(answer)
    });

    assert_eq!(with_places.status, 502);
    assert_eq!(
        with_places.header("content-type"),
        "text/html; charset=utf-8"
    );
    assert_eq!(with_places.header("retry-after"), "90");
    assert_eq!(with_places.header("cache-control"), "no-store");
    let text = with_places.text();
    assert!(
        text.starts_with("<p>OWN Not reachable at the moment"),
        "{text}"
    );
    assert!(!text.contains("looked after"), "{text}");
    let text = with_words.text();
    assert_eq!(with_words.status, 502);
    assert!(
        !text.contains("OWN"),
        "a page that speaks of maintenance: {text}"
    );
    assert!(text.contains("Not reachable at the moment"), "{text}");
}
