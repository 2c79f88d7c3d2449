//! kill -9 of the guard, of its job, and of the daemon, in each order: no copy runs while a flip
//! proceeds, and one that was cut leaves its target torn.

use super::*;
use crate::support::unprivileged::unprivileged;

#[test]
fn the_job_of_a_killed_guard_blocks_flips_until_it_is_seen_gone() {
    let stage = guarded("{guard_wait: 20s}");
    let mut job = stage.begin(COPY, "job");

    job.kill_guard();

    let orphan = stage.until_lease("orphaned");
    assert_eq!(orphan["process"], job.process().unwrap());
    assert!(job.job_lives());
    let said = stage.is_refused(&["backup"]);
    assert!(said.contains("guard 1 (sh;"), "{said}");
    assert!(said.contains("is orphaned"), "{said}");
    let metric = "pointsman_guard_leases{site=\"ispot\",state=\"orphaned\"}";
    assert_eq!(stage.place.metric(metric), Some(1.0));
    job.let_go(0);
    stage.until_no_lease();
    assert!(!job.job_lives());
    let said = stage.is_refused(&["backup"]);
    assert!(
        said.contains("is torn"),
        "nobody heard how it ended: {said}"
    );
    let lost = stage.events("guard lost");
    assert!(lost[0].contains("its guard was killed"), "{lost:?}");
    assert_eq!(stage.script(COPY, "true").0, Some(0));
    stage.flips(&["backup"]);
}

#[test]
fn a_killed_job_leaves_the_side_torn_that_it_copied_onto() {
    let stage = guarded("{}");
    let mut job = stage.begin(COPY, "job");

    job.kill_job();

    assert_eq!(job.wait(), Some(137));
    stage.until_no_lease();
    let said = stage.is_refused(&["backup"]);
    assert!(said.contains("backup of ispot is torn"), "{said}");
    let now = ["backup", "--now", "--reason", "the live side burns"];
    let said = stage.is_refused(&now);
    assert!(said.contains("backup of ispot is torn"), "{said}");
}

#[test]
fn a_job_goes_on_while_the_daemon_is_killed_and_its_lease_is_held_after_the_next_start() {
    let mut stage = guarded("{guard_wait: 200ms}");
    stage.write(2);
    let mut job = stage.begin(COPY, "job");
    stage.kill_daemon();
    assert!(job.job_lives());

    stage.start_daemon();

    let said = stage.is_refused(&["backup", "--accept-loss", "--reason", "to see it wait"]);
    assert!(said.contains("guard 1 (sh;"), "{said}");
    assert!(stage.is_torn("backup"));
    stage.until_lease("held");
    job.ends_well();
    assert!(!stage.is_torn("backup"), "it was whole all along");
    stage.until_no_lease();
}

#[test]
fn a_job_that_ends_while_the_daemon_is_away_tells_the_next() {
    let mut stage = guarded("{}");
    let mut job = stage.begin(COPY, "job");
    stage.kill_daemon();
    job.let_go(0);
    until("the job is gone", || (!job.job_lives()).then_some(()));

    stage.start_daemon();

    assert_eq!(job.wait(), Some(0), "{}", job.said());
    stage.until_no_lease();
    assert!(!stage.is_torn("backup"));
    stage.flips(&["backup"]);
}

#[test]
fn when_guard_and_daemon_are_killed_the_job_is_found_by_the_next_daemon() {
    for guard_first in [true, false] {
        let mut stage = guarded("{guard_wait: 20s}");
        let mut job = stage.begin(COPY, "job");
        if guard_first {
            job.kill_guard();
            stage.kill_daemon();
        } else {
            stage.kill_daemon();
            job.kill_guard();
        }

        stage.start_daemon();

        stage.until_lease("orphaned");
        let said = stage.is_refused(&["backup"]);
        assert!(said.contains("is orphaned"), "{said}");
        job.kill_job();
        stage.until_no_lease();
        let said = stage.is_refused(&["backup"]);
        assert!(said.contains("backup of ispot is torn"), "{said}");
    }
}

#[test]
fn when_all_three_are_killed_nothing_blocks_but_the_torn_side() {
    let mut stage = guarded("{guard_wait: 20s}");
    let mut job = stage.begin(COPY, "job");
    job.kill_guard();
    job.kill_job();
    stage.kill_daemon();

    stage.start_daemon();

    stage.until_no_lease();
    let said = stage.is_refused(&["backup"]);
    assert!(said.contains("backup of ispot is torn"), "{said}");
    assert_eq!(stage.script(COPY, "true").0, Some(0));
    stage.flips(&["backup"]);
}

