//! `pointsman watch`: what goes on, on a terminal and elsewhere.

use std::process::Command;

use serde_json::Value;

use crate::support::daemon::{Daemon, OneSite, POINTSMAN, Place};
use crate::support::stage::Stage;
use crate::support::terminal::Terminal;
use crate::support::wait::until;

/// Starts `pointsman watch`, its words kept.
fn watch(place: &Place, arguments: &[&str]) -> Daemon {
    let mut command = Command::new(POINTSMAN);
    command.env("POINTSMAN_SOCKET", place.state().join("admin.sock"));
    Daemon::spawn(command.arg("watch").args(arguments))
}

#[test]
fn on_a_terminal_of_80_columns_a_flip_is_seen_from_its_wait_to_its_end() {
    let stage = Stage::with(&OneSite::flipping("{during: page, drain: {for: 100s}}"));
    let terminal = Terminal::run(&stage.place, "watch");
    let rest = terminal.until_shows("ispot  live    open        1          0        0");
    assert!(!rest.contains("Flip"), "{rest}");

    let mut slow = stage.in_flight("POST");
    stage.edit_until_it_drains();
    // The countdown is that of the drain: no phase before has one.
    let picture = terminal.until_shows("at most");
    for part in [
        "1 in flight (1 to write), 0 on hold",
        "Flip 1: ispot live -> backup",
        "users meanwhile: the maintenance page",
        "rehearsing",
        "more",
        "to come: syncing, checking, closing, committing, publishing, confirming",
        "To stop it: pointsman flip --cancel 1",
    ] {
        assert!(picture.contains(part), "no {part:?} in {picture}");
    }
    // It counts down: the whole seconds that are left become fewer.
    let left = |picture: &str| -> Option<u32> {
        let (_, after) = picture.split_once("at most ")?;
        let number: String = after.chars().take_while(char::is_ascii_digit).collect();
        // 100 s are shown in minutes at first.
        let is_minutes = after[number.len()..].starts_with(" min");
        let seconds = after.split(' ').nth(2)?.parse().ok().filter(|_| is_minutes);
        Some(number.parse::<u32>().ok()? * if is_minutes { 60 } else { 1 } + seconds.unwrap_or(0))
    };
    let first = left(&picture).unwrap();
    assert!(first < 100, "{picture}");
    until("it counts down", || {
        (left(&terminal.picture())? < first).then_some(())
    });

    stage.live.let_go();
    assert_eq!(slow.answer("POST").unwrap().text(), "live");
    let picture = terminal.until_shows("Settled: ispot is on backup.");
    assert!(
        picture.contains("ispot  backup  open        2          0        0"),
        "{picture}"
    );
    assert!(
        !picture.contains("to come"),
        "nothing of the flip is left: {picture}"
    );
    for line in picture.lines() {
        assert!(line.chars().count() <= 80, "{line:?}");
    }

    // The daemon goes and comes back: it is said, and waited for.
    stage.daemon.kill();
    terminal.until_shows("THE DAEMON DOES NOT ANSWER");
    let _again = stage.place.start();
    until("it is heard again", || {
        (!terminal.picture().contains("DOES NOT ANSWER")).then_some(())
    });
}

#[test]
fn without_a_terminal_it_is_a_line_per_event_and_ends_with_the_daemon() {
    let stage = Stage::with(&OneSite::default());
    let mut watching = watch(&stage.place, &["ispot"]);
    watching.until_said("ispot is on live, open. Watching…");
    let mut slow = stage.in_flight("POST");
    stage.edit_until_it_drains();
    watching.until_said("draining    1 in flight (1 to write), 0 on hold");
    stage.live.let_go();
    assert_eq!(slow.answer("POST").unwrap().text(), "live");
    watching.until_said("Settled: ispot is on backup. Nothing reaches live any more.");
    let done = stage.place.pointsman(&[
        "access",
        "ispot",
        "read-only",
        "--reason",
        "new disks",
        "--yes",
    ]);
    assert!(done.status.success());
    watching.until_said("ispot is read-only, said by");
    let said = watching.said();
    for phase in ["rehearsing", "quiescing", "committing", "settled"] {
        let lines = said
            .lines()
            .filter(|line| line.contains(&format!("  {phase}")));
        assert_eq!(lines.count(), 1, "{phase} in {said}");
    }
    assert!(
        !said.contains('\x1b'),
        "no sequence for a terminal: {said:?}"
    );
    stage.daemon.kill();
    assert_eq!(watching.wait(), Some(7), "{}", watching.said());
}

#[test]
fn as_json_it_is_a_document_per_line() {
    let stage = Stage::with(&OneSite::default());
    let watching = watch(&stage.place, &["-o", "json"]);
    let documents = || -> Vec<Value> {
        let said = watching.said();
        // The last line may be half there.
        let whole = said.rsplit_once('\n').map_or("", |(whole, _)| whole);
        whole
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    };
    until("the first", || (!documents().is_empty()).then_some(()));
    let (code, said) = stage.place.flip("backup");
    assert_eq!(code, 0, "{said}");
    let last = until("the flip's end", || {
        let last = documents().pop()?;
        (last["flips"][0]["outcome"] == "settled").then_some(last)
    });
    assert_eq!(last["sites"][0]["active"], "backup", "{last}");
    assert_eq!(last["more_sites"], 0, "{last}");
    assert_eq!(documents()[0]["sites"][0]["active"], "live");
}

#[test]
fn a_site_that_is_not_there_is_named_and_so_is_a_daemon() {
    let stage = Stage::with(&OneSite::default());
    for site in ["quiz", "a b&c"] {
        let done = stage.place.pointsman(&["watch", site]);
        assert_eq!(done.status.code(), Some(2), "{done:?}");
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        assert!(said.contains("pointsman status"), "{said}");
    }
    stage.daemon.kill();
    let done = stage.place.pointsman(&["watch"]);
    assert_eq!(done.status.code(), Some(7), "{done:?}");
}
