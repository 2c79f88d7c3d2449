//! Guarded jobs: run only in their turn, never across a flip, and known of until nothing is left.
//!
//! Real processes: the daemon, the guard, and shell scripts as jobs, which tell by files what they
//! do and wait for files to go on.

mod disk;
mod examples;
mod flips;
mod group;
mod kills;
mod race;
mod turn;

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

use crate::support::client::Client;
use crate::support::daemon::{Daemon, OneSite, POINTSMAN, Place};
use crate::support::origin::Origin;
use crate::support::wait::until;

const HOST: &str = "www.ispot.example";

/// A copy from the active side to the other one, at first.
const COPY: &[&str] = &["--site", "ispot", "--from", "live", "--to", "backup"];

/// A job that is no copy.
const REPORT: &[&str] = &["--site", "ispot"];

/// A daemon in front of two sides that each have their own storage.
struct Guarded {
    place: Place,
    live: Origin,
    _backup: Origin,
    daemon: Option<Daemon>,
}

fn guarded(flip: &'static str) -> Guarded {
    let place = Place::new();
    place.write(&OneSite::flipping(flip).without_names().apart());
    Guarded {
        live: Origin::start(&place.origin("live"), "live"),
        _backup: Origin::start(&place.origin("backup"), "backup"),
        daemon: Some(place.start()),
        place,
    }
}

/// A guard that runs, with its job; both are killed when dropped.
struct Run {
    guard: Child,
    name: &'static str,
    place: PathBuf,
}

impl Guarded {
    fn command(&self, arguments: &[&str], job: &[&str]) -> Command {
        let mut command = Command::new(POINTSMAN);
        command
            .arg("guard")
            .args(arguments)
            .arg("--")
            .args(job)
            .env("POINTSMAN_SOCKET", self.place.state().join("admin.sock"))
            .current_dir(self.place.path())
            .stdin(Stdio::null());
        command
    }

    /// Runs a job to its end.
    fn guard(&self, arguments: &[&str], job: &[&str]) -> Output {
        self.command(arguments, job).output().unwrap()
    }

    /// Runs a shell script to its end; the exit code, and all that was said.
    fn script(&self, arguments: &[&str], script: &str) -> (Option<i32>, String) {
        let done = self.guard(arguments, &["sh", "-c", script]);
        let said = [done.stdout, done.stderr].concat();
        (done.status.code(), String::from_utf8(said).unwrap())
    }

    /// Starts a job that says by a file that it has begun, and waits for another to go on.
    fn begin(&self, arguments: &[&str], name: &'static str) -> Run {
        self.begin_with(arguments, name, "")
    }

    /// The same, with something that it does first.
    fn begin_with(&self, arguments: &[&str], name: &'static str, first: &str) -> Run {
        let run = self.start(arguments, name, first);
        until(&format!("job {name} begins"), || run.process());
        run
    }

    /// The same, without waiting for its begin.
    fn start(&self, arguments: &[&str], name: &'static str, first: &str) -> Run {
        let script = format!(
            "{first}\necho $$ > {name}.new && mv {name}.new {name}.begun\nwhile [ ! -e {name}.go ] \
             && [ -e {name}.begun ]; do sleep 0.02; done\nexit $(cat {name}.go)"
        );
        let mut command = self.command(arguments, &["sh", "-c", &script]);
        let said = fs::File::create(self.place.path().join(format!("{name}.said"))).unwrap();
        command.stderr(said.try_clone().unwrap()).stdout(said);
        Run {
            guard: command.spawn().unwrap(),
            name,
            place: self.place.path().into(),
        }
    }

    /// The leases that are out.
    fn leases(&self) -> Vec<Value> {
        let list = self.place.pointsman(&["guard", "--list", "-o", "json"]);
        serde_json::from_slice(&list.stdout).unwrap_or_default()
    }

    /// Waits until the only lease is in a state.
    fn until_lease(&self, state: &str) -> Value {
        until(&format!("a lease is {state}"), || {
            let lease = self.leases().into_iter().next()?;
            (lease["state"] == state).then_some(lease)
        })
    }

