//! "May I write?": at rest, in doubt, and through flips.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use super::{KEY_A, KEY_B, mac_by_openssl, put_key, sign_by};
use crate::support::api::Said;
use crate::support::daemon::{OneSite, Place};
use crate::support::stage::Stage;
use crate::support::wait::until;

const ROLE: &str = "/api/v1/sites/ispot/role";

/// Asks for a side, with header lines; the status and the word of why.
fn ask(place: &Place, side: &str, headers: &[&str]) -> (u16, String) {
    let said = place.get(&format!("{ROLE}?side={side}"), headers);
    (said.status, said.body["why"].as_str().unwrap_or("?").into())
}

fn is(status: u16, why: &str) -> (u16, String) {
    (status, why.into())
}

#[test]
fn only_the_active_side_may_write() {
    let stage = Stage::with(&OneSite::default());
    let place = &stage.place;

    let active = place.get(&format!("{ROLE}?side=live"), &[]);
    let body = serde_json::json!({
        "site": "ispot", "side": "live", "role": "active", "may_write": true, "why": "active",
        "epoch": 1, "access": "open",
    });
    assert_eq!((active.status, &active.body), (200, &body));
    assert_eq!(active.header("pointsman-epoch"), "1");
    assert_eq!(active.header("cache-control"), "no-store");
    assert_eq!(ask(place, "backup", &[]), is(403, "standby"));
    // Without a side the active one is told.
    let told = place.get(ROLE, &[]);
    assert_eq!((told.status, &told.body), (200, &body));
    // By TCP too, as a web server on another machine asks.
    let url = format!("http://{}:9901{ROLE}?side=backup", place.ip);
    let done = std::process::Command::new("curl")
        .args(["-s", "-o", "/dev/null", "-w", "%{http_code}", &url])
        .output();
    assert_eq!(done.unwrap().stdout, b"403");
}

#[test]
fn what_is_not_there_and_what_was_not_meant_is_a_problem() {
    let stage = Stage::with(&OneSite::default());
    let code = |said: Said| {
        let code = said.body["code"].as_str().unwrap_or("?").to_owned();
        (said.status, code)
    };
    for (path, expected) in [
        (
            "/api/v1/sites/nobody/role?side=live",
            is(404, "unknown-site"),
        ),
        (
            "/api/v1/sites/ispot/role?side=nobody",
            is(404, "unknown-side"),
        ),
        ("/api/v1/sites/ispot/role?sides=live", is(400, "bad-query")),
    ] {
        assert_eq!(code(stage.place.get(path, &[])), expected, "{path}");
    }
}

#[test]
fn access_forbids_it_to_whoever_asks_by_himself_and_not_to_what_was_let_in() {
    let stage = Stage::with(&OneSite::default());
    let done = stage
        .place
        .pointsman(&["access", "ispot", "read-only", "--yes"]);
    assert!(done.status.success());

    assert_eq!(ask(&stage.place, "live", &[]), is(403, "access"));
    // An operator's write gets past it.
    let epoch = "Pointsman-Epoch: 1";
    assert_eq!(ask(&stage.place, "live", &[epoch]), is(200, "active"));
}

#[test]
fn a_request_of_another_epoch_or_side_may_not() {
    let stage = Stage::with(&OneSite::default());
    for (side, epoch, expected) in [
        ("live", "1", is(200, "active")),
        ("live", "0", is(403, "stale")),
        ("live", "2", is(403, "stale")),
        ("live", "01", is(403, "stale")),
        ("live", "", is(403, "stale")),
        ("backup", "1", is(403, "standby")),
    ] {
        let header = format!("Pointsman-Epoch: {epoch}");
        assert_eq!(ask(&stage.place, side, &[&header]), expected, "{epoch:?}");
    }
}

