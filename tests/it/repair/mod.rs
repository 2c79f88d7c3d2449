//! The story of 2010 with another end: live dies, backup takes over, live is repaired, and
//! everything that people wrote meanwhile comes home.

use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::support::app;
use crate::support::client::Client;
use crate::support::daemon::{OneSite, Place};
use crate::support::nginx::Nginx;
use crate::support::wait::until;

const HOST: &str = "www.ispot.example";

/// People at work on the site.
#[derive(Default)]
struct People {
    /// What was written and acknowledged, and the side that did so.
    accepted: Mutex<Vec<(String, String)>>,
    /// Reads that were answered, and those that were not.
    reads: AtomicUsize,
    failed_reads: AtomicUsize,
    over: AtomicBool,
}

impl People {
    /// Writes one observation after the other, each with a name of its own.
    fn write(&self, place: &Place, who: usize) {
        for number in 0.. {
            if self.over.load(Ordering::Relaxed) {
                return;
            }
            let what = format!("{who}-{number:06}");
            let mut client = Client::connect(place.http().parse().unwrap());
            let answer = client.post(HOST, "/", what.as_bytes());
            if let Ok(answer) = answer
                && answer.status == 200
            {
                let side = answer.text().split(' ').next().unwrap().to_owned();
                self.accepted.lock().unwrap().push((what, side));
            }
        }
    }

    /// Reads again and again, on one connection as long as it lasts.
    fn read(&self, place: &Place) {
        while !self.over.load(Ordering::Relaxed) {
            let mut client = Client::connect(place.http().parse().unwrap());
            loop {
                let answer = client.get(HOST, "/").map(|answer| answer.status);
                if answer.as_ref().is_ok_and(|status| *status == 200) {
                    self.reads.fetch_add(1, Ordering::Relaxed);
                } else {
                    self.failed_reads.fetch_add(1, Ordering::Relaxed);
                }
                if answer.is_err() || self.over.load(Ordering::Relaxed) {
                    break;
                }
            }
        }
    }

    /// What a side has accepted.
    fn accepted_by(&self, side: &str) -> Vec<String> {
        let accepted = self.accepted.lock().unwrap();
        let by_side = accepted.iter().filter(|(_, by)| by == side);
        by_side.map(|(what, _)| what.clone()).collect()
    }

    /// Waits until a side has accepted so many more observations than it had.
    fn until_accepted(&self, side: &str, more: usize) {
        let before = self.accepted_by(side).len();
        until(&format!("{side} takes {more} more"), || {
            (self.accepted_by(side).len() >= before + more).then_some(())
        });
    }
}

/// Ends people's work when the story is over, or breaks off.
struct Stop<'p>(&'p AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn database(place: &Place, side: &str) -> PathBuf {
    place.path().join(format!("{side}.db"))
}

/// Flips and has it settled.
fn flip(place: &Place, arguments: &[&str]) {
    let done = place.pointsman(&[&["flip", "ispot", "--yes"], arguments].concat());
    assert_eq!(done.status.code(), Some(0), "{done:?}");
}

/// Whatever live took is at risk: there was no copy of it. A write that was on its way to each of the
/// four when its disk died may have been taken, and not acknowledged.
fn assert_at_risk(place: &Place, acknowledged: u64) {
    let found = until("what is at risk is shown", || {
        let site = place.site();
        let mut uncopied = site["uncopied"].as_array()?.iter();
        let from_live = uncopied.find(|found| found["from"] == "live")?;
        from_live["writes"].as_u64()
    });
    let all = acknowledged..=acknowledged + 4;
    assert!(all.contains(&found), "{found} of {acknowledged}");
}

#[test]
fn what_people_wrote_on_backup_while_live_was_dead_comes_home_with_the_flip_back() {
    let place = &Place::new();
    let data = place.path().display();
    let copy = format!("cp '{data}'/$POINTSMAN_FROM.db '{data}'/$POINTSMAN_TO.db");
    let hooks = format!("{{during: page, hooks: {{sync: [{{shell: \"{copy}\"}}]}}}}");
    place.write(&OneSite::flipping(String::leak(hooks)).apart());
    let programs = ["live", "backup"].map(|side| {
        app::make_database(&database(place, side));
        app::serve(side, database(place, side)).to_string()
    });
    let live = Nginx::before(place, "live", &programs[0]);
    let _backup = Nginx::before(place, "backup", &programs[1]);
    let _daemon = place.start();
    let people = &People::default();
    std::thread::scope(|scope| {
        let _stop = Stop(&people.over);
        for who in 0..4 {
            scope.spawn(move || people.write(place, who));
            scope.spawn(move || people.read(place));
        }
        people.until_accepted("live", 20);

        // February 2010: the disk.
        drop(live);
        until("it is said that the side is down", || {
            (!place.site()["down_since"].is_null()).then_some(())
        });
        flip(place, &["--now", "--reason", "the disk of live is dead"]);
        people.until_accepted("backup", 50);
        assert_at_risk(place, people.accepted_by("live").len() as u64);

        // Two weeks later: a new disk, and nothing on it yet.
        std::fs::remove_file(database(place, "live")).unwrap();
        app::make_database(&database(place, "live"));
        let _live = Nginx::before(place, "live", &programs[0]);
        let failed = people.failed_reads.load(Ordering::Relaxed);
        let reads = people.reads.load(Ordering::Relaxed);
        let to_live = ["--to", "live", "--during", "read-only"];
        let because = ["--reason", "disk replaced"];
        let refused = [&["flip", "ispot", "--yes"], &to_live[..], &because].concat();
        let refused = place.pointsman(&refused);
        assert_eq!(refused.status.code(), Some(3), "the copy would overwrite");
        let because = [
            "--accept-loss",
            "--reason",
            "what live had is on no disk any more",
        ];
        flip(place, &[&to_live[..], &because].concat());
        let on_backup = app::observations(&database(place, "backup"));
        people.until_accepted("live", 20);

        let failed_since = people.failed_reads.load(Ordering::Relaxed) - failed;
        assert_eq!(failed_since, 0, "readers were served throughout");
        assert!(people.reads.load(Ordering::Relaxed) > reads);
        let still_on_backup = app::observations(&database(place, "backup"));
        assert_eq!(still_on_backup, on_backup, "nothing reaches it any more");
    });
    let at_home = app::observations(&database(place, "live"));
    let written = people.accepted_by("backup");
    let lost: Vec<_> = written
        .iter()
        .filter(|&what| !at_home.contains(what))
        .collect();
    assert!(lost.is_empty(), "of {}: {lost:?}", written.len());
    assert_eq!(place.site()["active"], "live");
    assert!(place.site()["emergency"].is_null(), "all is well again");
}
