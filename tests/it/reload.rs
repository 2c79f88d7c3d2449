//! A new table under a running daemon: what it touches changes at once, and nothing else does.

use serde_json::Value;

use crate::support::client::Client;
use crate::support::daemon::{Daemon, OneSite, Place};
use crate::support::origin::Origin;
use crate::support::pair::{ISPOT, MEGALAB, Pair};
use crate::support::stage::Stage;
use crate::support::wait::until;

/// Sends a request that the origin keeps until it is let go.
fn slow(place: &Place, origin: &Origin, method: &str, host: &str) -> Client {
    Client::kept_waiting(place.http().parse().unwrap(), method, host, origin)
}

fn held(place: &Place) -> Option<f64> {
    place.metric("pointsman_hold_requests{site=\"megalab\"}")
}

#[test]
fn a_reload_disturbs_nothing_that_the_edit_does_not_touch() {
    let pair = Pair::new();
    let place = &pair.place;
    let mut kept = Client::connect(place.http().parse().unwrap());
    assert_eq!(kept.get(ISPOT, "/").unwrap().text(), "live");
    let mut in_flight = slow(place, &pair.ispot.live, "POST", ISPOT);
    assert_eq!(kept.get(ISPOT, "/").unwrap().text(), "live");
    let count =
        "pointsman_http_requests_total{code=\"200\",method=\"GET\",side=\"live\",site=\"ispot\"}";
    let counted = place.metric(count);
    assert!(counted.is_some());
    let mut leaving = slow(place, &pair.megalab.live, "POST", MEGALAB);
    place.edit(&[("active: live  # megalab", "active: backup  # megalab")]);
    place.until_phase("draining");
    let mut waits = Client::connect(place.http().parse().unwrap());
    waits.send(&format!(
        "POST /observations HTTP/1.1\r\nHost: {MEGALAB}\r\nContent-Length: 3\r\n\r\nowl"
    ));
    until("it is held", || (held(place)? == 1.0).then_some(()));

    place.edit(&[(
        "{name: ispot, get: /ispot, status: 200}",
        "{name: ispot, get: /other, status: 200}",
    )]);
    place.until_generation(2);
    place.until_taken();

    assert_eq!(held(place), Some(1.0), "it is still held");
    assert_eq!(pair.site("megalab")["flip"], 1, "its flip goes on");
    assert_eq!(place.metric(count), counted, "no counter was reset");
    assert_eq!(
        kept.get(ISPOT, "/").unwrap().text(),
        "live",
        "on the same socket"
    );
    let connections: Vec<_> = pair
        .ispot
        .live
        .seen_at("/")
        .iter()
        .map(|seen| seen.connection)
        .collect();
    assert_eq!(connections[1], connections[2], "the pool was kept");
    pair.ispot.live.let_go();
    assert_eq!(in_flight.answer("POST").unwrap().text(), "live");
    pair.megalab.live.let_go();
    assert_eq!(leaving.answer("POST").unwrap().text(), "live");
    assert_eq!(waits.answer("POST").unwrap().status, 200);
    assert_eq!(pair.megalab.backup.observations(), ["owl"]);
    assert_eq!(place.flip_ended(1)["outcome"], "settled");
}

#[test]
fn new_checks_and_timeouts_are_in_force_at_once() {
    let stage = Stage::with(&OneSite::default());
    let place = &stage.place;
    place.edit(&[
        (
            "checks: [",
            "checks: [{name: news, get: /news, status: 404}, ",
        ),
        ("    names:", "    timeouts: {response: 100ms}\n    names:"),
    ]);
    place.until_generation(2);
    assert_eq!(place.curl("/wait", &[]).0, 504);
    let (code, said) = place.flip("backup");
    assert_eq!(code, 3, "{said}");
    assert!(said.contains("news"), "{said}");
    place.edit(&[(
        "{name: news, get: /news, status: 404}",
        "{name: news, get: /news, status: 200}",
    )]);
    place.until_generation(3);
    assert_eq!(place.flip("backup").0, 0);
}

