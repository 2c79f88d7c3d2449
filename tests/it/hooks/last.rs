//! What runs when a flip is over, and who waits for it.

use std::fs;

use super::{file, processes, stage, until_there};
use crate::support::wait::until;

#[test]
fn an_after_hook_that_fails_is_said_and_changes_nothing() {
    let stage = stage("{hooks: {after: [{name: tell, shell: 'echo nobody there; exit 1'}]}}");
    let place = &stage.place;

    let (code, said) = place.flip("backup");

    assert_eq!(code, 0, "{said}");
    until("the problem is shown", || {
        let site = place.site();
        let problem = site["problem"].as_str()?;
        let why = "flip 1: after hook tell of ispot failed: exit status 1";
        (problem == why).then_some(())
    });
    let failed = "pointsman_flip_hooks_total{phase=\"after\",result=\"failed\"}";
    assert_eq!(place.metric(failed), Some(1.0));
    assert_eq!(place.flip_ended(1)["outcome"], "settled");
    assert_eq!(place.curl("/", &[]), (200, "backup".into()));
    assert_eq!(place.flip("live").0, 0, "the next flip begins");
    assert!(stage.daemon.said().contains("hook failed"));
}

#[test]
fn a_planned_flip_and_a_changed_word_wait_for_the_hooks_of_the_flip_before() {
    let stage = stage(
        r#"{hooks: {after: [{name: start, shell:
        'touch began; while [ ! -e go ] && [ -e routes.yaml ]; do sleep 0.02; done'}]}}"#,
    );
    let place = &stage.place;
    assert_eq!(place.flip("backup").0, 0);
    until_there(place, "began");
    let shown = place.pointsman(&["status"]).stdout;
    let shown = String::from_utf8(shown).unwrap();
    assert!(
        shown.contains("Flip 1 has ended, and its after hooks run:"),
        "{shown}"
    );

    let (code, said) = place.flip("live");
    assert_eq!(code, 5, "{said}");
    assert!(
        said.contains("the after hooks of flip 1 still run for site ispot"),
        "{said}"
    );
    // A change beside the word shows that both were read.
    let before = place.generation();
    place.edit(&[
        ("active: backup", "active: live"),
        ("name: start", "name: begin"),
    ]);
    place.until_generation(before + 1);
    assert_eq!(place.flips(), 1);

    fs::write(file(place, "go"), "").unwrap();
    assert_eq!(place.flip_ended(2)["outcome"], "settled");
    assert_eq!(place.curl("/", &[]), (200, "live".into()));
}

#[test]
fn an_emergency_ends_the_hooks_of_the_flip_before() {
    let stage = stage("{hooks: {after: [{shell: 'touch began; sleep 8621'}]}}");
    let place = &stage.place;
    assert_eq!(place.flip("backup").0, 0);
    until_there(place, "began");
    fs::remove_file(file(place, "began")).unwrap();
    place.edit(&[("sleep 8621", ":")]);
    place.until_generation(2);
    let now = [
        "flip", "ispot", "--to", "live", "--now", "--reason", "dead", "--yes",
    ];

    let done = place.pointsman(&now);

    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    assert_eq!(done.status.code(), Some(0), "{said}");
    assert_eq!(processes(place, "sleep 8621"), Vec::<String>::new());
    assert_eq!(place.curl("/", &[]).1, "live");
    until_there(place, "began");
    until("nothing is due", || {
        let count = "SELECT count(*) FROM hooks_due";
        let due: u32 = place
            .journal()
            .query_row(count, [], |row| row.get(0))
            .ok()?;
        (due == 0).then_some(())
    });
}
