//! Before and after a flip: the plan, the history, the evidence, and the way back.

use std::process::Output;

use serde_json::Value;

use crate::support::client::Client;
use crate::support::daemon::{OneSite, POINTSMAN, Place};
use crate::support::origin::Origin;
use crate::support::pair::Pair;
use crate::support::stage::Stage;
use crate::support::wait::until;

const HOST: &str = "www.ispot.example";

fn read(done: &Output) -> (Option<i32>, String) {
    let said = [done.stdout.as_slice(), &done.stderr].concat();
    (
        done.status.code(),
        String::from_utf8_lossy(&said).into_owned(),
    )
}

fn run(place: &Place, arguments: &[&str]) -> (Option<i32>, String) {
    read(&place.pointsman(arguments))
}

fn json(place: &Place, arguments: &[&str]) -> Value {
    let done = place.pointsman(&[arguments, &["-o", "json"]].concat());
    serde_json::from_slice(&done.stdout).unwrap_or_else(|_| panic!("{done:?}"))
}

fn phases(steps: &Value) -> Vec<String> {
    let steps = steps.as_array().unwrap().iter();
    let phase = |step: &Value| step["phase"].as_str().unwrap().to_owned();
    steps.map(phase).collect()
}

#[test]
fn a_plan_names_exactly_what_the_flip_that_follows_does_and_does_nothing_itself() {
    for during in ["page", "hold", "read-only"] {
        let stage = Stage::with(&OneSite::default());
        let place = &stage.place;
        until("it was checked at the start", || {
            (stage.backup.checked_at("/").len() == 1).then_some(())
        });
        let arguments = ["ispot", "--to", "backup", "--during", during];
        let planned = json(place, &[&["plan"], &arguments[..]].concat());
        assert!(planned["refused"].is_null(), "{planned}");
        assert_eq!(place.flips(), 0, "nothing was begun");
        assert_eq!(place.site()["epoch"], 1);
        let rows = place.journal();
        let flips: u64 = rows
            .query_row("SELECT count(*) FROM flips", [], |row| row.get(0))
            .unwrap();
        assert_eq!(flips, 0, "nothing was journalled");
        assert_eq!(stage.backup.checked_at("/").len(), 2, "it was checked");

        let (code, said) = run(place, &[&["flip", "--yes"], &arguments[..]].concat());
        assert_eq!(code, Some(0), "{said}");
        let flip = place.flip_ended(1);
        assert_eq!(phases(&planned["steps"]), phases(&flip["timeline"]));
        assert_eq!(planned["moves"], flip["moves"]);
        assert_eq!(planned["during"], flip["during"]);
    }
}

