//! What 100,000 sites cost: `cargo bench --bench scale --profile dist`.
//!
//! A generated table is loaded, routed by, and served by a real daemon whose file is edited while
//! requests go on. Each figure stands beside its goal; nothing is asserted, and
//! docs/performance.md keeps the results.

#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench stops where it fails, prints, and uses a part of what the tests share"
)]

mod sites;
#[path = "../../tests/it/support/mod.rs"]
mod support;
mod traffic;

use std::hint::black_box;
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use pointsman::switchboard::Tally;
use pointsman::table::Table;
use support::daemon::{Daemon, Place};
use support::table::NoFiles;
use traffic::{Client, Traffic};

const SITES: usize = 100_000;

/// The site that is edited and asked for: in the middle of the file.
const MEASURED: usize = SITES / 2;

const LOADS: usize = 3;
const LOOKUPS: usize = 1_000_000;
const EDITS: usize = 8;

/// Rounds of requests: at rest, then with edits.
const ROUNDS: usize = 10;
const ROUND_EDITS: usize = 20;

/// Bytes that an editor writes at a time.
const PIECE_BYTES: usize = 64 * 1024;

/// From one edit to the next: somewhat more than the 50 ms for which a file must rest.
const EDIT_EVERY: Duration = Duration::from_millis(150);

fn main() {
    let place = Place::new();
    let stage = sites::Stage {
        ip: place.ip,
        state: &place.state(),
        measured: MEASURED,
    };
    let text = sites::table(SITES, &stage);
    println!("{SITES} sites, {:.1} MB", text.len() as f64 / 1e6);
    let table = load(&text);
    route(&table);
    counting();
    drop(table);

    traffic::origin(&place.origin("live"), "live");
    traffic::origin(&place.origin("backup"), "backup");
    place.replace(&text);
    let mut bed = Bed::start(&place, text);
    println!("resident after the start: {} MB", bed.resident_mb());
    bed.reload_one_site();
    bed.requests_during_reloads();
    bed.flip();
    println!("resident after all of this: {} MB", bed.resident_mb());
}

fn load(text: &str) -> Table {
    let (mut took, mut worked) = (Vec::new(), Vec::new());
    let mut table = None;
    for _ in 0..LOADS {
        drop(table.take());
        let (began, worked_before) = (Instant::now(), on_cpu());
        table = Some(Table::load(Path::new("routes.yaml"), text, &NoFiles).unwrap());
        took.push(began.elapsed());
        worked.push(on_cpu() - worked_before);
    }
    report("load of the table (goal < 2 s)", took);
    report("of that, on a core that others were using too", worked);
    table.unwrap()
}

/// Tells how long this thread has been on a core.
fn on_cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(stat.split(' ').next().unwrap().parse().unwrap())
}

fn route(table: &Table) {
    // A stride that is prime to the number of sites, so that no look-up finds the last one's lines.
    let host = |n: usize| sites::host(n * 7_919 % SITES);
    let hosts: Vec<String> = (0..SITES).map(host).collect();
    let strangers: Vec<String> = hosts.iter().map(|host| format!("x{host}")).collect();
    for (what, hosts) in [("hit", &hosts), ("miss", &strangers)] {
        let began = Instant::now();
        let found = (0..LOOKUPS).filter(|n| table.route(black_box(&hosts[n % SITES])).is_some());
        let found = found.count();
        let each = began.elapsed() / u32::try_from(LOOKUPS).unwrap();
        println!("routing, {what} (goal < 1 us): {each:?} a look-up, {found} found");
    }
}

/// What a write costs beside a read, as long as nothing is to be journalled: it is counted.
fn counting() {
    let tally = Tally::default();
    tally.open();
    let paths: Vec<_> = (0..20)
        .map(|n| format!("/observations/{n}?page=2"))
        .collect();
    let began = Instant::now();
    for n in 0..LOOKUPS {
        black_box(tally.count(&paths[n % paths.len()], n as u64));
    }
    let each = began.elapsed() / u32::try_from(LOOKUPS).unwrap();
    println!(
        "counting a write: {each:?} each, over {} paths",
        paths.len()
    );
}

/// A daemon with very many sites, and its file.
struct Bed<'p> {
    place: &'p Place,
    daemon: Daemon,
    client: Client,
    address: SocketAddr,
    text: String,
}