#[test]
fn with_keys_in_the_table_a_request_is_signed_or_may_not() {
    let stage = Stage::with(&OneSite::default());
    put_key(&stage.place, "fence-a.key", KEY_A);
    sign_by(&stage.place, "[{id: a, file: fence-a.key}]");
    stage.place.curl("/signed", &[]);
    let seen = &stage.live.seen_at("/signed")[0];
    let wire = seen.header("pointsman-signature");
    let at_s: u64 = wire.split('.').nth(1).unwrap().parse().unwrap();
    let by = |key, at_s: u64| {
        let text = format!("pointsman-fence-1\nispot\nlive\n1\n{at_s}\n");
        format!("a.{at_s}.{}", mac_by_openssl(key, &text))
    };
    for (signature, expected) in [
        (wire.clone(), is(200, "active")),
        (by(KEY_A, at_s + 200), is(200, "active")),
        (by(KEY_A, at_s - 400), is(403, "unsigned")),
        (by(KEY_B, at_s), is(403, "unsigned")),
        (wire.replacen('a', "b", 1), is(403, "unsigned")),
        (String::new(), is(403, "unsigned")),
    ] {
        let header = format!("Pointsman-Signature: {signature}");
        let said = ask(&stage.place, "live", &["Pointsman-Epoch: 1", &header]);
        assert_eq!(said, expected, "{signature}");
    }
    let unsigned = ask(&stage.place, "live", &["Pointsman-Epoch: 1"]);
    assert_eq!(unsigned, is(403, "unsigned"));
    // A script has nothing to sign with.
    assert_eq!(ask(&stage.place, "live", &[]), is(200, "active"));
}

#[test]
fn in_doubt_nobody_may() {
    let place = Place::new();
    place.write(&OneSite::default());
    fs::create_dir(place.state()).unwrap();
    fs::write(place.state().join("journal.db"), "this is no journal").unwrap();
    let _daemon = place.start();

    assert_eq!(ask(&place, "live", &[]), is(503, "doubt"));
    assert_eq!(
        ask(&place, "backup", &["Pointsman-Epoch: 1"]),
        is(503, "doubt")
    );
}

#[test]
fn in_a_flip_what_was_let_in_may_until_the_last_of_it_has_ended() {
    const COPY: &str = "[[sh, -c, \"touch copying; until [ -e copied ]; do sleep 0.01; done\"]]";
    let flip = format!("{{during: page, drain: {{for: 20s}}, hooks: {{sync: {COPY}}}}}");
    let stage = Stage::with(&OneSite::flipping(flip.leak()).without_names());
    let place = &stage.place;
    let mut client = stage.in_flight("POST");
    let epoch = "Pointsman-Epoch: 1";

    stage.edit_until_it_drains();

    assert_eq!(ask(place, "live", &[epoch]), is(200, "draining"));
    // Nobody would wait for the end of what a script writes.
    assert_eq!(ask(place, "live", &[]), is(403, "held"));
    assert_eq!(ask(place, "backup", &[]), is(403, "standby"));

    stage.live.let_go();
    client.answer("POST").unwrap();
    let beside = |name: &str| place.file().with_file_name(name);
    until("the copy runs", || beside("copying").exists().then_some(()));
    assert_eq!(ask(place, "live", &[epoch]), is(403, "held"));
    assert_eq!(ask(place, "live", &[]), is(403, "held"));
    assert_eq!(
        ask(place, "backup", &["Pointsman-Epoch: 2"]),
        is(403, "standby")
    );

    fs::write(beside("copied"), "").unwrap();
    place.flip_ended(1);
    assert_eq!(ask(place, "live", &[epoch]), is(403, "standby"));
    assert_eq!(ask(place, "backup", &[epoch]), is(403, "stale"));
    assert_eq!(
        ask(place, "backup", &["Pointsman-Epoch: 2"]),
        is(200, "active")
    );
}

#[test]
fn a_flip_that_is_taken_back_gives_the_yes_back() {
    let flip = "{during: page, hooks: {sync: [[\"false\"]]}}";
    let stage = Stage::with(&OneSite::flipping(flip).without_names());
    let (code, said) = stage.place.flip("backup");
    assert_eq!(code, 4, "{said}");

    assert_eq!(ask(&stage.place, "live", &[]), is(200, "active"));
    let epoch = "Pointsman-Epoch: 1";
    assert_eq!(ask(&stage.place, "live", &[epoch]), is(200, "active"));
    assert_eq!(ask(&stage.place, "backup", &[]), is(403, "standby"));
}

/// One yes, and between which instants it was asked for and had.
#[derive(Clone, Copy, Debug)]
struct Yes {
    asked: Instant,
    had: Instant,
    epoch: u64,
}

/// One connection on which a side is asked for, again and again.
struct Asking {
    socket: UnixStream,
    request: String,
}

impl Asking {
    fn connect(place: &Place, side: &str) -> Self {
        Self {
            socket: UnixStream::connect(place.state().join("admin.sock")).unwrap(),
            request: format!("GET {ROLE}?side={side} HTTP/1.1\r\nhost: test\r\n\r\n"),
        }
    }

