//! The words of the file: which of them ask for something, when, and what becomes of it.

use serde_json::Value;

use crate::support::client::Client;
use crate::support::daemon::{OneSite, Place};
use crate::support::origin::Origin;
use crate::support::pair::{ISPOT, MEGALAB, Pair};
use crate::support::stage::Stage;
use crate::support::wait::until;

/// Sends a write that the active side of `ispot` keeps until it is let go.
fn slow(place: &Place, origin: &Origin) -> Client {
    Client::kept_waiting(place.http().parse().unwrap(), "POST", ISPOT, origin)
}

/// The journalled events of a kind, oldest first.
fn events(place: &Place, what: &str) -> Vec<String> {
    let journal = place.journal();
    let mut query = journal
        .prepare("SELECT site || ' ' || detail FROM events WHERE what = ?1 ORDER BY rowid")
        .unwrap();
    let rows = query.query_map([what], |row| row.get(0)).unwrap();
    rows.collect::<Result<_, _>>().unwrap()
}

#[test]
fn a_table_that_touches_a_site_in_a_flip_waits_whole_until_the_flip_has_ended() {
    let pair = Pair::new();
    let place = &pair.place;
    let mut in_flight = slow(place, &pair.ispot.live);
    place.edit(&[("active: live  # ispot", "active: backup  # ispot")]);
    place.until_phase("draining");

    // An edit of both sites: nothing of it may be taken.
    place.edit(&[
        ("get: /ispot", "get: /changed"),
        ("get: /megalab", "get: /changed"),
    ]);
    place.until_not_taken("the edit of ispot waits, with all of the file, for flip 1 to end");
    assert_eq!(place.generation(), 1);
    assert_eq!(
        place.metric("pointsman_table_last_reload_successful"),
        Some(0.0)
    );
    pair.ispot.live.let_go();
    assert_eq!(place.flip_ended(1)["outcome"], "settled");
    place.until_generation(2);
    place.until_taken();

    assert_eq!(in_flight.answer("POST").unwrap().text(), "live");
    let kept = pair.ispot.backup.checked_at("/ispot").len();
    assert_eq!(kept, 3, "at start, and twice by the flip");
    assert_eq!(
        place
            .pointsman(&["flip", "megalab", "--to", "backup", "--yes"])
            .status
            .code(),
        Some(0)
    );
    let checked = pair.megalab.backup.checked_at("/changed").len();
    assert!(checked >= 2, "by the flip too: {checked}");
}

#[test]
fn a_table_without_the_side_that_a_flip_goes_to_is_a_mistake() {
    let pair = Pair::new();
    let place = &pair.place;
    let mut in_flight = slow(place, &pair.ispot.live);
    place.edit(&[("active: live  # ispot", "active: backup  # ispot")]);
    place.until_phase("draining");
    let side = format!("      backup: {{web: [http://{}:9102]}}\n", place.ip);
    let good = place.text();
    place.replace(
        &good
            .replace(&side, "")
            .replace("backup  # ispot", "live  # ispot"),
    );
    place.until_not_taken("sites.ispot.sides: side backup is missing, and flip 1 is on its way");
    pair.ispot.live.let_go();
    assert_eq!(place.flip_ended(1)["outcome"], "settled");
    place.until_not_taken("sites.ispot.sides: side backup is missing, and it is the active one");
    assert_eq!(in_flight.answer("POST").unwrap().text(), "live");
    place.replace(&good);
    place.until_taken();
    assert_eq!((place.generation(), place.flips()), (1, 1));
}

#[test]
fn an_edit_of_the_word_and_of_something_else_is_first_a_table_and_then_a_flip() {
    let pair = Pair::new();
    let place = &pair.place;
    place.edit(&[
        ("active: live  # ispot", "active: backup  # ispot"),
        ("get: /ispot", "get: /changed"),
    ]);
    assert_eq!(place.flip_ended(1)["outcome"], "settled");
    assert_eq!(place.generation(), 2);
    let checked = |path| pair.ispot.backup.checked_at(path).len();
    assert!(checked("/changed") >= 2, "by the new checks");
    assert!(checked("/ispot") <= 1, "at start");
}

#[test]
fn two_words_in_one_edit_are_one_flip_and_none_moves_when_one_may_not() {
    let pair = Pair::new();
    let place = &pair.place;
    let both = [
        ("active: live  # ispot", "active: backup  # ispot"),
        ("active: live  # megalab", "active: backup  # megalab"),
    ];
    let checks = ("get: /megalab, status: 200", "get: /megalab, status: 404");
    place.edit(&[both[0], both[1], checks]);
    let refused = place.flip_ended(1);
    assert_eq!(refused["outcome"], "refused");
    assert_eq!(refused["moves"].as_array().unwrap().len(), 2);
    for name in ["ispot", "megalab"] {
        let site = pair.site(name);
        assert_eq!(
            (&site["active"], &site["epoch"], &site["diverged"]),
            (&"live".into(), &1.into(), &true.into())
        );
        assert!(site["problem"].as_str().unwrap().contains("404"), "{site}");
    }
    // Both words back, the check too: nothing is asked for any more, and nothing is wrong.
    place.edit(&[
        (both[0].1, both[0].0),
        (both[1].1, both[1].0),
        (checks.1, checks.0),
    ]);
    place.until_generation(3);
    until("both are well", || {
        let is_well =
            |name| pair.site(name)["problem"].is_null() && pair.site(name)["diverged"] == false;
        (is_well("ispot") && is_well("megalab")).then_some(())
    });

    place.edit(&both);
    let moved = place.flip_ended(2);
    assert_eq!(moved["outcome"], "settled");
    let moves: Vec<_> = moved["moves"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["site"].clone())
        .collect();
    assert_eq!(moves, ["ispot", "megalab"]);
    assert_eq!(place.flips(), 2, "one flip");
    let mut client = Client::connect(place.http().parse().unwrap());
    assert_eq!(client.get(ISPOT, "/").unwrap().text(), "backup");
    assert_eq!(client.get(MEGALAB, "/").unwrap().text(), "backup");
}

