//! Several sites in one flip: they move in one swap, or none of them does.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use crate::support::client::Client;
use crate::support::pair::{ISPOT, MEGALAB, Pair};
use crate::support::wait::until;

/// Where both sites are, as [`Pair::positions`] tells it.
fn both(side: &str, epoch: u64) -> [(String, u64); 2] {
    [(side.into(), epoch), (side.into(), epoch)]
}

/// Begins a flip of the group, and waits until it waits for a write that `ispot` has in flight.
fn draining(pair: &Pair) -> Client {
    let http = pair.place.http().parse().unwrap();
    let slow = Client::kept_waiting(http, "POST", ISPOT, &pair.ispot.live);
    let begun = pair.place.post_flip(&[], r#"{"group": "web"}"#);
    assert_eq!(begun.status, 202, "{begun:?}");
    pair.place.until_phase("draining");
    slow
}

#[test]
fn a_group_moves_in_one_swap() {
    let pair = Pair::grouped();
    let (over, asked) = (AtomicBool::new(false), AtomicUsize::new(0));
    let (code, said) = thread::scope(|scope| {
        let (pair, over, asked) = (&pair, &over, &asked);
        let clients = [[ISPOT, MEGALAB], [MEGALAB, ISPOT]]
            .map(|hosts| scope.spawn(move || answers_in_turn(pair, hosts, over, asked)));
        let watcher = scope.spawn(|| {
            let mut seen = Vec::new();
            while !over.load(Ordering::Relaxed) {
                seen.push(pair.positions());
            }
            seen
        });
        until("both have asked", || {
            (asked.load(Ordering::Relaxed) == 2).then_some(())
        });
        let flipped = pair.flip(&["--group", "web", "--reason", "disk failure"]);
        over.store(true, Ordering::Relaxed);
        for client in clients {
            let answers = client.join().unwrap();
            // A request begins after the answer to the one before it: none may go back in time.
            let moved = answers.iter().position(|side| side == "backup").unwrap();
            assert!(moved > 0, "{answers:?}");
            assert!(
                answers[moved..].iter().all(|side| side == "backup"),
                "{answers:?}"
            );
        }
        let mut seen = watcher.join().unwrap();
        seen.push(pair.positions());
        seen.dedup();
        assert_eq!(seen, [both("live", 1), both("backup", 2)]);
        flipped
    });

    assert_eq!(code, Some(0), "{said}");
    let flip = pair.place.flip_ended(1);
    assert_eq!(flip["moves"].as_array().unwrap().len(), 2, "{flip}");
    assert_eq!(pair.place.flips(), 1, "one flip");
    let words = pair.place.text().matches("active: backup").count();
    assert_eq!(words, 2, "{}", pair.place.text());
}

/// Asks two hosts in turn, once before it says so and once after it is over.
fn answers_in_turn(
    pair: &Pair,
    hosts: [&str; 2],
    over: &AtomicBool,
    asked: &AtomicUsize,
) -> Vec<String> {
    let mut client = Client::connect(pair.place.http().parse().unwrap());
    let mut answers = Vec::new();
    loop {
        let is_last = over.load(Ordering::Relaxed);
        for host in hosts {
            let answer = client.get(host, "/").unwrap();
            assert_eq!(answer.status, 200, "{host}");
            answers.push(answer.text());
        }
        if answers.len() == hosts.len() {
            asked.fetch_add(1, Ordering::Relaxed);
        }
        if is_last {
            return answers;
        }
    }
}

#[test]
fn if_the_check_of_one_site_fails_none_moves() {
    let pair = Pair::grouped();
    let check = "{name: megalab, get: /megalab, status: 200}";
    let failing = "{name: quiz, get: /megalab, status: 404}";
    pair.place.edit(&[(check, failing)]);
    pair.place.until_generation(3);

    let (code, said) = pair.flip(&["--group", "web"]);

    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("megalab") && said.contains("quiz"), "{said}");
    assert_eq!(pair.positions(), both("live", 1));
    assert_eq!(pair.place.curl("/", &[]).1, "live");
    let seen = pair.ispot.backup.seen();
    assert!(seen.is_empty(), "nobody but the check: {seen:?}");
}

