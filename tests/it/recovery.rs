//! kill -9 in each phase: the site is where the journal says, and no flip starts by itself.

use std::process::Command;

use serde_json::Value;

use crate::support::daemon::{Daemon, OneSite, POINTSMAN, Place};
use crate::support::origin::Origin;
use crate::support::stage::Stage;
use crate::support::wait::until;

/// Where a flip is stopped, what its row must say then, and where the site must be afterwards.
const PLACES: [(&str, Option<&str>, &str); 15] = [
    ("rehearsing", None, "live"),
    ("quiescing", None, "live"),
    ("holding", Some("intent"), "live"),
    ("draining", Some("intent"), "live"),
    ("syncing", Some("intent"), "live"),
    ("checking", Some("intent"), "live"),
    ("closing", Some("intent"), "live"),
    ("committing", Some("intent"), "live"),
    ("committed", Some("committed"), "backup"),
    ("publishing", Some("committed"), "backup"),
    ("published", Some("committed"), "backup"),
    ("rewriting", Some("committed"), "backup"),
    ("confirming", Some("committed"), "backup"),
    ("settling", Some("committed"), "backup"),
    ("settled", Some("settled"), "backup"),
];

const CHECK: &str = "[{name: fit, get: /fit, status: 200}]";

fn row(place: &Place) -> Option<String> {
    place
        .journal()
        .query_row("SELECT state FROM flips WHERE id = 1", [], |row| row.get(0))
        .ok()
}

/// How a flip is asked for.
#[derive(Clone, Copy, PartialEq)]
enum By {
    Edit,
    Command,
}

/// A case: where the flip is stopped, its row then, and the side that serves afterwards.
struct Case {
    failpoint: &'static str,
    journalled: Option<&'static str>,
    side: &'static str,
    by: By,
}

impl Case {
    /// Starts a flip, kills the daemon where the case says, and looks at what is left.
    fn kill(&self, place: &Place, backup: &Origin) {
        let daemon = place.start_with(&[("POINTSMAN_FAILPOINT", self.failpoint)]);
        let _asked = match self.by {
            By::Edit => {
                place.sed("s/active: live/active: backup/");
                None
            }
            By::Command => {
                let mut flip = Command::new(POINTSMAN);
                flip.args(["flip", "ispot", "--to", "backup", "--yes", "--socket"]);
                Some(Daemon::spawn(flip.arg(place.state().join("admin.sock"))))
            }
        };
        daemon.until_said("failpoint reached");
        daemon.kill();
        assert_eq!(
            row(place).as_deref(),
            self.journalled,
            "the row before the start"
        );
        if self.journalled.is_none() {
            let seen = backup.seen();
            assert!(
                seen.iter().all(|request| request.path == "/fit"),
                "{seen:?}"
            );
        }
    }

    /// After the restart the site is where the journal says, and no flip starts by itself.
    fn assert_recovered(&self, place: &Place, checks_before: usize, backup: &Origin) {
        let (code, first) = place.curl("/", &[]);
        assert_eq!((code, first.as_str()), (200, self.side), "the first answer");
        let site = place.site();
        assert_eq!(site["active"], self.side, "{site}");
        assert_eq!(site["flip"], Value::Null, "none starts by itself: {site}");
        let word = if self.side == "backup" || self.by == By::Edit {
            "backup"
        } else {
            "live"
        };
        // Users are served before the file is looked at.
        until("the word of the file", || {
            (place.word() == word).then_some(())
        });
        assert_eq!(site["diverged"], word != self.side, "{site}");
        let count = "SELECT count(*) FROM flips";
        let flips: u64 = place
            .journal()
            .query_row(count, [], |row| row.get(0))
            .unwrap();
        assert_eq!(
            flips,
            u64::from(self.journalled.is_some()),
            "flips journalled"
        );
        if self.journalled.is_some() {
            let ended = if self.side == "backup" {
                "settled"
            } else {
                "restored"
            };
            assert_eq!(row(place).as_deref(), Some(ended), "how it ended");
        }
        let checks = backup.checked_at("/fit").len();
        assert!(
            checks <= checks_before + 1,
            "only that of the start: no flip began"
        );
    }

