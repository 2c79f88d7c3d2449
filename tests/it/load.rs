//! Flips under load: 64 connections that read and write while the site goes to and fro.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use crate::support::client::Client;
use crate::support::daemon::OneSite;
use crate::support::origin::{Origin, Seen};
use crate::support::stage::Stage;
use crate::support::wait::until;

const CONNECTIONS: usize = 64;

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
}

fn client(address: std::net::SocketAddr, number: usize, tally: &Tally, over: &AtomicBool) {
    let mut connection = Client::connect(address);
    for turn in 0.. {
        if over.load(Ordering::Acquire) {
            return;
        }
        let id = format!("{number}-{turn}");
        let answer = if turn % 4 == 0 {
            connection.post("www.ispot.example", "/observations", id.as_bytes())
        } else {
            connection.get("www.ispot.example", "/size/1000")
        };
        match answer {
            Ok(answer) if answer.status == 200 => {
                tally.served.fetch_add(1, Ordering::Relaxed);
                if turn % 4 == 0 {
                    tally.written.lock().unwrap().insert(id);
                }
            }
            Ok(answer) if answer.status == 503 && !answer.header("retry-after").is_empty() => {
                tally.pages.fetch_add(1, Ordering::Relaxed);
                // The answer may have been given before the body was read.
                if answer.header("connection") == "close" || turn % 4 == 0 {
                    connection = Client::connect(address);
                }
            }
            Ok(answer) => tally
                .failed
                .lock()
                .unwrap()
                .push(format!("status {}", answer.status)),
            Err(error) => {
                tally
                    .failed
                    .lock()
                    .unwrap()
                    .push(format!("turn {turn}: {error}"));
                connection = Client::connect(address);
            }
        }
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
        for request in seen {
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
    acknowledged: Instant,
    next_flip: Instant,
}

/// Flips to and fro, and lets each side serve for a while.
fn flip_to_and_fro(stage: &Stage, during: &str) -> Vec<Rest> {
    let mut rests = Vec::new();
    for turn in 0..flips() {
        let side = if turn % 2 == 0 { "backup" } else { "live" };
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
            acknowledged,
            next_flip: Instant::now(),
        });
    }
    rests
}

fn flip_under_load(during: &'static str) -> (Stage, Arc<Tally>) {
    let flip = if during == "hold" {
        "{during: hold, hold: {for: 20s, requests: 1000}}"
    } else {
        "{during: page}"
    };
    let stage = Stage::with(&OneSite {
        flip,
        ..OneSite::default()
    });
    let address = stage.place.http().parse().unwrap();
    let tally = Arc::new(Tally::default());
    let over = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..CONNECTIONS)
        .map(|number| {
            let (tally, over) = (Arc::clone(&tally), Arc::clone(&over));
            std::thread::spawn(move || client(address, number, &tally, &over))
        })
        .collect();
    let rests = flip_to_and_fro(&stage, during);
    over.store(true, Ordering::Release);
    for client in clients {
        client.join().unwrap();
    }
    assert_one_side(&stage, during, &rests);
    assert_nothing_lost(&stage, during, &tally);
    (stage, tally)
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
