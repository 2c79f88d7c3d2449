//! The same work for each proxy in turn: users ask, the site goes to and fro, and both sides note.
//!
//! The turns are interleaved over rounds, so that what else the machine does meets everybody alike.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::clients::{Clients, Saw};
use crate::counts::{Over, Rest, Side, Worked, double, stale, still_in_work};
use crate::origins::Origins;
use crate::proxies::{self, Proxy};
use crate::support::daemon::Place;
use crate::table;

/// Flips in one turn; even, so that each turn begins at the live side.
const TURN_FLIPS: usize = 10;

/// Load before the first flip of a turn, and after each.
const LOAD_FOR: Duration = Duration::from_millis(150);

/// What was counted for one proxy, over all of its turns.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) name: &'static str,
    pub(crate) took: Vec<Duration>,
    pub(crate) saw: Saw,
    pub(crate) worked: usize,
    pub(crate) stale: usize,
    pub(crate) still_in_work: usize,
    pub(crate) double: usize,
    pub(crate) double_until_cut: usize,
    /// What was seen of flips after they were done.
    pub(crate) later: BTreeMap<&'static str, Later>,
}

/// A later moment that might be taken as done, if there were a way to be told of it.
#[derive(Default)]
pub(crate) struct Later {
    pub(crate) took: Vec<Duration>,
    pub(crate) stale: usize,
}

/// One flip, and the load after it.
struct Flip {
    to: Side,
    asked: Instant,
    done: Instant,
    later: Vec<(&'static str, Instant)>,
    /// When the next was asked for, or the load came to its end.
    until: Instant,
}

pub(crate) fn run() {
    let rounds = from_environment("FLIPS", 20).div_ceil(TURN_FLIPS);
    let clients = from_environment("CLIENTS", 32);
    let place = Place::new();
    let origins = Origins::default();
    for side in [Side::Live, Side::Backup] {
        origins.listen(&place.origin(side.name()), side);
    }
    let mut proxies = proxies::start(&place);
    let mut tallies: Vec<_> = proxies.iter().map(|proxy| Tally::of(&**proxy)).collect();
    println!("{rounds} rounds of {TURN_FLIPS} flips each, {clients} clients");
    for round in 0..rounds {
        let mut turns: Vec<_> = proxies.iter_mut().zip(&mut tallies).collect();
        // There and back again: nobody always comes after the same one.
        if round % 2 == 1 {
            turns.reverse();
        }
        for (proxy, tally) in turns {
            let users = Clients::start(proxy.address(), clients, round);
            let flips = flip_to_and_fro(&mut **proxy);
            let saw = users.end();
            tally.add(&flips, &origins.take(), saw);
        }
    }
    table::print(&tallies);
}

fn from_environment(name: &str, otherwise: usize) -> usize {
    let Ok(text) = std::env::var(name) else {
        return otherwise;
    };
    text.parse()
        .unwrap_or_else(|_| panic!("{name}={text}: not a number"))
}

fn flip_to_and_fro(proxy: &mut dyn Proxy) -> Vec<Flip> {
    std::thread::sleep(LOAD_FOR);
    let to_and_fro = [Side::Backup, Side::Live].into_iter().cycle();
    let flip = |to| {
        let asked = Instant::now();
        proxy.flip(to);
        let done = Instant::now();
        let later = proxy.rest(LOAD_FOR);
        Flip {
            to,
            asked,
            done,
            later,
            until: Instant::now(),
        }
    };
    to_and_fro.take(TURN_FLIPS).map(flip).collect()
}

impl Flip {
    fn rest_since(&self, since: Instant) -> Rest {
        Rest {
            old: self.to.other(),
            since,
            until: self.until,
        }
    }
}

impl Tally {
    fn of(proxy: &dyn Proxy) -> Self {
        Self {
            name: proxy.name(),
            ..Self::default()
        }
    }

    /// Adds a turn.
    fn add(&mut self, flips: &[Flip], worked: &[Worked], saw: Saw) {
        let rests: Vec<_> = flips
            .iter()
            .map(|flip| flip.rest_since(flip.done))
            .collect();
        self.took
            .extend(flips.iter().map(|flip| flip.done - flip.asked));
        self.worked += worked.len();
        self.stale += stale(worked, &rests);
        self.still_in_work += still_in_work(worked, &rests);
        self.double += double(worked, Over::AtItsEnd);
        self.double_until_cut += double(worked, Over::AtTheCut);
        self.saw.waited.extend(saw.waited);
        self.saw.failed.extend(saw.failed);
        for flip in flips {
            for &(what, at) in &flip.later {
                let later = self.later.entry(what).or_default();
                later.took.push(at - flip.asked);
                later.stale += stale(worked, &[flip.rest_since(at)]);
            }
        }
    }
}
