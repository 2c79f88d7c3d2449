//! Flips under load: 64 connections of HTTP/1.1, 8 of HTTP/2 over TLS with 16 streams each, and 8
//! WebSockets, which read and write while the site goes to and fro.

mod h1;
mod h2;
mod ws;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::support::daemon::{OneSite, Place};
use crate::support::origin::{Origin, Seen};
use crate::support::stage::Stage;
use crate::support::wait::until;
use crate::tls;

/// How long a flip may wait for what is in flight: by then every WebSocket has to be told.
const DRAIN_FOR: Duration = Duration::from_secs(10);

/// 20 flips in the everyday run; more in `tests/soak`.
fn flips() -> usize {
    if std::env::var_os("POINTSMAN_SOAK").is_some() {
        100
    } else {
        20
    }
}

/// What the clients saw, all together.
#[derive(Debug, Default)]
struct Tally {
    served: AtomicU64,
    pages: AtomicU64,
    /// Anything else, in words.
    failed: std::sync::Mutex<Vec<String>>,
    /// Ids of the writes that were answered with 200.
    written: std::sync::Mutex<BTreeSet<String>>,
    tunnels: std::sync::Mutex<Vec<ws::Tunnel>>,
}

impl Tally {
    fn failed(&self, what: String) {
        self.failed.lock().unwrap().push(what);
    }

    /// Notes an answer; `id` is that of a write.
    fn answered(&self, status: u16, retry_after: bool, id: Option<String>) {
        match status {
            200 => {
                self.served.fetch_add(1, Ordering::Relaxed);
                self.written.lock().unwrap().extend(id);
            }
            503 if retry_after => {
                self.pages.fetch_add(1, Ordering::Relaxed);
            }
            _ => self.failed(format!("status {status}")),
        }
    }
}

/// What every client is given.
#[derive(Clone)]
struct Load {
    tally: Arc<Tally>,
    over: Arc<AtomicBool>,
    http: SocketAddr,
    https: SocketAddr,
    certificate: PathBuf,
}

impl Load {
    fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }

    /// Starts clients of every kind.
    fn clients(&self) -> Vec<JoinHandle<()>> {
        let mut clients: Vec<JoinHandle<()>> = Vec::new();
        for number in 0..64 {
            let load = self.clone();
            clients.push(std::thread::spawn(move || h1::client(&load, number)));
        }
        for number in 0..8 {
            let load = self.clone();
            clients.push(std::thread::spawn(move || ws::client(&load, number)));
        }
        let load = self.clone();
        clients.push(std::thread::spawn(move || h2::clients(&load, 8, 16)));
        clients
    }
}

/// The requests of users: all but our own checks.
fn users(origin: &Origin) -> Vec<Seen> {
    let users = |seen: &Seen| !seen.header("user-agent").starts_with("pointsman");
    origin.seen().into_iter().filter(users).collect()
}

/// Finds requests that were in work at both sides at the same time.
fn overlaps(one: &[Seen], other: &[Seen]) -> usize {
    let mut edges: Vec<(Instant, i32, usize)> = Vec::new();
    for (side, seen) in [one, other].into_iter().enumerate() {
        // What goes through a tunnel is looked at from its other end.
        for request in seen.iter().filter(|seen| seen.path != "/upgrade") {
            edges.push((request.began, 1, side));
            edges.push((request.ended.unwrap(), -1, side));
        }
    }
    edges.sort();
    let mut busy = [0, 0];
    let mut both = 0;
    for (_, step, side) in edges {
        busy[side] += step;
        both += usize::from(step > 0 && busy[1 - side] > 0);
    }
    both
}

/// The times between an acknowledgement and the next flip: only the named side may serve then.
struct Rest {
    side: &'static str,
    asked: Instant,
    acknowledged: Instant,
    next_flip: Instant,
}

/// Flips to and fro, and lets each side serve for a while.
fn flip_to_and_fro(stage: &Stage, during: &str) -> Vec<Rest> {
    let mut rests = Vec::new();
    for turn in 0..flips() {
        let side = if turn % 2 == 0 { "backup" } else { "live" };
        let asked = Instant::now();
        let (code, said) = stage.place.flip(side);
        let acknowledged = Instant::now();
        assert_eq!(code, 0, "{during}, flip {turn}: {said}");
        let new = if side == "backup" {
            &stage.backup
        } else {
            &stage.live
        };
        let before = new.seen().len();
        until("the new side serves", || {
            (new.seen().len() > before + 200).then_some(())
        });
        rests.push(Rest {
            side,
            asked,
            acknowledged,
            next_flip: Instant::now(),
        });
    }
    rests
}

