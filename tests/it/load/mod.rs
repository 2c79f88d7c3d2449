//! Flips under load: 64 connections of HTTP/1.1, 8 of HTTP/2 over TLS with 16 streams each, 8
//! clients that open a connection for every request, 2 that send photos, and 8 WebSockets, which
//! read and write while the site goes to and fro.

mod fresh;
mod h1;
mod h2;
mod judge;
mod latency;
mod photos;
mod tally;
mod ws;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::support::client::Answer;
use crate::support::daemon::{OneSite, Place};
use crate::support::origin::Origin;
use crate::support::stage::Stage;
use crate::support::wait::until;
use crate::tls;

use tally::{Asked, Tally};

const HOST: &str = "www.ispot.example";

/// How long a flip may wait for what is in flight: by then every WebSocket has to be told.
const DRAIN_FOR: Duration = Duration::from_secs(10);

/// Answers before the first flip, to compare the waits with.
const CALM_ANSWERS: u64 = 3000;

/// The table, with the pace of those on hold set aside: here the throughput counts.
const HOLD: &str = "{during: hold, hold: {for: 20s, requests: 1000, release_rate: 100000}, \
                    drain: {for: 10s}}";
const HOLD_AT_THE_DEFAULT_PACE: &str =
    "{during: hold, hold: {for: 20s, requests: 1000}, drain: {for: 10s}}";
const PAGE: &str = "{during: page, drain: {for: 10s}}";
const READ_ONLY: &str = "{during: read-only, hold: {for: 20s, requests: 1000, \
                         release_rate: 100000}, drain: {for: 10s}}";

/// So many flips in the everyday run; more in `tests/soak`.
fn flips(everyday: usize) -> usize {
    if std::env::var_os("POINTSMAN_SOAK").is_some() {
        100
    } else {
        everyday
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
    fn on(stage: &Stage) -> Self {
        Self {
            tally: Arc::default(),
            over: Arc::default(),
            http: stage.place.http().parse().unwrap(),
            https: SocketAddr::new(stage.place.ip.into(), 8443),
            certificate: stage.place.path().join("etc/certs/site.pem"),
        }
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }

    /// Notes an answer of HTTP/1.1.
    fn answered(&self, asked: Asked, answer: &Answer) {
        let retry_after = !answer.header("retry-after").is_empty();
        self.tally
            .answered(asked, answer.status, retry_after, &answer.body);
    }

    /// Starts clients of every kind.
    fn clients(&self) -> Vec<JoinHandle<()>> {
        type Kind = fn(&Load, usize);
        let kinds: [(usize, Kind); 4] = [
            (64, h1::client),
            (8, fresh::client),
            (2, photos::client),
            (8, ws::client),
        ];
        let mut clients: Vec<JoinHandle<()>> = Vec::new();
        for (count, client) in kinds {
            for number in 0..count {
                let load = self.clone();
                clients.push(std::thread::spawn(move || client(&load, number)));
            }
        }
        let load = self.clone();
        clients.push(std::thread::spawn(move || h2::clients(&load, 8, 16)));
        clients
    }
}

/// The times between an acknowledgement and the next flip: only the named side may serve then.
struct Rest {
    side: &'static str,
    asked: Instant,
    acknowledged: Instant,
    next_flip: Instant,
}

/// Flips to and fro, and lets each side serve for a while.
fn flip_to_and_fro(stage: &Stage, what: &str, flips: usize) -> Vec<Rest> {
    let mut rests = Vec::new();
    for turn in 0..flips {
        let side = if turn % 2 == 0 { "backup" } else { "live" };
        let asked = Instant::now();
        let (code, said) = stage.place.flip(side);
        let acknowledged = Instant::now();
        assert_eq!(code, 0, "{what}, flip {turn}: {said}");
        let new = if side == "backup" {
            &stage.backup
        } else {
            &stage.live
        };
        let before = new.count();
        until("the new side serves", || {
            (new.count() > before + 200).then_some(())
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

/// Flips under load, and holds what every mode must keep against the records of both sides.
fn flip_under_load(what: &str, flip: &'static str, everyday: usize) -> Arc<Tally> {
    let stage = stage(flip);
    let load = Load::on(&stage);
    let clients = load.clients();
    until("every WebSocket is open", || {
        let open = stage.live.seen_at("/upgrade").len();
        (open >= 8).then_some(())
    });
    until("there is something to compare with", || {
        (load.tally.served() >= CALM_ANSWERS).then_some(())
    });
    let first_flip = Instant::now();
    let rests = flip_to_and_fro(&stage, what, flips(everyday));
    load.over.store(true, Ordering::Release);
    for client in clients {
        client.join().unwrap();
    }
    let tally = load.tally;
    tally.assert_none_failed();
    judge::assert_one_side(&stage, what, &rests);
    judge::assert_nothing_lost(&stage, what, &tally);
    judge::assert_enough(&tally, rests.len());
    ws::assert_ended_in_time(&tally.tunnels.lock().unwrap(), &rests);
    println!(
        "{what}: {} flips, {} served, 0 failed, {} pages",
        rests.len(),
        tally.served(),
        tally.pages()
    );
    latency::report(what, &tally.waits.lock().unwrap(), first_flip);
    tally
}

#[test]
fn with_hold_no_request_fails_while_the_site_flips() {
    let tally = flip_under_load("hold", HOLD, 20);
    assert_eq!(tally.pages(), 0, "nobody saw the page");
}

#[test]
fn with_hold_at_the_default_pace_no_request_fails_while_the_site_flips() {
    let tally = flip_under_load("hold, 200 let in a second", HOLD_AT_THE_DEFAULT_PACE, 4);
    assert_eq!(tally.pages(), 0, "nobody saw the page");
}

#[test]
fn with_page_every_answer_is_a_sides_or_the_page_while_the_site_flips() {
    let tally = flip_under_load("page", PAGE, 12);
    assert!(
        tally.pages() > 0,
        "nobody met a flip: too little load to show anything"
    );
}

#[test]
fn with_read_only_every_read_is_served_and_a_write_is_taken_once_or_told_to_wait() {
    let tally = flip_under_load("read-only", READ_ONLY, 12);
    let count = |pages: &AtomicU64| pages.load(Ordering::Relaxed);
    assert_eq!(count(&tally.pages_for_reads), 0, "a read was refused");
    assert!(
        !tally.refused.lock().unwrap().is_empty(),
        "no write met a flip: too little load to show anything"
    );
    let without = count(&tally.pages_without_the_words);
    assert_eq!(without, 0, "refused in other words");
}
