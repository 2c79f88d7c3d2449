//! kill -9 in each phase: the site is where the journal says, and no flip starts by itself.

use crate::flips::Stage;
use crate::support::daemon::{OneSite, Place};
use crate::support::origin::Origin;
use crate::support::wait::until;

/// Where a flip is stopped, what its row must say then, and where the site must be afterwards.
const PLACES: [(&str, Option<&str>, &str); 14] = [
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
    ("settled", Some("settled"), "backup"),
];

const CHECK: &str = "[{name: fit, get: /fit, status: 200}]";

fn row(place: &Place) -> Option<String> {
    place
        .journal()
        .query_row("SELECT state FROM flips WHERE id = 1", [], |row| row.get(0))
        .ok()
}

fn killed_at(failpoint: &str, journalled: Option<&str>, side: &str, by_file: bool) {
    let place = Place::new();
    place.write(&OneSite {
        checks: CHECK,
        ..OneSite::default()
    });
    let live = Origin::start(&place.origin("live"), "live");
    let backup = Origin::start(&place.origin("backup"), "backup");
    let daemon = place.start_with(&[("POINTSMAN_FAILPOINT", failpoint)]);
    let asked = if by_file {
        place.sed("s/active: live/active: backup/");
        None
    } else {
        let file = place.state().join("admin.sock");
        let mut command = std::process::Command::new(crate::support::daemon::POINTSMAN);
        command
            .args(["flip", "ispot", "--to", "backup", "--yes", "--socket"])
            .arg(file);
        Some(crate::support::daemon::Daemon::spawn(&mut command))
    };
    daemon.until_said("failpoint reached");
    daemon.kill();
    drop(asked);
    assert_eq!(
        row(&place).as_deref(),
        journalled,
        "{failpoint}: the row before the start"
    );
    if journalled.is_none() {
        let seen = backup.seen();
        assert!(
            seen.iter().all(|request| request.path == "/fit"),
            "{failpoint}: {seen:?}"
        );
    }
    let checked = backup.seen().len();

    let daemon = place.start();
    let (code, first) = place.curl("/", &[]);
    // A word that was edited and never journalled is a request at start, as it should be.
    let is_asked_again = by_file && journalled.is_none();
    if is_asked_again {
        assert_eq!(place.flip_ended(1)["outcome"], "settled", "{failpoint}");
    } else {
        assert_eq!(
            (code, first.as_str()),
            (200, side),
            "{failpoint}: the first answer"
        );
        let site = place.site();
        assert_eq!(site["active"], side, "{failpoint}: {site}");
        assert_eq!(
            site["flip"],
            serde_json::Value::Null,
            "{failpoint}: none starts by itself"
        );
        let wanted = if side == "backup" || by_file {
            "backup"
        } else {
            "live"
        };
        assert_eq!(place.word(), wanted, "{failpoint}: the word of the file");
        assert_eq!(site["diverged"], wanted != side, "{failpoint}: {site}");
        let last = if side == "backup" {
            "settled"
        } else {
            "restored"
        };
        let flips = place
            .journal()
            .query_row("SELECT count(*) FROM flips", [], |row| row.get(0));
        assert_eq!(
            flips,
            Ok(u64::from(journalled.is_some())),
            "{failpoint}: flips journalled"
        );
        if journalled.is_some() {
            assert_eq!(
                row(&place).as_deref(),
                Some(last),
                "{failpoint}: how it ended"
            );
        }
        let asked = backup.seen_at("/fit").len();
        assert!(
            asked <= checked,
            "{failpoint}: the checks ran again: a flip has started"
        );
    }
    // The other side still takes a flip: nothing is stuck.
    let to = if place.site()["active"] == "live" {
        "backup"
    } else {
        "live"
    };
    let (code, said) = place.flip(to);
    assert_eq!(code, 0, "{failpoint}: {said}");
    drop((daemon, live));
}

#[test]
fn killed_in_any_phase_a_flip_from_the_command_line_leaves_the_side_the_journal_says() {
    for (failpoint, journalled, side) in PLACES {
        killed_at(failpoint, journalled, side, false);
    }
}

#[test]
fn killed_in_any_phase_a_flip_from_an_edit_leaves_the_side_the_journal_says() {
    for (failpoint, journalled, side) in PLACES {
        // An edited word already says where the site goes: there is nothing to rewrite.
        if failpoint != "rewriting" {
            killed_at(failpoint, journalled, side, true);
        }
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
