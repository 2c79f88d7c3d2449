//! A flip and a guarded job of its site exclude each other (invariant 3).

use std::time::{Duration, Instant};

use super::*;

/// A flip that is asked for and followed by somebody else.
fn flip_behind(stage: &Guarded, more: &[&str]) -> Daemon {
    let mut command = Command::new(POINTSMAN);
    command
        .env("POINTSMAN_SOCKET", stage.place.state().join("admin.sock"))
        .args(["flip", "ispot", "--yes", "--to", "backup"])
        .args(more);
    Daemon::spawn(&mut command)
}

#[test]
fn a_flip_waits_for_a_job_shows_it_and_goes_on_when_nothing_of_it_is_left() {
    let stage = guarded("{}");
    let mut job = stage.begin(COPY, "job");

    let mut flip = flip_behind(&stage, &[]);

    flip.until_said("waits for guard 1 (sh;");
    let shown = stage.place.status_json().unwrap()["flips"][0].clone();
    assert_eq!(shown["phase"], "quiescing");
    let awaited = shown["awaited_guards"][0].as_str().unwrap();
    assert!(awaited.starts_with("guard 1 (sh;"), "{shown}");
    assert!(!shown["until"].is_null(), "{shown}");
    assert_eq!(stage.place.curl("/", &[]).0, 200, "users go on meanwhile");
    job.ends_well();
    assert_eq!(flip.wait(), Some(0), "{}", flip.said());
    assert_eq!(stage.place.site()["active"], "backup");
}

#[test]
fn a_flip_that_has_waited_as_long_as_it_may_is_refused_and_names_the_job() {
    let stage = guarded("{guard_wait: 200ms}");
    let mut job = stage.begin(COPY, "job");

    let said = stage.is_refused(&["backup"]);

    assert!(said.contains("guard 1 (sh;"), "{said}");
    assert!(said.contains("`flip.guard_wait` says how long"), "{said}");
    assert_eq!(stage.place.site()["active"], "live");
    assert!(job.job_lives(), "it is not disturbed");
    job.ends_well();
    stage.flips(&["backup"]);
}

#[test]
fn a_job_that_is_not_to_be_disturbed_refuses_a_flip_at_once() {
    let stage = guarded("{guard_wait: 1h}");
    let mut job = stage.begin(&[REPORT, &["--on-flip", "refuse"]].concat(), "job");

    let said = stage.is_refused(&["backup"]);

    assert!(said.contains("runs, and is not to be disturbed"), "{said}");
    job.ends_well();
    stage.flips(&["backup"]);
}

#[test]
fn a_job_that_may_be_ended_is_asked_to_end_and_the_flip_goes_on() {
    let stage = guarded("{guard_wait: 30s}");
    let report = [REPORT, &["--on-flip", "kill"]].concat();
    let mut job = stage.begin_with(&report, "job", "trap 'touch asked; exit 0' TERM");

    stage.flips(&["backup"]);

    assert!(stage.has("asked"), "it had its time");
    assert_eq!(job.wait(), Some(0));
    assert!(
        job.said()
            .contains("the job is ended: a flip goes before it"),
        "{}",
        job.said()
    );
}

#[test]
fn a_copy_that_is_ended_leaves_its_target_torn_and_the_flip_there_is_refused() {
    let stage = guarded("{guard_wait: 30s}");
    let copy = [COPY, &["--on-flip", "kill"]].concat();
    // It says that all is well, and is not.
    let mut job = stage.begin_with(&copy, "job", "trap 'exit 0' TERM");

    let said = stage.is_refused(&["backup"]);

    assert!(said.contains("backup of ispot is torn"), "{said}");
    assert_eq!(job.wait(), Some(0));
    assert!(stage.is_torn("backup"));
    assert_eq!(stage.place.site()["active"], "live");
}

#[test]
fn what_a_killed_copy_tore_is_mended_by_the_last_copy_of_the_flip() {
    let stage = guarded("{guard_wait: 30s, hooks: {sync: [[\"true\"]]}}");
    let mut job = stage.begin(&[COPY, &["--on-flip", "kill"]].concat(), "job");

    stage.flips(&["backup"]);

    assert_eq!(job.wait(), Some(143));
    assert!(!stage.is_torn("backup"));
}

