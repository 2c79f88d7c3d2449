//! What is left of answers when a daemon ends, and another begins.

use std::time::Duration;

use jiff::Timestamp;

use super::{NEW, TTL, db, old, serial, stage, waited_until};
use crate::support::daemon::Place;
use crate::support::stage::Stage;

#[test]
fn a_kill_while_no_address_is_given_brings_the_old_answer_back_in_a_later_zone() {
    let stage = stage("{during: page, drain: {for: 60s}}");
    let slow = stage.in_flight("POST");
    stage.edit_until_it_drains();
    let Stage {
        place,
        daemon,
        live: _live,
        backup: _backup,
    } = stage;
    assert_eq!(db(&place), None);
    let withheld = serial(&place);
    daemon.kill();
    drop(slow);
    let _daemon = place.start();
    assert_eq!(db(&place), old(TTL));
    assert!(serial(&place) > withheld);
}

#[test]
fn after_a_kill_an_answer_counts_as_given_at_the_start_and_after_a_stop_only_if_one_was() {
    let Stage {
        place,
        mut daemon,
        live,
        backup,
    } = stage("{during: page}");
    let waits = |place: &Place, to: &str, id| {
        assert_eq!(place.flip(to).0, 0);
        let flip = place.flip_ended(id);
        waited_until(&flip, "quiescing")
    };
    daemon.signal("TERM");
    assert_eq!(daemon.wait(), Some(0));
    daemon = place.start();
    assert_eq!(waits(&place, "backup", 1), None);

    daemon.kill();
    let killed = Timestamp::now();
    daemon = place.start();
    let until = waits(&place, "live", 2).expect("it waits");
    assert!(until >= killed + Duration::from_secs(3), "{killed} {until}");

    assert_eq!(db(&place), old(TTL));
    let asked = Timestamp::now();
    daemon.signal("TERM");
    assert_eq!(daemon.wait(), Some(0));
    daemon = place.start();
    let until = waits(&place, "backup", 3).expect("it waits");
    assert!(until >= asked + Duration::from_secs(3), "{asked} {until}");
    drop((live, backup, daemon));
}

#[test]
fn a_ttl_that_was_lowered_while_a_killed_daemon_was_down_is_waited_for_as_it_was() {
    let Stage {
        place,
        daemon,
        live: _live,
        backup: _backup,
    } = stage("{during: page}");
    let ttl = Duration::from_secs(TTL.unsigned_abs());
    // Kept over a start that was not clean, too.
    daemon.kill();
    place.edit(&[(&format!("ttl: {TTL}s"), "ttl: 1s")]);
    place.start().kill();
    let killed = Timestamp::now();
    let _daemon = place.start();
    assert_eq!(place.flip("backup").0, 0);
    let until = waited_until(&place.flip_ended(1), "quiescing").expect("it waits");
    assert!(until >= killed + ttl, "{killed} {until}");
    assert_eq!(db(&place), Some((1, NEW.to_owned())));
}
