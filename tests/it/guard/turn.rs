//! When a job is run, what it finds, and what its copy means for the sides.

use super::*;
use crate::support::terminal::Terminal;

#[test]
fn a_job_has_its_own_exit_code_output_input_and_environment() {
    let stage = guarded("{}");
    let script =
        "cat; env | grep ^POINTSMAN_ | grep -v -e SOCKET -e SOAK | sort; echo oh >&2; exit 3";
    let mut command = stage.command(COPY, &["sh", "-c", script]);
    let input = stage.place.path().join("input");
    fs::write(&input, "what is typed\n").unwrap();

    let done = command
        .stdin(fs::File::open(input).unwrap())
        .output()
        .unwrap();

    let out = String::from_utf8(done.stdout).unwrap();
    let lines: Vec<_> = out.lines().collect();
    assert_eq!(done.status.code(), Some(3), "{out}");
    assert_eq!(String::from_utf8_lossy(&done.stderr), "oh\n");
    assert_eq!(
        lines[..3],
        ["what is typed", "POINTSMAN_EPOCH=1", "POINTSMAN_FROM=live"]
    );
    assert!(lines[3].starts_with("POINTSMAN_GUARD="), "{out}");
    assert_eq!(lines[4..], ["POINTSMAN_SITE=ispot", "POINTSMAN_TO=backup"]);
    let (code, _) = stage.script(REPORT, "kill -9 $$");
    assert_eq!(code, Some(137));
    stage.until_no_lease();
}

#[test]
fn a_job_whose_side_is_not_active_is_not_run_and_quiet_says_nothing_of_it() {
    let stage = guarded("{}");
    let back: &[&str] = &["--site", "ispot", "--from", "backup", "--to", "live"];

    let (code, said) = stage.script(back, "touch was-run");
    let (quiet_code, quiet) = stage.script(&[back, &["--quiet"]].concat(), "touch was-run");

    assert_eq!((code, quiet_code), (Some(75), Some(75)));
    assert!(said.contains("live is the active side of ispot"), "{said}");
    assert_eq!(quiet, "");
    assert!(!stage.has("was-run"));
    let onto_active = &["--site", "ispot", "--to", "live"];
    let (code, said) = stage.script(onto_active, "touch was-run");
    assert_eq!(code, Some(75), "{said}");
    assert!(said.contains("nothing is copied onto that"), "{said}");
    assert!(!stage.has("was-run"));
    stage.flips(&["backup"]);
    assert_eq!(stage.script(back, "touch was-run").0, Some(0));
    assert!(stage.has("was-run"));
}

#[test]
fn without_a_daemon_nothing_is_run() {
    let mut stage = guarded("{}");
    stage.kill_daemon();

    let (code, said) = stage.script(&[COPY, &["--quiet"]].concat(), "touch was-run");

    assert_eq!(code, Some(7), "{said}");
    assert!(said.contains("no daemon answers"), "{said}");
    assert!(!stage.has("was-run"));
}

#[test]
fn of_two_copies_onto_one_side_the_second_waits_for_its_turn_or_is_not_run() {
    let stage = guarded("{}");
    let mut first = stage.begin(COPY, "first");
    let (code, said) = stage.script(COPY, "touch was-run");
    assert_eq!(code, Some(75), "{said}");
    assert!(
        said.contains("guard 1 copies onto backup of ispot already"),
        "{said}"
    );
    assert_eq!(
        stage.script(REPORT, "true").0,
        Some(0),
        "no copy is in nobody's way"
    );
    let queued = [COPY, &["--wait", "20s"]].concat();
    let mut second = stage.start(&queued, "second", "test -e first.done || exit 9");
    assert!(!stage.has("was-run"));

    fs::write(stage.place.path().join("first.done"), "").unwrap();
    first.ends_well();

    until("the second begins", || second.process());
    second.ends_well();
}

#[test]
fn a_copy_that_would_overwrite_writes_is_refused_and_says_so_even_when_quiet() {
    let stage = guarded("{}");
    stage.flips(&["backup"]);
    stage.write(3);
    stage.flips(&[
        "live",
        "--accept-loss",
        "--reason",
        "to see what a copy does",
    ]);
    let quiet = [COPY, &["--quiet"]].concat();

    let (code, said) = stage.script(&quiet, "touch was-run");

    assert_eq!(code, Some(75), "{said}");
    assert!(
        said.contains("backup took 3 writes that live has not"),
        "{said}"
    );
    assert!(!stage.has("was-run"));
    let (code, said) = stage.script(&[COPY, &["--accept-loss"]].concat(), "true");
    assert_eq!(code, Some(2), "{said}");
    let accepted = [COPY, &["--accept-loss", "--reason", "only spam"]].concat();
    assert_eq!(stage.script(&accepted, "touch was-run").0, Some(0));
    assert!(stage.has("was-run"));
    let events = stage.events("loss accepted");
    assert!(events[1].contains("backup took 3 writes"), "{events:?}");
    assert!(events[1].contains("only spam"), "{events:?}");
    stage.until_uncopied("backup", 0);
}