    fn until_no_lease(&self) {
        until("no lease is out", || {
            let list = self.place.get("/api/v1/guards", &[]);
            (list.body == serde_json::json!([])).then_some(())
        });
    }

    /// Flips with these arguments; the exit code and what was said, on one line.
    fn flip(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let all = [&["flip", "ispot", "--yes", "--to"], arguments].concat();
        let done = self.place.pointsman(&all);
        let said = String::from_utf8([done.stdout, done.stderr].concat()).unwrap();
        let said: Vec<_> = said.split_whitespace().collect();
        (done.status.code(), said.join(" "))
    }

    fn flips(&self, arguments: &[&str]) {
        let (code, said) = self.flip(arguments);
        assert_eq!(code, Some(0), "{said}");
    }

    /// Flips in vain, before anyone was held; what was said.
    fn is_refused(&self, arguments: &[&str]) -> String {
        let (code, said) = self.flip(arguments);
        assert_eq!(code, Some(3), "{said}");
        said
    }

    fn write(&self, times: usize) {
        let mut client = Client::connect(self.place.http().parse().unwrap());
        for _ in 0..times {
            let answer = client.post(HOST, "/observations", b"a kingfisher");
            assert_eq!(answer.unwrap().status, 200);
        }
    }

    /// What the status says that one side took and the other lacks; 0 for nothing.
    fn uncopied(&self, from: &str) -> u64 {
        let site = self.place.site();
        let all = site["uncopied"].as_array().cloned().unwrap_or_default();
        let found = all.iter().find(|found| found["from"] == from);
        found.map_or(0, |found| found["writes"].as_u64().unwrap())
    }

    fn until_uncopied(&self, from: &str, writes: u64) {
        until(&format!("{writes} writes of {from} are shown"), || {
            (self.uncopied(from) == writes).then_some(())
        });
    }

    fn is_torn(&self, side: &str) -> bool {
        let site = self.place.site();
        let torn = site["torn"].as_array().cloned().unwrap_or_default();
        torn.iter().any(|torn| torn["side"] == side)
    }

    fn has(&self, file: &str) -> bool {
        self.place.path().join(file).exists()
    }

    fn kill_daemon(&mut self) {
        self.daemon.take().unwrap().kill();
    }

    fn start_daemon(&mut self) {
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

impl Run {
    /// The number of the job's first process, once it runs.
    fn process(&self) -> Option<i32> {
        let begun = self.place.join(format!("{}.begun", self.name));
        fs::read_to_string(begun).ok()?.trim().parse().ok()
    }

    /// Lets the job end with an exit code.
    fn let_go(&self, code: u8) {
        let go = self.place.join(format!("{}.go", self.name));
        let new = go.with_extension("code");
        fs::write(&new, code.to_string()).unwrap();
        fs::rename(new, go).unwrap();
    }

    /// Waits for the end of the guard; its exit code, as a shell has it.
    fn wait(&mut self) -> Option<i32> {
        until("the guard ends", || self.guard.try_wait().unwrap()).code()
    }

    /// Lets the job end well, and sees the guard to its end.
    fn ends_well(&mut self) {
        self.let_go(0);
        assert_eq!(self.wait(), Some(0), "{}", self.said());
    }

    fn said(&self) -> String {
        fs::read_to_string(self.place.join(format!("{}.said", self.name))).unwrap()
    }

    fn kill_guard(&mut self) {
        self.guard.kill().unwrap();
        self.guard.wait().unwrap();
    }

    fn signal_guard(&self, signal: &str) {
        send(signal, i32::try_from(self.guard.id()).unwrap());
    }

    fn kill_job(&self) {
        send("KILL", self.process().unwrap());
    }

    fn job_lives(&self) -> bool {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.process().unwrap()));
        stat.is_ok_and(|stat| !stat.contains(") Z "))
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        // Whatever is left of it ends by itself, now or when its folder is gone with the test.
        self.let_go(1);
        let _ = self.guard.kill();
        let _ = self.guard.wait();
    }
}

fn send(signal: &str, process: i32) {
    let kill = Command::new("kill")
        .args(["-s", signal, &process.to_string()])
        .status();
    assert!(kill.unwrap().success());
}