#[test]
fn a_second_flip_of_a_site_is_a_conflict_and_one_of_another_site_runs_beside_it() {
    let pair = Pair::grouped();
    let http = pair.place.http().parse().unwrap();
    let mut slow = Client::kept_waiting(http, "POST", ISPOT, &pair.ispot.live);
    let begun = pair
        .place
        .post_flip(&[], r#"{"moves": [{"site": "ispot"}]}"#);
    assert_eq!(
        (begun.status, begun.header("location")),
        (202, "/api/v1/flips/1")
    );
    pair.place.until_phase("draining");

    for arguments in [
        &["ispot", "--to", "backup"][..],
        &["ispot", "--to", "live"],
        &["megalab", "ispot"],
        &["--group", "web", "--to", "backup"],
        // Which is where it still is, but not where it goes.
        &["--group", "web", "--to", "live"],
    ] {
        let (code, said) = pair.flip(arguments);
        assert_eq!(code, Some(5), "{arguments:?}: {said}");
        assert!(said.contains("flip 1"), "{said}");
    }
    let conflict = pair
        .place
        .post_flip(&[], r#"{"group": "web", "to": "backup"}"#);
    assert_eq!(
        (conflict.status, &conflict.body["code"]),
        (409, &"flip-in-progress".into())
    );
    assert_eq!(pair.site("megalab")["epoch"], 1, "none of those moved it");

    let (code, said) = pair.flip(&["megalab"]);

    assert_eq!(code, Some(0), "{said}");
    assert_eq!(pair.site("megalab")["active"], "backup");
    assert_eq!(pair.site("ispot")["flip"], 1, "it still runs");
    pair.ispot.live.let_go();
    assert_eq!(slow.answer("POST").unwrap().text(), "live");
    assert_eq!(pair.place.flip_ended(1)["outcome"], "settled");
    assert_eq!(pair.positions(), both("backup", 2));
}

#[test]
fn a_cancel_before_the_commit_restores_all_sites() {
    let pair = Pair::grouped();
    let mut slow = draining(&pair);
    let mut held = Client::connect(pair.place.http().parse().unwrap());
    held.send(&format!("GET / HTTP/1.1\r\nHost: {MEGALAB}\r\n\r\n"));
    until("it is held", || {
        let held = pair
            .place
            .metric("pointsman_hold_requests{site=\"megalab\"}")?;
        (held == 1.0).then_some(())
    });

    let done = pair.place.pointsman(&["flip", "--cancel", "1"]);

    assert!(done.status.success(), "{done:?}");
    assert_eq!(held.answer("GET").unwrap().text(), "live");
    let flip = pair.place.flip_ended(1);
    assert_eq!(flip["outcome"], "restored", "{flip}");
    assert_eq!(pair.positions(), both("live", 1));
    assert_eq!(pair.place.curl("/", &[]).1, "live");
    pair.ispot.live.let_go();
    assert_eq!(slow.answer("POST").unwrap().text(), "live");
}

#[test]
fn a_flip_that_is_cancelled_ends_with_exit_code_4_for_who_follows_it() {
    let pair = Pair::grouped();
    let http = pair.place.http().parse().unwrap();
    let _slow = Client::kept_waiting(http, "POST", ISPOT, &pair.ispot.live);
    thread::scope(|scope| {
        let following = scope.spawn(|| pair.flip(&["--group", "web"]));
        until("it drains", || {
            let status = pair.place.get("/api/v1/status", &[]).body;
            (status["flips"][0]["phase"] == "draining").then_some(())
        });
        let cancelled = pair.place.ask("DELETE", "/api/v1/flips/1", &[], "");
        assert_eq!(cancelled.status, 202, "{cancelled:?}");

        let (code, said) = following.join().unwrap();

        assert_eq!(code, Some(4), "{said}");
        assert!(said.contains("ispot") && said.contains("megalab"), "{said}");
    });
    pair.ispot.live.let_go();
}

#[test]
fn a_group_is_brought_together_and_never_exchanged() {
    let pair = Pair::grouped();
    assert_eq!(pair.flip(&["ispot", "--to", "backup"]).0, Some(0));

    let (apart, says_which) = pair.flip(&["--group", "web"]);
    let (together, _) = pair.flip(&["--group", "web", "--to", "backup"]);
    let (again, says_already) = pair.flip(&["--group", "web", "--to", "backup"]);
    let (unknown, says_known) = pair.flip(&["--group", "wbe"]);
    let (nowhere, says_sides) = pair.flip(&["--group", "web", "--to", "spare"]);

    assert_eq!(apart, Some(2), "{says_which}");
    let all = "ispot on backup, megalab on live";
    assert!(
        says_which.contains(all) && says_which.contains("--to"),
        "{says_which}"
    );
    assert_eq!(together, Some(0));
    assert_eq!(
        pair.positions(),
        both("backup", 2),
        "ispot stayed as it was"
    );
    assert_eq!(
        pair.place.flip_ended(2)["moves"].as_array().unwrap().len(),
        1
    );
    assert_eq!(again, Some(3), "{says_already}");
    assert!(says_already.contains("every site of group web is on side backup already"));
    assert_eq!(unknown, Some(2), "{says_known}");
    assert!(
        says_known.contains("no group wbe; the table has: web"),
        "{says_known}"
    );
    assert_eq!(nowhere, Some(2), "{says_sides}");
    assert!(says_sides.contains("live, backup"), "{says_sides}");
    // All of it on one side: the other one is meant.
    let (back, said) = pair.flip(&["--group", "web"]);
    assert_eq!(
        (back, pair.positions()),
        (Some(0), both("live", 3)),
        "{said}"
    );
}
