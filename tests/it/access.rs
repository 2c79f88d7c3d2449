//! `pointsman access`: what it forbids has ended when it returns, and it holds until the file says
//! something else.

use std::thread::spawn;

use crate::support::client::Client;
use crate::support::daemon::{OneSite, Place};
use crate::support::stage::Stage;
use crate::support::wait::until;

/// Runs the verb; its exit code and what it said.
fn access(place: &Place, arguments: &[&str]) -> (i32, String) {
    let done = place.pointsman(&[&["access"], arguments, &["--yes"]].concat());
    let said = [done.stdout, done.stderr].concat();
    let code = done.status.code().unwrap_or(-1);
    (code, String::from_utf8_lossy(&said).into_owned())
}

fn say(place: &Place, arguments: &[&str]) {
    let (code, said) = access(place, arguments);
    assert_eq!(code, 0, "{said}");
}

fn seen(place: &Place) -> (u16, u16) {
    let post = place.curl("/observations", &["-d", "owl"]).0;
    (place.curl("/", &[]).0, post)
}

/// Has a part of the site with a word of its own.
fn with_a_quiz(stage: &Stage, word: &str) {
    let generation = stage.place.generation();
    let paths = format!("    paths: {{/quiz: {{access: {word}}}}}\n    names:");
    stage.place.edit(&[("    names:", &paths)]);
    stage.place.until_generation(generation + 1);
}

#[test]
fn it_holds_at_once_says_who_and_why_and_survives_a_restart() {
    let Stage {
        place,
        live,
        backup,
        daemon,
    } = Stage::with(&OneSite::default());
    say(&place, &["ispot", "read-only", "--reason", "new disks"]);
    assert_eq!(seen(&place), (200, 503));
    let site = place.site();
    assert_eq!(site["access"], "read-only");
    assert_eq!(site["access_said"]["reason"], "new disks", "{site}");
    assert_eq!(site["access_said"]["word"], "open", "{site}");
    let table = place.pointsman(&["status"]).stdout;
    let table = String::from_utf8_lossy(&table);
    assert!(table.contains("new disks"), "{table}");

    daemon.kill();
    let daemon = place.start();
    assert_eq!(seen(&place), (200, 503), "after a restart");
    say(&place, &["ispot", "open"]);
    assert_eq!(seen(&place), (200, 200));
    assert!(place.site()["access_said"].is_null());
    drop((live, backup, daemon));
}

#[test]
fn it_is_another_matter_than_which_side_is_active() {
    let stage = Stage::with(&OneSite::default());
    say(&stage.place, &["ispot", "read-only"]);
    let (code, said) = stage.place.flip("backup");
    assert_eq!(code, 0, "{said}");
    assert_eq!(seen(&stage.place), (200, 503));
    assert_eq!(stage.place.curl("/", &[]).1, "backup");
    say(&stage.place, &["ispot", "open"]);
    assert_eq!(stage.backup.observations(), Vec::<String>::new());
    assert_eq!(seen(&stage.place), (200, 200));
}

#[test]
fn an_edit_of_the_word_ends_what_was_said() {
    let stage = Stage::with(&OneSite::default());
    let place = &stage.place;
    say(place, &["ispot", "maintenance"]);
    assert_eq!(seen(place), (503, 503));
    // An edit of something else does not.
    place.edit(&[(
        "    names:",
        "    maintenance: {retry_after: 9s}\n    names:",
    )]);
    place.until_generation(2);
    assert_eq!(seen(place), (503, 503));
    place.edit(&[("    names:", "    access: read-only\n    names:")]);
    place.until_generation(3);
    assert_eq!(seen(place), (200, 503));
    assert!(place.site()["access_said"].is_null());
}

#[test]
fn an_edit_made_while_the_daemon_was_down_ends_it_too() {
    let Stage {
        place,
        live,
        backup,
        daemon,
    } = Stage::with(&OneSite::default());
    say(&place, &["ispot", "maintenance"]);
    daemon.kill();
    place.edit(&[("    names:", "    access: read-only\n    names:")]);
    let _daemon = place.start();
    assert_eq!(seen(&place), (200, 503));
    drop((live, backup));
}

#[test]
fn it_returns_when_what_it_forbids_has_ended() {
    let stage = Stage::with(&OneSite::flipping("{drain: {for: 30s}}"));
    let mut slow = stage.in_flight("POST");
    let place = &stage.place;
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| access(place, &["ispot", "read-only"]));
        until("it is in force", || {
            (place.site()["access"] == "read-only").then_some(())
        });
        assert_eq!(seen(place), (200, 503));
        assert!(!asked.is_finished(), "a write is in flight");
        stage.live.let_go();
        assert_eq!(slow.answer("POST").unwrap().text(), "live");
        let (code, said) = asked.join().unwrap();
        assert_eq!(code, 0, "{said}");
        assert!(said.contains("has ended"), "{said}");
    });
}

