//! What stands in the way of a start or a flip: each is a clear error, and nobody is misled.

use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::support::client::Client;
use crate::support::daemon::{Daemon, OneSite, Place};
use crate::support::origin::Origin;
use crate::support::stage::Stage;
use crate::support::unprivileged::{set_mode, unprivileged};
use crate::support::wait::until;

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
    std::fs::create_dir(place.state()).unwrap();
    set_mode("555", &place.path().join("etc"));
    let _daemon = Daemon::spawn(unprivileged(&place).arg("run").arg(place.file()));
    until("the daemon serves", || place.status_json());
    let (code, said) = place.flip("backup");
    assert_eq!(code, 3, "{said}");
    assert!(said.contains("leave `active:` out"), "{said}");
    assert_eq!(place.curl("/", &[]).1, "live");
    let asked = backup.checked_at("/").len();
    assert!(asked <= 1, "it was not even asked: {asked}");
    set_mode("755", &place.path().join("etc"));
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
    assert!(
        dig(&place, "db").contains("SERVFAIL"),
        "{}",
        dig(&place, "db")
    );
    assert_ne!(place.flip("live").0, 0, "no flip starts");
    assert_eq!(
        (live.seen().len(), backup.seen().len()),
        before,
        "nobody was let through"
    );
}

/// A small disk of its own for a state directory; gone when dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Mounts it; `None` where the tests may not mount.
    fn under(state: PathBuf) -> Option<Self> {
        std::fs::create_dir_all(&state).unwrap();
        let mut mount = Command::new("mount");
        let mounted = mount
            .args(["-t", "tmpfs", "-o", "size=2m", "tmpfs"])
            .arg(&state)
            .output();
        mounted.unwrap().status.success().then_some(Self(state))
    }

    /// Leaves no byte free.
    fn fill(&self) {
        let mut filler = std::fs::File::create(self.0.join("filler")).unwrap();
        for size in [65536, 1] {
            while std::io::Write::write_all(&mut filler, &vec![1; size]).is_ok() {}
        }
    }

    fn make_room(&self) {
        std::fs::remove_file(self.0.join("filler")).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        assert!(
            Command::new("umount")
                .arg("-l")
                .arg(&self.0)
                .status()
                .unwrap()
                .success()
        );
    }
}

/// Runs something while a flip waits for a write, its state directory on a small disk.
fn with_a_flip_on_a_small_disk(then: impl FnOnce(&mut Stage, &SmallDisk)) {
    let place = Place::new();
    let Some(disk) = SmallDisk::under(place.state()) else {
        println!("not shown here: a full disk, since these tests may not mount one");
        return;
    };
    let mut stage = Stage::at(place, &OneSite::default());
    let slow = stage.in_flight("POST");
    stage.edit_until_it_drains();
    then(&mut stage, &disk);
    let Stage { place, daemon, .. } = stage;
    // The folder goes last: it cannot be removed while a disk is mounted in it.
    drop((slow, daemon, disk));
    drop(place);
}

#[test]
fn a_disk_that_fills_in_mid_flip_takes_the_site_back_and_the_next_flip_works() {
    with_a_flip_on_a_small_disk(|stage, disk| {
        disk.fill();
        stage.live.let_go();
        let flip = stage.place.flip_ended(1);
        assert_eq!(flip["outcome"], "restored", "{flip}");
        let message = flip["message"].as_str().unwrap();
        assert!(message.contains("journal"), "{message}");
        assert_eq!(stage.place.curl("/", &[]).1, "live");
        let seen = stage.backup.seen();
        assert!(seen.is_empty(), "nobody but the check: {seen:?}");
        disk.make_room();
        let (code, said) = stage.place.flip("backup");
        assert_eq!(code, 0, "{said}");
    });
}

#[test]
fn while_the_outcome_of_a_commit_is_unknown_users_get_the_page_and_names_servfail() {
    with_a_flip_on_a_small_disk(|stage, disk| {
        let Stage { place, live, .. } = stage;
        // Without the space that is kept for it, the abort cannot be written either.
        std::fs::remove_file(place.state().join("reserve")).unwrap();
        disk.fill();
        live.let_go();
        until("the outcome is unknown", || {
            (place.status_json()?["flips"][0]["phase"] == "unknown").then_some(())
        });
        assert_eq!(place.curl("/", &[]).0, 503);
        assert!(
            dig(place, "db").contains("SERVFAIL"),
            "{}",
            dig(place, "db")
        );
        assert_eq!(place.site()["active"], Value::Null);
        let active = |side| format!("pointsman_site_active{{side=\"{side}\",site=\"ispot\"}}");
        for side in ["live", "backup"] {
            assert_eq!(place.metric(&active(side)), Some(0.0), "{side}");
        }

        disk.make_room();
        assert_eq!(place.flip_ended(1)["outcome"], "restored");
        assert_eq!(place.curl("/", &[]).1, "live");
        assert!(
            dig(place, "db").contains("127.0.1.11"),
            "{}",
            dig(place, "db")
        );
    });
}

