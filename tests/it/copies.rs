//! What each side has taken, and what of it the others lack: counted exactly, known on disk before
//! the first byte goes out, and never left behind or overwritten without a word.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::client::Client;
use crate::support::daemon::{Daemon, OneSite, Place};
use crate::support::origin::Origin;
use crate::support::wait::until;

const HOST: &str = "www.ispot.example";

/// A daemon in front of two sides that each have their own storage.
struct Apart {
    place: Place,
    live: Origin,
    backup: Origin,
    daemon: Option<Daemon>,
}

fn apart(flip: &'static str) -> Apart {
    let place = Place::new();
    place.write(&OneSite::flipping(flip).without_names().apart());
    Apart {
        live: Origin::start(&place.origin("live"), "live"),
        backup: Origin::start(&place.origin("backup"), "backup"),
        daemon: Some(place.start()),
        place,
    }
}

impl Apart {
    /// Writes so many times, and has each acknowledged.
    fn write(&self, path: &str, times: usize) {
        let mut client = Client::connect(self.place.http().parse().unwrap());
        for _ in 0..times {
            assert_eq!(
                client.post(HOST, path, b"a kingfisher").unwrap().status,
                200
            );
        }
    }

    /// Flips with these arguments; the exit code and what was said.
    fn flip(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let all = [&["flip", "ispot", "--yes", "--to"], arguments].concat();
        let done = self.place.pointsman(&all);
        let said = [done.stdout, done.stderr].concat();
        (done.status.code(), String::from_utf8(said).unwrap())
    }

    fn flips(&self, arguments: &[&str]) {
        let (code, said) = self.flip(arguments);
        assert_eq!(code, Some(0), "{said}");
    }

