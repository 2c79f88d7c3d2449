//! A real `pointsman` process on a file and a state directory of its own.

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::Value;

use super::wait::{self, until};

/// The binary under test.
pub(crate) const POINTSMAN: &str = env!("CARGO_BIN_EXE_pointsman");

/// A place for a daemon: an address, a file and a state directory; the daemon may come and go.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) ip: Ipv4Addr,
    scratch: tempfile::TempDir,
}

/// A running daemon; it is killed when dropped.
#[derive(Debug)]
pub(crate) struct Daemon {
    child: Child,
    said: Arc<Mutex<String>>,
}

/// A table with one site, `ispot`, and the parts that tests vary.
#[derive(Clone, Debug)]
pub(crate) struct OneSite {
    pub(crate) active: &'static str,
    pub(crate) flip: &'static str,
    pub(crate) checks: &'static str,
    /// How often they are made; seldom, where a test counts what an origin sees.
    pub(crate) every: &'static str,
    /// The names that follow the active side; a flip after a kill waits for what they may have
    /// answered.
    pub(crate) names: &'static str,
    /// Where its sides keep what they take; most tests have nothing copied.
    pub(crate) storage: &'static str,
}

impl Default for OneSite {
    fn default() -> Self {
        let checks = "[{name: home, get: /, status: 200}]";
        Self {
            active: "live",
            flip: "{during: page}",
            checks,
            every: "1h",
            names: "{db.ispot.example: db}",
            storage: "shared",
        }
    }
}

impl OneSite {
    /// A site that flips as the given `flip:` says.
    pub(crate) fn flipping(flip: &'static str) -> Self {
        Self {
            flip,
            ..Self::default()
        }
    }

    /// The same with sides that each keep what they take.
    pub(crate) fn apart(self) -> Self {
        Self {
            storage: "separate",
            ..self
        }
    }

    /// The same without direct names: after a kill, no flip waits for what they may have answered.
    pub(crate) fn without_names(self) -> Self {
        Self {
            names: "{}",
            ..self
        }
    }
}

/// Has a flip not wait for what a killed daemon may have left at work, unless it says so itself.
fn without_linger(flip: &str) -> String {
    if flip.contains("linger") || flip.contains("quiet") {
        return flip.to_owned();
    }
    flip.replacen('{', "{linger: 0s, ", 1)
}

impl Place {
    pub(crate) fn new() -> Self {
        let scratch = tempfile::tempdir().unwrap();
        fs::create_dir(scratch.path().join("etc")).unwrap();
        Self {
            ip: wait::own_address(),
            scratch,
        }
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.scratch.path().join("etc/routes.yaml")
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.scratch.path().join("state")
    }

    pub(crate) fn http(&self) -> String {
        format!("{}:8080", self.ip)
    }

    /// The address of an origin: `live` or `backup`.
    pub(crate) fn origin(&self, side: &str) -> String {
        format!("{}:{}", self.ip, if side == "live" { 9101 } else { 9102 })
    }

    /// Writes a table with one site.
    pub(crate) fn write(&self, site: &OneSite) {
        let Self { ip, .. } = self;
        let mut text = format!(
            "version: 1\nlisten:\n  http: [{ip}:8080]\n  dns: [{ip}:8053]\n  admin: {ip}:9901\n\
             state: {}\ndns:\n  addresses: [{ip}]\n  zones:\n    ispot.example: {{}}\n",
            self.state().display()
        );
        write!(
            text,
            "sites:\n  ispot:\n    hosts: [www.ispot.example]\n    active: {}  # the word\n    \
             sides:\n      live:   {{web: [http://{}], names: {{db: 127.0.1.11}}}}\n      \
             backup: {{web: [http://{}], names: {{db: 127.0.1.12}}}}\n    \
             storage: {}\n    names: {}\n    flip: {}\n    \
             preflight: {{every: {}, timeout: 2s, tries: 1, checks: {}}}\n",
            site.active,
            self.origin("live"),
            self.origin("backup"),
            site.storage,
            site.names,
            without_linger(site.flip),
            site.every,
            site.checks,
        )
        .unwrap();
        fs::write(self.file(), text).unwrap();
    }

