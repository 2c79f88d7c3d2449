//! What hooks see, and what follows from how they end.

use std::fs;

use super::{file, journalled, processes, stage, until_line, until_there};
use crate::support::daemon::{OneSite, Place};
use crate::support::origin::Origin;
use crate::support::wait::until;

/// Each hook writes what it finds into a file of its own.
const NOTED: &str = r#"{during: page, hooks: {
        before: [{shell: 'env | sort > before.env; cat >> before.env; pwd > folder'}],
        sync: [{shell: 'env | sort > sync.env'}],
        after: [[sh, -c, 'env | sort > "$0"', "a b.env"]],
        restore: [[touch, restored]]}}"#;

#[test]
fn hooks_find_their_flip_in_their_environment_and_nothing_that_is_not_theirs() {
    let place = Place::new();
    place.write(&OneSite::flipping(NOTED));
    let _live = Origin::start(&place.origin("live"), "live");
    let _backup = Origin::start(&place.origin("backup"), "backup");
    let _daemon = place.start_with(&[("SECRET", "1234"), ("LANG", "C.UTF-8")]);

    let (code, said) = place.flip("backup");

    assert_eq!(code, 0, "{said}");
    let told = |name: &str| fs::read_to_string(file(&place, name)).unwrap();
    let before = told("before.env");
    for line in [
        "LANG=C.UTF-8",
        "POINTSMAN_EPOCH=2",
        "POINTSMAN_FLIP=1",
        "POINTSMAN_FROM=live",
        "POINTSMAN_PHASE=before",
        "POINTSMAN_REASON=disk failure",
        "POINTSMAN_SITE=ispot",
        "POINTSMAN_TO=backup",
    ] {
        let mut lines = before.lines();
        assert!(lines.any(|found| found == line), "{line} in\n{before}");
    }
    assert!(
        before.contains("\nPATH=") && !before.contains("SECRET"),
        "{before}"
    );
    assert!(told("sync.env").contains("POINTSMAN_PHASE=sync\n"));
    until_there(&place, "a b.env");
    let folder = place.file().parent().unwrap().canonicalize().unwrap();
    assert_eq!(told("folder").trim(), folder.to_str().unwrap());
    assert!(!file(&place, "restored").exists(), "nothing went back");
}

#[test]
fn a_before_hook_that_fails_takes_the_flip_back_before_anyone_is_held() {
    let stage = stage(
        r#"{hooks: {before: [[touch, first], {name: cron, shell: 'echo no such cron >&2; exit 3'},
        [touch, never]], sync: [[touch, never]], restore: [[touch, restored]]}}"#,
    );

    let (code, said) = stage.place.flip("backup");

    assert_eq!(code, 3, "{said}");
    let why = "before hook cron of ispot failed: exit status 3\n  no such cron";
    assert!(said.contains(why), "{said}");
    let timeline = stage.place.flip_ended(1)["timeline"].to_string();
    assert!(!timeline.contains("holding"), "{timeline}");
    assert_eq!(stage.place.curl("/", &[]), (200, "live".into()));
    until_there(&stage.place, "restored");
    assert!(file(&stage.place, "first").exists() && !file(&stage.place, "never").exists());
}

#[test]
fn a_sync_hook_that_fails_takes_users_back_to_the_old_side_and_restore_hooks_run() {
    let stage = stage(
        r#"{hooks: {sync: [{name: files, shell: 'echo copying; exit 23'}, [touch, never]],
        restore: [{shell: 'env > restored; exit 1'}, [touch, also]]}}"#,
    );

    let (code, said) = stage.place.flip("backup");

    assert_eq!(code, 4, "{said}");
    let why = "sync hook files of ispot failed: exit status 23\n  copying";
    assert!(said.contains(why), "{said}");
    assert_eq!(stage.place.curl("/", &["-d", "x"]), (200, "live".into()));
    // One of them that fails does not keep the others from running, and is said.
    until_there(&stage.place, "also");
    assert!(!file(&stage.place, "never").exists());
    let restored = fs::read_to_string(file(&stage.place, "restored")).unwrap();
    assert!(restored.contains("POINTSMAN_PHASE=restore"), "{restored}");
    until("the problem is shown", || {
        let site = stage.place.site();
        let problem = site["problem"].as_str()?;
        assert!(
            problem.contains("sync hook files of ispot failed"),
            "{problem}"
        );
        problem
            .contains("restore hook shell of ispot failed")
            .then_some(())
    });
    assert_eq!(journalled(&stage.place)[0].2, "copying");
}