#[test]
fn no_job_begins_while_a_flip_is_in_progress() {
    let stage = guarded("{drain: {for: 20s, then: cut}}");
    let address = stage.place.http().parse().unwrap();
    let reader = std::thread::spawn(move || {
        let mut client = Client::connect(address);
        client.get(HOST, "/wait").unwrap().status
    });
    until("it is at the origin", || {
        stage
            .live
            .seen()
            .iter()
            .find(|seen| seen.path == "/wait")
            .map(drop)
    });
    let mut flip = flip_behind(&stage, &[]);
    stage.place.until_phase("draining");

    let (code, said) = stage.script(REPORT, "touch was-run");

    assert_eq!(code, Some(75), "{said}");
    assert!(said.contains("flip 1 of ispot is in progress"), "{said}");
    let mut queued = stage.start(&["--site", "ispot", "--wait", "20s"], "queued", "");
    assert!(!stage.has("was-run") && queued.process().is_none());
    stage.live.let_go();
    assert_eq!(reader.join().unwrap(), 200);
    assert_eq!(flip.wait(), Some(0), "{}", flip.said());
    until("the queued one begins", || queued.process());
    queued.ends_well();
}

#[test]
fn a_flip_that_waits_for_a_job_can_be_cancelled() {
    let stage = guarded("{guard_wait: 1h}");
    let mut job = stage.begin(COPY, "job");
    let mut flip = flip_behind(&stage, &[]);
    flip.until_said("waits for guard 1");

    let cancelled = stage.place.pointsman(&["flip", "--cancel", "1"]);

    assert_eq!(cancelled.status.code(), Some(0), "{cancelled:?}");
    assert_eq!(flip.wait(), Some(3), "{}", flip.said());
    job.ends_well();
    assert_eq!(stage.place.site()["active"], "live");
}

#[test]
fn an_emergency_ends_jobs_within_five_seconds_whatever_they_do() {
    let stage = guarded("{}");
    let stubborn = "trap '' TERM HUP INT";
    let mut job = stage.begin_with(REPORT, "job", stubborn);
    let began = Instant::now();

    stage.flips(&["backup", "--now", "--reason", "the live side burns"]);

    assert!(
        began.elapsed() < Duration::from_secs(5),
        "{:?}",
        began.elapsed()
    );
    assert_eq!(job.wait(), Some(137));
}

#[test]
fn an_emergency_that_would_cut_a_copy_onto_its_target_says_so_before_it_ends_anything() {
    let stage = guarded("{}");
    // It says that all is well, and is not.
    let mut job = stage.begin_with(COPY, "job", "trap 'exit 0' TERM");
    let emergency = ["backup", "--now", "--reason", "the live side burns"];

    let said = stage.is_refused(&emergency);

    assert!(said.contains("backup of ispot is torn: guard 1"), "{said}");
    assert!(job.job_lives(), "nothing happened");
    stage.flips(&[&emergency[..], &["--accept-loss"]].concat());
    assert_eq!(job.wait(), Some(0));
    let said = job.said();
    assert!(
        said.contains("the job is ended: a flip goes before it"),
        "{said}"
    );
    assert!(stage.is_torn("backup"));
}

#[test]
fn an_emergency_goes_over_a_job_that_is_not_proved_gone_only_when_it_is_named() {
    let stage = guarded("{}");
    let key = elsewhere(&stage);
    let emergency = ["backup", "--now", "--reason", "the live side burns"];

    let said = stage.is_refused(&emergency);

    assert!(
        said.contains("guard 1 (copy; root on db1) is not gone"),
        "{said}"
    );
    assert!(said.contains("--over-guard 1"), "{said}");
    assert_eq!(stage.place.site()["active"], "live");
    let (code, said) = stage.flip(&[&emergency[..], &["--over-guard", "9"]].concat());
    assert_eq!(code, Some(2), "{said}");
    let (code, _) = stage.flip(&["backup", "--over-guard", "1"]);
    assert_eq!(code, Some(2), "in an emergency only");

    renew(&stage, &key);
    stage.flips(&[&emergency[..], &["--over-guard", "1"]].concat());

    assert_eq!(stage.events("guard released").len(), 1);
    assert_eq!(renew(&stage, &key), 404, "its job hears that it is to end");
    let flip = &stage.place.status_json().unwrap()["flips"][0];
    let skipped = flip["skipped"].as_array().unwrap();
    assert!(skipped.contains(&"guard:1".into()), "{flip}");
}

/// A job that runs on a machine where nobody can look; its key.
fn elsewhere(stage: &Guarded) -> String {
    let body = r#"{"site": "ispot", "job": "copy", "host": "db1"}"#;
    let granted = stage.place.ask("POST", "/api/v1/guards", &[], body).body;
    let key = granted["key"].as_str().unwrap().to_owned();
    let begin = format!(
        r#"{{"key": "{key}", "child": {{"process": 4711, "started": 7, "boot": "another"}}}}"#
    );
    let begun = stage
        .place
        .ask("POST", "/api/v1/guards/1/begin", &[], &begin);
    assert_eq!(begun.status, 200, "{begun:?}");
    key
}

fn renew(stage: &Guarded, key: &str) -> u16 {
    let body = format!(r#"{{"key": "{key}"}}"#);
    stage
        .place
        .ask("POST", "/api/v1/guards/1/renew", &[], &body)
        .status
}