#[test]
fn a_site_is_added_at_epoch_1_and_a_removed_one_comes_back_where_it_was() {
    let pair = Pair::new();
    let place = &pair.place;
    assert_eq!(
        place
            .pointsman(&["flip", "megalab", "--to", "backup", "--yes"])
            .status
            .code(),
        Some(0)
    );
    let with = place.text();
    let without = &with[..with.find("  megalab:").unwrap()];
    let mut in_flight = slow(place, &pair.megalab.backup, "GET", MEGALAB);

    place.replace(without);
    until("it is gone", || {
        pair.site("megalab").is_null().then_some(())
    });
    let mut client = Client::connect(place.http().parse().unwrap());
    assert_eq!(client.get(MEGALAB, "/").unwrap().status, 404);
    pair.megalab.backup.let_go();
    assert_eq!(
        in_flight.answer("GET").unwrap().text(),
        "backup",
        "it may end"
    );

    place.replace(&with);
    until("it is back", || {
        (!pair.site("megalab").is_null()).then_some(())
    });
    let site = pair.site("megalab");
    assert_eq!(
        (&site["active"], &site["epoch"]),
        (&"backup".into(), &2.into())
    );
    assert_eq!(client.get(MEGALAB, "/").unwrap().text(), "backup");

    let third = &with[with.find("  megalab:").unwrap()..];
    let third = third
        .replace("megalab:", "survey:")
        .replace(MEGALAB, "survey.example");
    place.replace(&format!("{with}{third}"));
    until("the new one is there", || {
        (!pair.site("survey").is_null()).then_some(())
    });
    let site = pair.site("survey");
    assert_eq!(
        (&site["active"], &site["epoch"]),
        (&"backup".into(), &1.into())
    );
    assert_eq!(client.get("survey.example", "/").unwrap().text(), "backup");
    assert_eq!(place.flips(), 1, "none of this is a flip");
}

#[test]
fn what_a_removed_site_left_in_flight_is_over_before_it_flips_again() {
    let pair = Pair::new();
    let place = &pair.place;
    let with = place.text();
    let without = &with[..with.find("  megalab:").unwrap()];
    let _in_flight = slow(place, &pair.megalab.live, "POST", MEGALAB);
    place.replace(without);
    until("it is gone", || {
        pair.site("megalab").is_null().then_some(())
    });
    assert!(
        pair.megalab.live.open_connections() > 0,
        "it may end in its own time"
    );
    place.replace(&with);
    until("it is back", || {
        (!pair.site("megalab").is_null()).then_some(())
    });
    let done = place.pointsman(&["flip", "megalab", "--to", "backup", "--yes"]);
    assert_eq!(done.status.code(), Some(0), "{done:?}");
    assert_eq!(
        pair.megalab.live.open_connections(),
        0,
        "nothing is at work at the old side"
    );
}

#[test]
fn an_origin_taken_out_of_the_active_side_ends_what_it_has_and_gets_nothing_new() {
    let stage = Stage::with(&OneSite::default());
    let place = &stage.place;
    let mut in_flight = slow(place, &stage.live, "POST", ISPOT);
    let mut kept = Client::connect(place.http().parse().unwrap());
    assert_eq!(kept.get(ISPOT, "/").unwrap().text(), "live");
    let other = Origin::start(&format!("{}:9105", place.ip), "other");

    place.edit(&[(&place.origin("live"), &other.address.to_string())]);
    place.until_generation(2);

    assert_eq!(
        kept.get(ISPOT, "/").unwrap().text(),
        "other",
        "on the same socket"
    );
    stage.live.let_go();
    assert_eq!(in_flight.answer("POST").unwrap().text(), "live");
    assert_eq!(stage.live.seen_at("/").len(), 1);
    let site = place.site();
    assert_eq!((&site["epoch"], &site["flip"]), (&1.into(), &Value::Null));
}

#[test]
fn a_changed_listener_or_state_needs_a_restart_and_nothing_else_is_taken() {
    let stage = Stage::with(&OneSite::default());
    let place = &stage.place;
    let good = place.text();
    let state = format!("state: {}", place.state().display());
    for (old, new, at) in [
        (":8080]", ":8088]", ":3:3: listen.http: needs a restart"),
        (":8053]", ":8054]", ":4:3: listen.dns: needs a restart"),
        (":9901\n", ":9902\n", ":5:3: listen.admin: needs a restart"),
        (
            state.as_str(),
            "state: elsewhere",
            ":6:1: state: needs a restart",
        ),
    ] {
        place.replace(
            &good
                .replace(old, new)
                .replace("active: live", "active: backup"),
        );
        place.until_not_taken(at);
        assert_eq!((place.generation(), place.flips()), (1, 0), "{at}");
        assert_eq!(place.curl("/", &[]).1, "live");
    }
    place.replace(&good);
    place.until_taken();
}

/// Starts a daemon that is to give up at once; its exit code, and what it said.
fn run(place: &Place) -> (Option<i32>, String) {
    let done = place.pointsman(&["run", &place.file().display().to_string()]);
    (
        done.status.code(),
        String::from_utf8_lossy(&done.stderr).into_owned(),
    )
}

