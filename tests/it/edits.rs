//! The file as operators and their tools edit it, under a running daemon.

use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::process::Command;

use crate::mistakes::{expected, files};
use crate::support::client::Client;
use crate::support::daemon::{Daemon, OneSite, POINTSMAN, Place};
use crate::support::origin::Origin;
use crate::support::stage::Stage;
use crate::support::wait::until;

const HOST: &str = "www.ispot.example";
const RELOADED: &str = "pointsman_table_last_reload_successful";

#[test]
fn every_kind_of_mistake_leaves_the_traffic_untouched_and_is_shown_with_its_place() {
    let stage = Stage::with(&OneSite::default());
    let place = &stage.place;
    let good = place.text();
    let mut client = Client::connect(place.http().parse().unwrap());
    assert_eq!(client.get(HOST, "/").unwrap().text(), "live");
    let pooled = stage.live.seen_at("/")[0].connection;

    for path in files() {
        let text = fs::read_to_string(&path).unwrap();
        place.replace(&text);
        let file = place.file();
        for one in expected(&text) {
            let key = if one.key.is_empty() {
                String::new()
            } else {
                format!("{}: ", one.key)
            };
            let line = format!("{}:{}: {key}", file.display(), one.place);
            let says = |said: &str| said.starts_with(&line) && said.contains(&one.part);
            until(&format!("{line}{}", one.part), || {
                let status = place.status_json()?;
                let problem = status["file_problem"].as_str()?;
                problem.lines().any(says).then_some(())
            });
        }
        assert_eq!(place.metric(RELOADED), Some(0.0), "{}", path.display());
        assert_eq!(
            client.get(HOST, "/").unwrap().text(),
            "live",
            "on the same socket"
        );
    }

    assert_eq!(place.generation(), 1);
    place.replace(&good);
    place.until_taken();
    assert_eq!(place.metric(RELOADED), Some(1.0));
    assert_eq!((place.generation(), place.flips()), (1, 0));
    assert_eq!(client.get(HOST, "/").unwrap().text(), "live");
    assert_eq!(
        stage.live.seen_at("/").last().unwrap().connection,
        pooled,
        "no pool was dropped"
    );
}

#[test]
fn sighup_reads_the_file_and_what_it_names_again() {
    let place = Place::new();
    place.write(&OneSite::default());
    let page = place.file().with_file_name("page.html");
    fs::write(&page, "<p>first page</p>").unwrap();
    place.edit(&[(
        "    names:",
        "    access: maintenance\n    maintenance: {page: page.html}\n    names:",
    )]);
    let daemon = place.start();
    let html = ["-H", "Accept: text/html"];
    assert!(place.curl("/", &html).1.contains("first page"));
    fs::write(&page, "<p>second page</p>").unwrap();
    daemon.signal("HUP");
    place.until_generation(2);
    assert!(place.curl("/", &html).1.contains("second page"));
}

#[test]
fn a_file_written_piece_by_piece_after_a_truncation_is_taken_when_it_is_whole() {
    let stage = Stage::with(&OneSite::default());
    let place = &stage.place;
    let text = place.text().replace("active: live", "active: backup");
    let (begin, end) = text.split_at(text.len() / 2);
    let mut file = fs::File::create(place.file()).unwrap();
    file.write_all(begin.as_bytes()).unwrap();
    file.sync_all().unwrap();
    file.write_all(end.as_bytes()).unwrap();
    assert_eq!(place.flip_ended(1)["outcome"], "settled");
    place.until_taken();
    assert_eq!(place.curl("/", &[]).1, "backup");
}

#[test]
fn a_deleted_file_changes_nothing_and_the_one_made_in_its_place_is_taken() {
    let stage = Stage::with(&OneSite::default());
    let place = &stage.place;
    let text = place.text();
    fs::remove_file(place.file()).unwrap();
    let problem = place.until_not_taken("No such file");
    assert!(problem.contains("routes.yaml"), "it says which: {problem}");
    assert_eq!(place.curl("/", &[]).1, "live");
    fs::write(place.file(), text.replace("active: live", "active: backup")).unwrap();
    assert_eq!(place.flip_ended(1)["outcome"], "settled");
    place.until_taken();
}

