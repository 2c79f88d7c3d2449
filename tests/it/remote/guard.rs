//! Jobs that run on another host, under leases of this one.

use serde_json::Value;

use super::*;
use crate::support::wait::until;

impl Remote {
    fn lease(&self) -> Value {
        let list = self.run("read", &["guard", "--list", "-o", "json"]).1;
        serde_json::from_str(&list).unwrap()
    }

    fn until_lease(&self, state: &str) {
        until(&format!("a lease is {state}"), || {
            (self.lease()[0]["state"] == state).then_some(())
        });
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
    let mut command = remote.command("guard", &["guard", "--site", "ispot", "--name", "report"]);
    let script = "touch begun; while [ ! -e over ]; do sleep 0.02; done; touch ended";
    let mut guard = command.args(["--", "sh", "-c", script]).spawn().unwrap();
    until("it begins", || remote.file("begun").exists().then_some(()));
    guard.kill().unwrap();
    guard.wait().unwrap();
    remote.until_lease("orphaned");
    fs::write(remote.file("over"), "").unwrap();
    until("it ends", || remote.file("ended").exists().then_some(()));
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