    /// Replaces text in the file as `sed -i` does: a new file renamed over the old one.
    pub(crate) fn sed(&self, script: &str) {
        let done = Command::new("sed")
            .args(["-i", script])
            .arg(self.file())
            .status()
            .unwrap();
        assert!(done.success());
    }

    /// Replaces pieces of the file, each of which must be there, by a rename over it.
    pub(crate) fn edit(&self, pieces: &[(&str, &str)]) {
        let mut text = self.text();
        for (old, new) in pieces {
            assert!(text.contains(old), "no {old:?} in {text}");
            text = text.replace(old, new);
        }
        self.replace(&text);
    }

    /// Replaces the file, by a rename over it.
    pub(crate) fn replace(&self, text: &str) {
        let beside = self.file().with_file_name("new.yaml");
        fs::write(&beside, text).unwrap();
        fs::rename(beside, self.file()).unwrap();
    }

    /// Reads the file.
    pub(crate) fn text(&self) -> String {
        fs::read_to_string(self.file()).unwrap()
    }

    /// Waits until the file on disk is not what is served, for a reason with this in its words.
    pub(crate) fn until_not_taken(&self, part: &str) -> String {
        until(&format!("a file problem with {part:?}"), || {
            let status = self.status_json()?;
            let problem = status["file_problem"].as_str()?;
            problem.contains(part).then(|| problem.to_owned())
        })
    }

    /// Waits until the file on disk is what is served.
    pub(crate) fn until_taken(&self) {
        until("the file is taken", || {
            self.status_json()?["file_problem"].is_null().then_some(())
        });
    }

    /// Counts the tables that were served.
    pub(crate) fn generation(&self) -> u64 {
        until("a generation", || {
            self.status_json()?["generation"].as_u64()
        })
    }

    /// Waits until a table of this number is served.
    pub(crate) fn until_generation(&self, number: u64) {
        until(&format!("generation {number}"), || {
            (self.status_json()?["generation"] == number).then_some(())
        });
    }

    /// Counts the flips that the status shows.
    pub(crate) fn flips(&self) -> usize {
        until("the flips", || {
            Some(self.status_json()?["flips"].as_array()?.len())
        })
    }

    /// Waits until a running flip has come to a phase.
    pub(crate) fn until_phase(&self, phase: &str) {
        until(&format!("a flip is {phase}"), || {
            (self.status_json()?["flips"][0]["phase"] == phase).then_some(())
        });
    }

    /// Reads the word that the file says.
    pub(crate) fn word(&self) -> String {
        let text = fs::read_to_string(self.file()).unwrap();
        let line = text
            .lines()
            .find(|line| line.trim_start().starts_with("active:"))
            .unwrap();
        line.split_whitespace().nth(1).unwrap().into()
    }

    pub(crate) fn start(&self) -> Daemon {
        self.start_with(&[])
    }

    /// Starts the daemon and waits until it serves.
    pub(crate) fn start_with(&self, environment: &[(&str, &str)]) -> Daemon {
        let mut daemon = self.spawn("run", environment);
        until("the daemon serves", || {
            if let Some(status) = daemon.child.try_wait().unwrap() {
                panic!("the daemon ended with {status}: {}", daemon.said());
            }
            self.status_json()
        });
        daemon
    }

    /// Starts a verb that goes on until it is stopped.
    pub(crate) fn spawn(&self, verb: &str, environment: &[(&str, &str)]) -> Daemon {
        let mut command = Command::new(POINTSMAN);
        command
            .arg(verb)
            .arg(self.file())
            .envs(environment.iter().copied());
        Daemon::spawn(&mut command)
    }

