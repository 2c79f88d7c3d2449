//! A daemon that is killed, or stops, while hooks run.

use std::fs;

use super::{begin, file, journalled, processes, stage, until_line, until_there};
use crate::support::daemon::Place;
use crate::support::stage::Stage;
use crate::support::wait::until;

const NONE: Vec<String> = Vec::new();

fn due(place: &Place) -> u32 {
    let count = "SELECT count(*) FROM hooks_due";
    place
        .journal()
        .query_row(count, [], |row| row.get(0))
        .unwrap()
}

/// Waits until the journal knows which process the hook is.
fn until_process_journalled(place: &Place) {
    until("the process is journalled", || {
        let query = "SELECT leader FROM hooks";
        let leader: Option<i32> = place
            .journal()
            .query_row(query, [], |row| row.get(0))
            .ok()?;
        leader
    });
}

#[test]
fn a_sync_hook_that_outlives_the_daemon_is_ended_at_its_start_and_restore_hooks_run() {
    let stage = stage(
        r#"{hooks: {sync: [{shell: 'echo $$ > began; sleep 8611 & setsid sleep 8611 & wait'}],
        restore: [{shell: 'while [ ! -e go ] && [ -e routes.yaml ]; do sleep 0.02; done; touch restored'}]}}"#,
    );
    let Stage {
        place,
        live: _live,
        backup: _backup,
        daemon,
    } = stage;
    let _flip = begin(&place);
    until_line(&place, "began");
    until("its children run", || {
        (processes(&place, "sleep 8611").len() == 2).then_some(())
    });
    daemon.kill();
    assert_eq!(processes(&place, "sleep 8611").len(), 2, "they outlive it");

    let _daemon = place.start();

    assert_eq!(
        processes(&place, "sleep 8611"),
        NONE,
        "ended before anybody was served"
    );
    assert_eq!(
        place.curl("/", &[]),
        (200, "live".into()),
        "users do not wait for hooks"
    );
    assert_eq!(place.flip_ended(1)["outcome"], "restored");
    let (code, said) = place.flip("backup");
    assert_eq!(code, 5, "no flip begins until they are through: {said}");
    assert!(
        said.contains("the restore hooks of flip 1 still run"),
        "{said}"
    );
    fs::write(file(&place, "go"), "").unwrap();
    until_there(&place, "restored");
    until("they are through", || (due(&place) == 0).then_some(()));
    let results: Vec<_> = journalled(&place).into_iter().map(|hook| hook.1).collect();
    assert_eq!(results, ["lost", "ok"]);
}

#[test]
fn a_hook_without_its_mark_is_known_again_by_its_group() {
    let stage = stage(
        r#"{hooks: {before: [[env, -i, /bin/sh, -c, 'echo $$ > began; /bin/sleep 8612; :']]}}"#,
    );
    let Stage {
        place,
        live: _live,
        backup: _backup,
        daemon,
    } = stage;
    let _flip = begin(&place);
    until_line(&place, "began");
    until_process_journalled(&place);
    until("its child runs", || {
        (processes(&place, "/bin/sleep 8612").len() == 1).then_some(())
    });
    daemon.kill();

    let _daemon = place.start();

    assert_eq!(processes(&place, "/bin/sleep 8612"), NONE);
}

#[test]
fn a_process_that_has_the_number_of_a_hook_by_now_is_left_alone() {
    let stage = stage("{hooks: {before: [{shell: 'echo $$ > began; sleep 8613'}]}}");
    let Stage {
        place,
        live: _live,
        backup: _backup,
        daemon,
    } = stage;
    let _flip = begin(&place);
    until_line(&place, "began");
    until_process_journalled(&place);
    daemon.kill();
    let mut other = std::process::Command::new("setsid")
        .args(["sleep", "8614"])
        .spawn()
        .unwrap();
    // The two may have begun within one tick of the clock.
    let pretend = "UPDATE hooks SET leader = ?1, started = started - 1000";
    place.journal().execute(pretend, [other.id()]).unwrap();

    let _daemon = place.start();

    assert_eq!(processes(&place, "sleep 8613"), NONE, "found by its mark");
    assert!(
        other.try_wait().unwrap().is_none(),
        "it began at another time"
    );
    other.kill().unwrap();
    other.wait().unwrap();
}

#[test]
fn after_hooks_of_a_flip_that_was_committed_run_at_the_next_start() {
    let stage_of = "{hooks: {after: [{shell: 'echo $POINTSMAN_EPOCH >> after'}]}}";
    let place = Place::new();
    place.write(&crate::support::daemon::OneSite::flipping(stage_of));
    let _live = crate::support::origin::Origin::start(&place.origin("live"), "live");
    let _backup = crate::support::origin::Origin::start(&place.origin("backup"), "backup");
    let daemon = place.start_with(&[("POINTSMAN_FAILPOINT", "committed")]);
    let _flip = begin(&place);
    daemon.until_said("failpoint reached");
    daemon.kill();
    assert!(!file(&place, "after").exists());

    let _daemon = place.start();

    assert_eq!(place.curl("/", &[]), (200, "backup".into()));
    assert_eq!(until_line(&place, "after"), "2");
    until("they are through", || (due(&place) == 0).then_some(()));
}

#[test]
fn a_daemon_that_stops_ends_the_hooks_in_its_way_and_the_next_runs_those_that_are_due() {
    let stage = stage(
        r#"{hooks: {sync: [{shell: 'echo $$ > began; sleep 8615'}],
        restore: [{shell: 'echo again >> restored; [ -e go ] || sleep 8615'}]}}"#,
    );
    let Stage {
        place,
        live: _live,
        backup: _backup,
        mut daemon,
    } = stage;
    let _flip = begin(&place);
    until_line(&place, "began");

    daemon.signal("TERM");

    assert_eq!(daemon.wait(), Some(0), "{}", daemon.said());
    assert_eq!(processes(&place, "sleep 8615"), NONE);
    assert_eq!(due(&place), 1, "the restore hooks had no time to end");
    fs::write(file(&place, "go"), "").unwrap();
    let _daemon = place.start();
    until("they are through", || (due(&place) == 0).then_some(()));
    let restored = fs::read_to_string(file(&place, "restored")).unwrap();
    assert_eq!(restored, "again\nagain\n");
    assert_eq!(place.curl("/", &[]), (200, "live".into()));
}
