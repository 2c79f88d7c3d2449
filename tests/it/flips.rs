//! A site moves by one word: what curl, dig, Prometheus and the journal see of it.

use std::process::Command;

use serde_json::Value;

use crate::support::client::Client;
use crate::support::daemon::{Daemon, OneSite, POINTSMAN, Place};
use crate::support::origin::Origin;
use crate::support::wait::until;

/// The repository's own table, moved to the test's own address.
fn demo_table(place: &Place) {
    let text = include_str!("../../routes.yaml");
    let ours = text
        .replace("127.0.0.1", &place.ip.to_string())
        .replace("./state", &place.state().display().to_string());
    std::fs::write(place.file(), ours).unwrap();
}

fn serial(place: &Place) -> u32 {
    let soa = place.dig("ispot.example", "SOA");
    soa.split_whitespace()
        .nth(2)
        .unwrap_or_default()
        .parse()
        .unwrap()
}

#[test]
fn the_demo_moves_from_live_to_backup_by_sed_and_back_by_flip() {
    let place = Place::new();
    demo_table(&place);
    let mut demo = place.spawn("demo", &[]);
    until("the demo serves", || {
        (place.curl("/", &[]).0 == 200).then_some(())
    });
    assert!(
        place.curl("/", &[]).1.to_lowercase().contains("live"),
        "{:?}",
        place.curl("/", &[])
    );
    assert_eq!(place.dig("db.ispot.example", "A"), "127.0.1.11");
    assert_eq!(place.dig("www.ispot.example", "A"), place.ip.to_string());
    let first_serial = serial(&place);

    // A write that is still under way keeps the drain waiting, so that the page can be seen.
    let mut slow = Client::connect(place.http().parse().unwrap());
    slow.send(
        "POST /observations HTTP/1.1\r\nHost: www.ispot.example\r\nContent-Length: 8\r\n\
         Content-Type: application/x-www-form-urlencoded\r\n\r\ntext",
    );
    until("the write is in flight", || {
        (place.metric("pointsman_http_requests_in_flight{site=\"ispot\"}")? > 0.0).then_some(())
    });
    place.sed("0,/active: live/s//active: backup/");
    let page = until("the page", || {
        let (code, body) = place.curl("/", &["-H", "Accept: text/html"]);
        (code == 503).then_some(body)
    });
    assert!(page.contains("<html"), "{page}");
    assert_eq!(place.site()["active"], "live", "not acknowledged yet");
    slow.send("=owl");
    assert_eq!(
        slow.answer("POST").unwrap().status / 100,
        3,
        "the write ended where it began"
    );
    let first = place.flip_ended(1);
    assert_eq!(first["outcome"], "settled", "{first}");

    assert!(place.curl("/", &[]).1.to_lowercase().contains("backup"));
    assert_eq!(place.dig("db.ispot.example", "A"), "127.0.1.12");
    assert_eq!(
        place.dig("www.ispot.example", "A"),
        place.ip.to_string(),
        "hosts never change"
    );
    let second_serial = serial(&place);
    assert!(
        second_serial > first_serial,
        "{first_serial} {second_serial}"
    );
    let active = |side| {
        let line = format!("pointsman_site_active{{side=\"{side}\",site=\"ispot\"}}");
        place.metric(&line).unwrap()
    };
    assert_eq!((active("live"), active("backup")), (0.0, 1.0));
    assert_eq!(
        place.metric("pointsman_flips_total{result=\"settled\"}"),
        Some(1.0)
    );
    assert_eq!(
        place.metric("pointsman_site_epoch{site=\"ispot\"}"),
        Some(2.0)
    );

    let (code, said) = place.flip("live");
    assert_eq!(code, 0, "{said}");
    assert_eq!(place.word(), "live", "the word of the file follows");
    assert!(place.curl("/", &[]).1.to_lowercase().contains("live"));
    assert!(serial(&place) > second_serial);

    let journal = place.journal();
    let mut query = journal
        .prepare("SELECT state, who, via, reason FROM flips ORDER BY id")
        .unwrap();
    let rows: Vec<(String, String, String, Option<String>)> = query
        .query_map([], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
        })
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let me = Command::new("id").arg("-un").output().unwrap().stdout;
    let me = String::from_utf8(me).unwrap().trim().to_owned();
    let by_file = ("settled".into(), me.clone(), "file".into(), None);
    let by_hand = (
        "settled".into(),
        me,
        "socket".into(),
        Some("disk failure".into()),
    );
    assert_eq!(rows, [by_file, by_hand]);

    demo.signal("INT");
    assert_eq!(demo.wait(), Some(0), "Ctrl-C ends it cleanly");
}

