//! The active side is dead, or has to be taken as dead: `flip --now`.

use std::fs;

use serde_json::{Value, json};

use crate::support::client::Client;
use crate::support::daemon::{OneSite, Place};
use crate::support::pair::{ISPOT, MEGALAB, Pair};
use crate::support::stage::Stage;
use crate::support::wait::until;

/// A planned flip of a site that has a write in flight would wait for a minute, and then go back.
const PATIENT: &str = "{during: page, drain: {for: 60s, then: restore}}";

const TO_BACKUP_NOW: [&str; 6] = [
    "ispot",
    "--to",
    "backup",
    "--now",
    "--reason",
    "disk failure",
];

/// Runs `pointsman flip` to its end; its exit code and all that it said.
fn flip(place: &Place, arguments: &[&str]) -> (Option<i32>, String) {
    let done = place.pointsman(&[&["flip", "--yes"], arguments].concat());
    let said = [done.stdout, done.stderr].concat();
    (
        done.status.code(),
        String::from_utf8_lossy(&said).into_owned(),
    )
}

fn status_text(place: &Place) -> String {
    let done = place.pointsman(&["status"]);
    let text = String::from_utf8_lossy(&done.stdout).into_owned();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn page(place: &Place) -> String {
    let url = format!("http://{}:9901/", place.ip);
    let mut curl = std::process::Command::new("curl");
    let done = curl.args(["-s", "-m", "20", &url]).output().unwrap();
    String::from_utf8_lossy(&done.stdout).into_owned()
}

#[test]
fn a_side_that_hangs_is_left_at_once_and_what_was_cut_is_shown_until_a_planned_flip() {
    let stage = Stage::with(&OneSite::flipping(PATIENT));
    let mut slow = stage.in_flight("POST");

    let (code, said) = flip(&stage.place, &TO_BACKUP_NOW);

    assert_eq!(code, Some(0), "{said}");
    let told = slow.answer("POST").map_or(0, |answer| answer.status);
    assert_ne!(told, 200, "its client is told");
    assert_eq!(stage.live.open_connections(), 0, "its socket is closed");
    assert_eq!(stage.place.curl("/", &[]).1, "backup");
    let phases = stage.place.flip_ended(1)["timeline"].to_string();
    assert!(!phases.contains("syncing"), "{phases}");
    let shown = stage.place.site()["emergency"].clone();
    assert_at_risk(&shown);
    let lines = "Flip 1 took live as dead: disk failure Skipped: the drain, the last copy. \
                 Cut: 0 reads and 1 write.";
    let text = status_text(&stage.place);
    assert!(text.contains(lines), "{text}");
    let page = page(&stage.place);
    assert!(page.contains("Flip 1 took live as dead"), "{page}");

    let Stage {
        place,
        live,
        backup,
        daemon,
    } = stage;
    daemon.kill();
    let daemon = place.start();
    assert_eq!(place.site()["emergency"], shown, "after a restart too");
    live.let_go();
    assert_eq!(place.flip("live").0, 0);
    assert_eq!(place.site()["emergency"], Value::Null);
    let text = status_text(&place);
    assert!(!text.contains("took live as dead"), "{text}");
    drop((backup, daemon));
}

fn assert_at_risk(shown: &Value) {
    assert_eq!(shown["flip"], 1, "{shown}");
    assert_eq!(shown["reason"], "disk failure", "{shown}");
    assert_eq!(shown["skipped"], json!(["drain", "sync"]), "{shown}");
    let cut = (&shown["cut_reads"], &shown["cut_writes"]);
    assert_eq!(cut, (&0.into(), &1.into()), "{shown}");
    assert_eq!(
        (&shown["from"], &shown["epoch"]),
        (&"live".into(), &1.into())
    );
    assert_eq!(shown["forwarded"], 1, "{shown}");
    assert!(shown["last_forwarded"].is_string(), "{shown}");
}

#[test]
fn a_side_that_is_gone_is_left_and_the_journal_says_what_was_skipped_and_cut() {
    let stage = Stage::with(&OneSite::flipping(PATIENT));
    assert_eq!(stage.place.curl("/", &["-X", "POST"]).1, "live");
    let Stage {
        place,
        live,
        backup,
        daemon,
    } = stage;
    drop(live);

    let (code, said) = flip(&place, &TO_BACKUP_NOW);

    assert_eq!(code, Some(0), "{said}");
    assert_eq!(place.curl("/", &[]).1, "backup");
    assert_eq!(place.word(), "backup");
    let row = "SELECT skipped, reason, cut_reads, cut_writes, forwarded
               FROM flips JOIN moves ON flip = id";
    let row: (String, String, u64, u64, u64) = place
        .journal()
        .query_row(row, [], |row| row.try_into())
        .unwrap();
    assert_eq!(row, ("drain sync".into(), "disk failure".into(), 0, 0, 1));
    drop((backup, daemon));
}

#[test]
fn an_emergency_needs_a_reason_and_no_words_that_mean_nothing_with_it() {
    let stage = Stage::with(&OneSite::default());
    let place = &stage.place;
    for (arguments, words) in [
        (&["ispot", "--now"][..], "--reason"),
        (&["ispot", "--now", "--reason", " "], "needs a reason"),
        (
            &["ispot", "--now", "--reason", "x", "--during", "hold"],
            "--during",
        ),
        (&["ispot", "--force-check"], "--now"),
        (&["--cancel", "1", "--now", "--reason", "x"], "--cancel"),
    ] {
        let (code, said) = flip(place, arguments);
        assert_eq!(code, Some(2), "{arguments:?}: {said}");
        assert!(said.contains(words), "{arguments:?}: {said}");
    }
    for (more, code) in [
        (r#""now": true"#, "reason-needed"),
        (r#""now": true, "reason": "\t""#, "reason-needed"),
        (
            r#""now": true, "reason": "x", "during": "hold""#,
            "during-with-now",
        ),
        (r#""reason": "x", "force_check": true"#, "force-without-now"),
    ] {
        let body = format!(r#"{{"moves": [{{"site": "ispot"}}], {more}}}"#);
        let refused = place.post_flip(&[], &body);
        assert_eq!((refused.status, &refused.body["code"]), (422, &code.into()));
    }
    assert_eq!(place.flips(), 0);
    assert_eq!(place.site()["epoch"], 1);
}

#[test]
fn the_checks_of_the_target_refuse_it_unless_they_are_to_be_left_out() {
    let stage = Stage::with(&OneSite {
        checks: "[{name: news, get: /news, status: 404}]",
        ..OneSite::default()
    });
    let place = &stage.place;

    let (refused, said) = flip(place, &TO_BACKUP_NOW);
    assert_eq!(refused, Some(3), "{said}");
    assert!(said.contains("news"), "{said}");
    assert_eq!(place.curl("/", &[]).1, "live");
    assert_eq!(place.site()["emergency"], Value::Null, "nothing happened");
    let looked = stage.backup.checked_at("/news").len();

    let (forced, said) = flip(place, &[&TO_BACKUP_NOW[..], &["--force-check"]].concat());

    assert_eq!(forced, Some(0), "{said}");
    assert_eq!(place.curl("/", &[]).1, "backup");
    assert_eq!(
        stage.backup.checked_at("/news").len(),
        looked,
        "nobody asked"
    );
    let skipped = &place.site()["emergency"]["skipped"];
    assert_eq!(*skipped, json!(["drain", "sync", "checks"]));
}

#[test]
fn while_a_planned_flip_runs_it_is_a_conflict_that_says_how_to_cancel_that_one() {
    let stage = Stage::with(&OneSite::flipping(PATIENT));
    let _slow = stage.in_flight("POST");
    stage.edit_until_it_drains();

    let (code, said) = flip(&stage.place, &TO_BACKUP_NOW);

    assert_eq!(code, Some(5), "{said}");
    assert!(said.contains("pointsman flip --cancel 1"), "{said}");
    assert_eq!(flip(&stage.place, &["--cancel", "1"]).0, Some(0));
    assert_eq!(stage.place.flip_ended(1)["outcome"], "restored");
    let (code, said) = flip(&stage.place, &TO_BACKUP_NOW);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(stage.place.curl("/", &[]).1, "backup");
}

#[test]
fn both_sites_of_a_group_move_and_each_says_what_it_lost() {
    let pair = Pair::grouped();
    let http = pair.place.http().parse().unwrap();
    let _write = Client::kept_waiting(http, "POST", ISPOT, &pair.ispot.live);
    let _read = Client::kept_waiting(http, "GET", MEGALAB, &pair.megalab.live);
    let now = ["--group", "web", "--now", "--reason", "fire"];

    let (code, said) = pair.flip(&now);

    assert_eq!(code, Some(0), "{said}");
    let moved = ("backup".to_owned(), 2);
    assert_eq!(pair.positions(), [moved.clone(), moved]);
    let cut = ["ispot", "megalab"].map(|site| {
        let emergency = pair.site(site)["emergency"].clone();
        assert_eq!(emergency["reason"], "fire", "{emergency}");
        (
            emergency["cut_reads"].clone(),
            emergency["cut_writes"].clone(),
        )
    });
    assert_eq!(cut, [(0.into(), 1.into()), (1.into(), 0.into())]);
    // One of them moves as planned: what the other lost is still to be seen.
    assert_eq!(pair.flip(&["ispot"]).0, Some(0));
    assert_eq!(pair.site("ispot")["emergency"], Value::Null);
    assert_eq!(pair.site("megalab")["emergency"]["flip"], 1);
}

#[test]
fn a_file_that_cannot_be_rewritten_refuses_a_planned_flip_and_no_emergency() {
    let stage = Stage::with(&OneSite::default());
    let place = &stage.place;
    let in_the_way = place.file().with_file_name(".routes.yaml.pointsman");
    fs::create_dir(&in_the_way).unwrap();
    let (planned, said) = place.flip("backup");
    assert_eq!(planned, 3, "{said}");

    let (code, said) = flip(place, &TO_BACKUP_NOW);

    assert_eq!(code, Some(0), "{said}");
    assert_eq!(place.curl("/", &[]).1, "backup");
    assert_eq!(place.word(), "live");
    let site = place.site();
    let problem = site["problem"].as_str().unwrap();
    assert!(
        problem.contains("still has to say `active: backup`"),
        "{site}"
    );
    fs::remove_dir(&in_the_way).unwrap();
    until("the word is rewritten", || {
        (place.word() == "backup").then_some(())
    });
    assert_eq!(place.flips(), 2, "and is no request");
    assert_eq!(place.site()["active"], "backup");
}
