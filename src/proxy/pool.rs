//! A worker's connections to origins, by lane: what lies idle, and what is in use.
//!
//! A lane's entry is found by the address of its gates, which is one per site and epoch; the entry
//! keeps the gates alive, so the address is not given out again meanwhile.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::switchboard::{Gates, Lane, Permit};
use crate::table::OriginAddr;

use super::h1::client::Line;
use super::h1::wire::Wire;

/// How many idle connections a worker keeps per lane and origin; beyond it the oldest is closed.
const IDLE_MAX: usize = 32;
/// How long a connection may lie idle: below the 75 s after which nginx closes it from its end.
const IDLE_FOR: Duration = Duration::from_secs(60);
/// How often idle connections are looked through.
const SWEEP_EVERY: Duration = Duration::from_secs(5);

/// The pools of one worker.
#[derive(Default)]
pub(super) struct Pools {
    lanes: RefCell<HashMap<usize, LanePool>>,
    /// Counts exchanges, for round robin.
    turn: Cell<usize>,
    /// Wakes who is still connecting, and every tunnel, to look at the order to cut.
    nudged: Notify,
}

struct LanePool {
    gates: Arc<Gates>,
    /// The most recently used last.
    idle: Vec<(OriginAddr, Vec<Line>)>,
    /// By the address of the wire.
    busy: HashMap<usize, Rc<Wire>>,
}

/// Where a connection belongs.
pub(super) struct Home {
    pools: Weak<Pools>,
    gates: Arc<Gates>,
    origin: OriginAddr,
}

fn key(gates: &Arc<Gates>) -> usize {
    Arc::as_ptr(gates).addr()
}

impl Pools {
    /// Counts one further, to begin at another origin each time.
    pub(super) fn next_turn(&self) -> usize {
        let turn = self.turn.get();
        self.turn.set(turn.wrapping_add(1));
        turn
    }

    /// Names the place of a new connection.
    pub(super) fn home(self: &Rc<Self>, lane: &Lane, origin: &OriginAddr) -> Rc<Home> {
        Rc::new(Home {
            pools: Rc::downgrade(self),
            gates: Arc::clone(&lane.gates),
            origin: origin.clone(),
        })
    }

    /// Takes the idle connection that was used last; those the origin has closed are dropped.
    pub(super) fn take(&self, lane: &Lane, origin: &OriginAddr) -> Option<Line> {
        loop {
            // A line is dropped outside of the borrow, for its drop looks in here.
            let line = {
                let mut lanes = self.lanes.borrow_mut();
                let pool = lanes.get_mut(&key(&lane.gates))?;
                let (_, idle) = pool.idle.iter_mut().find(|(other, _)| other == origin)?;
                idle.pop()?
            };
            if !line.is_closed() {
                return Some(line);
            }
        }
    }

    /// Seats an exchange on a line and notes it as in use, so that a flip can end it.
    pub(super) fn seat(&self, lane: &Lane, line: &mut Line, permit: &Rc<Permit>) {
        let wire = Rc::clone(line.seat(permit));
        let mut lanes = self.lanes.borrow_mut();
        let pool = lanes.entry(key(&lane.gates)).or_insert_with(|| LanePool {
            gates: Arc::clone(&lane.gates),
            idle: Vec::new(),
            busy: HashMap::new(),
        });
        pool.busy.insert(Rc::as_ptr(&wire).addr(), wire);
    }

    /// Does what the gates say: closes the idle connections of closed lanes, and cuts.
    ///
    /// When it returns, those sockets are closed; tunnels are told, and close theirs when they are
    /// polled next, which a flip waits for by their permits.
    pub(super) fn obey(&self) {
        let mut idle = Vec::new();
        let mut cut = Vec::new();
        for pool in self.lanes.borrow_mut().values_mut() {
            if pool.gates.are_closed() {
                idle.append(&mut pool.idle);
            }
            let ordered = pool.busy.values().filter(|wire| wire.is_to_be_cut());
            cut.extend(ordered.cloned());
        }
        drop(idle);
        for wire in cut {
            wire.cut();
        }
        self.nudged.notify_waiters();
    }

    /// Returns when what a permit stands for is to be ended.
    pub(super) async fn cut(&self, is_cut: impl Fn() -> bool) {
        loop {
            let nudged = self.nudged.notified();
            if is_cut() {
                return;
            }
            nudged.await;
        }
    }

    /// Closes what has been idle for too long, for as long as the worker runs.
    pub(super) async fn keep_tidy(&self) {
        loop {
            tokio::time::sleep(SWEEP_EVERY).await;
            self.sweep(Instant::now());
        }
    }

    fn sweep(&self, now: Instant) {
        let mut old = Vec::new();
        let mut lanes = self.lanes.borrow_mut();
        for pool in lanes.values_mut() {
            for (_, idle) in &mut pool.idle {
                let is_old =
                    |line: &mut Line| line.is_closed() || now - line.idle_since >= IDLE_FOR;
                old.extend(idle.extract_if(.., is_old));
            }
            pool.idle.retain(|(_, idle)| !idle.is_empty());
        }
        lanes.retain(|_, pool| !(pool.idle.is_empty() && pool.busy.is_empty()));
        drop(lanes);
        drop(old);
    }
}

impl Home {
    /// Returns when what a permit stands for is to be ended, as `is_cut` says.
    pub(super) async fn cut(&self, is_cut: impl Fn() -> bool) {
        // Without its worker nobody waits here either.
        if let Some(pools) = self.pools.upgrade() {
            pools.cut(is_cut).await;
        }
    }

    /// Takes a connection back whose exchange is complete; that of a closed lane is closed.
    pub(super) fn take_back(&self, mut line: Line) {
        let Some(pools) = self.pools.upgrade() else {
            return;
        };
        self.leave(line.wire());
        let surplus = {
            let mut lanes = pools.lanes.borrow_mut();
            match lanes.get_mut(&key(&self.gates)) {
                Some(pool) if !self.gates.are_closed() && !line.is_closed() => {
                    line.idle_since = Instant::now();
                    pool.keep(&self.origin, line)
                }
                Some(_) | None => Some(line),
            }
        };
        // Outside of the borrow, for a line's drop looks in here.
        drop(surplus);
    }

    /// Notes that a connection is not in use any more.
    pub(super) fn leave(&self, wire: &Rc<Wire>) {
        let Some(pools) = self.pools.upgrade() else {
            return;
        };
        let mut lanes = pools.lanes.borrow_mut();
        if let Some(pool) = lanes.get_mut(&key(&self.gates)) {
            pool.busy.remove(&Rc::as_ptr(wire).addr());
        }
    }
}

impl LanePool {
    /// Keeps an idle line; gives back the one that has to make room for it.
    fn keep(&mut self, origin: &OriginAddr, line: Line) -> Option<Line> {
        let at = match self.idle.iter().position(|(other, _)| other == origin) {
            Some(at) => at,
            None => {
                self.idle.push((origin.clone(), Vec::new()));
                self.idle.len() - 1
            }
        };
        let idle = &mut self.idle[at].1;
        let surplus = (idle.len() >= IDLE_MAX).then(|| idle.remove(0));
        idle.push(line);
        surplus
    }
}