impl<'p> Bed<'p> {
    fn start(place: &'p Place, text: String) -> Self {
        let began = Instant::now();
        let daemon = place.spawn("run", &[]);
        let address = place.http().parse().unwrap();
        let client = loop {
            if let Ok(mut client) = Client::connect(address)
                && client.get(&sites::host(MEASURED), "/").is_ok()
            {
                break client;
            }
            assert!(
                began.elapsed() < Duration::from_secs(60),
                "{}",
                daemon.said()
            );
            std::thread::sleep(Duration::from_millis(2));
        };
        report("start of the daemon until it serves", vec![began.elapsed()]);
        let bed = Self {
            place,
            daemon,
            client,
            address,
            text,
        };
        // The actor's own first look at the file is no part of what follows: it refuses this after.
        place.pointsman(&[
            "flip", "nobody", "--to", "live", "--reason", "idle?", "--yes",
        ]);
        bed
    }

    fn admin(&self) -> SocketAddr {
        format!("{}:9901", self.place.ip).parse().unwrap()
    }

    fn resident_mb(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.daemon.id())).unwrap();
        let line = status
            .lines()
            .find(|line| line.starts_with("VmRSS:"))
            .unwrap();
        let kilobytes: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
        kilobytes / 1024
    }

    /// Replaces the one occurrence of a text within the measured site.
    fn edited(&self, from: &str, to: &str) -> String {
        let begin = self
            .text
            .find(&format!("\n  {}:", sites::name(MEASURED)))
            .unwrap();
        let (head, tail) = self.text.split_at(begin);
        let edited = format!("{head}{}", tail.replacen(from, to, 1));
        assert_ne!(edited, self.text);
        edited
    }

    /// Edits the file, and waits until a request sees the effect.
    fn edit(&mut self, step: usize, at_once: bool) -> Duration {
        let (path, seen) = self.write(step);
        let began = Instant::now();
        if at_once {
            self.daemon.signal("HUP");
        }
        self.await_seen(path, seen);
        began.elapsed()
    }

    /// Edits the file; tells which path shows it, and what its answer contains then.
    fn write(&mut self, step: usize) -> (&'static str, &'static str) {
        // In turn: the access of a path, and the address of a side.
        let (from, to, path, seen) = match step % 4 {
            0 => (
                "/quiz: {access: open}",
                "/quiz: {access: maintenance}",
                "/quiz",
                "503 ",
            ),
            1 => ("9101", "9102", "/", "backup"),
            2 => (
                "/quiz: {access: maintenance}",
                "/quiz: {access: open}",
                "/quiz",
                "200 ",
            ),
            _ => ("9102", "9101", "/", "live"),
        };
        self.text = self.edited(from, to);
        write_in_pieces(
            &self.text,
            &self.place.path().join("new.yaml"),
            &self.place.file(),
        );
        (path, seen)
    }

    fn await_seen(&mut self, path: &str, seen: &str) {
        let (host, began) = (sites::host(MEASURED), Instant::now());
        while !self.client.get(&host, path).unwrap().contains(seen) {
            assert!(
                began.elapsed() < Duration::from_secs(30),
                "{}",
                self.daemon.said()
            );
            std::thread::sleep(Duration::from_micros(500));
        }
    }

    /// Makes the same edit in a file that nobody watches: what the bench itself does to the machine
    /// is done at rest too.
    fn edit_elsewhere(&self) {
        let text = self.edited("/quiz: {access: open}", "/quiz: {access: maintenance}");
        let path = self.place.path();
        write_in_pieces(&text, &path.join("new.yaml"), &path.join("unwatched.yaml"));
    }

    fn reload_one_site(&mut self) {
        for (what, at_once) in [
            ("edit of one site until a request sees it", false),
            ("the same by SIGHUP, without the 50 ms of rest", true),
        ] {
            let mut took = Vec::new();
            for step in 0..EDITS {
                took.push(self.edit(step, at_once));
                std::thread::sleep(EDIT_EVERY);
            }
            report(what, took);
        }
        report("of that, inside (goal < 100 ms)", self.inside());
    }

    /// Reads in the log what each publication took, from the begin of its reading.
    fn inside(&self) -> Vec<Duration> {
        let said = self.daemon.said();
        let lines = said.lines().filter(|line| line.contains("table published"));
        let took = lines.filter_map(|line| line.split("took_ms=").nth(1)?.split(' ').next());
        let took = took.map(|ms| Duration::from_millis(ms.trim().parse().unwrap()));
        took.collect()
    }

    fn requests_during_reloads(&mut self) {
        // Its neighbour has real origins too, and is never edited.
        let host = sites::host(MEASURED + 1);
        let (mut rest, mut busy, mut edits) = (Vec::new(), Vec::new(), 0);
        for _ in 0..ROUNDS {
            let traffic = Traffic::start(self.address, &host);
            each_in_its_time(|_| self.edit_elsewhere());
            rest.push(traffic.end());
            let traffic = Traffic::start(self.address, &host);
            let mut last = None;
            each_in_its_time(|step| {
                // By now the edit before has been seen: this asks once, and nothing is polled that
                // would not be polled at rest.
                if let Some((path, seen)) = last.replace(self.write(step)) {
                    self.await_seen(path, seen);
                }
                edits += 1;
            });
            busy.push(traffic.end());
        }
        println!("requests at rest and during {edits} reloads in {ROUNDS} rounds, medians:");
        for share in [0.5, 0.99, 0.999] {
            let median = |rounds: &[Vec<Duration>]| {
                let mut each: Vec<_> = rounds.iter().map(|took| quantile(took, share)).collect();
                each.sort();
                (each[(each.len() - 1) / 2] + each[each.len() / 2]) / 2
            };
            let (rest, busy) = (median(&rest), median(&busy));
            let goal = if share == 0.99 { " (goal <= 1.2)" } else { "" };
            println!(
                "  p{}: {rest:?} at rest, {busy:?} during: x {:.2}{goal}",
                share * 100.0,
                busy.as_secs_f64() / rest.as_secs_f64()
            );
        }
    }

    fn flip(&mut self) {
        let mut took = Vec::new();
        for (round, [from, to]) in [["live", "backup"], ["backup", "live"]].iter().enumerate() {
            self.text = self.edited(&format!("active: {from}"), &format!("active: {to}"));
            self.place.replace(&self.text);
            let began = Instant::now();
            support::wait::until("settled", || {
                let flip = get(self.admin(), &format!("/api/v1/flips/{}", round + 1))?;
                flip.contains("\"outcome\":\"settled\"").then_some(())
            });
            took.push(began.elapsed());
        }
        report("edit of one word until the flip is acknowledged", took);
        let began = Instant::now();
        let name = sites::name(MEASURED);
        let done = self
            .place
            .pointsman(&["flip", &name, "--to", "backup", "--reason", "b", "--yes"]);
        assert!(
            done.status.success(),
            "{}",
            String::from_utf8_lossy(&done.stderr)
        );
        report("flip by command, the word rewritten", vec![began.elapsed()]);
    }
}

