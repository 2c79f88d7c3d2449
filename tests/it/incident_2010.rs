//! February 2010 again: a switch, users who write all the time, and an hourly copy (each second, here)
//! that nobody thinks of.
//!
//! Two programs with a SQLite file each, nginx in front of them, and a copy that puts the file of one
//! side in the place of the other's. As it was then, writes are lost; with Pointsman in front, and
//! the copy under guard, none is: through two switches, kills in the middle, and copies started at
//! the worst moments.

use std::collections::BTreeMap;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::Connection;

use crate::support::app::{self, now_ns};
use crate::support::client::Client;
use crate::support::daemon::{Daemon, OneSite, POINTSMAN, Place};
use crate::support::nginx::Nginx;
use crate::support::wait::until;

const HOST: &str = "www.ispot.example";

/// How often the copy is due; it takes about half of that.
const HOURLY: Duration = Duration::from_millis(700);

/// Takes a whole picture of one database and puts it in the place of another, as mysqldump does. It
/// notes when it began and ended, and is slow where it hurts: between the picture and its use.
const COPY: &str = r#"
import os, sqlite3, sys, time
source, target, log = sys.argv[1:4]
began = time.time_ns()
open(log + ".runs", "w").close()
picture = target + "." + str(os.getpid())
with sqlite3.connect(source, timeout=10) as database, sqlite3.connect(picture) as copy:
    database.backup(copy)
time.sleep(0.3)
os.rename(picture, target)
with open(log, "a") as notes:
    notes.write(f"{began} {time.time_ns()}\n")
if os.path.exists(log + ".runs"):
    os.remove(log + ".runs")
"#;

/// The machines of 2010.
struct Machines {
    place: Place,
    _web: [Nginx; 2],
}

impl Machines {
    fn start() -> Self {
        let place = Place::new();
        let web = ["live", "backup"].map(|side| {
            let file = place.path().join(format!("{side}.db"));
            app::make_database(&file);
            Nginx::before(&place, side, &app::serve(side, file).to_string())
        });
        std::fs::write(place.path().join("copy.py"), COPY).unwrap();
        Self { place, _web: web }
    }

    /// The command that copies one side onto the other, and notes it under a name.
    fn copy(&self, from: &str, to: &str, notes: &str) -> Vec<String> {
        let file = |name: &str| self.place.path().join(name).display().to_string();
        let databases = [from, to].map(|side| file(&format!("{side}.db")));
        let [from, to] = databases;
        vec!["python3".into(), file("copy.py"), from, to, file(notes)]
    }

    /// The spans of the copies that were noted under a name.
    fn copies(&self, notes: &str) -> Vec<(i64, i64)> {
        let text = std::fs::read_to_string(self.place.path().join(notes));
        let text = text.unwrap_or_default();
        text.lines()
            .map(|line| line.split_once(' ').unwrap())
            .map(|(began, ended)| (began.parse().unwrap(), ended.parse().unwrap()))
            .collect()
    }

    /// What a side has: by which side it was taken, and when.
    fn observations(&self, side: &str) -> BTreeMap<String, (String, i64)> {
        let file = self.place.path().join(format!("{side}.db"));
        let database = Connection::open(file).unwrap();
        let mut all = database
            .prepare("SELECT what, side, at_ns FROM observations")
            .unwrap();
        let rows = all.query_map([], |row| Ok((row.get(0)?, (row.get(1)?, row.get(2)?))));
        rows.unwrap().map(Result::unwrap).collect()
    }
}

/// Users at work, each of whom notes what was acknowledged, and by which side.
#[derive(Default)]
struct People {
    acknowledged: Mutex<Vec<(String, String)>>,
    over: AtomicBool,
}