/// A place with two recording origins and a running daemon.
pub(crate) struct Stage {
    pub(crate) place: Place,
    pub(crate) live: Origin,
    pub(crate) backup: Origin,
    pub(crate) daemon: Daemon,
}

impl Stage {
    pub(crate) fn with(site: &OneSite) -> Self {
        let place = Place::new();
        place.write(site);
        let live = Origin::start(&place.origin("live"), "live");
        let backup = Origin::start(&place.origin("backup"), "backup");
        let daemon = place.start();
        Self {
            place,
            live,
            backup,
            daemon,
        }
    }
}

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
    assert!(
        seen.iter().all(|request| request.path == "/news"),
        "only the check's own: {seen:?}"
    );
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
    let checked = stage.backup.seen().len();

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
    assert_eq!(backup.seen().len(), checked, "no check was run again");
    place.sed("s/active: backup/active: live/");
    until("edited back", || {
        (place.site()["diverged"] == false).then_some(())
    });
    drop((live, daemon));
}

#[test]
fn a_write_in_flight_at_the_deadline_takes_the_site_back() {
    let flip = "{during: page, drain: {for: 300ms, then: restore}}";
    let stage = Stage::with(&OneSite {
        flip,
        ..OneSite::default()
    });
    let mut slow = Client::connect(stage.place.http().parse().unwrap());
    slow.send("POST /wait HTTP/1.1\r\nHost: www.ispot.example\r\nContent-Length: 0\r\n\r\n");
    until("it is at the origin", || {
        (!stage.live.seen_at("/wait").is_empty()).then_some(())
    });
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
    let stage = Stage::with(&OneSite {
        flip,
        ..OneSite::default()
    });
    let mut slow = Client::connect(stage.place.http().parse().unwrap());
    slow.send("GET /wait HTTP/1.1\r\nHost: www.ispot.example\r\n\r\n");
    until("it is at the origin", || {
        (!stage.live.seen_at("/wait").is_empty()).then_some(())
    });
    let (code, said) = stage.place.flip("backup");
    assert_eq!(code, 0, "{said}");
    assert_ne!(slow.answer("GET").map_or(0, |answer| answer.status), 200);
    assert_eq!(stage.live.open_connections(), 0, "its socket is closed");
    assert_eq!(stage.place.curl("/", &[]).1, "backup");
}

#[test]
fn with_then_cut_a_write_in_flight_is_cut_and_the_flip_goes_on() {
    let flip = "{during: page, drain: {for: 300ms, then: cut}}";
    let stage = Stage::with(&OneSite {
        flip,
        ..OneSite::default()
    });
    let mut slow = Client::connect(stage.place.http().parse().unwrap());
    slow.send("POST /wait HTTP/1.1\r\nHost: www.ispot.example\r\nContent-Length: 0\r\n\r\n");
    until("it is at the origin", || {
        (!stage.live.seen_at("/wait").is_empty()).then_some(())
    });
    let (code, said) = stage.place.flip("backup");
    assert_eq!(code, 0, "{said}");
    assert_eq!(stage.live.open_connections(), 0, "its socket is closed");
    assert_eq!(stage.place.curl("/", &[]).1, "backup");
}

