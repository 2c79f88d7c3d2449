//! A site moves: what becomes of requests, words and refusals.

use std::process::Command;

use crate::support::client::Client;
use crate::support::daemon::{OneSite, Place};
use crate::support::origin::Origin;
use crate::support::stage::Stage;
use crate::support::wait::until;

#[test]
fn a_failing_check_refuses_the_flip_and_nobody_is_held() {
    let checks = "[{name: news, get: /news, status: 200, body: \"never there\"}]";
    let stage = Stage::with(&OneSite {
        checks,
        ..OneSite::default()
    });
    let (code, said) = stage.place.flip("backup");
    assert_eq!(code, 3, "{said}");
    assert!(
        said.contains("news") && said.contains("never there"),
        "{said}"
    );
    let site = stage.place.site();
    assert_eq!(
        (&site["active"], &site["epoch"]),
        (&"live".into(), &1.into())
    );
    assert_eq!(stage.place.curl("/", &[]).1, "live");
    let seen = stage.backup.seen();
    assert!(seen.is_empty(), "nobody but the check: {seen:?}");
}

#[test]
fn a_refused_word_is_not_tried_again_until_it_is_edited_again() {
    let checks = "[{name: news, get: /news, status: 404}]";
    let stage = Stage::with(&OneSite {
        checks,
        ..OneSite::default()
    });
    stage.place.sed("s/active: live/active: backup/");
    let refused = stage.place.flip_ended(1);
    assert_eq!(refused["outcome"], "refused", "{refused}");
    let site = stage.place.site();
    assert_eq!(
        (&site["diverged"], &site["desired"]),
        (&true.into(), &"backup".into())
    );
    assert_eq!(
        stage
            .place
            .metric("pointsman_site_diverged{site=\"ispot\"}"),
        Some(1.0)
    );

    let Stage {
        place,
        live,
        backup,
        daemon,
    } = stage;
    daemon.kill();
    let daemon = place.start();
    assert_eq!(place.site()["diverged"], true, "across a restart too");
    assert_eq!(
        place.status_json().unwrap()["flips"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    place.sed("s/active: backup/active: live/");
    until("edited back", || {
        (place.site()["diverged"] == false).then_some(())
    });
    drop((live, backup, daemon));
}

#[test]
fn a_write_in_flight_at_the_deadline_takes_the_site_back() {
    let flip = "{during: page, drain: {for: 300ms, then: restore}}";
    let stage = Stage::with(&OneSite::flipping(flip));
    let mut slow = stage.in_flight("POST");
    let (code, said) = stage.place.flip("backup");
    assert_eq!(code, 4, "{said}");
    assert!(said.contains("write"), "{said}");
    stage.live.let_go();
    assert_eq!(
        slow.answer("POST").unwrap().text(),
        "live",
        "it was not cut"
    );
    assert_eq!(stage.place.curl("/", &[]).1, "live");
}

#[test]
fn a_read_in_flight_at_the_deadline_is_cut_and_the_flip_goes_on() {
    let flip = "{during: page, drain: {for: 300ms, then: restore}}";
    let stage = Stage::with(&OneSite::flipping(flip));
    let mut slow = stage.in_flight("GET");
    let (code, said) = stage.place.flip("backup");
    assert_eq!(code, 0, "{said}");
    assert_ne!(slow.answer("GET").map_or(0, |answer| answer.status), 200);
    assert_eq!(stage.live.open_connections(), 0, "its socket is closed");
    assert_eq!(stage.place.curl("/", &[]).1, "backup");
}

#[test]
fn with_then_cut_a_write_in_flight_is_cut_and_the_flip_goes_on() {
    let flip = "{during: page, drain: {for: 300ms, then: cut}}";
    let stage = Stage::with(&OneSite::flipping(flip));
    let mut slow = stage.in_flight("POST");
    let (code, said) = stage.place.flip("backup");
    assert_eq!(code, 0, "{said}");
    let answer = slow.answer("POST").map_or(0, |answer| answer.status);
    assert_ne!(answer, 200, "its client is told");
    assert_eq!(stage.live.open_connections(), 0, "its socket is closed");
    assert_eq!(stage.place.curl("/", &[]).1, "backup");
}

#[test]
fn a_second_flip_of_the_same_site_is_a_conflict_and_a_cancel_restores() {
    let stage = Stage::with(&OneSite::default());
    let mut slow = stage.in_flight("POST");
    stage.edit_until_it_drains();
    let (code, said) = stage.place.flip("backup");
    assert_eq!(code, 5, "{said}");
    assert_eq!(stage.place.curl("/", &[]).0, 503);
    let done = stage.place.pointsman(&["flip", "--cancel", "1"]);
    assert!(done.status.success(), "{done:?}");
    assert_eq!(stage.place.flip_ended(1)["outcome"], "restored");
    assert_eq!(stage.place.curl("/", &[]).1, "live");
    stage.live.let_go();
    assert_eq!(slow.answer("POST").unwrap().text(), "live");
}

#[test]
fn a_word_edited_back_before_the_commit_cancels_its_flip() {
    let stage = Stage::with(&OneSite::default());
    let mut slow = stage.in_flight("POST");
    stage.edit_until_it_drains();
    stage.place.sed("s/active: backup/active: live/");
    assert_eq!(stage.place.flip_ended(1)["outcome"], "restored");
    let site = stage.place.site();
    assert_eq!(
        (&site["active"], &site["diverged"]),
        (&"live".into(), &false.into())
    );
    stage.live.let_go();
    assert_eq!(slow.answer("POST").unwrap().text(), "live");
}

#[test]
fn a_word_edited_back_in_rehearsing_cancels_its_flip() {
    let checks = "[{name: slow, get: /wait, status: 200}]";
    let stage = Stage::with(&OneSite {
        checks,
        ..OneSite::default()
    });
    stage.place.sed("s/active: live/active: backup/");
    until("the check is at the target", || {
        // The first is that of the start.
        (stage.backup.checked_at("/wait").len() >= 2).then_some(())
    });
    stage.place.sed("s/active: backup/active: live/");
    let flip = stage.place.flip_ended(1);
    assert_eq!(flip["outcome"], "refused", "{flip}");
    stage.backup.let_go();
    let site = stage.place.site();
    assert_eq!(
        (&site["active"], &site["diverged"]),
        (&"live".into(), &false.into())
    );
    let flips = stage.place.status_json().unwrap()["flips"]
        .as_array()
        .unwrap()
        .len();
    assert_eq!(flips, 1, "and nothing else began");
}

#[test]
fn an_edit_made_while_the_daemon_was_down_is_a_request_at_start() {
    let Stage {
        place,
        live,
        backup,
        daemon,
    } = Stage::with(&OneSite::default());
    daemon.kill();
    place.sed("s/active: live/active: backup/");
    let daemon = place.start();
    assert_eq!(place.flip_ended(1)["outcome"], "settled");
    assert_eq!(place.curl("/", &[]).1, "backup");
    drop((live, backup, daemon));
}

#[test]
fn held_requests_wait_and_go_on_at_the_new_side() {
    let flip = "{during: hold, hold: {for: 20s, requests: 10}}";
    let stage = Stage::with(&OneSite::flipping(flip));
    let mut slow = stage.in_flight("POST");
    stage.edit_until_it_drains();
    let mut held = Client::connect(stage.place.http().parse().unwrap());
    held.send(
        "POST /observations HTTP/1.1\r\nHost: www.ispot.example\r\nContent-Length: 3\r\n\r\nowl",
    );
    until("it is held", || {
        (stage
            .place
            .metric("pointsman_hold_requests{site=\"ispot\"}")?
            == 1.0)
            .then_some(())
    });
    stage.live.let_go();
    assert_eq!(held.answer("POST").unwrap().status, 200);
    assert_eq!(stage.backup.observations(), ["owl"]);
    assert!(stage.live.observations().is_empty());
    assert_eq!(slow.answer("POST").unwrap().text(), "live");
}

#[test]
fn a_flip_that_no_listener_shows_has_moved_and_is_not_confirmed() {
    let place = Place::new();
    let go_on = place.path().join("go-on");
    place.write(&OneSite::default());
    let _live = Origin::start(&place.origin("live"), "live");
    let _backup = Origin::start(&place.origin("backup"), "backup");
    let daemon = place.start_with(&[
        ("POINTSMAN_FAILPOINT", "confirming"),
        ("POINTSMAN_FAILPOINT_UNTIL", go_on.to_str().unwrap()),
    ]);
    let limit = |most: &str| {
        let pid = daemon.id().to_string();
        let set = Command::new("prlimit")
            .args(["--pid", &pid, &format!("--nofile={most}:")])
            .status();
        assert!(set.unwrap().success());
    };
    std::thread::scope(|scope| {
        let flip = scope.spawn(|| place.flip("backup"));
        daemon.until_said("failpoint reached");
        // It cannot open one more connection to itself.
        limit("8");
        std::fs::write(&go_on, "").unwrap();
        let (code, said) = flip.join().unwrap();
        assert_eq!(code, 8, "{said}");
        assert!(
            said.contains("Moved, not confirmed") && said.contains("did not confirm ispot"),
            "{said}"
        );
    });
    limit("1024");
    let flip = place.flip_ended(1);
    assert_eq!(flip["outcome"], "moved", "{flip}");
    assert_eq!(place.site()["active"], "backup");
    assert_eq!(place.curl("/", &[]).1, "backup", "there is only forward");
    let moved = place.metric("pointsman_flips_total{result=\"moved\"}");
    assert_eq!(moved, Some(1.0));
    until("the word is written in the end", || {
        (place.word() == "backup").then_some(())
    });
    let (code, said) = place.flip("live");
    assert_eq!(code, 0, "{said}");
}