impl People {
    /// Writes to where an address book says, one observation after the other.
    fn write(&self, who: &str, address: impl Fn() -> String) {
        for number in 0.. {
            if self.over.load(Ordering::Relaxed) {
                return;
            }
            let what = format!("{who}-{number:05}");
            // A connection that was broken, or a page, acknowledges nothing.
            if let Ok(stream) = std::net::TcpStream::connect(address())
                && let Ok(answer) = Client::over(stream).post(HOST, "/", what.as_bytes())
                && answer.status == 200
            {
                let side = answer.text().split(' ').next().unwrap().to_owned();
                self.acknowledged.lock().unwrap().push((what, side));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn all(&self) -> Vec<(String, String)> {
        self.acknowledged.lock().unwrap().clone()
    }

    fn until_more(&self, side: &str, more: usize) {
        let count = || self.all().iter().filter(|(_, by)| by == side).count();
        let before = count();
        until(&format!("{side} takes {more} more"), || {
            (count() >= before + more).then_some(())
        });
    }

    /// What was acknowledged and is not there.
    fn lost(&self, machines: &Machines, side: &str) -> Vec<(String, String)> {
        let there = machines.observations(side);
        let mut all = self.all();
        all.retain(|(what, _)| !there.contains_key(what));
        all
    }
}

/// Ends people's work when the story is over, or breaks off.
struct Stop<'p>(&'p AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn as_it_was_in_2010_the_hourly_copy_overwrites_what_users_wrote() {
    let machines = &Machines::start();
    let people = &People::default();
    let dns_says_backup = &AtomicBool::new(false);
    std::thread::scope(|scope| {
        let _stop = Stop(&people.over);
        let origin = |side: &str| machines.place.origin(side);
        for who in ["ada", "bob"] {
            scope.spawn(move || {
                people.write(who, || {
                    let moved = dns_says_backup.load(Ordering::Relaxed);
                    origin(if moved { "backup" } else { "live" })
                });
            });
        }
        // Their resolver keeps the old address for 72 hours.
        scope.spawn(move || people.write("eve", || origin("live")));
        scope.spawn(|| {
            while !people.over.load(Ordering::Relaxed) {
                let copy = machines.copy("live", "backup", "hourly");
                let done = Command::new(&copy[0]).args(&copy[1..]).status();
                assert!(done.unwrap().success());
                std::thread::sleep(HOURLY / 2);
            }
        });
        people.until_more("live", 30);

        dns_says_backup.store(true, Ordering::Relaxed);

        people.until_more("backup", 30);
        let before = machines.copies("hourly").len();
        until("two more copies are through", || {
            (machines.copies("hourly").len() >= before + 2).then_some(())
        });
    });
    // Where everybody has been sent since the switch.
    let lost = people.lost(machines, "backup");
    let overwritten = lost.iter().filter(|(_, by)| by == "backup").count();
    println!("{} of {} are lost", lost.len(), people.all().len());
    assert!(overwritten >= 30, "{overwritten} of {}", lost.len());
}

/// The daemon, which comes and goes, and the jobs of cron.
struct Watched<'m> {
    machines: &'m Machines,
    daemon: Mutex<Option<Daemon>>,
}

impl Watched<'_> {
    fn start(machines: &Machines) -> Watched<'_> {
        let copy = machines.copy("$POINTSMAN_FROM", "$POINTSMAN_TO", "last");
        let hook = copy.join(" ");
        let flip =
            format!("{{during: page, guard_wait: 20s, hooks: {{sync: [{{shell: \"{hook}\"}}]}}}}");
        let site = OneSite::flipping(String::leak(flip))
            .without_names()
            .apart();
        machines.place.write(&site);
        Watched {
            daemon: Mutex::new(Some(machines.place.start())),
            machines,
        }
    }

    fn guard(&self, from: &str, to: &str) -> Child {
        let notes = format!("{from}-{to}");
        let mut guard = Command::new(POINTSMAN);
        guard
            .env(
                "POINTSMAN_SOCKET",
                self.machines.place.state().join("admin.sock"),
            )
            .args(["guard", "--site", "ispot", "--from", from, "--to", to])
            .args(["--quiet", "--"])
            .args(self.machines.copy(from, to, &notes))
            .stdin(Stdio::null())
            .stderr(Stdio::null());
        guard.spawn().unwrap()
    }

    /// What cron runs on both pairs: whose turn it is, the daemon says.
    fn cron(&self, over: &AtomicBool, from: &str, to: &str) {
        while !over.load(Ordering::Relaxed) {
            let code = self.guard(from, to).wait().unwrap().code();
            // Done, not its turn, or no daemon.
            assert!(matches!(code, Some(0 | 75 | 7)), "{code:?}");
            std::thread::sleep(HOURLY / 2);
        }
    }

    /// Copies that somebody starts by hand, in both directions.
    fn two_more_copies(&self) -> [Child; 2] {
        [self.guard("live", "backup"), self.guard("backup", "live")]
    }

    fn flip(&self, to: &str) -> Child {
        let mut flip = Command::new(POINTSMAN);
        flip.env(
            "POINTSMAN_SOCKET",
            self.machines.place.state().join("admin.sock"),
        )
        .args(["flip", "ispot", "--yes", "--to", to])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
        flip.spawn().unwrap()
    }

    fn kill(&self) {
        self.daemon.lock().unwrap().take().unwrap().kill();
    }

    fn start_again(&self) {
        *self.daemon.lock().unwrap() = Some(self.machines.place.start());
    }

    fn until_copied(&self, from: &str, to: &str) {
        let notes = format!("{from}-{to}");
        let count = || self.machines.copies(&notes).len();
        let before = count();
        until(&format!("{from} is copied onto {to}"), || {
            (count() > before).then_some(())
        });
    }

    /// From the hold to the end of each flip that has held anybody.
    fn held(&self) -> Vec<(i64, i64)> {
        let history = self.machines.place.pointsman(&["history", "-o", "json"]);
        let history: serde_json::Value = serde_json::from_slice(&history.stdout).unwrap();
        let ns = |entry: &serde_json::Value| {
            let at: Timestamp = entry["at"].as_str().unwrap().parse().unwrap();
            i64::try_from(at.as_nanosecond()).unwrap()
        };
        let flips = history.as_array().unwrap().iter();
        flips
            .filter_map(|flip| {
                let timeline = flip["timeline"].as_array()?;
                let holding = timeline.iter().find(|entry| entry["phase"] == "holding")?;
                Some((ns(holding), ns(timeline.last()?)))
            })
            .collect()
    }
}

