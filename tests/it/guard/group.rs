//! A job that is for all sites of a group.

use super::*;
use crate::support::pair::Pair;

fn guard(pair: &Pair, arguments: &[&str]) -> (Option<i32>, String) {
    let done = pair.place.pointsman(&[&["guard"], arguments].concat());
    let said = [done.stdout, done.stderr].concat();
    (done.status.code(), String::from_utf8(said).unwrap())
}

const SHOW: &[&str] = &[
    "--group",
    "web",
    "--from",
    "live",
    "--to",
    "backup",
    "--",
    "sh",
    "-c",
    "echo $POINTSMAN_SITE: $POINTSMAN_FROM to $POINTSMAN_TO, $POINTSMAN_EPOCH",
];

#[test]
fn a_job_of_a_group_runs_only_when_it_is_its_turn_for_every_site() {
    let pair = Pair::grouped();
    let said = "ispot megalab: live to backup, 1 1\n";
    assert_eq!(guard(&pair, SHOW), (Some(0), said.into()));

    assert_eq!(pair.flip(&["megalab", "--to", "backup"]).0, Some(0));

    let (code, said) = guard(&pair, SHOW);
    assert_eq!(code, Some(75), "{said}");
    assert!(
        said.contains("backup is the active side of megalab"),
        "{said}"
    );
}

#[test]
fn a_flip_of_one_site_waits_for_the_job_of_its_group() {
    let pair = Pair::grouped();
    let mut command = Command::new(POINTSMAN);
    command
        .args(["guard", "--group", "web", "--name", "report", "--", "cat"])
        .env("POINTSMAN_SOCKET", pair.place.state().join("admin.sock"))
        .stdin(Stdio::piped());
    let mut job = command.spawn().unwrap();
    until("the job begins", || {
        let lease = pair.place.get("/api/v1/guards", &[]).body[0].clone();
        lease["process"].is_number().then_some(())
    });
    let mut flip = Command::new(POINTSMAN);
    flip.args(["flip", "megalab", "--to", "backup", "--yes"])
        .env("POINTSMAN_SOCKET", pair.place.state().join("admin.sock"));
    let mut flip = Daemon::spawn(&mut flip);
    flip.until_said("waits for guard 1 (report;");

    drop(job.stdin.take());

    assert!(until("the job ends", || job.try_wait().unwrap()).success());
    assert_eq!(flip.wait(), Some(0), "{}", flip.said());
}
