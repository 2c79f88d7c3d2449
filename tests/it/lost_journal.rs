//! A journal that is broken, cannot be written, or breaks while the daemon runs: the sites are where
//! they were or get the page, no flip starts, the reason is said, and a command repairs.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::process::Output;

use serde_json::Value;

use crate::support::daemon::{Daemon, OneSite, Place};
use crate::support::origin::Origin;
use crate::support::records::users;
use crate::support::stage::Stage;
use crate::support::unprivileged::{set_mode, unprivileged};
use crate::support::wait::until;

/// Writes over what is in the files of the journal, and leaves their sizes.
fn corrupt(place: &Place) {
    for name in ["journal.db", "journal.db-wal"] {
        let path = place.state().join(name);
        let Ok(size) = fs::metadata(&path).map(|file| file.len()) else {
            continue;
        };
        let mut file = OpenOptions::new().write(true).open(&path).unwrap();
        let garbage = vec![0xa5; usize::try_from(size).unwrap()];
        file.write_all(&garbage).unwrap();
    }
}

fn recover(place: &Place, more: &[&str]) -> Output {
    let file = place.file().display().to_string();
    let asks = ["recover", &file, "--reason", "disk sdb lost", "--yes"];
    place.pointsman(&[&asks, more].concat())
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into_owned()
}

/// A site that was moved to backup, and a journal that nobody can read; the daemon is down.
fn with_a_corrupted_journal() -> (Place, Origin, Origin) {
    let Stage {
        place,
        live,
        backup,
        daemon,
    } = Stage::with(&OneSite::default());
    assert_eq!(place.flip("backup").0, 0);
    daemon.kill();
    corrupt(&place);
    (place, live, backup)
}

#[test]
fn a_corrupted_journal_gives_the_page_and_the_command_that_is_named_repairs_it() {
    let (place, live, backup) = with_a_corrupted_journal();
    let before = (live.count(), backup.count());
    let daemon = place.start();
    assert_eq!(place.curl("/", &[]).0, 503);
    let site = place.site();
    assert_eq!(site["active"], Value::Null);
    let problem = site["problem"].as_str().unwrap();
    assert!(problem.contains("pointsman recover --adopt"), "{problem}");
    assert_ne!(place.flip("live").0, 0, "no flip starts");
    assert_eq!((live.count(), backup.count()), before, "nobody was let in");
    let done = recover(&place, &["--adopt", "ispot=backup"]);
    assert_eq!(
        done.status.code(),
        Some(5),
        "a daemon runs: {}",
        said(&done)
    );
    daemon.kill();

    let done = recover(&place, &["--adopt", "ispot=backup"]);
    assert_eq!(done.status.code(), Some(0), "{}", said(&done));
    assert!(
        said(&done).contains("adopted: ispot is at backup"),
        "{}",
        said(&done)
    );
    let names = fs::read_dir(place.state()).unwrap();
    let kept = names.filter(|name| {
        let name = name.as_ref().unwrap().file_name();
        name.to_string_lossy().starts_with("journal.db.broken-")
    });
    assert!(kept.count() >= 1, "the old journal is kept");

    let _daemon = place.start();
    assert_eq!(place.curl("/", &[]), (200, "backup".into()));
    let site = place.site();
    assert_eq!(site["diverged"], false, "{site}");
    let epoch = site["epoch"].as_u64().unwrap();
    assert!(epoch > 1_000_000_000, "above all that was before: {epoch}");
    assert_eq!(place.flips(), 0);
    assert_eq!(place.flip("live").0, 0);
    assert_eq!(place.site()["epoch"], epoch + 1);
    let done = recover(&place, &[]);
    assert_eq!(done.status.code(), Some(5), "{}", said(&done));
}

#[test]
fn what_is_adopted_against_the_word_of_the_file_is_no_request_and_the_word_follows() {
    let (place, _live, backup) = with_a_corrupted_journal();
    assert_eq!(place.word(), "backup");
    let before = backup.count();
    let done = recover(&place, &["--adopt", "ispot=live"]);
    assert_eq!(done.status.code(), Some(0), "{}", said(&done));
    let _daemon = place.start();
    assert_eq!(place.curl("/", &[]), (200, "live".into()));
    until("the word follows", || {
        (place.word() == "live").then_some(())
    });
    until("it is not diverged", || {
        (place.site()["diverged"] == false).then_some(())
    });
    assert_eq!(
        (place.flips(), backup.count()),
        (0, before),
        "no flip began"
    );
}

#[test]
fn a_recovery_that_is_not_needed_or_not_told_enough_changes_nothing() {
    let Stage { place, daemon, .. } = Stage::with(&OneSite::default());
    daemon.kill();
    let done = recover(&place, &["--adopt", "ispot=backup"]);
    assert_eq!(
        done.status.code(),
        Some(3),
        "it can be read: {}",
        said(&done)
    );
    corrupt(&place);
    let broken = fs::read(place.state().join("journal.db")).unwrap();
    for adopt in ["ispot", "nosuch=live", "ispot=nosuch"] {
        let done = recover(&place, &["--adopt", adopt]);
        assert_eq!(done.status.code(), Some(2), "{adopt}: {}", said(&done));
    }
    place.edit(&[("    active: live  # the word\n", "")]);
    let done = recover(&place, &[]);
    assert_eq!(done.status.code(), Some(2), "{}", said(&done));
    assert!(said(&done).contains("ispot"), "{}", said(&done));
    let after = fs::read(place.state().join("journal.db")).unwrap();
    assert!(broken == after, "the broken one is untouched");
}

#[test]
fn a_journal_that_breaks_while_the_daemon_runs_moves_nobody() {
    let remove = |place: &Place| fs::remove_file(place.state().join("journal.db")).unwrap();
    let breaks: [fn(&Place); 2] = [corrupt, remove];
    for breaks in breaks {
        let stage = Stage::with(&OneSite::default());
        let place = &stage.place;
        breaks(place);
        assert_eq!(place.curl("/", &[]), (200, "live".into()));
        let (code, words) = place.flip("backup");
        assert_eq!(code, 3, "{words}");
        assert!(words.contains("could not be journalled"), "{words}");
        assert_eq!(place.curl("/", &[]), (200, "live".into()), "it goes on");
        assert_eq!(place.site()["active"], "live");
        assert_eq!(place.word(), "live");
    }
}

#[test]
fn a_journal_that_may_not_be_written_serves_its_side_and_refuses_a_flip() {
    let place = Place::new();
    place.write(&OneSite::default());
    let _live = Origin::start(&place.origin("live"), "live");
    let backup = Origin::start(&place.origin("backup"), "backup");
    fs::create_dir(place.state()).unwrap();
    let run = || {
        let daemon = Daemon::spawn(unprivileged(&place).arg("run").arg(place.file()));
        until("the daemon serves", || place.status_json());
        daemon
    };
    let mut first = run();
    first.signal("TERM");
    first.wait();
    set_mode("444", &place.state().join("journal.db"));
    let _daemon = run();
    assert_eq!(place.curl("/", &[]), (200, "live".into()));
    place.sed("s/active: live/active: backup/");
    let refused = until("the edit is refused, and why is said", || {
        let site = place.site();
        site["problem"].as_str().map(str::to_owned)
    });
    assert!(refused.contains("readonly"), "{refused}");
    assert_eq!(place.site()["active"], "live");
    assert_eq!(place.curl("/", &[]), (200, "live".into()));
    let there = users(&backup);
    assert!(there.is_empty(), "nobody was let in there: {there:?}");
}
