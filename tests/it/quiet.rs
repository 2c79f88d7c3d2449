//! `flip.quiet`: after a write that was given up the origin is asked whether it is still at work.

use crate::support::client::Client;
use crate::support::daemon::{Daemon, OneSite, Place};
use crate::support::teller::Teller;
use crate::support::wait::until;

const WAITS: &str = "{quiet: {get: /jobs, body: idle}, drain: {for: 60s, then: cut}}";

/// A daemon whose live side says what it is told.
struct Asked {
    place: Place,
    live: Teller,
    backup: Teller,
    daemon: Daemon,
}

fn asked(flip: &'static str) -> Asked {
    let place = Place::new();
    place.write(&OneSite::flipping(flip));
    let teller = |side| {
        let teller = Teller::start(&place.origin(side));
        teller.says("/", "200 OK", "", side);
        teller.says("/jobs", "200 OK", "", "busy");
        teller.is_silent_at("/import");
        teller
    };
    let (live, backup) = (teller("live"), teller("backup"));
    let daemon = place.start();
    Asked {
        place,
        live,
        backup,
        daemon,
    }
}

impl Asked {
    /// Sends a write that is never answered, and gives it up.
    fn give_up_a_write(&self) {
        let mut client = Client::connect(self.place.http().parse().unwrap());
        let head = "POST /import HTTP/1.1\r\nHost: www.ispot.example\r\n";
        client.send(&format!("{head}Content-Length: 0\r\n\r\n"));
        until("it is at the origin", || {
            (self.live.hanging() == 1).then_some(())
        });
        drop(client);
        until("it is given up", || {
            (self.place.site()["in_flight"] == 0).then_some(())
        });
    }
}

#[test]
fn a_flip_waits_until_the_old_side_says_that_it_is_quiet_and_no_longer() {
    let stage = asked(WAITS);
    stage.give_up_a_write();
    stage.place.sed("s/active: live/active: backup/");
    until("it was asked more than once", || {
        (stage.live.asked("/jobs") >= 3).then_some(())
    });
    let site = stage.place.site();
    assert_eq!(site["active"], "live", "{site}");
    stage.place.until_phase("draining");

    stage.live.says("/jobs", "200 OK", "", "idle");

    let flip = stage.place.flip_ended(1);
    assert_eq!(flip["outcome"], "settled", "{flip}");
    assert_eq!(stage.place.curl("/", &[]).1, "backup");
    assert_eq!(stage.backup.asked("/jobs"), 0, "it is of the old side");
    // What the new epoch has not given up is nobody's to be asked for.
    let asked = stage.live.asked("/jobs");
    assert_eq!(stage.place.flip("live").0, 0);
    assert_eq!(
        (stage.live.asked("/jobs"), stage.backup.asked("/jobs")),
        (asked, 0)
    );
}

#[test]
fn a_side_that_never_is_quiet_keeps_its_site_and_its_words_say_why() {
    let stage = asked("{quiet: {get: /jobs, body: idle}, drain: {for: 1s, then: cut}}");
    stage.give_up_a_write();

    let (code, said) = stage.place.flip("backup");

    assert_eq!(code, 4, "{said}");
    let place = format!("http://{}/jobs", stage.place.origin("live"));
    for part in [
        "live was not quiet within 1s",
        &place,
        "does not hold \"idle\"",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert_eq!(stage.place.curl("/", &[]).1, "live", "and is let in again");
    let flip = stage.place.flip_ended(1).to_string();
    assert!(!flip.contains("syncing"), "nothing was copied: {flip}");
    stage.live.says("/jobs", "200 OK", "", "idle");
    assert_eq!(stage.place.flip("backup").0, 0);
}

#[test]
fn nobody_is_asked_when_nothing_was_given_up() {
    let stage = asked(WAITS);
    assert_eq!(stage.place.curl("/", &["-d", "x"]).0, 200);

    assert_eq!(stage.place.flip("backup").0, 0);

    assert_eq!(stage.live.asked("/jobs"), 0);
}

#[test]
fn after_a_kill_the_side_is_asked_and_after_a_stop_it_is_not_unless_a_write_was_given_up() {
    let Asked {
        place,
        live,
        backup,
        daemon,
    } = asked(WAITS);
    live.says("/jobs", "200 OK", "", "idle");
    backup.says("/jobs", "200 OK", "", "idle");
    daemon.kill();
    let mut daemon = place.start();
    assert_eq!(place.flip("backup").0, 0);
    assert_eq!((live.asked("/jobs"), backup.asked("/jobs")), (1, 0));

    daemon.signal("TERM");
    assert_eq!(daemon.wait(), Some(0));
    let daemon = place.start();
    assert_eq!(place.flip("live").0, 0);
    assert_eq!((live.asked("/jobs"), backup.asked("/jobs")), (1, 0));

    let mut stage = Asked {
        place,
        live,
        backup,
        daemon,
    };
    stage.give_up_a_write();
    stage.daemon.signal("TERM");
    assert_eq!(stage.daemon.wait(), Some(0));
    let _daemon = stage.place.start();
    assert_eq!(stage.place.flip("backup").0, 0);
    assert_eq!(stage.live.asked("/jobs"), 2);
}

#[test]
fn an_emergency_asks_nobody() {
    let stage = asked(WAITS);
    stage.give_up_a_write();
    let now = ["--now", "--reason", "live is dead", "--yes"];

    let done = stage
        .place
        .pointsman(&[&["flip", "ispot", "--to", "backup"][..], &now].concat());

    assert_eq!(done.status.code(), Some(0));
    assert_eq!(stage.live.asked("/jobs"), 0);
}
