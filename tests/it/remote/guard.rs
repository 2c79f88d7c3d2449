//! Jobs that run on another host, under leases of this one.

use serde_json::Value;

use super::*;
use crate::support::wait::until;

impl Remote {
    fn lease(&self) -> Value {
        let list = self.run("read", &["guard", "--list", "-o", "json"]).1;
        serde_json::from_str(&list).unwrap()
    }
}

#[test]
fn a_job_runs_under_a_lease_of_another_host_with_a_token_for_that() {
    let remote = Remote::start();
    let script = "echo $POINTSMAN_FROM $POINTSMAN_TO; touch was-run; exit 4";
    let job = ["guard", "--site", "ispot", "--to", "backup"];
    // After the options of the command itself comes what is run.
    let run = |token: &str| {
        let mut command = remote.command(token, &job);
        said(&command.args(["--", "sh", "-c", script]).output().unwrap())
    };

    let (code, words) = run("read");
    assert_eq!(code, 3, "{words}");
    assert!(words.contains("guard"), "{words}");
    assert!(!remote.file("was-run").exists());

    assert_eq!(run("guard"), (4, "live backup\n".into()));

    assert!(remote.file("was-run").exists());
    assert_eq!(remote.lease(), serde_json::json!([]));
}

#[test]
fn the_orphan_of_another_host_is_not_looked_for_here_and_only_an_operator_releases_it() {
    let remote = Remote::start();
    let script = "touch $0.begun; while [ ! -e over ] && [ -e $0.begun ]; do sleep 0.02; done; touch $0.ended";
    let report = ["guard", "--site", "ispot", "--name", "report"];
    let mut far = remote.command("guard", &report);
    // Of this one it can be known that it is gone, and it is looked for at the same times.
    let mut near = pointsman(&remote.place, &report);
    near.env("POINTSMAN_SOCKET", remote.place.state().join("admin.sock"));
    for (guard, name) in [(&mut far, "far"), (&mut near, "near")] {
        let mut guard = guard
            .args(["--", "sh", "-c", script, name])
            .spawn()
            .unwrap();
        let begun = remote.file(&format!("{name}.begun"));
        until("it begins", || begun.exists().then_some(()));
        guard.kill().unwrap();
        guard.wait().unwrap();
    }
    until("both are orphaned", || {
        let all = remote.lease();
        let orphaned = (0..2).filter(|at| all[at]["state"] == "orphaned").count();
        (orphaned == 2).then_some(())
    });
    fs::write(remote.file("over"), "").unwrap();
    until("one is seen gone", || {
        let all = remote.lease();
        (all.as_array().map(Vec::len) == Some(1)).then_some(())
    });
    assert_eq!(remote.lease()[0]["id"], 1);
    let flip = ["flip", "ispot", "--to", "backup", "--yes"];

    let (code, words) = remote.run("operate", &flip);

    assert_eq!(code, 3, "{words}");
    assert!(words.contains("guard 1 (report; guard on"), "{words}");
    assert!(words.contains("is orphaned"), "{words}");
    let release = ["guard", "--release", "1", "--reason", "it has ended"];
    assert_eq!(remote.run("guard", &release).0, 3);
    let (code, words) = remote.run("operate", &release);
    assert_eq!(code, 0, "{words}");
    assert_eq!(remote.run("operate", &flip).0, 0);
}