#[test]
fn an_orphan_is_released_with_a_reason_and_its_job_is_ended_if_it_is_there_after_all() {
    let stage = guarded("{guard_wait: 20s}");
    let mut job = stage.begin(COPY, "job");
    let release = |more: &[&str]| {
        let all = [&["guard", "--release", "1"], more].concat();
        stage.place.pointsman(&all).status.code()
    };
    assert_eq!(
        release(&["--reason", "I think so"]),
        Some(5),
        "its job is there"
    );
    assert_eq!(release(&[]), Some(2), "a reason is needed");
    job.signal_guard("STOP");
    stage.until_lease("orphaned");

    assert_eq!(release(&["--reason", "db1 was switched off"]), Some(0));

    stage.until_no_lease();
    let released = stage.events("guard released");
    assert!(released[0].contains("db1 was switched off"), "{released:?}");
    assert!(stage.is_torn("backup"));
    job.signal_guard("CONT");
    assert_eq!(job.wait(), Some(143), "{}", job.said());
    assert!(
        job.said().contains("it has ended, or was released"),
        "{}",
        job.said()
    );
}

#[test]
fn a_daemon_that_cannot_open_a_file_does_not_take_a_job_for_gone() {
    let stage = guarded("{guard_wait: 200ms}");
    let mut job = stage.begin(COPY, "job");
    let daemon = stage.daemon.as_ref().unwrap();
    let files = |soft: &str| {
        let limit = format!("--nofile={soft}:");
        let daemon = daemon.id().to_string();
        let set = Command::new("prlimit")
            .args(["-p", &daemon, &limit])
            .status();
        assert!(set.unwrap().success());
    };
    let before = "1024";

    files("6");
    job.kill_guard();

    daemon.until_said("is orphaned");
    // It is looked for twice a second.
    std::thread::sleep(std::time::Duration::from_secs(2));
    files(before);
    stage.until_lease("orphaned");
    assert!(job.job_lives());
    assert!(!daemon.said().contains("guard lost"), "{}", daemon.said());
    stage.is_refused(&["backup", "--accept-loss", "--reason", "to see it wait"]);
    job.let_go(0);
    stage.until_no_lease();
}

#[test]
fn what_a_daemon_may_not_look_at_is_not_seen_to_be_gone() {
    let is_root = Command::new("id").arg("-u").output().unwrap().stdout == b"0\n";
    if !is_root {
        println!("not shown here: a job of another user, as only root can have two");
        return;
    }
    let mut stage = guarded("{guard_wait: 200ms}");
    stage.kill_daemon();
    let all = ["chown", "-R", "65534:65534"];
    for folder in [
        stage.place.state(),
        stage.place.file().parent().unwrap().into(),
    ] {
        let given = Command::new(all[0]).args(&all[1..]).arg(folder).status();
        assert!(given.unwrap().success());
    }
    let mut daemon = unprivileged(&stage.place);
    stage.daemon = Some(Daemon::spawn(daemon.arg("run").arg(stage.place.file())));
    until("the daemon serves", || stage.place.status_json());
    // Its first process is of the group, and a copy goes on out of it.
    let stray = "setsid sh -c 'echo $$ > stray; while [ -e stray ]; do sleep 0.02; done' &";
    let mut job = stage.begin_with(COPY, "job", stray);
    until("the stray runs", || stage.has("stray").then_some(()));

    job.kill_guard();
    job.kill_job();

    stage.until_lease("orphaned");
    std::thread::sleep(std::time::Duration::from_secs(2));
    stage.until_lease("orphaned");
    let said = stage.is_refused(&["backup", "--accept-loss", "--reason", "to see it wait"]);
    assert!(said.contains("is orphaned"), "{said}");
    fs::remove_file(stage.place.path().join("stray")).unwrap();
}

#[test]
fn a_guard_that_comes_back_holds_its_lease_again() {
    let stage = guarded("{guard_wait: 200ms}");
    let mut job = stage.begin(COPY, "job");
    job.signal_guard("STOP");
    stage.until_lease("orphaned");

    job.signal_guard("CONT");

    stage.until_lease("held");
    job.ends_well();
    assert!(!stage.is_torn("backup"));
}

#[test]
fn an_emergency_ends_the_job_of_a_killed_guard() {
    let stage = guarded("{}");
    let mut job = stage.begin_with(REPORT, "job", "trap '' TERM");
    job.kill_guard();
    stage.until_lease("orphaned");

    stage.flips(&["backup", "--now", "--reason", "the live side burns"]);

    assert!(!job.job_lives());
    stage.until_no_lease();
}