#[test]
fn a_copy_tears_its_target_until_one_succeeds_and_counts_what_it_brought() {
    let stage = guarded("{}");
    stage.write(2);
    stage.until_uncopied("live", 2);
    let mut copy = stage.begin(COPY, "copy");
    assert!(stage.is_torn("backup"), "while it runs");
    stage.write(1);

    copy.let_go(1);

    assert_eq!(copy.wait(), Some(1));
    assert!(stage.is_torn("backup"), "it failed");
    let said = stage.is_refused(&["backup"]);
    assert!(
        said.contains("backup of ispot is torn: guard 1 (sh;"),
        "{said}"
    );
    assert_eq!(stage.script(COPY, "true").0, Some(0));
    assert!(!stage.is_torn("backup"));
    stage.until_uncopied("live", 0);
    stage.flips(&["backup"]);
}

#[test]
fn what_is_written_while_a_copy_runs_or_was_at_the_origin_when_it_began_is_not_in_it() {
    let stage = guarded("{}");
    stage.write(4);
    let address = stage.place.http().parse().unwrap();
    let slow = std::thread::spawn(move || {
        let mut client = Client::connect(address);
        client
            .post(HOST, "/wait", b"a slow kingfisher")
            .unwrap()
            .status
    });
    until("the slow write is at the origin", || {
        stage
            .live
            .seen()
            .iter()
            .find(|seen| seen.path == "/wait")
            .map(drop)
    });
    stage.until_uncopied("live", 5);
    let mut copy = stage.begin(COPY, "copy");
    stage.write(2);

    copy.ends_well();

    stage.until_uncopied("live", 3);
    stage.live.let_go();
    assert_eq!(slow.join().unwrap(), 200);
    stage.until_uncopied("live", 3);
    let said = stage.is_refused(&["backup"]);
    assert!(
        said.contains("live took 3 writes that backup has not"),
        "{said}"
    );
}

#[test]
fn a_copy_is_sure_of_a_write_that_was_given_up_only_when_the_origin_is_quiet() {
    for (flip, is_sure) in [
        ("{quiet: {get: /status/200}}", true),
        ("{quiet: {get: /status/204}}", false),
        ("{linger: 0s}", true),
        ("{linger: 10m}", false),
    ] {
        let stage = guarded(flip);
        let mut gone = Client::connect(stage.place.http().parse().unwrap());
        gone.send(&format!(
            "POST /wait HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 0\r\n\r\n"
        ));
        until("the write is at the origin", || {
            (stage.live.seen_at("/wait").len() == 1).then_some(())
        });
        drop(gone);
        until("it is given up", || {
            (stage.place.site()["in_flight"] == 0).then_some(())
        });

        for _ in 0..2 {
            assert_eq!(stage.script(COPY, "true").0, Some(0));
        }

        stage.until_uncopied("live", u64::from(!is_sure));
        assert_eq!(stage.flip(&["backup"]).0 == Some(0), is_sure, "{flip}");
    }
}

#[test]
fn signals_are_passed_on_to_the_whole_group_and_an_ignored_one_stays_ignored() {
    let stage = guarded("{}");
    let traps = "trap 'echo usr1 >> traps' USR1; trap 'echo usr2 >> traps' USR2; \
                 (trap 'echo child >> traps' USR1; touch child; while [ -e child ]; do sleep 0.02; \
                 done) &";
    let mut job = stage.begin_with(REPORT, "job", traps);
    until("the child is there", || stage.has("child").then_some(()));
    let trapped = |word: &str| {
        let text = fs::read_to_string(stage.place.path().join("traps")).unwrap_or_default();
        text.contains(word).then_some(())
    };

    job.signal_guard("USR1");

    until("both have it", || trapped("usr1").and(trapped("child")));
    job.signal_guard("USR2");
    until("the job has it", || trapped("usr2"));
    fs::remove_file(stage.place.path().join("child")).unwrap();
    job.let_go(5);
    assert_eq!(job.wait(), Some(5));

    let mut nohup = Command::new("nohup");
    nohup
        .args([POINTSMAN, "guard", "--site", "ispot", "--"])
        .args(["sh", "-c", "kill -HUP $PPID; sleep 0.2; exit 6"])
        .env("POINTSMAN_SOCKET", stage.place.state().join("admin.sock"))
        .current_dir(stage.place.path())
        .stdin(Stdio::null());
    let done = nohup.output().unwrap();
    assert_eq!(done.status.code(), Some(6), "{done:?}");
}