    /// Flips in vain; says what was said, on one line.
    fn is_refused(&self, arguments: &[&str]) -> String {
        let (code, said) = self.flip(arguments);
        assert_eq!(code, Some(3), "{said}");
        said.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// What the status says that one side took and the other lacks.
    fn uncopied(&self, from: &str) -> Option<Value> {
        let site = self.place.site();
        let all = site["uncopied"].as_array().cloned().unwrap_or_default();
        all.into_iter().find(|found| found["from"] == from)
    }

    fn until_uncopied(&self, from: &str, writes: u64) -> Value {
        until(&format!("{writes} writes of {from} are shown"), || {
            self.uncopied(from)
                .filter(|found| found["writes"] == writes)
        })
    }

    fn kill(&mut self) {
        self.daemon.take().unwrap().kill();
    }

    fn start(&mut self) {
        self.daemon = Some(self.place.start());
    }

    /// What the journal has of the data of the site.
    fn events(&self, what: &str) -> Vec<String> {
        let journal = self.place.journal();
        let query = "SELECT detail FROM events WHERE site = 'ispot' AND what = ?1";
        let mut query = journal.prepare(query).unwrap();
        let rows = query.query_map([what], |row| row.get(0)).unwrap();
        rows.map(Result::unwrap).collect()
    }
}

#[test]
fn a_flip_that_would_leave_writes_behind_is_refused_and_names_them() {
    let stage = apart("{}");
    stage.flips(&["backup"]);
    stage.flips(&["live"]);
    stage.write("/observations?from=form", 3);
    stage.write("/quiz", 1);
    assert_eq!(stage.place.curl("/observations", &[]).0, 200);

    let said = stage.is_refused(&["backup"]);

    let named = "live took 4 writes that backup has not, from 20";
    assert!(said.contains(named), "{said}");
    assert!(
        said.contains("most of them at /observations (3), /quiz (1)"),
        "{said}"
    );
    assert_eq!(stage.place.site()["active"], "live");
    let shown = stage.until_uncopied("live", 4);
    assert_eq!(
        (&shown["at_least"], &shown["to"]),
        (&json!(false), &json!("backup"))
    );
    let metric = "pointsman_side_uncopied_writes{from=\"live\",site=\"ispot\",to=\"backup\"}";
    assert_eq!(stage.place.metric(metric), Some(4.0));
    let plan = stage.place.pointsman(&["plan", "ispot", "--to", "backup"]);
    assert_eq!(plan.status.code(), Some(3), "{plan:?}");
}

#[test]
fn a_loss_is_accepted_with_a_reason_and_journalled_with_its_count() {
    let stage = apart("{}");
    stage.write("/", 2);
    let (code, said) = stage.flip(&["backup", "--accept-loss"]);
    assert_eq!(code, Some(2), "{said}");

    stage.flips(&["backup", "--accept-loss", "--reason", "only the test posts"]);

    stage.until_uncopied("live", 2);
    let accepted = stage.events("loss accepted");
    assert_eq!(accepted.len(), 1, "{accepted:?}");
    assert!(accepted[0].contains("live took 2 writes"), "{accepted:?}");
    let flip = &stage.place.status_json().unwrap()["flips"][0];
    assert_eq!(flip["skipped"], json!(["loss"]), "{flip}");
}

#[test]
fn what_the_sync_hooks_copied_is_not_left_behind_and_what_they_would_overwrite_is_kept() {
    let stage = apart("{hooks: {sync: [[\"true\"]]}}");
    stage.write("/", 5);
    stage.flips(&["backup"]);
    assert_eq!(stage.uncopied("live"), None);
    stage.write("/", 1);
    stage.flips(&["live"]);
    stage.write("/", 2);
    // A dead side is left without a copy.
    stage.flips(&["backup", "--now", "--reason", "the disk"]);
    let at_risk = stage.events("at risk");
    assert!(at_risk[0].contains("live took 2 writes"), "{at_risk:?}");
    stage.write("/", 7);

    let said = stage.is_refused(&["live"]);

    let named = "would overwrite writes of ispot: live took 2 writes that backup has not";
    assert!(said.contains(named), "{said}");
    stage
        .place
        .edit(&[("[[\"true\"]]", "[{run: [\"true\"], merges: true}]")]);
    stage.place.until_taken();
    until("the flip is allowed", || {
        let plan = stage.place.pointsman(&["plan", "ispot", "--to", "live"]);
        (plan.status.code() == Some(0)).then_some(())
    });
    stage.flips(&["live"]);
    assert_eq!(stage.uncopied("backup"), None, "the hook has brought it");
    stage.until_uncopied("live", 2);
}

#[test]
fn an_undo_leaves_nothing_behind_either_unless_it_is_accepted() {
    let stage = apart("{}");
    stage.flips(&["backup"]);
    stage.write("/", 3);
    let undo = |more: &[&str]| {
        let all = [&["undo", "ispot", "--yes"], more].concat();
        stage.place.pointsman(&all).status.code()
    };

    assert_eq!(undo(&[]), Some(3));
    assert_eq!(
        undo(&["--accept-loss", "--reason", "the quiz is broken"]),
        Some(0)
    );

    assert_eq!(stage.place.site()["active"], "live");
    stage.until_uncopied("backup", 3);
}

#[test]
fn a_write_that_comes_after_the_rehearsal_takes_the_flip_back() {
    let stage = apart(
        "{hooks: {before: [[sh, -c, \"touch begun; until [ -e go ]; do sleep 0.01; done\"]]}}",
    );
    let beside = |name: &str| stage.place.file().with_file_name(name);
    std::thread::scope(|scope| {
        let flip = scope.spawn(|| stage.flip(&["backup"]));
        until("the rehearsal is over", || {
            beside("begun").exists().then_some(())
        });

        stage.write("/late", 1);
        std::fs::write(beside("go"), "").unwrap();

        let (code, said) = flip.join().unwrap();
        assert_eq!(code, Some(4), "{said}");
        assert!(said.contains("/late (1)"), "{said}");
    });
    assert_eq!(
        stage.place.curl("/", &[]),
        (200, "live".into()),
        "users go on"
    );
    stage.write("/", 4);
    stage.until_uncopied("live", 5);
}

#[test]
fn a_copy_that_failed_leaves_its_target_torn_until_one_succeeds() {
    let stage = apart("{hooks: {sync: [[\"false\"]]}}");
    let (code, said) = stage.flip(&["backup"]);
    assert_eq!(code, Some(4), "{said}");

    let said = stage.is_refused(&["backup"]);
    assert!(
        said.contains("backup of ispot is torn: the sync hooks of flip 1"),
        "{said}"
    );
    let said = stage.is_refused(&["backup", "--now", "--reason", "the disk"]);
    assert!(said.contains("is torn"), "{said}");
    let torn = &stage.place.site()["torn"];
    assert_eq!(torn[0]["side"], "backup", "{torn}");
    let metric = "pointsman_side_torn{side=\"backup\",site=\"ispot\"}";
    assert_eq!(stage.place.metric(metric), Some(1.0));

    stage.place.edit(&[("[\"false\"]", "[\"true\"]")]);
    stage.place.until_generation(2);
    stage.flips(&[
        "backup",
        "--accept-loss",
        "--reason",
        "the hook copies all of it",
    ]);
    assert!(stage.place.site()["torn"].is_null());
    assert_eq!(stage.place.metric(metric), Some(0.0));
}

#[test]
fn each_thing_that_a_flip_would_lose_is_named_and_journalled() {
    let stage = apart("{hooks: {sync: [[\"false\"]]}}");
    assert_eq!(stage.flip(&["backup"]).0, Some(4));
    let accepted = ["--accept-loss", "--reason", "a disk"];
    stage.flips(&[&["backup", "--now"], &accepted[..]].concat());
    stage.write("/", 7);
    stage.flips(&[&["live", "--now"], &accepted[..]].concat());

    let said = stage.is_refused(&["backup"]);

    assert!(said.contains("backup of ispot is torn"), "{said}");
    assert!(
        said.contains("overwrite writes of ispot: backup took 7 writes"),
        "{said}"
    );
    let (code, said) = stage.flip(&[&["backup"], &accepted[..]].concat());
    assert_eq!(code, Some(4), "{said}");
    let journalled = stage.events("loss accepted").join(" ");
    assert!(
        journalled.contains("flip 5: its sync hooks would overwrite"),
        "{journalled}"
    );
}

#[test]
fn a_daemon_killed_in_the_middle_of_a_copy_leaves_its_target_torn() {
    let mut stage = apart("{hooks: {sync: [[sleep, \"60\"]]}}");
    stage.place.sed("s/active: live/active: backup/");
    stage.place.until_phase("syncing");

    stage.kill();
    stage.start();

    let said = stage.is_refused(&["backup"]);
    assert!(said.contains("backup of ispot is torn"), "{said}");
}

#[test]
fn a_daemon_stopped_in_the_middle_of_a_copy_ends_it_and_leaves_its_target_torn() {
    let mut stage = apart("{hooks: {sync: [[sh, -c, \"touch begun; sleep 60; touch ended\"]]}}");
    stage.place.sed("s/active: live/active: backup/");
    stage.place.until_phase("syncing");
    let beside = |name: &str| stage.place.file().with_file_name(name);
    until("it copies", || beside("begun").exists().then_some(()));
    let mut daemon = stage.daemon.take().unwrap();

    daemon.signal("TERM");

    assert_eq!(daemon.wait(), Some(0), "{}", daemon.said());
    stage.start();
    assert_eq!(stage.place.site()["active"], "live");
    let said = stage.is_refused(&["backup"]);
    assert!(said.contains("backup of ispot is torn"), "{said}");
}

#[test]
fn sides_that_are_said_to_share_their_storage_leave_nothing_behind() {
    let stage = apart("{}");
    stage.write("/", 2);
    stage.is_refused(&["backup"]);

    stage
        .place
        .edit(&[("storage: separate", "storage: shared")]);
    stage.place.until_generation(2);

    assert_eq!(stage.uncopied("live"), None);
    stage.flips(&["backup"]);
    stage.write("/", 3);
    stage
        .place
        .edit(&[("storage: shared", "storage: separate")]);
    stage.place.until_generation(3);
    stage.write("/", 4);
    let shown = stage.until_uncopied("backup", 4);
    assert_eq!(shown["to"], "live", "{shown}");
    stage.is_refused(&["live"]);
}

#[test]
fn writes_are_known_after_a_kill_at_least_and_after_a_stop_exactly() {
    let mut stage = apart("{}");
    stage.write("/", 1);
    stage.kill();
    stage.start();
    let shown = stage.until_uncopied("live", 1);
    assert_eq!(shown["at_least"], true, "{shown}");
    let said = stage.is_refused(&["backup"]);
    assert!(said.contains("live took at least 1 write that"), "{said}");
    stage.flips(&["backup", "--accept-loss", "--reason", "looked at it"]);

    stage.write("/", 3);
    let mut daemon = stage.daemon.take().unwrap();
    daemon.signal("TERM");
    assert_eq!(daemon.wait(), Some(0));
    stage.start();

    let shown = stage.until_uncopied("backup", 3);
    assert_eq!(shown["at_least"], false, "{shown}");
}

#[test]
fn a_first_write_that_comes_while_the_daemon_stops_is_served_and_counted() {
    let mut stage = apart("{}");
    let address = stage.place.http().parse().unwrap();
    let slow = std::thread::spawn(move || Client::connect(address).get(HOST, "/wait").unwrap());
    until("it is at the origin", || {
        (!stage.live.seen_at("/wait").is_empty()).then_some(())
    });
    let mut late = Client::connect(address);
    late.send(&format!("POST / HTTP/1.1\r\nHost: {HOST}\r\n"));
    let mut daemon = stage.daemon.take().unwrap();
    daemon.signal("TERM");
    daemon.until_said("stopping");
    let began = Instant::now();

    late.send("Content-Length: 0\r\n\r\n");

    let answer = late.answer("POST").unwrap();
    assert_eq!(
        answer.status,
        200,
        "{} after {:?}",
        answer.text(),
        began.elapsed()
    );
    stage.live.let_go();
    assert_eq!(slow.join().unwrap().status, 200);
    assert_eq!(daemon.wait(), Some(0), "{}", daemon.said());
    stage.start();
    let shown = stage.until_uncopied("live", 1);
    assert_eq!(shown["at_least"], false, "{shown}");
}

#[test]
fn no_byte_of_a_first_write_goes_out_before_the_journal_knows_of_it() {
    let stage = apart("{}");
    let journal = stage.place.journal();
    journal.execute_batch("BEGIN IMMEDIATE").unwrap();
    let address = stage.place.http().parse().unwrap();
    let refused = std::thread::spawn(move || {
        let began = Instant::now();
        let answer = Client::connect(address).post(HOST, "/", b"x").unwrap();
        (answer.status, answer.text(), began.elapsed())
    });
    let mut waits = Client::connect(address);
    waits.send(&format!(
        "POST / HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 0\r\n\r\n"
    ));
    assert_eq!(
        stage.place.curl("/", &[]),
        (200, "live".into()),
        "reads go on"
    );

    let (status, text, took) = refused.join().unwrap();

    assert_eq!(status, 503, "{text}");
    assert!(took < Duration::from_secs(15), "{took:?}");
    let posts = || {
        stage
            .live
            .seen()
            .iter()
            .filter(|seen| seen.method == "POST")
            .count()
    };
    assert_eq!(posts(), 0, "nothing reached the origin");
    drop(waits);
    journal.execute_batch("ROLLBACK").unwrap();
    until("writes are taken again", || {
        let answer = Client::connect(address).post(HOST, "/", b"x").unwrap();
        (answer.status == 200).then_some(())
    });
    stage.until_uncopied("live", posts() as u64);
}

#[test]
fn writes_of_many_at_once_are_counted_exactly() {
    let stage = apart("{}");
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| stage.write("/", 50));
        }
    });

    let shown = stage.until_uncopied("live", 400);

    assert_eq!(shown["paths"], json!([["/", 400]]));
    assert_eq!(stage.backup.count(), 0);
}

#[test]
fn sides_that_share_their_storage_leave_nothing_behind() {
    let place = Place::new();
    place.write(&OneSite::default().without_names());
    let _live = Origin::start(&place.origin("live"), "live");
    let _backup = Origin::start(&place.origin("backup"), "backup");
    let _daemon = place.start();
    let mut client = Client::connect(place.http().parse().unwrap());
    assert_eq!(client.post(HOST, "/", b"x").unwrap().status, 200);

    assert_eq!(place.flip("backup").0, 0);

    assert!(place.site()["uncopied"].is_null());
}
