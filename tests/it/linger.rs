//! A write that was given up before its answer ended: the origin may still be at work on it, so a
//! flip waits a while before it copies data and moves.

use std::time::{Duration, Instant};

use crate::support::client::Client;
use crate::support::daemon::OneSite;
use crate::support::stage::Stage;
use crate::support::wait::until;

const LINGER: Duration = Duration::from_millis(1500);

fn site() -> OneSite {
    OneSite::flipping("{during: page, linger: 1500ms, drain: {for: 200ms, then: cut}}")
}

/// Waits until nothing is in flight any more.
fn until_given_up(stage: &Stage) {
    until("it is given up", || {
        (stage.place.site()["in_flight"] == 0).then_some(())
    });
}

#[test]
fn a_flip_waits_after_a_write_whose_client_has_left() {
    let stage = Stage::with(&site());
    // Its length keeps the proxy reading, so that it sees the client leave.
    let mut client = Client::connect(stage.place.http().parse().unwrap());
    let head = "POST /wait HTTP/1.1\r\nHost: www.ispot.example\r\n";
    client.send(&format!("{head}Content-Length: 0\r\n\r\n"));
    until("it is at the origin", || {
        (!stage.live.seen_at("/wait").is_empty()).then_some(())
    });
    let left = Instant::now();
    drop(client);
    until_given_up(&stage);
    let (code, said) = stage.place.flip("backup");
    assert_eq!(code, 0, "{said}");
    assert!(left.elapsed() >= LINGER, "{:?}", left.elapsed());
}

#[test]
fn a_flip_waits_after_a_write_that_it_cut() {
    let stage = Stage::with(&site());
    let _slow = stage.in_flight("POST");
    let (code, said) = stage.place.flip("backup");
    assert_eq!(code, 0, "{said}");
    let flip = &stage.place.flip_ended(1)["timeline"];
    let phases = flip.as_array().unwrap();
    let syncing = phases.iter().find(|entry| entry["phase"] == "syncing");
    let drained_for = syncing.unwrap()["after_ms"].as_u64().unwrap();
    assert!(drained_for >= 1_500, "{flip}");
}

#[test]
fn nobody_waits_after_a_read_or_a_write_that_was_answered() {
    let stage = Stage::with(&site());
    assert_eq!(stage.place.curl("/observations", &["-d", "x"]).0, 200);
    let read = stage.in_flight("GET");
    drop(read);
    until_given_up(&stage);
    let began = Instant::now();
    let (code, said) = stage.place.flip("backup");
    assert_eq!(code, 0, "{said}");
    assert!(began.elapsed() < LINGER, "{:?}", began.elapsed());
}

#[test]
fn a_daemon_that_was_killed_counts_as_a_write_given_up_and_one_that_was_stopped_does_not() {
    let Stage {
        place,
        live,
        backup,
        mut daemon,
    } = Stage::with(&site());
    daemon.signal("TERM");
    assert_eq!(daemon.wait(), Some(0));
    let daemon = place.start();
    let began = Instant::now();
    assert_eq!(place.flip("backup").0, 0);
    assert!(began.elapsed() < LINGER, "{:?}", began.elapsed());

    daemon.kill();
    let killed = Instant::now();
    let daemon = place.start();
    assert_eq!(place.flip("live").0, 0);
    assert!(killed.elapsed() >= LINGER, "{:?}", killed.elapsed());
    drop((live, backup, daemon));
}