#[test]
fn a_copy_that_was_interrupted_through_its_guard_has_not_copied_whatever_it_says() {
    let stage = guarded("{}");
    let mut job = stage.begin_with(COPY, "job", "trap 'exit 0' TERM");

    job.signal_guard("TERM");

    assert_eq!(job.wait(), Some(0));
    stage.until_no_lease();
    assert!(stage.is_torn("backup"));
}

#[test]
fn a_lease_is_held_for_as_long_as_anything_of_the_group_runs() {
    let stage = guarded("{guard_wait: 20s}");
    let script = "(touch child; while [ -e child ]; do sleep 0.02; done) >/dev/null 2>&1 & exit 0";
    let mut guard = stage.command(COPY, &["sh", "-c", script]).spawn().unwrap();
    until("the child is there", || stage.has("child").then_some(()));
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert_eq!(
        guard.try_wait().unwrap(),
        None,
        "its first process has ended"
    );
    assert!(stage.is_torn("backup"));

    fs::remove_file(stage.place.path().join("child")).unwrap();

    assert!(until("the guard ends", || guard.try_wait().unwrap()).success());
    assert!(!stage.is_torn("backup"));
}

#[test]
fn what_cannot_be_started_tears_nothing_and_mistakes_are_2() {
    let stage = guarded("{}");
    let missing = stage.guard(COPY, &["/no/such/program"]);
    let folder = stage.guard(COPY, &["/tmp"]);

    assert_eq!(missing.status.code(), Some(127));
    assert_eq!(folder.status.code(), Some(126));
    let said = String::from_utf8_lossy(&missing.stderr).into_owned();
    assert!(said.contains("/no/such/program"), "{said}");
    assert!(!stage.is_torn("backup"));
    stage.until_no_lease();
    for wrong in [
        &["--site", "isspot"][..],
        &["--site", "ispot", "--to", "moon"],
        &["--site", "ispot", "--from", "live", "--to", "live"],
        &["--group", "none"],
        &[],
        &["--site", "ispot", "--on-flip", "panic"],
        &["--site", "ispot", "--wait", "soon"],
    ] {
        let (code, said) = stage.script(wrong, "touch was-run");
        assert_eq!(code, Some(2), "{wrong:?}: {said}");
    }
    assert!(!stage.has("was-run"));
}

#[test]
fn only_who_has_its_key_speaks_for_a_lease_and_one_that_never_begins_runs_out() {
    let stage = guarded("{}");
    let body = r#"{"site": "ispot", "to": "backup", "job": "copy", "host": "db1"}"#;
    let granted = stage.place.ask("POST", "/api/v1/guards", &[], body);
    assert_eq!(granted.status, 201, "{granted:?}");
    let listed = stage.place.get("/api/v1/guards", &[]).body;
    assert_eq!(listed[0]["state"], "held");
    let key = granted.body["key"].as_str().unwrap();
    assert!(!listed.to_string().contains(key), "{listed}");

    for what in ["renew", "end"] {
        let path = format!("/api/v1/guards/1/{what}");
        let wrong = r#"{"key": "00000000000000000000000000000000"}"#;
        let wrong = if what == "end" {
            r#"{"key": "0", "ended": "succeeded"}"#
        } else {
            wrong
        };
        let answer = stage.place.ask("POST", &path, &[], wrong);
        assert_eq!(
            (answer.status, answer.body["code"].as_str()),
            (404, Some("no-such-lease"))
        );
    }

    stage.until_no_lease();
    assert!(!stage.is_torn("backup"), "nothing was begun");
    let child = r#"{"process": 1, "started": 1, "boot": ""}"#;
    let late = format!(r#"{{"key": "{key}", "child": {child}}}"#);
    let late = stage
        .place
        .ask("POST", "/api/v1/guards/1/begin", &[], &late);
    assert_eq!(late.status, 404, "and it is not let begin after that");
}

#[test]
fn on_a_terminal_what_is_typed_goes_to_the_job_and_ctrl_c_ends_it() {
    let stage = guarded("{}");
    let script = stage.place.path().join("job");
    fs::write(&script, "read line; echo \"it read $line\"; read line").unwrap();
    let socket = stage.place.state().join("admin.sock");
    let line = format!(
        "{POINTSMAN} --socket {} guard --site ispot -- sh {}; echo \"ended with $?\"",
        socket.display(),
        script.display()
    );
    let terminal = Terminal::run_line(&stage.place, &line);
    until("the job begins", || {
        stage.leases()[..].first()?["process"].as_i64()
    });

    terminal.tmux(&["send-keys", "kingfisher", "Enter"]);

    terminal.until_shows("it read kingfisher");
    terminal.tmux(&["send-keys", "C-c"]);
    terminal.until_shows("ended with 130");
    stage.until_no_lease();
}
