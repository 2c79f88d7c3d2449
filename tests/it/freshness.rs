//! `freshness`: a flip to a side whose data are older than they may be is refused.

use std::fs;

use crate::support::daemon::{Daemon, OneSite, Place};
use crate::support::teller::Teller;
use crate::support::wait::until;

const NUMBER: &str = "{get: /newest, json: /id, kind: number, max_lag: 10}";

/// A daemon between two origins that say how new they are.
struct Compared {
    place: Place,
    live: Teller,
    backup: Teller,
    _daemon: Daemon,
}

fn compared(flip: &'static str, freshness: &str) -> Compared {
    let place = Place::new();
    place.write(&OneSite::flipping(flip));
    place.edit(&[(
        "preflight:",
        &format!("freshness: {freshness}\n    preflight:"),
    )]);
    let teller = |side| {
        let teller = Teller::start(&place.origin(side));
        teller.says("/", "200 OK", "", side);
        teller
    };
    let (live, backup) = (teller("live"), teller("backup"));
    let daemon = place.start();
    Compared {
        place,
        live,
        backup,
        _daemon: daemon,
    }
}

fn has(side: &Teller, id: &str) {
    side.says("/newest", "200 OK", "", &format!(r#"{{"id": {id}}}"#));
}

impl Compared {
    fn flip(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let all = [&["flip", "ispot", "--to", "backup", "--yes"], arguments].concat();
        let done = self.place.pointsman(&all);
        let said = [done.stdout, done.stderr].concat();
        let said = String::from_utf8_lossy(&said).into_owned();
        (done.status.code(), said.replace('\n', " "))
    }
}

#[test]
fn a_target_that_is_too_old_is_refused_with_both_values_and_a_newer_one_is_not() {
    let stage = compared("{during: page}", NUMBER);
    has(&stage.live, "120");
    has(&stage.backup, "109");
    let (code, said) = stage.flip(&[]);
    assert_eq!(code, Some(3), "{said}");
    for part in ["backup has 109", "live has 120", "--force-check freshness"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert_eq!(stage.place.site()["active"], "live");

    has(&stage.backup, "110");
    assert_eq!(stage.flip(&[]).0, Some(0), "it is asked afresh");
}

#[test]
fn a_marker_that_cannot_be_read_refuses_a_flip_on_either_side() {
    let stage = compared("{during: page}", NUMBER);
    has(&stage.live, "120");
    let huge = "x".repeat(2 * 1024 * 1024);
    let hostile = [huge.as_str(), "", "{}", r#"{"id": "\u001b[2J"}"#];
    for body in hostile {
        stage.backup.says("/newest", "200 OK", "", body);
        let (code, said) = stage.flip(&[]);
        assert_eq!(code, Some(3), "{said}");
        assert!(said.contains("cannot be read from side backup"), "{said}");
        assert!(!said.contains('\u{1b}'), "{said}");
    }
    has(&stage.backup, "120");
    stage.live.says("/newest", "500 Oh", "", "");
    let (code, said) = stage.flip(&[]);
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("its active side live"), "{said}");
    assert!(said.contains("answered 500 instead of 200"), "{said}");
}

#[test]
fn what_is_older_is_taken_with_a_reason_and_in_an_emergency_and_that_is_journalled() {
    let forced = &["--force-check", "freshness", "--reason", "they may go"][..];
    for arguments in [forced, &["--now", "--reason", "disk failure"]] {
        let stage = compared("{during: page}", NUMBER);
        has(&stage.live, "120");
        has(&stage.backup, "1");
        let (code, said) = stage.flip(arguments);
        assert_eq!(code, Some(0), "{said}");
        let skipped = stage.place.flip_ended(1)["skipped"].to_string();
        assert!(skipped.contains("check:freshness"), "{skipped}");
        assert_eq!(stage.live.asked("/newest"), 0, "nobody had to ask");
    }
}

#[test]
fn a_copy_that_brings_the_data_lets_a_flip_go_on_and_one_that_does_not_takes_it_back() {
    let sync =
        "{during: page, hooks: {sync: [{shell: 'until test -e ../copied; do sleep 0.05; done'}]}}";
    let stage = compared(sync, NUMBER);
    has(&stage.live, "120");
    has(&stage.backup, "1");
    let copied = stage.place.path().join("copied");
    fs::write(&copied, "").unwrap();
    let (code, said) = stage.flip(&[]);
    assert_eq!(code, Some(4), "{said}");
    assert!(said.contains("backup has 1, live has 120"), "{said}");
    assert_eq!(stage.place.site()["active"], "live");

    fs::remove_file(&copied).unwrap();
    stage.place.sed("s/active: live/active: backup/");
    stage.place.until_phase("syncing");
    has(&stage.backup, "120");
    fs::write(&copied, "").unwrap();
    let flip = until("it ends", || {
        let flip = stage.place.flip_ended(2);
        flip["outcome"].is_string().then_some(flip)
    });
    assert_eq!(flip["outcome"], "settled", "{flip}");
}
