//! A flip that is read-only meanwhile: what is read goes on at the old side until the last moment.

use std::thread::spawn;

use crate::support::client::Client;
use crate::support::daemon::OneSite;
use crate::support::stage::Stage;
use crate::support::wait::until;

const HOST: &str = "www.ispot.example";

/// A site that is read-only while it flips.
fn stage(flip: &'static str) -> Stage {
    Stage::with(&OneSite::flipping(flip))
}

#[test]
fn reads_go_on_at_the_old_side_while_writes_are_told_to_wait() {
    let stage = stage("{during: read-only, drain: {for: 30s}}");
    let mut slow = stage.in_flight("POST");
    stage.edit_until_it_drains();

    assert_eq!(stage.place.curl("/", &[]), (200, "live".into()));
    let (code, said) = stage.place.curl("/observations", &["-d", "x"]);
    assert_eq!(code, 503);
    assert!(said.contains("Writing is paused"), "{said}");
    let json = ["-d", "x", "-H", "Accept: application/json"];
    let (code, said) = stage.place.curl("/observations", &json);
    assert_eq!(code, 503);
    assert!(said.contains("\"Writing is paused."), "{said}");
    assert!(stage.live.observations().is_empty());

    stage.live.let_go();
    assert_eq!(slow.answer("POST").unwrap().text(), "live");
    assert_eq!(stage.place.flip_ended(1)["outcome"], "settled");
    assert_eq!(stage.place.curl("/", &[]), (200, "backup".into()));
    assert_eq!(stage.place.curl("/observations", &["-d", "x"]).0, 200);
    assert_eq!(stage.backup.observations(), ["x"]);
}

#[test]
fn a_read_in_flight_at_the_end_is_waited_for_and_who_comes_then_goes_to_the_new_side() {
    let stage = stage("{during: read-only, drain: {for: 30s}}");
    let mut slow = stage.in_flight("GET");
    stage.place.sed("s/active: live/active: backup/");
    stage.place.until_phase("closing");
    let address = stage.place.http().parse().unwrap();
    let held = spawn(move || Client::connect(address).get(HOST, "/held").unwrap());
    until("it waits", || {
        (stage.place.site()["waiting"] == 1).then_some(())
    });
    assert_eq!(stage.place.curl("/observations", &["-d", "x"]).0, 503);
    stage.live.let_go();
    assert_eq!(slow.answer("GET").unwrap().text(), "live");
    assert_eq!(held.join().unwrap().text(), "backup");
    assert_eq!(stage.place.flip_ended(1)["outcome"], "settled");
    assert!(stage.live.seen_at("/held").is_empty());
}

#[test]
fn a_read_that_does_not_end_is_cut_at_the_deadline() {
    let stage = stage("{during: read-only, drain: {for: 300ms}}");
    let mut slow = stage.in_flight("GET");
    let (code, said) = stage.place.flip("backup");
    assert_eq!(code, 0, "{said}");
    assert_ne!(slow.answer("GET").map_or(0, |answer| answer.status), 200);
    assert_eq!(stage.live.open_connections(), 0, "its socket is closed");
}

#[test]
fn a_write_that_does_not_end_takes_the_site_back_and_all_may_write_again() {
    let stage = stage("{during: read-only, drain: {for: 300ms}}");
    let mut slow = stage.in_flight("POST");
    let (code, said) = stage.place.flip("backup");
    assert_eq!(code, 4, "{said}");
    assert_eq!(stage.place.curl("/observations", &["-d", "x"]).0, 200);
    stage.live.let_go();
    assert_eq!(slow.answer("POST").unwrap().text(), "live");
    assert_eq!(stage.live.observations(), ["x"]);
}

#[test]
fn a_cancel_while_the_reads_are_held_lets_all_go_on_at_the_old_side() {
    let stage = stage("{during: read-only, drain: {for: 30s}}");
    let mut slow = stage.in_flight("GET");
    stage.place.sed("s/active: live/active: backup/");
    stage.place.until_phase("closing");
    stage.place.sed("s/active: backup/active: live/");
    assert_eq!(stage.place.flip_ended(1)["outcome"], "restored");
    assert_eq!(stage.place.curl("/", &[]), (200, "live".into()));
    assert_eq!(stage.place.curl("/observations", &["-d", "x"]).0, 200);
    stage.live.let_go();
    assert_eq!(slow.answer("GET").unwrap().text(), "live");
}