/// Writes a file beside, piece by piece, and moves it into place: one call for all of a large file
/// keeps a core from everybody else, which is not what is measured.
fn write_in_pieces(text: &str, beside: &Path, place: &Path) {
    let mut file = std::fs::File::create(beside).unwrap();
    for piece in text.as_bytes().chunks(PIECE_BYTES) {
        file.write_all(piece).unwrap();
    }
    std::fs::rename(beside, place).unwrap();
}

/// Has the thread that edits run only where nobody else wants to, at rest as during reloads.
fn edit_idly() {
    let thread = std::fs::read_link("/proc/thread-self").unwrap();
    let thread = thread.file_name().unwrap();
    let chrt = Command::new("chrt")
        .args(["--idle", "--pid", "0"])
        .arg(thread)
        .status();
    assert!(chrt.unwrap().success(), "chrt");
}

/// Does something [`ROUND_EDITS`] times, one begun [`EDIT_EVERY`] after the other.
fn each_in_its_time(mut act: impl FnMut(usize) + Send) {
    let editor = || {
        edit_idly();
        let began = Instant::now();
        for step in 0..ROUND_EDITS {
            act(step);
            let due = began + EDIT_EVERY * u32::try_from(step + 1).unwrap();
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
        }
    };
    std::thread::scope(|scope| scope.spawn(editor).join()).unwrap();
}

fn get(address: SocketAddr, path: &str) -> Option<String> {
    Client::connect(address).ok()?.get("admin", path).ok()
}

fn quantile(sorted: &[Duration], share: f64) -> Duration {
    sorted[((sorted.len() - 1) as f64 * share) as usize]
}

fn report(what: &str, mut took: Vec<Duration>) {
    took.sort();
    if took.is_empty() {
        return println!("{what}: not seen");
    }
    let (median, most) = (quantile(&took, 0.5), quantile(&took, 1.0));
    println!(
        "{what}: median {median:.1?}, max {most:.1?} ({} times)",
        took.len()
    );
}