    fn run(&self) {
        println!("killed at {}", self.failpoint);
        let place = Place::new();
        place.write(&OneSite {
            checks: CHECK,
            ..OneSite::default().without_names()
        });
        let _live = Origin::start(&place.origin("live"), "live");
        let backup = Origin::start(&place.origin("backup"), "backup");
        self.kill(&place, &backup);
        let checks_before = backup.checked_at("/fit").len();
        let _daemon = place.start();
        if self.by == By::Edit && self.journalled.is_none() {
            // A word that was never journalled as read is a request at start, as it should be.
            assert_eq!(place.flip_ended(1)["outcome"], "settled");
        } else {
            self.assert_recovered(&place, checks_before, &backup);
        }
        let other = if place.site()["active"] == "live" {
            "backup"
        } else {
            "live"
        };
        let (code, said) = place.flip(other);
        assert_eq!(code, 0, "nothing is stuck: {said}");
    }
}

#[test]
fn killed_in_any_phase_a_flip_from_the_command_line_leaves_the_side_the_journal_says() {
    for (failpoint, journalled, side) in PLACES {
        let by = By::Command;
        Case {
            failpoint,
            journalled,
            side,
            by,
        }
        .run();
    }
}

#[test]
fn killed_in_any_phase_a_flip_from_an_edit_leaves_the_side_the_journal_says() {
    for (failpoint, journalled, side) in PLACES {
        // An edited word already says where the site goes: there is nothing to rewrite.
        if failpoint != "rewriting" {
            let by = By::Edit;
            Case {
                failpoint,
                journalled,
                side,
                by,
            }
            .run();
        }
    }
}

#[test]
fn killed_on_the_way_back_or_in_a_refusal_the_site_is_where_it_was() {
    let unfit = "[{name: fit, get: /status/500, status: 200}]";
    for (failpoint, checks, journalled) in [
        ("refusing", unfit, None),
        ("refused", unfit, Some("refused")),
        ("restoring", CHECK, Some("intent")),
        ("restored", CHECK, Some("restored")),
    ] {
        let place = Place::new();
        let flip = "{drain: {for: 100ms, then: restore}}";
        place.write(&OneSite {
            checks,
            ..OneSite::flipping(flip).without_names()
        });
        let live = Origin::start(&place.origin("live"), "live");
        let backup = Origin::start(&place.origin("backup"), "backup");
        let daemon = place.start_with(&[("POINTSMAN_FAILPOINT", failpoint)]);
        let stage = Stage {
            place,
            live,
            backup,
            daemon,
        };
        // A write that does not end takes the flip back, unless the check refuses it before.
        let _slow = stage.in_flight("POST");
        stage.place.sed("s/active: live/active: backup/");
        stage.daemon.until_said("failpoint reached");
        let Stage {
            place,
            live,
            backup,
            daemon,
        } = stage;
        daemon.kill();
        assert_eq!(
            row(&place).as_deref(),
            journalled,
            "{failpoint}: the row before the start"
        );
        live.let_go();
        let _daemon = place.start();
        assert_eq!(place.curl("/", &[]).1, "live", "{failpoint}");
        if journalled.is_some() {
            let site = place.site();
            assert_eq!(
                site["diverged"], true,
                "{failpoint}: not tried again: {site}"
            );
            assert_eq!(site["flip"], Value::Null, "{failpoint}: {site}");
        }
        assert!(
            backup.seen().is_empty(),
            "{failpoint}: only checks reached the target"
        );
    }
}

#[test]
fn an_acknowledged_flip_survives_a_kill_at_once() {
    let Stage {
        place,
        live,
        backup,
        daemon,
    } = Stage::with(&OneSite::default());
    assert_eq!(place.flip("backup").0, 0);
    daemon.kill();
    let daemon = place.start();
    assert_eq!(place.curl("/", &[]).1, "backup");
    assert_eq!(place.word(), "backup");
    until("it rests", || place.site()["flip"].is_null().then_some(()));
    drop((live, backup, daemon));
}