#[test]
fn a_second_flip_of_the_same_site_is_a_conflict_and_a_cancel_restores() {
    let stage = Stage::with(&OneSite::default());
    let mut slow = Client::connect(stage.place.http().parse().unwrap());
    slow.send("POST /wait HTTP/1.1\r\nHost: www.ispot.example\r\nContent-Length: 0\r\n\r\n");
    until("it is at the origin", || {
        (!stage.live.seen_at("/wait").is_empty()).then_some(())
    });
    stage.place.sed("s/active: live/active: backup/");
    until("the flip drains", || {
        (stage.place.status_json()?["flips"][0]["phase"] == "draining").then_some(())
    });
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
    let mut slow = Client::connect(stage.place.http().parse().unwrap());
    slow.send("POST /wait HTTP/1.1\r\nHost: www.ispot.example\r\nContent-Length: 0\r\n\r\n");
    until("it is at the origin", || {
        (!stage.live.seen_at("/wait").is_empty()).then_some(())
    });
    stage.place.sed("s/active: live/active: backup/");
    until("the flip drains", || {
        (stage.place.status_json()?["flips"][0]["phase"] == "draining").then_some(())
    });
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
    let stage = Stage::with(&OneSite {
        flip,
        ..OneSite::default()
    });
    let address = stage.place.http().parse().unwrap();
    let mut slow = Client::connect(address);
    slow.send("POST /wait HTTP/1.1\r\nHost: www.ispot.example\r\nContent-Length: 0\r\n\r\n");
    until("it is at the origin", || {
        (!stage.live.seen_at("/wait").is_empty()).then_some(())
    });
    stage.place.sed("s/active: live/active: backup/");
    let mut held = Client::connect(address);
    until("the flip drains", || {
        (stage.place.status_json()?["flips"][0]["phase"] == "draining").then_some(())
    });
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
fn a_second_daemon_on_the_same_state_is_a_clear_error() {
    let stage = Stage::with(&OneSite::default());
    let second = stage
        .place
        .pointsman(&["run", &stage.place.file().display().to_string()]);
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(!second.status.success());
    assert!(
        said.contains("state:") && said.contains("another pointsman"),
        "{said}"
    );
    assert_eq!(stage.place.curl("/", &[]).1, "live", "the first goes on");
}

#[test]
fn a_busy_port_is_a_clear_error_that_names_the_key() {
    let place = Place::new();
    place.write(&OneSite::default());
    let _taken = std::net::TcpListener::bind(place.http()).unwrap();
    let done = place.pointsman(&["run", &place.file().display().to_string()]);
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(!done.status.success());
    assert!(
        said.contains("listen.http") && said.contains(&place.http()),
        "{said}"
    );
}

#[test]
fn a_file_that_cannot_be_rewritten_refuses_a_flip_in_rehearsing_with_the_remedy() {
    // Root may write everywhere, so the daemon runs as somebody else when the tests are root's.
    let place = Place::new();
    place.write(&OneSite::default());
    let live = Origin::start(&place.origin("live"), "live");
    let backup = Origin::start(&place.origin("backup"), "backup");
    let is_root = Command::new("id").arg("-u").output().unwrap().stdout == b"0\n";
    std::fs::create_dir(place.state()).unwrap();
    let mut command;
    if is_root {
        let program = place.path().join("pointsman");
        std::fs::copy(POINTSMAN, &program).unwrap();
        for (mode, path) in [
            ("711", place.path()),
            ("777", &place.state()),
            ("755", &program),
        ] {
            assert!(
                Command::new("chmod")
                    .arg(mode)
                    .arg(path)
                    .status()
                    .unwrap()
                    .success()
            );
        }
        command = Command::new("setpriv");
        command
            .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
            .arg(program);
    } else {
        let etc = place.path().join("etc");
        assert!(
            Command::new("chmod")
                .arg("555")
                .arg(etc)
                .status()
                .unwrap()
                .success()
        );
        command = Command::new(POINTSMAN);
    }
    let _daemon = Daemon::spawn(command.arg("run").arg(place.file()));
    until("the daemon serves", || place.status_json());
    let (code, said) = place.flip("backup");
    assert_eq!(code, 3, "{said}");
    assert!(said.contains("leave `active:` out"), "{said}");
    assert_eq!(place.curl("/", &[]).1, "live");
    assert!(backup.seen().is_empty(), "it was not even asked");
    let writable = Command::new("chmod")
        .arg("755")
        .arg(place.path().join("etc"))
        .status();
    assert!(writable.unwrap().success());
    drop(live);
}

#[test]
fn a_missing_journal_in_a_used_state_directory_is_doubt_and_gives_the_page() {
    let Stage {
        place,
        live,
        backup,
        daemon,
    } = Stage::with(&OneSite::default());
    assert_eq!(place.flip("backup").0, 0);
    daemon.kill();
    for file in ["journal.db", "journal.db-wal", "journal.db-shm"] {
        let _ = std::fs::remove_file(place.state().join(file));
    }
    let before = (live.seen().len(), backup.seen().len());
    let _daemon = place.start();
    let (code, body) = place.curl("/", &[]);
    assert_eq!(code, 503, "{body}");
    let site = place.site();
    assert_eq!(site["active"], Value::Null);
    let problem = site["problem"].as_str().unwrap().to_owned();
    assert!(
        problem.contains("journal.db") && problem.contains("backup"),
        "{problem}"
    );
    let answer = Command::new("dig")
        .args([
            "+norec",
            "-p",
            "8053",
            &format!("@{}", place.ip),
            "db.ispot.example",
            "A",
        ])
        .output()
        .unwrap();
    assert!(
        String::from_utf8_lossy(&answer.stdout).contains("SERVFAIL"),
        "{answer:?}"
    );
    assert_ne!(place.flip("live").0, 0, "no flip starts");
    assert_eq!(
        (live.seen().len(), backup.seen().len()),
        before,
        "nobody was let through"
    );
}
