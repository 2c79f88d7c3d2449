//! How hooks are ended, and that nothing of them is left.

use std::fs;
use std::thread;

use super::{begin, file, journalled, processes, stage, until_line, until_there};
use crate::support::client::Client;
use crate::support::daemon::Daemon;
use crate::support::wait::until;

const NONE: Vec<String> = Vec::new();

#[test]
fn a_hook_that_hangs_is_ended_with_all_its_children_when_its_time_is_up() {
    let stage = stage(
        r#"{hooks: {sync: [{timeout: 1s, name: copy, shell: 'trap "" TERM; echo waiting;
        sleep 8601 & (sleep 8601) & sleep 8601'}], restore: [[touch, restored]]}}"#,
    );

    let (code, said) = stage.place.flip("backup");

    assert_eq!(code, 4, "{said}");
    let why = "sync hook copy of ispot failed: it took longer than 1s, and was ended\n  waiting";
    assert!(said.contains(why), "{said}");
    assert_eq!(processes(&stage.place, "sleep 8601"), NONE);
    assert_eq!(stage.place.curl("/", &[]), (200, "live".into()));
    until_there(&stage.place, "restored");
    assert_eq!(journalled(&stage.place)[0].1, "timed-out");
}

#[test]
fn a_sync_hook_that_leaves_a_copy_running_has_failed_and_the_copy_is_ended() {
    let stage = stage(
        r#"{hooks: {sync: [{name: copy, shell: 'sleep 8602 & setsid sleep 8602 & exit 0'}]}}"#,
    );

    let (code, said) = stage.place.flip("backup");

    assert_eq!(code, 4, "{said}");
    assert!(
        said.contains("exit status 0, but it left processes behind"),
        "{said}"
    );
    assert!(said.contains("sleep ("), "{said}");
    assert_eq!(processes(&stage.place, "sleep 8602"), NONE);
}

#[test]
fn what_another_hook_leaves_in_its_group_is_ended_and_the_flip_goes_on() {
    let stage = stage(
        r#"{hooks: {before: [{shell: 'sleep 8603 &'}],
        after: [{shell: 'sleep 8603 & setsid sleep 8604 & touch began'}]}}"#,
    );

    let (code, said) = stage.place.flip("backup");

    assert_eq!(code, 0, "{said}");
    let hooks = until("both are over", || {
        let flip = stage.place.status_json()?["flips"][0].clone();
        (flip["hooks"].as_array()?.len() == 2).then(|| flip["hooks"].clone())
    });
    assert_eq!(processes(&stage.place, "sleep 8603"), NONE);
    for hook in hooks.as_array().unwrap() {
        assert_eq!(hook["result"], "ok", "{hook}");
        assert!(
            hook["detail"]
                .as_str()
                .unwrap()
                .contains("left processes behind"),
            "{hook}"
        );
    }
    // A service that an `after` hook starts leaves its group, to stay.
    let service = processes(&stage.place, "sleep 8604");
    assert_eq!(service.len(), 1);
    kill(&service[0]);
}

fn kill(process: &str) {
    let killed = std::process::Command::new("kill").arg(process).status();
    assert!(killed.unwrap().success());
}

#[test]
fn a_hook_that_writes_100_mb_is_not_blocked_and_its_first_and_last_words_are_kept() {
    let stage = stage(
        r#"{hooks: {sync: [{name: loud, shell: 'echo first; head -c 100000000 /dev/zero | tr "\0" x;
        echo; echo last'}, {name: quick, shell: 'yes | head -c 3000000'}]}}"#,
    );
    let before = peak_kb(&stage.daemon);

    let (code, said) = stage.place.flip("backup");

    assert_eq!(code, 0, "{said}");
    let grown = peak_kb(&stage.daemon) - before;
    assert!(grown < 50_000, "{grown} kB more than before");
    let output = &journalled(&stage.place)[0].2;
    assert!(output.starts_with("first\nxxx") && output.ends_with("x…\nlast"));
    assert!(output.contains("bytes are left out here]"));
    assert!(output.len() < 70_000, "{}", output.len());
    assert!(journalled(&stage.place)[1].2.len() < 70_000);
}

/// The most memory that a process has had.
fn peak_kb(daemon: &Daemon) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", daemon.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    line.unwrap()
        .split_whitespace()
        .nth(1)
        .unwrap()
        .parse()
        .unwrap()
}

#[test]
fn a_cancel_ends_the_hook_before_anyone_goes_on_at_the_old_side() {
    let stage = stage(
        r#"{during: hold, hold: {for: 60s}, hooks: {sync: [{shell: 'trap "sleep 0.5; touch ended;
        exit 1" TERM; echo $$ > began; sleep 8605 & wait'}], restore: [[touch, restored]]}}"#,
    );
    let place = &stage.place;
    let mut flip = begin(place);
    until_line(place, "began");
    let address = place.http().parse().unwrap();
    let held = thread::spawn(move || {
        Client::connect(address)
            .get("www.ispot.example", "/held")
            .unwrap()
    });
    until("a request is held", || {
        (place.site()["waiting"] == 1).then_some(())
    });
    assert!(!file(place, "ended").exists());

    let cancelled = place.pointsman(&["flip", "--cancel", "1"]);

    assert!(cancelled.status.success(), "{cancelled:?}");
    assert_eq!(held.join().unwrap().text(), "live");
    assert!(
        file(place, "ended").exists(),
        "the hook was over when they went on"
    );
    assert_eq!(processes(place, "sleep 8605"), NONE);
    assert_eq!(flip.wait(), Some(4), "{}", flip.said());
    until_there(place, "restored");
    assert_eq!(journalled(place)[0].1, "stopped");
}