#[test]
fn a_site_without_a_word_is_moved_by_command_only_and_its_word_may_come_back() {
    let stage = Stage::with(&OneSite::default());
    let place = &stage.place;
    let with = place.text();
    let without = with.replace("    active: live  # the word\n", "");
    place.replace(&without);
    until("the word is left out", || {
        place.site()["desired"].is_null().then_some(())
    });
    assert_eq!(place.flip("backup").0, 0);
    assert_eq!(place.text(), without, "the file is not touched");
    let site = place.site();
    assert_eq!(
        (&site["active"], &site["diverged"]),
        (&"backup".into(), &false.into())
    );

    place.replace(&with.replace("active: live", "active: backup"));
    until("the word is read", || {
        (place.site()["desired"] == "backup").then_some(())
    });
    assert_eq!(place.flips(), 1, "the same word asks for nothing");
    place.replace(&without);
    until("the word is left out", || {
        place.site()["desired"].is_null().then_some(())
    });
    place.replace(&with);
    assert_eq!(place.flip_ended(2)["outcome"], "settled");
    assert_eq!(place.curl("/", &[]).1, "live");
}

#[test]
fn the_reason_beside_the_word_is_journalled_with_the_flip() {
    let stage = Stage::with(&OneSite::default());
    let place = &stage.place;
    place.edit(&[(
        "active: live  # the word",
        "active: backup\n    reason: \"disk sdb, again\"",
    )]);
    assert_eq!(place.flip_ended(1)["reason"], "disk sdb, again");
    let reason: String = place
        .journal()
        .query_row("SELECT reason FROM flips WHERE id = 1", [], |row| {
            row.get(0)
        })
        .unwrap();
    assert_eq!(reason, "disk sdb, again");
}

#[test]
fn access_works_at_once_comes_back_survives_a_restart_and_is_journalled() {
    let Stage {
        place,
        live,
        backup,
        daemon,
    } = Stage::with(&OneSite::default());
    let word = |access: &str| format!("    access: {access}\n    names:");
    let post = |path| place.curl(path, &["-d", "owl"]).0;
    let get = |path| place.curl(path, &[]).0;
    let seen = || (get("/"), post("/observations"));
    let edit = |old: &str, new: &str, generation| {
        place.edit(&[(old, new)]);
        place.until_generation(generation);
    };

    edit("    names:", &word("maintenance"), 2);
    assert_eq!(seen(), (503, 503));
    assert_eq!(place.site()["access"], "maintenance");
    edit(&word("maintenance"), &word("read-only"), 3);
    assert_eq!(seen(), (200, 503));
    edit(&word("read-only"), &word("open"), 4);
    assert_eq!(seen(), (200, 200));
    edit(
        &word("open"),
        "    paths: {/quiz: {access: maintenance}}\n    names:",
        5,
    );
    assert_eq!(
        (get("/quiz/1"), get("/quizz"), post("/observations")),
        (503, 200, 200)
    );
    edit(
        "{/quiz: {access: maintenance}}",
        "{/quiz: {access: read-only}}",
        6,
    );
    assert_eq!((get("/quiz/1"), post("/quiz/1")), (200, 503));
    edit(
        "    paths: {/quiz: {access: read-only}}\n",
        "    access: read-only\n",
        7,
    );
    assert_eq!((post("/quiz/1"), get("/quiz/1")), (503, 200));

    daemon.kill();
    let daemon = place.start();
    assert_eq!(seen(), (200, 503), "after a restart");
    daemon.kill();
    place.edit(&[("access: read-only", "access: maintenance")]);
    let _daemon = place.start();
    assert_eq!(seen(), (503, 503), "edited while the daemon was down");
    assert_eq!(
        events(&place, "access"),
        [
            "ispot maintenance",
            "ispot read-only",
            "ispot open",
            "ispot /quiz: maintenance",
            "ispot /quiz: read-only",
            "ispot read-only",
            "ispot /quiz: open",
            "ispot maintenance",
        ]
    );
    assert_eq!(place.flips(), 0);
    drop((live, backup));
}

#[test]
fn a_reload_while_the_journal_is_missing_is_taken_and_everybody_still_gets_the_page() {
    let Stage {
        place,
        live,
        backup,
        daemon,
    } = Stage::with(&OneSite::default());
    daemon.kill();
    for file in ["journal.db", "journal.db-wal", "journal.db-shm"] {
        // The log and its index may have gone with the last connection.
        let _ = std::fs::remove_file(place.state().join(file));
    }
    let _daemon = place.start();
    place.edit(&[
        ("    active: live  # the word\n", ""),
        ("get: /,", "get: /other,"),
    ]);
    place.until_generation(2);
    place.until_taken();
    place.edit(&[("    names:", "    active: backup\n    names:")]);
    until("the word is read", || {
        (place.site()["desired"] == "backup").then_some(())
    });
    let site = place.site();
    assert_eq!(
        (&site["active"], &site["flip"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(place.curl("/", &[]).0, 503);
    assert_eq!(place.flips(), 0);
    assert!(
        live.seen_at("/").is_empty() && backup.seen().is_empty(),
        "nobody was let in"
    );
}