    /// Asks, and reads the whole answer.
    fn ask(&mut self) -> String {
        self.socket.write_all(self.request.as_bytes()).unwrap();
        let (mut answer, mut buffer) = (String::new(), [0; 4096]);
        // The body ends with its one closing brace.
        while !answer.ends_with('}') {
            let length = self.socket.read(&mut buffer).unwrap();
            assert!(length > 0, "closed after {answer:?}");
            answer.push_str(std::str::from_utf8(&buffer[..length]).unwrap());
        }
        answer
    }
}

/// Asks for a side until it is told to stop, and shows the epoch of the last yes; counts how often.
fn listen(
    place: &Place,
    side: &str,
    (is_over, last): (&AtomicBool, &AtomicU64),
) -> (usize, Vec<Yes>) {
    let mut asking = Asking::connect(place, side);
    let (mut asks, mut yes) = (0, Vec::new());
    while !is_over.load(Ordering::Acquire) {
        let asked = Instant::now();
        let answer = asking.ask();
        let had = Instant::now();
        asks += 1;
        if answer.starts_with("HTTP/1.1 200 ") {
            let (_, epoch) = answer.split_once("pointsman-epoch: ").unwrap();
            let epoch = epoch.lines().next().unwrap().parse().unwrap();
            yes.push(Yes { asked, had, epoch });
            last.store(epoch, Ordering::Release);
        } else {
            assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
        }
    }
    (asks, yes)
}

#[test]
fn through_five_flips_two_sides_never_may_at_once() {
    let stage = Stage::with(&OneSite::flipping("{during: hold}").without_names());
    let (is_over, last) = (AtomicBool::new(false), AtomicU64::new(0));
    let [live, backup] = std::thread::scope(|scope| {
        let (place, told) = (&stage.place, (&is_over, &last));
        let asking = ["live", "backup"].map(|side| scope.spawn(move || listen(place, side, told)));
        for (to, epoch) in ["backup", "live", "backup", "live", "backup"]
            .into_iter()
            .zip(1..)
        {
            let is_told = || (last.load(Ordering::Acquire) == epoch).then_some(());
            until("the side before may write", is_told);
            let (code, said) = stage.place.flip(to);
            assert_eq!(code, 0, "{said}");
        }
        let is_told = || (last.load(Ordering::Acquire) == 6).then_some(());
        until("the last side may write", is_told);
        is_over.store(true, Ordering::Release);
        asking.map(|asking| asking.join().unwrap())
    });

    println!("asked {} and {} times", live.0, backup.0);
    assert!(live.1.iter().all(|yes| yes.epoch % 2 == 1), "{:?}", live.1);
    assert!(backup.1.iter().all(|yes| yes.epoch % 2 == 0));
    let yes = [live.1, backup.1].concat();
    for epoch in 1..=5 {
        let last_before = yes
            .iter()
            .filter(|yes| yes.epoch <= epoch)
            .map(|yes| yes.asked);
        let first_after = yes
            .iter()
            .filter(|yes| yes.epoch > epoch)
            .map(|yes| yes.had);
        // Each was so at some instant between the two: this one lies after that one.
        let (last, first) = (last_before.max().unwrap(), first_after.min().unwrap());
        assert!(
            last < first,
            "epoch {epoch} may write after the one that follows"
        );
    }
}

/// What a process has used of the processor so far, in microseconds.
fn cpu_us(id: u32) -> u64 {
    // proc(5): utime and stime are the 14th and 15th field, and the second may have blanks in it.
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap();
    let (_, after) = stat.rsplit_once(") ").unwrap();
    let fields = after.split(' ').skip(11).take(2);
    let ticks: u64 = fields.map(|field| field.parse::<u64>().unwrap()).sum();
    ticks * 10_000
}

#[test]
fn it_may_be_asked_at_each_request() {
    const CONNECTIONS: usize = 4;
    const ASKS: usize = 10_000;
    let stage = Stage::with(&OneSite::default());
    let before_us = cpu_us(stage.daemon.id());
    let began = Instant::now();

    std::thread::scope(|scope| {
        for _ in 0..CONNECTIONS {
            scope.spawn(|| {
                let mut asking = Asking::connect(&stage.place, "live");
                for _ in 0..ASKS {
                    assert!(asking.ask().starts_with("HTTP/1.1 200 "));
                }
            });
        }
    });

    let took = began.elapsed();
    let (asks, used_us) = (CONNECTIONS * ASKS, cpu_us(stage.daemon.id()) - before_us);
    let cost_us = used_us as f64 / asks as f64;
    println!("{asks} answers in {took:?}, each for {cost_us:.1} us of the processor");
}