#[test]
fn a_full_disk_at_start_serves_the_side_that_the_journal_says() {
    with_a_flip_on_a_small_disk(|stage, disk| {
        stage.daemon.signal("KILL");
        stage.daemon.wait();
        disk.fill();
        let _daemon = stage.place.start();
        assert_eq!(stage.place.curl("/", &[]).1, "live");
        assert_eq!(stage.place.site()["active"], "live");
        assert_ne!(stage.place.flip("backup").0, 0, "no flip can be journalled");
        assert_eq!(stage.place.curl("/", &[]).1, "live");
    });
}

#[test]
fn two_sites_of_one_zone_may_be_in_doubt_at_once() {
    let place = Place::new();
    let Some(disk) = SmallDisk::under(place.state()) else {
        println!("not shown here: a full disk, since these tests may not mount one");
        return;
    };
    place.write(&OneSite::default());
    let (ip, quiz) = (place.ip, "quiz.ispot.example");
    let more = format!(
        "  quiz:\n    hosts: [{quiz}]\n    active: live  # quiz\n    sides:\n      \
         live:   {{web: [http://{ip}:9103], names: {{db: 127.0.1.21}}}}\n      \
         backup: {{web: [http://{ip}:9104], names: {{db: 127.0.1.22}}}}\n    \
         names: {{quizdb.ispot.example: db}}\n    storage: shared\n    flip: {{during: page, linger: 0s}}\n"
    );
    std::fs::write(place.file(), place.text() + &more).unwrap();
    let start = |port: u16| Origin::start(&format!("{ip}:{port}"), "live");
    let (ispot, _ispot_backup, megalab) = (start(9101), start(9102), start(9103));
    let daemon = place.start();
    let http = place.http().parse().unwrap();
    let slow = [("www.ispot.example", &ispot), (quiz, &megalab)]
        .map(|(host, origin)| Client::kept_waiting(http, "POST", host, origin));
    place.sed("s/active: live  # the word/active: backup  # the word/");
    until_phases(&place, &["draining"]);
    place.sed("s/active: live  # quiz/active: backup  # quiz/");
    until_phases(&place, &["draining", "draining"]);

    // Without the space that is kept for it, no abort can be written either.
    std::fs::remove_file(place.state().join("reserve")).unwrap();
    disk.fill();
    ispot.let_go();
    until_phases(&place, &["draining", "unknown"]);
    assert!(dig(&place, "db").contains("SERVFAIL"));
    assert!(dig(&place, "quizdb").contains("NOERROR"), "it drains");
    megalab.let_go();
    until_phases(&place, &["unknown", "unknown"]);
    for name in ["db", "quizdb"] {
        assert!(dig(&place, name).contains("SERVFAIL"), "{name}");
    }

    disk.make_room();
    for (flip, name, address) in [(1, "db", "127.0.1.11"), (2, "quizdb", "127.0.1.21")] {
        assert_eq!(place.flip_ended(flip)["outcome"], "restored");
        assert!(dig(&place, name).contains(address), "{name}");
    }
    // The folder goes last: it cannot be removed while a disk is mounted in it.
    drop((slow, daemon, disk));
    drop(place);
}

/// Waits until the running flips, the last one first, are in these phases.
fn until_phases(place: &Place, phases: &[&str]) {
    until(&format!("flips are {phases:?}"), || {
        let status = place.status_json()?;
        let flips = status["flips"].as_array()?.iter();
        flips
            .map(|flip| flip["phase"].as_str())
            .eq(phases.iter().map(|phase| Some(*phase)))
            .then_some(())
    });
}

/// The whole answer to the question for a name that follows the active side.
fn dig(place: &Place, name: &str) -> String {
    let server = format!("@{}", place.ip);
    let mut dig = Command::new("dig");
    let name = format!("{name}.ispot.example");
    dig.args(["+norec", "-p", "8053", &server, &name, "A"]);
    String::from_utf8_lossy(&dig.output().unwrap().stdout).into_owned()
}