#[test]
fn a_table_without_the_active_side_or_the_word_of_a_new_site_is_a_mistake() {
    let pair = Pair::new();
    let place = &pair.place;
    let good = place.text();
    let at = format!("{}:9101", place.ip);
    let no_side = good
        .replace(&format!("      live: {{web: [http://{at}]}}\n"), "")
        .replace("active: live  # ispot", "active: backup  # ispot");
    let no_word = good
        .replace("  megalab:", "  survey:")
        .replace("    active: live  # megalab\n", "");
    let cases = [
        (
            no_side,
            ":14:5: sites.ispot.sides: side live is missing, and it is the active one",
        ),
        (
            no_word,
            ":20:3: sites.survey: the site is seen for the first time",
        ),
    ];
    for (text, at) in &cases {
        place.replace(text);
        place.until_not_taken(at);
        assert_eq!((place.generation(), place.flips()), (1, 0), "{at}");
        assert_eq!(place.curl("/", &[]).1, "live");
    }
    let Pair {
        place,
        daemon,
        ispot,
        ..
    } = pair;
    daemon.kill();
    for (text, at) in &cases {
        place.replace(text);
        let (code, said) = run(&place);
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains(at), "{said}");
    }
    place.replace(&good);
    let _daemon = place.start();
    assert_eq!(place.curl("/", &[]).1, "live");
    drop(ispot);
}

#[test]
fn a_table_that_cannot_be_served_leaves_nothing_in_the_journal() {
    let place = Place::new();
    place.write(&OneSite::default());
    let good = place.text();
    let zone = place.file().with_file_name("zone");
    std::fs::write(&zone, "$TTL 300\nwww IN A 127.0.0.9\n").unwrap();
    // The zone file gives an address to a name that is the site's: a mistake found late.
    place.edit(&[("ispot.example: {}", "ispot.example: {file: zone}")]);
    let (code, said) = run(&place);
    assert_eq!(code, Some(2), "{said}");
    let adopted = || -> u64 {
        let count = "SELECT count(*) FROM sites";
        place
            .journal()
            .query_row(count, [], |row| row.get(0))
            .unwrap()
    };
    assert_eq!(adopted(), 0, "no word was adopted");

    // What is adopted is the word of the table that is served first.
    place.replace(&good.replace("active: live", "active: backup"));
    let _origins = ["live", "backup"].map(|side| Origin::start(&place.origin(side), side));
    let daemon: Daemon = place.start();
    assert_eq!(
        (place.flips(), place.curl("/", &[]).1.as_str()),
        (0, "backup")
    );
    let second = "  second:\n    hosts: [second.example]\n    active: live\n    \
                  sides: {live: {web: [http://127.0.0.1:1]}}\n";
    place.edit(&[
        ("ispot.example: {}", "ispot.example: {file: zone}"),
        ("sites:\n", &format!("sites:\n{second}")),
    ]);
    place.until_not_taken("www.ispot.example");
    assert_eq!((adopted(), place.generation()), (1, 1));
    drop(daemon);
}

#[test]
fn among_many_sites_the_status_shows_an_edit_and_a_flip_where_they_are_and_nowhere_else() {
    let stage = Stage::with(&OneSite::default());
    let place = &stage.place;
    let many = (0..600).map(|number| {
        format!(
            "  a{number:03}: {{hosts: [a{number:03}.example.org], active: live, sides: {{live: \
             {{web: [http://127.0.0.1:1]}}, backup: {{web: [http://127.0.0.1:2]}}}}}}\n"
        )
    });
    place.replace(&(place.text() + &many.collect::<String>()));
    place.until_generation(2);
    let sites = || until("the status", || place.status_json())["sites"].clone();
    let before = sites();

    place.edit(&[(
        "[a300.example.org], active: live",
        "[a300.example.org], active: live, access: read-only",
    )]);
    place.until_generation(3);
    assert_eq!(place.flip("backup").0, 0);

    let after = sites();
    let (before, after) = (before.as_array().unwrap(), after.as_array().unwrap());
    let pairs = before.iter().zip(after);
    let differ = pairs.filter(|(before, after)| before != after);
    let shown: Vec<_> = differ
        .map(|(_, site)| {
            let words = ["name", "active", "access"].map(|key| site[key].as_str().unwrap());
            words.join(" ")
        })
        .collect();
    assert_eq!(shown, ["a300 live read-only", "ispot backup open"]);
    assert_eq!(before.len(), 601);
}

#[test]
fn a_file_that_is_no_text_is_not_taken_and_what_follows_it_is() {
    let stage = Stage::with(&OneSite::default());
    let place = &stage.place;
    let text = place.text();
    let (head, tail) = text.split_once("  # the word").unwrap();
    let beside = place.file().with_file_name("new.yaml");
    std::fs::write(
        &beside,
        [head.as_bytes(), b" # \xff", tail.as_bytes()].concat(),
    )
    .unwrap();
    std::fs::rename(&beside, place.file()).unwrap();
    place.until_not_taken("it is not UTF-8 text");
    assert_eq!(place.curl("/", &[]).0, 200);

    place.replace(&text.replace("  # the word", "  # the w\u{f6}rd"));
    place.until_taken();
    assert_eq!(place.flip("backup").0, 0);
    assert!(place.text().contains("active: backup  # the w\u{f6}rd"));
}