    /// Runs a verb to its end.
    pub(crate) fn pointsman(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(POINTSMAN);
        command.env("POINTSMAN_SOCKET", self.state().join("admin.sock"));
        command
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    /// Flips and returns the exit code with what was printed.
    pub(crate) fn flip(&self, to: &str) -> (i32, String) {
        let done = self.pointsman(&[
            "flip",
            "ispot",
            "--to",
            to,
            "--reason",
            "disk failure",
            "--yes",
        ]);
        let said = [done.stdout, done.stderr].concat();
        (
            done.status.code().unwrap_or(-1),
            String::from_utf8_lossy(&said).into_owned(),
        )
    }

    /// Asks for the status; `None` when nobody answers.
    pub(crate) fn status_json(&self) -> Option<Value> {
        let done = self.pointsman(&["status", "-o", "json"]);
        serde_json::from_slice(&done.stdout).ok()
    }

    /// The status of the one site.
    pub(crate) fn site(&self) -> Value {
        until("a status", || Some(self.status_json()?["sites"][0].clone()))
    }

    /// Waits until the last flip has ended, and shows it.
    pub(crate) fn flip_ended(&self, id: u64) -> Value {
        until("the flip ends", || {
            let status = self.status_json()?;
            let flip = status["flips"]
                .as_array()?
                .iter()
                .find(|flip| flip["id"] == id)?;
            (!flip["outcome"].is_null()).then(|| flip.clone())
        })
    }

    /// Opens the journal for a look.
    pub(crate) fn journal(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.state().join("journal.db")).unwrap()
    }

    pub(crate) fn path(&self) -> &Path {
        self.scratch.path()
    }

    /// Fetches a page with curl; its status code and body.
    pub(crate) fn curl(&self, path: &str, more: &[&str]) -> (u16, String) {
        let url = format!("http://{}{path}", self.http());
        let host = ["-H", "Host: www.ispot.example"];
        let show = ["-s", "-m", "20", "-w", "\n%{http_code}"];
        let done = Command::new("curl")
            .args(show)
            .args(host)
            .args(more)
            .arg(url)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&done.stdout).into_owned();
        let (body, code) = text.rsplit_once('\n').unwrap_or(("", "0"));
        (code.parse().unwrap_or(0), body.into())
    }

    /// Asks with dig; the answer section in short.
    pub(crate) fn dig(&self, name: &str, kind: &str) -> String {
        let server = format!("@{}", self.ip);
        let ask = ["+short", "+norec", "+tries=3", "+time=5", "-p", "8053"];
        let done = Command::new("dig")
            .args(ask)
            .args([&server, name, kind])
            .output()
            .unwrap();
        String::from_utf8_lossy(&done.stdout).trim().into()
    }

    /// The value of a metric's line, named with its labels.
    pub(crate) fn metric(&self, line: &str) -> Option<f64> {
        let url = format!("http://{}:9901/metrics", self.ip);
        let done = Command::new("curl")
            .args(["-s", "-m", "20", &url])
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&done.stdout).into_owned();
        text.lines()
            .find_map(|said| said.strip_prefix(line)?.trim().parse().ok())
    }
}

impl Daemon {
    /// Starts a command whose words on stderr and stdout are kept.
    pub(crate) fn spawn(command: &mut Command) -> Self {
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let said = Arc::new(Mutex::new(String::new()));
        let out = child.stdout.take().unwrap();
        let err = child.stderr.take().unwrap();
        for stream in [
            Box::new(out) as Box<dyn std::io::Read + Send>,
            Box::new(err),
        ] {
            let said = Arc::clone(&said);
            std::thread::spawn(move || {
                for line in BufReader::new(stream).lines().map_while(Result::ok) {
                    let mut said = said.lock().unwrap();
                    said.push_str(&line);
                    said.push('\n');
                }
            });
        }
        Self { child, said }
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Everything it has printed.
    pub(crate) fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    /// Waits until it has printed a text.
    pub(crate) fn until_said(&self, text: &str) {
        let said = || self.said().contains(text).then_some(());
        until(&format!("{text:?} in what it says: {}", self.said()), said);
    }

    /// Kills it as `kill -9` does.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Sends a signal by name.
    pub(crate) fn signal(&self, name: &str) {
        let id = self.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-s", name, &id])
                .status()
                .unwrap()
                .success()
        );
    }

    /// Waits for its end; the exit code.
    pub(crate) fn wait(&mut self) -> Option<i32> {
        until("the process ends", || self.child.try_wait().unwrap()).code()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            println!("the daemon said:\n{}", self.said());
        }
    }
}