#[test]
fn a_file_that_is_bad_at_first_is_taken_once_it_is_good() {
    let stage = Stage::with(&OneSite::default());
    let place = &stage.place;
    place.sed("s/active: live/active: bakup/");
    place.until_not_taken("sites.ispot.active");
    assert_eq!(
        (place.flips(), place.site()["diverged"].as_bool()),
        (0, Some(false))
    );
    place.sed("s/active: bakup/active: backup/");
    assert_eq!(place.flip_ended(1)["outcome"], "settled");
    assert_eq!(place.curl("/", &[]).1, "backup");
}

#[test]
fn a_pipe_in_place_of_the_file_stops_nobody() {
    let stage = Stage::with(&OneSite::default());
    let place = &stage.place;
    let text = place.text();
    fs::remove_file(place.file()).unwrap();
    assert!(
        Command::new("mkfifo")
            .arg(place.file())
            .status()
            .unwrap()
            .success()
    );
    stage.daemon.signal("HUP");
    place.until_not_taken("not a regular file");
    place.replace(&text);
    place.until_taken();
    assert_eq!(place.flip("backup").0, 0, "the actor goes on");
}

#[test]
fn a_swapped_symlink_is_an_edit_and_the_rewrite_goes_to_its_target() {
    let place = Place::new();
    place.write(&OneSite::default());
    let at = |name: &str| place.file().with_file_name(name);
    fs::create_dir(at("a")).unwrap();
    fs::create_dir(at("b")).unwrap();
    fs::rename(place.file(), at("a/routes")).unwrap();
    symlink("a/routes", place.file()).unwrap();
    let live = place.text();
    let backup = live.replace("active: live", "active: backup");
    fs::write(at("b/routes"), &backup).unwrap();
    let _origins = ["live", "backup"].map(|side| Origin::start(&place.origin(side), side));
    let _daemon = place.start();

    symlink("b/routes", at("new")).unwrap();
    fs::rename(at("new"), place.file()).unwrap();
    assert_eq!(place.flip_ended(1)["outcome"], "settled");
    let (code, said) = place.flip("live");

    assert_eq!(code, 0, "{said}");
    assert_eq!(
        fs::read_link(place.file()).unwrap().to_str(),
        Some("b/routes")
    );
    assert_eq!(fs::read_to_string(at("b/routes")).unwrap(), live);
    assert_eq!(
        fs::read_to_string(at("a/routes")).unwrap(),
        live,
        "untouched"
    );
}

#[test]
fn a_flip_changes_one_word_of_the_file_and_keeps_all_else_to_the_byte() {
    let stage = Stage::with(&OneSite::default());
    let place = &stage.place;
    let plain = place.text();
    let word = |to: &str| plain.replace("active: live  # the word", to);
    let texts = [
        (
            word("active:   live   # the word: live"),
            "active:   live",
            "active:   backup",
        ),
        (
            word("active: 'live'   # quoted"),
            "active: 'live'",
            "active: 'backup'",
        ),
        (
            word("\"active\": \"live\""),
            "\"active\": \"live\"",
            "\"active\": \"backup\"",
        ),
        (
            plain.replace('\n', "\r\n"),
            "active: live",
            "active: backup",
        ),
        (
            format!("\u{feff}{plain}\n\n# the end"),
            "active: live",
            "active: backup",
        ),
        (
            plain.trim_end().to_owned(),
            "active: live",
            "active: backup",
        ),
    ];
    for (text, old, new) in texts {
        place.replace(&text);
        fs::set_permissions(place.file(), Permissions::from_mode(0o640)).unwrap();
        place.until_taken();
        let (code, said) = place.flip("backup");
        assert_eq!(code, 0, "{text}: {said}");
        assert_eq!(place.text(), text.replace(old, new));
        let mode = fs::metadata(place.file()).unwrap().mode();
        assert_eq!(mode & 0o7777, 0o640);
        assert_eq!(place.flip("live").0, 0);
        assert_eq!(place.text(), text, "and back");
    }
    let left: Vec<_> = fs::read_dir(place.path().join("etc")).unwrap().collect();
    assert_eq!(left.len(), 1, "nothing is left beside it: {left:?}");
}