/// A daemon that also listens for TLS, between two origins.
fn stage(flip: &'static str) -> Stage {
    let place = Place::new();
    place.write(&OneSite::flipping(flip));
    tls::listen(&place);
    let [live, backup] = ["live", "backup"].map(|side| Origin::start(&place.origin(side), side));
    let daemon = place.start();
    Stage {
        place,
        live,
        backup,
        daemon,
    }
}

fn flip_under_load(during: &'static str) -> (Stage, Arc<Tally>) {
    let stage = stage(if during == "hold" {
        "{during: hold, hold: {for: 20s, requests: 1000}, drain: {for: 10s}}"
    } else {
        "{during: page, drain: {for: 10s}}"
    });
    let load = Load {
        tally: Arc::default(),
        over: Arc::default(),
        http: stage.place.http().parse().unwrap(),
        https: SocketAddr::new(stage.place.ip.into(), 8443),
        certificate: stage.place.path().join("etc/certs/site.pem"),
    };
    let clients = load.clients();
    until("every WebSocket is open", || {
        let open = stage.live.seen_at("/upgrade").len();
        (open >= 8).then_some(())
    });
    let rests = flip_to_and_fro(&stage, during);
    load.over.store(true, Ordering::Release);
    for client in clients {
        client.join().unwrap();
    }
    assert_one_side(&stage, during, &rests);
    assert_nothing_lost(&stage, during, &load.tally);
    ws::assert_ended_in_time(&load.tally.tunnels.lock().unwrap(), &rests);
    (stage, load.tally)
}

fn assert_one_side(stage: &Stage, during: &str, rests: &[Rest]) {
    let (live, backup) = (users(&stage.live), users(&stage.backup));
    assert!(
        live.len() > 1000 && backup.len() > 1000,
        "{during}: too little load to show anything"
    );
    for rest in rests {
        let old = if rest.side == "backup" {
            &live
        } else {
            &backup
        };
        let span = rest.acknowledged..rest.next_flip;
        let stale = old.iter().filter(|seen| span.contains(&seen.began)).count();
        assert_eq!(
            stale, 0,
            "{during}: {} was acknowledged, the old side reached",
            rest.side
        );
    }
    assert_eq!(
        overlaps(&live, &backup),
        0,
        "{during}: both sides in work at once"
    );
    for never in ["stale_epoch_requests", "lane_closed_twice"] {
        let line = format!("pointsman_{never}_total{{site=\"ispot\"}}");
        let count = stage.place.metric(&line).unwrap_or(0.0);
        assert!(count == 0.0, "{during}: {never} {count}");
    }
}

fn assert_nothing_lost(stage: &Stage, during: &str, tally: &Tally) {
    let kept = [stage.live.observations(), stage.backup.observations()].concat();
    let once: BTreeSet<String> = kept.iter().cloned().collect();
    assert_eq!(kept.len(), once.len(), "{during}: a write arrived twice");
    let written = tally.written.lock().unwrap();
    assert!(
        written.is_subset(&once),
        "{during}: an answered write is on neither side"
    );
}

#[test]
fn with_hold_no_request_fails_while_the_site_flips() {
    let (_stage, tally) = flip_under_load("hold");
    assert_eq!(*tally.failed.lock().unwrap(), Vec::<String>::new());
    assert_eq!(
        tally.pages.load(Ordering::Relaxed),
        0,
        "nobody saw the page"
    );
    println!(
        "hold: {} served, 0 failed",
        tally.served.load(Ordering::Relaxed)
    );
}

#[test]
fn with_page_every_answer_is_a_sides_or_the_page_while_the_site_flips() {
    let (_stage, tally) = flip_under_load("page");
    assert_eq!(*tally.failed.lock().unwrap(), Vec::<String>::new());
    let pages = tally.pages.load(Ordering::Relaxed);
    assert!(
        pages > 0,
        "nobody met a flip: too little load to show anything"
    );
    println!(
        "page: {} served, {pages} pages",
        tally.served.load(Ordering::Relaxed)
    );
}