#[test]
fn what_does_not_end_is_cut_at_the_deadline_and_what_is_allowed_goes_on() {
    let stage = Stage::with(&OneSite::flipping("{drain: {for: 200ms}}"));
    let mut write = stage.in_flight("POST");
    let address = stage.place.http().parse().unwrap();
    let mut read = Client::kept_waiting(address, "GET", "www.ispot.example", &stage.live);
    let (code, said) = access(&stage.place, &["ispot", "read-only"]);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("was cut"), "{said}");
    assert_ne!(write.answer("POST").map_or(0, |answer| answer.status), 200);
    stage.live.let_go();
    assert_eq!(read.answer("GET").unwrap().text(), "live");
    // Opened again, nothing is cut any more.
    say(&stage.place, &["ispot", "open"]);
    assert_eq!(seen(&stage.place), (200, 200));
}

#[test]
fn what_is_allowed_is_neither_waited_for_nor_cut() {
    let stage = Stage::with(&OneSite::flipping("{drain: {for: 30s}}"));
    let place = &stage.place;
    place.edit(&[("    names:", "    read_only: {allow: [/wait]}\n    names:")]);
    place.until_generation(2);
    say(place, &["ispot", "read-only"]);
    let mut allowed = stage.in_flight("POST");
    // Said again, it returns at once: only what is allowed is in flight.
    let (code, said) = access(place, &["ispot", "read-only", "--reason", "again"]);
    assert_eq!(code, 0, "{said}");
    assert!(!said.contains("was cut"), "{said}");
    // A flip waits for it all the same: to a flip it is a write.
    std::thread::scope(|scope| {
        let flip = scope.spawn(|| place.flip("backup"));
        place.until_phase("draining");
        stage.live.let_go();
        assert_eq!(allowed.answer("POST").unwrap().text(), "live");
        let (code, said) = flip.join().unwrap();
        assert_eq!(code, 0, "{said}");
    });
}

#[test]
fn opening_again_leaves_what_was_about_to_be_cut_alone() {
    let stage = Stage::with(&OneSite::flipping("{drain: {for: 30s}}"));
    let mut slow = stage.in_flight("POST");
    let file = stage.place.file();
    let socket = stage.place.state().join("admin.sock");
    let asked = spawn(move || {
        let mut command = std::process::Command::new(crate::support::daemon::POINTSMAN);
        let command = command.arg("--socket").arg(socket);
        let command = command.args(["access", "ispot", "maintenance", "--yes"]);
        command
            .current_dir(file.parent().unwrap())
            .status()
            .unwrap()
    });
    until("it is in force", || {
        (stage.place.site()["access"] == "maintenance").then_some(())
    });
    say(&stage.place, &["ispot", "open"]);
    assert_eq!(asked.join().unwrap().code(), Some(5), "superseded");
    stage.live.let_go();
    assert_eq!(slow.answer("POST").unwrap().text(), "live");
}

#[test]
fn a_part_is_shut_by_itself() {
    let stage = Stage::with(&OneSite::default());
    let place = &stage.place;
    with_a_quiz(&stage, "open");
    let quiz = || place.curl("/quiz/1", &[]).0;
    assert_eq!(quiz(), 200);
    say(place, &["ispot/quiz", "maintenance", "--reason", "broken"]);
    assert_eq!((quiz(), seen(place)), (503, (200, 200)));
    let parts = &place.site()["parts"];
    assert_eq!(parts[0]["access"], "maintenance", "{parts}");
    assert_eq!(parts[0]["said"]["reason"], "broken", "{parts}");
    let (code, said) = place.flip("backup");
    assert_eq!(code, 0, "{said}");
    assert_eq!((quiz(), seen(place)), (503, (200, 200)), "on either side");
    say(place, &["ispot/quiz", "open"]);
    assert_eq!(quiz(), 200);
    let (code, said) = access(place, &["ispot/nowhere", "open"]);
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("/quiz"), "{said}");
}

#[test]
fn users_are_told_when_to_come_back() {
    let stage = Stage::with(&OneSite::default());
    let at = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(2);
    let at = at.to_string();
    say(&stage.place, &["ispot", "maintenance", "--back-at", &at]);
    let mut client = Client::connect(stage.place.http().parse().unwrap());
    let answer = client.get("www.ispot.example", "/").unwrap();
    let after: u64 = answer.header("retry-after").parse().unwrap();
    assert!((7_000..=7_200).contains(&after), "{after}");
    let browser = ["-H", "Accept: text/html"];
    let (_, page) = stage.place.curl("/", &browser);
    assert!(
        page.contains("It is expected back in about 2 hours."),
        "{page}"
    );
}