#[test]
fn with_pointsman_no_write_is_lost_through_two_switches_kills_and_copies_at_the_worst_moments() {
    let machines = &Machines::start();
    let watched = &Watched::start(machines);
    let people = &People::default();
    std::thread::scope(|scope| {
        let _stop = Stop(&people.over);
        for who in ["ada", "bob", "eve"] {
            scope.spawn(move || people.write(who, || machines.place.http()));
        }
        for (from, to) in [("live", "backup"), ("backup", "live")] {
            scope.spawn(move || watched.cron(&people.over, from, to));
        }
        people.until_more("live", 30);
        watched.until_copied("live", "backup");

        to_backup(watched, people);
        a_kill_in_the_middle_of_a_copy(watched, people);
        back_to_live_with_a_kill_on_the_way(watched, people);
    });
    nothing_is_lost(machines, people);
    one_side_at_a_time(machines);
    no_copy_met_a_flip(watched);
}

/// The disk of live: the first switch, and somebody who starts copies at that very moment.
fn to_backup(watched: &Watched<'_>, people: &People) {
    let (mut flip, copies) = (watched.flip("backup"), watched.two_more_copies());
    // And while users are held.
    until("users are held", || {
        let flips = &watched.machines.place.status_json()?["flips"][0];
        (flips["phase"] == "syncing").then_some(())
    });
    let more = watched.two_more_copies();
    assert_eq!(flip.wait().unwrap().code(), Some(0));
    for mut copy in copies.into_iter().chain(more) {
        let code = copy.wait().unwrap().code();
        assert!(matches!(code, Some(0 | 75)), "{code:?}");
    }
    people.until_more("backup", 30);
    watched.until_copied("backup", "live");
}

fn a_kill_in_the_middle_of_a_copy(watched: &Watched<'_>, people: &People) {
    let runs = watched.machines.place.path().join("backup-live.runs");
    until("a copy runs", || runs.exists().then_some(()));
    watched.kill();
    let copies = watched.two_more_copies();
    watched.start_again();
    let more = watched.two_more_copies();
    for mut copy in copies.into_iter().chain(more) {
        let code = copy.wait().unwrap().code();
        assert!(matches!(code, Some(0 | 75 | 7)), "{code:?}");
    }
    people.until_more("backup", 30);
    watched.until_copied("backup", "live");
}

/// Two weeks later: the second switch, whose first attempt is cut in its last copy.
fn back_to_live_with_a_kill_on_the_way(watched: &Watched<'_>, people: &People) {
    let mut cut = watched.flip("live");
    until("its last copy runs", || {
        let flips = &watched.machines.place.status_json()?["flips"][0];
        (flips["phase"] == "syncing").then_some(())
    });
    watched.kill();
    watched.start_again();
    let copies = watched.two_more_copies();
    assert_ne!(cut.wait().unwrap().code(), Some(0));
    assert_eq!(watched.machines.place.site()["active"], "backup");
    people.until_more("backup", 10);
    for mut copy in copies {
        copy.wait().unwrap();
    }
    // The copy that was cut has torn live; the next that cron makes mends it.
    until("no side is torn", || {
        watched.machines.place.site()["torn"]
            .is_null()
            .then_some(())
    });
    let copies = watched.two_more_copies();
    assert_eq!(watched.flip("live").wait().unwrap().code(), Some(0));
    for mut copy in copies {
        copy.wait().unwrap();
    }
    people.until_more("live", 30);
    watched.until_copied("live", "backup");
}

fn nothing_is_lost(machines: &Machines, people: &People) {
    let (all, lost) = (people.all(), people.lost(machines, "live"));
    println!("{} of {} are lost", lost.len(), all.len());
    assert!(lost.is_empty(), "{} of {}: {lost:?}", lost.len(), all.len());
    for side in ["live", "backup"] {
        assert!(all.iter().any(|(_, by)| by == side), "nothing on {side}");
    }
}

/// Live, then backup, then live again took what there is, and never two of them in turn.
fn one_side_at_a_time(machines: &Machines) {
    let mut taken: Vec<_> = machines.observations("live").into_values().collect();
    taken.sort_by_key(|(_, at_ns)| *at_ns);
    taken.dedup_by(|next, before| next.0 == before.0);
    let sides: Vec<_> = taken.iter().map(|(side, _)| side.as_str()).collect();
    assert_eq!(sides, ["live", "backup", "live"]);
}

fn no_copy_met_a_flip(watched: &Watched<'_>) {
    let held = watched.held();
    assert!(held.len() >= 2, "{held:?}");
    for notes in ["live-backup", "backup-live"] {
        let copies = watched.machines.copies(notes);
        assert!(copies.len() >= 2, "{notes}: {copies:?}");
        println!("{notes}: {} copies", copies.len());
        for (began, ended) in copies {
            assert!(ended < now_ns());
            let met = held.iter().find(|flip| began < flip.1 && flip.0 < ended);
            assert!(met.is_none(), "{notes}: {began} to {ended} and {met:?}");
        }
    }
}