#[test]
fn a_plan_tells_what_is_in_flight_how_long_users_are_held_and_why_it_would_be_refused() {
    let checks = "[{name: news, get: /status/204, status: 204}]";
    let stage = Stage::with(&OneSite {
        checks,
        ..OneSite::default()
    });
    let place = &stage.place;
    let (code, said) = run(place, &["plan", "ispot"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("no flip before held anybody"), "{said}");
    assert!(said.contains("the checks of backup: news"), "{said}");
    let (code, _) = place.flip("backup");
    assert_eq!(code, 0);
    let (code, _) = place.flip("live");
    assert_eq!(code, 0);

    let mut slow = stage.in_flight("POST");
    let (code, said) = run(place, &["flip", "ispot", "--dry-run"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("now 0 to read, 1 to write"), "{said}");
    assert!(said.contains("in the last 2 flips"), "{said}");
    assert!(said.contains("the point of no return"), "{said}");
    stage.live.let_go();
    assert_eq!(slow.answer("POST").unwrap().text(), "live");
    assert_eq!(place.site()["active"], "live", "it was a plan");

    place.edit(&[("status: 204", "status: 200")]);
    place.until_generation(2);
    let (code, said) = run(place, &["plan", "ispot"]);
    assert_eq!(code, Some(3), "{said}");
    assert!(
        said.contains("WOULD BE REFUSED") && said.contains("news"),
        "{said}"
    );
    let (code, said) = run(place, &["plan", "quiz"]);
    assert_eq!(code, Some(2), "{said}");
    let (code, said) = run(place, &["plan", "ispot", "--to", "live"]);
    assert_eq!(code, Some(3), "already there: {said}");
}

#[test]
fn the_history_has_every_flip_with_who_why_when_and_how_it_ended() {
    let pair = Pair::grouped();
    let place = &pair.place;
    assert_eq!(run(place, &["history"]).1.trim(), "No flip yet.");
    let flip = |arguments: &[&str]| pair.flip(arguments).0;
    assert_eq!(
        flip(&["ispot", "--to", "backup", "--reason", "new disks"]),
        Some(0)
    );
    assert_eq!(flip(&["ispot", "--to", "live"]), Some(0));
    assert_eq!(
        flip(&["--group", "web", "--to", "backup", "--during", "page"]),
        Some(0)
    );

    let (code, table) = run(place, &["history"]);
    assert_eq!(code, Some(0), "{table}");
    let lines: Vec<_> = table.lines().collect();
    assert_eq!(lines.len(), 4, "{table}");
    assert!(
        lines[1].trim_start().starts_with('3'),
        "the newest first: {table}"
    );
    assert!(
        lines[3].contains("new disks") && lines[3].contains("ispot live -> backup"),
        "{table}"
    );
    let of_megalab = json(place, &["history", "megalab"]);
    assert_eq!(of_megalab.as_array().unwrap().len(), 1, "{of_megalab}");
    let page = json(place, &["history", "-n", "1", "--before", "3"]);
    assert_eq!(
        (&page[0]["id"], page.as_array().unwrap().len()),
        (&2.into(), 1)
    );

    let (code, full) = run(place, &["history", "--flip", "1"]);
    assert_eq!(code, Some(0), "{full}");
    for part in [
        "settled",
        "new disks",
        "draining",
        "users were held for",
        "epoch 1",
    ] {
        assert!(full.contains(part), "no {part:?} in {full}");
    }
    let (code, said) = run(place, &["history", "nosuch"]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("there is no site nosuch"), "{said}");
    let (code, said) = run(place, &["history", "--flip", "99"]);
    assert_eq!(code, Some(2), "{said}");
}

#[test]
fn the_history_survives_a_restart_and_says_what_was_held_and_cut() {
    let stage = Stage::with(&OneSite::flipping(
        "{during: hold, hold: {for: 20s}, drain: {for: 300ms, then: restore}}",
    ));
    let mut slow = stage.in_flight("GET");
    let address = stage.place.http().parse().unwrap();
    std::thread::scope(|scope| {
        let flip = scope.spawn(|| stage.place.flip("backup"));
        stage.place.until_phase("draining");
        let held = scope.spawn(move || Client::connect(address).get(HOST, "/held").unwrap());
        assert_eq!(held.join().unwrap().text(), "backup");
        assert_eq!(flip.join().unwrap().0, 0);
    });
    assert_ne!(slow.answer("GET").map_or(0, |answer| answer.status), 200);
    // Back, with the page for who comes meanwhile, and a write that is cut.
    let slow = Client::kept_waiting(address, "POST", HOST, &stage.backup);
    stage.place.edit(&[
        ("then: restore", "then: cut"),
        ("during: hold", "during: page"),
    ]);
    stage.place.until_generation(2);
    std::thread::scope(|scope| {
        let flip = scope.spawn(|| stage.place.flip("live"));
        stage.place.until_phase("draining");
        assert_eq!(stage.place.curl("/", &[]).0, 503);
        assert_eq!(flip.join().unwrap().0, 0);
    });
    drop(slow);
    let Stage {
        place,
        live,
        backup,
        daemon,
    } = stage;
    daemon.kill();
    let _daemon = place.start();
    let back = json(&place, &["history", "--flip", "2"]);
    let past = &back["moves"][0];
    assert_eq!(
        [&past["shed"], &past["cut_writes"], &past["abandoned"]],
        [&Value::from(1), &Value::from(1), &Value::from(1)],
        "{back}"
    );
    let flip = json(&place, &["history", "--flip", "1"]);
    let past = &flip["moves"][0];
    assert_eq!(
        (&past["held"], &past["cut_reads"]),
        (&1.into(), &1.into()),
        "{flip}"
    );
    assert!(flip["held_ms"].as_u64().unwrap() >= 300, "{flip}");
    drop((live, backup));
}

#[test]
fn the_evidence_is_that_nothing_was_forwarded_after_the_close_across_a_restart_too() {
    let Stage {
        place,
        live,
        backup,
        daemon,
    } = Stage::with(&OneSite::default());
    assert_eq!(run(&place, &["verify"]).0, Some(2), "no flip yet");
    for _ in 0..3 {
        place.curl("/", &[]);
    }
    assert_eq!(place.flip("backup").0, 0);
    place.curl("/", &[]);
    let (code, said) = run(&place, &["verify"]);
    assert_eq!(code, Some(0), "{said}");
    for part in [
        "ispot: epoch 1 (live) was closed at",
        "3 requests forwarded before, the last at",
        "0 requests of epoch 1 forwarded after",
        "Nothing reached the old side",
    ] {
        assert!(said.contains(part), "no {part:?} in {said}");
    }
    assert_eq!(
        json(&place, &["verify", "1"])["moves"][0]["is_watched"],
        true
    );

    daemon.kill();
    let _daemon = place.start();
    let (code, again) = run(&place, &["verify", "1"]);
    assert_eq!(code, Some(0), "{again}");
    assert!(again.contains("as last journalled"), "{again}");
    drop((live, backup));
}

#[test]
fn a_request_that_is_forwarded_after_the_close_is_said_loudly_and_journalled() {
    let place = Place::new();
    place.write(&OneSite::default());
    let live = Origin::start(&place.origin("live"), "live");
    let _backup = Origin::start(&place.origin("backup"), "backup");
    let daemon = place.start_with(&[("POINTSMAN_FAULT", "late-forward")]);
    // Each worker has to have met the lane; who does not keeps on one.
    let mut client = Client::connect(place.http().parse().unwrap());
    assert_eq!(client.get(HOST, "/").unwrap().text(), "live");
    assert_eq!(place.flip("backup").0, 0);
    assert_eq!(run(&place, &["verify"]).0, Some(0), "so far all is well");
    assert_eq!(client.get(HOST, "/fault/late").unwrap().text(), "live");
    assert_eq!(live.seen_at("/fault/late").len(), 1, "the fault is there");

    let (code, said) = run(&place, &["verify", "1"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains("1 requests of epoch 1 forwarded after")
            && said.contains("THE OLD SIDE WAS REACHED 1 TIMES"),
        "{said}"
    );
    daemon.kill();
    let _daemon = place.start();
    let (code, said) = run(&place, &["verify", "1"]);
    assert_eq!(code, Some(1), "it is journalled: {said}");
}

#[test]
fn the_last_flip_is_taken_back_by_the_same_road() {
    let pair = Pair::grouped();
    let place = &pair.place;
    assert_eq!(
        run(place, &["undo", "--yes"]).0,
        Some(3),
        "nothing to take back"
    );
    let group = ["--group", "web", "--to", "backup", "--during", "page"];
    assert_eq!(pair.flip(&group).0, Some(0));
    let (code, said) = run(
        place,
        &["undo", "megalab", "--yes", "--reason", "quiz broken"],
    );
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(pair.positions(), [("live".into(), 3), ("live".into(), 3)]);
    let flip = place.flip_ended(2);
    assert_eq!(
        (&flip["during"], &flip["reason"]),
        (&"page".into(), &"quiz broken".into()),
        "{flip}"
    );
    // That was a flip like any other, and is taken back as well.
    let (code, said) = run(place, &["undo", "--yes"]);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(
        pair.positions(),
        [("backup".into(), 4), ("backup".into(), 4)]
    );
}

#[test]
fn a_flip_whose_sites_have_moved_since_is_not_taken_back() {
    let pair = Pair::grouped();
    let place = &pair.place;
    assert_eq!(pair.flip(&["--group", "web", "--to", "backup"]).0, Some(0));
    assert_eq!(pair.flip(&["ispot", "--to", "live"]).0, Some(0));
    let (code, said) = run(place, &["undo", "--flip", "1", "--yes"]);
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("ispot has moved since"), "{said}");
    assert_eq!(pair.positions(), [("live".into(), 3), ("backup".into(), 2)]);
    let (code, said) = run(place, &["undo", "--flip", "9", "--yes"]);
    assert_eq!(code, Some(2), "{said}");
}

#[test]
fn undo_asks_and_says_what_it_takes_back() {
    let stage = Stage::with(&OneSite::default());
    assert_eq!(stage.place.flip("backup").0, 0);
    let (code, said) = run(&stage.place, &["undo"]);
    assert_eq!(code, Some(2), "no terminal: {said}");
    // A terminal by script(1), on which the name is typed.
    let socket = stage.place.state().join("admin.sock");
    let command = format!("{POINTSMAN} --socket {} undo", socket.display());
    let mut script = std::process::Command::new("script");
    script.args(["-qec", &command, "/dev/null"]);
    script.stdin(std::process::Stdio::piped());
    script.stdout(std::process::Stdio::piped());
    let mut asked = script.spawn().unwrap();
    std::io::Write::write_all(asked.stdin.as_mut().unwrap(), b"ispot\n").unwrap();
    let done = asked.wait_with_output().unwrap();
    let (code, said) = read(&done);
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.contains("ispot: backup -> live") && said.contains("disk failure"),
        "{said}"
    );
    assert_eq!(stage.place.site()["active"], "live");
    until("the word is back", || {
        (stage.place.word() == "live").then_some(())
    });
}

#[test]
fn a_plan_is_refused_where_the_flip_is_for_a_hook_that_is_not_there() {
    let flip = "{during: page, hooks: {sync: [[/nowhere/copy-the-database]]}}";
    let stage = Stage::with(&OneSite::flipping(flip));
    let (code, planned) = run(&stage.place, &["plan", "ispot"]);
    assert_eq!(code, Some(3), "{planned}");
    let (code, flipped) = stage.place.flip("backup");
    assert_eq!(code, 3, "{flipped}");
    for said in [planned, flipped] {
        assert!(said.contains("/nowhere/copy-the-database"), "{said}");
    }
}