#[test]
fn the_owner_of_the_file_is_who_asks_and_is_kept_by_a_rewrite() {
    let stage = Stage::with(&OneSite::default());
    let place = &stage.place;
    // Only root may give a file away; anybody else owns it already.
    let me = fs::metadata(place.file()).unwrap().uid();
    let (uid, gid) = if me == 0 {
        (65534, 65534)
    } else {
        (me, fs::metadata(place.file()).unwrap().gid())
    };
    place.sed("s/active: live/active: backup/");
    assert_eq!(place.flip_ended(1)["who"]["uid"], me);
    chown(place.file(), Some(uid), Some(gid)).unwrap();
    assert_eq!(place.flip("live").0, 0);
    let after = fs::metadata(place.file()).unwrap();
    assert_eq!(
        (place.word().as_str(), after.uid(), after.gid()),
        ("live", uid, gid)
    );
    let text = place.text().replace("active: live", "active: backup");
    fs::write(place.file(), text).unwrap();
    let flip = place.flip_ended(3);
    assert_eq!(
        (&flip["who"]["uid"], &flip["who"]["via"]),
        (&uid.into(), &"file".into())
    );
}

#[test]
fn a_word_that_could_not_be_rewritten_is_tried_again_and_is_never_a_request() {
    let Stage {
        place,
        live,
        backup,
        daemon,
    } = Stage::with(&OneSite::default());
    let beside = place.file().with_file_name(".routes.yaml.pointsman");
    let _slow = Client::kept_waiting(place.http().parse().unwrap(), "POST", HOST, &live);
    let mut flip = Command::new(POINTSMAN);
    flip.args(["flip", "ispot", "--to", "backup", "--yes", "--socket"]);
    let mut flip = Daemon::spawn(flip.arg(place.state().join("admin.sock")));
    place.until_phase("draining");
    // Nothing can be written where a folder stands.
    fs::create_dir(&beside).unwrap();
    live.let_go();
    assert_eq!(flip.wait(), Some(0));
    let pending = || {
        let site = place.site();
        let problem = site["problem"].as_str().unwrap_or_default().to_owned();
        problem
            .contains("still has to say `active: backup`")
            .then_some(site)
    };
    let site = until("the problem is shown", pending);
    assert_eq!(
        (&site["active"], &site["diverged"]),
        (&"backup".into(), &true.into())
    );
    daemon.signal("HUP");
    daemon.kill();

    let _daemon = place.start();
    let site = until("the problem is shown after a restart", pending);
    assert_eq!(
        (&site["active"], &site["flip"]),
        (&"backup".into(), &().into())
    );
    assert_eq!((place.flips(), place.word().as_str()), (1, "live"));

    fs::remove_dir(&beside).unwrap();
    until("it is written", || (place.word() == "backup").then_some(()));
    until("the site is well", || {
        let site = place.site();
        (site["problem"].is_null() && site["diverged"] == false).then_some(())
    });
    assert_eq!(
        (place.flips(), place.curl("/", &[]).1.as_str()),
        (1, "backup")
    );
    drop(backup);
}

#[test]
fn a_contrary_word_written_while_a_flip_is_confirmed_is_carried_out_after_it() {
    let place = Place::new();
    place.write(&OneSite::default());
    let _origins = ["live", "backup"].map(|side| Origin::start(&place.origin(side), side));
    let go_on = place.path().join("go-on");
    let daemon = place.start_with(&[
        ("POINTSMAN_FAILPOINT", "confirming"),
        ("POINTSMAN_FAILPOINT_UNTIL", go_on.to_str().unwrap()),
    ]);
    let mut flip = Command::new(POINTSMAN);
    flip.args(["flip", "ispot", "--to", "backup", "--yes", "--socket"]);
    let mut flip = Daemon::spawn(flip.arg(place.state().join("admin.sock")));
    daemon.until_said("failpoint reached");
    assert_eq!(place.word(), "backup", "it is past its commit");
    place.sed("s/active: backup/active: third/");
    place.sed("s/active: third/active: live/");
    fs::write(&go_on, "").unwrap();
    assert_eq!(flip.wait(), Some(0));
    let back = place.flip_ended(2);
    assert_eq!(back["outcome"], "settled");
    assert_eq!(
        (&back["moves"][0]["to"], &back["who"]["via"]),
        (&"live".into(), &"file".into())
    );
    assert_eq!((place.flips(), place.word().as_str()), (2, "live"));
}