#[test]
fn a_flip_that_goes_back_before_any_hook_has_begun_runs_no_restore_hook() {
    let stage =
        stage("{drain: {for: 100ms}, hooks: {sync: [[touch, copied]], restore: [[touch, never]]}}");
    let mut slow = stage.in_flight("POST");

    let (code, said) = stage.place.flip("backup");

    assert_eq!(code, 4, "{said}");
    stage.live.let_go();
    slow.answer("POST").unwrap();
    // It would be refused while hooks of the flip before it run.
    let (code, said) = stage.place.flip("backup");
    assert_eq!(code, 0, "{said}");
    assert!(file(&stage.place, "copied").exists());
    assert!(
        journalled(&stage.place).is_empty(),
        "those of the first flip"
    );
    assert!(!file(&stage.place, "never").exists());
}

#[test]
fn a_sync_hook_of_a_read_only_flip_meets_readers_and_no_writer() {
    let stage = stage(
        r#"{during: read-only, hooks: {sync: [{name: copy, shell:
        'echo half of it; touch began; while [ ! -e go ] && [ -e routes.yaml ]; do sleep 0.02; done'}]}}"#,
    );
    let place = &stage.place;
    let mut slow = stage.in_flight("POST");
    place.sed("s/active: live/active: backup/");
    place.until_phase("draining");
    assert!(!file(place, "began").exists(), "a write is in flight still");
    stage.live.let_go();
    slow.answer("POST").unwrap();
    until_there(place, "began");

    assert_eq!(place.curl("/", &[]), (200, "live".into()));
    assert_eq!(place.curl("/observations", &["-d", "x"]).0, 503);
    let hook = until("its last line is shown", || {
        let hook = place.status_json()?["flips"][0]["hook"].clone();
        (hook["last_line"] == "half of it").then_some(hook)
    });
    assert_eq!(
        (&hook["name"], &hook["phase"]),
        (&"copy".into(), &"sync".into())
    );

    fs::write(file(place, "go"), "").unwrap();
    let flip = place.flip_ended(1);
    assert_eq!(flip["outcome"], "settled", "{flip}");
    assert_eq!(flip["hook"], serde_json::Value::Null);
    assert_eq!(flip["hooks"][0]["result"], "ok", "{flip}");
    assert!(stage.live.observations().is_empty());
    assert_eq!(place.curl("/observations", &["-d", "x"]).0, 200);
    assert_eq!(stage.backup.observations(), ["x"]);
}

#[test]
fn the_command_that_waits_for_a_flip_shows_its_hooks() {
    let stage = stage("{hooks: {before: [[echo, stopped]], sync: [[echo, copied]]}}");

    let (code, said) = stage.place.flip("backup");

    assert_eq!(code, 0, "{said}");
    assert!(
        said.contains("before      hook echo of ispot: done after"),
        "{said}"
    );
    assert!(
        said.contains("sync        hook echo of ispot: done after"),
        "{said}"
    );
}

#[test]
fn an_emergency_skips_sync_hooks_and_is_not_kept_by_before_hooks() {
    let stage = stage(
        r#"{hooks: {before: [[false], {shell: 'echo $$ > hangs; exec sleep 8641', timeout: 10m}],
        sync: [[touch, never]], after: [{shell: 'env > after.env'}]}}"#,
    );
    let place = &stage.place;
    let now = [
        "flip", "ispot", "--to", "backup", "--now", "--reason", "dead", "--yes",
    ];

    let done = place.pointsman(&now);

    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    assert_eq!(done.status.code(), Some(0), "{said}");
    assert_eq!(place.curl("/", &[]).1, "backup");
    until_line(place, "hangs");
    assert_eq!(processes(place, "sleep 8641"), Vec::<String>::new());
    until_there(place, "after.env");
    until("the environment is written", || {
        let after = fs::read_to_string(file(place, "after.env")).ok()?;
        after
            .contains("POINTSMAN_SKIPPED=drain sync\n")
            .then_some(())
    });
    assert!(!file(place, "never").exists());
    let results: Vec<_> = journalled(place).into_iter().map(|hook| hook.1).collect();
    assert_eq!(results[..2], ["failed", "timed-out"], "{results:?}");
}
