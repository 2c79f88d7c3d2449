//! The gates of an epoch: who is let in, what is in flight behind them, and what was counted there.
//!
//! They are shared by every snapshot of the epoch, so whoever carries an old one stands before the
//! same gates as all others.

use std::sync::atomic::{AtomicI64, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use tokio::sync::Notify;

use crate::site::{Access, During};

use super::drain::{Drain, Writing};
use super::gate::{CutBy, Cuts, Entry, Gate, Pass};
use super::lane::{Cut, Kind, Way};
use super::line::{Joined, Line, LineBounds};
use super::outage::Outage;
use super::tally::Tally;

/// The gates of an epoch, and what is counted at them.
#[derive(Debug)]
pub struct Gates {
    /// Admits plain safe requests.
    pub reads: Arc<Gate>,
    /// Admits everything else.
    pub writes: Arc<Gate>,
    /// Admits what gets past `access`, which shuts the other two. To a flip it is all writes.
    pub passed: Arc<Gate>,
    /// Whether the writes of a hold have ended.
    drain: Drain,
    /// What those get who find a gate held: a [`During`] as number.
    during: AtomicU8,
    /// Requests on hold; shared with the lanes of the site before and after.
    line: Arc<Line>,
    /// When users are told to come back, in seconds since the Unix epoch; 0 = not said.
    back_at_s: AtomicI64,
    /// Tunnels, each of which has a permit for a write.
    tunnels: AtomicUsize,
    /// Told when the last of them is over.
    tunnels_over: Notify,
    /// Requests that a hold kept out, and that did not go on.
    shed: AtomicU64,
    /// Requests of which a first byte went to an origin.
    forwarded: AtomicU64,
    /// When that last happened, in milliseconds since the Unix epoch; 0 = never.
    last_forwarded_ms: AtomicU64,
    /// The writes that its side has taken in it; most sites take none for a long time.
    tally: OnceLock<Box<Tally>>,
    /// Whether the side of this epoch is down.
    pub outage: Outage,
}

impl Default for Gates {
    fn default() -> Self {
        Self::with(Gate::new, Arc::default())
    }
}

impl Gates {
    fn with(gate: fn() -> Gate, line: Arc<Line>) -> Self {
        Self {
            reads: Arc::new(gate()),
            writes: Arc::new(gate()),
            passed: Arc::new(gate()),
            drain: Drain::default(),
            during: AtomicU8::new(During::Page as u8),
            line,
            tunnels: AtomicUsize::new(0),
            tunnels_over: Notify::new(),
            back_at_s: AtomicI64::new(0),
            shed: AtomicU64::new(0),
            forwarded: AtomicU64::new(0),
            last_forwarded_ms: AtomicU64::new(0),
            tally: OnceLock::new(),
            outage: Outage::default(),
        }
    }

    /// Shows the tally of what is written in this epoch.
    pub fn tally(&self) -> &Tally {
        self.tally.get_or_init(Box::default)
    }

    /// Makes the gates of the epoch that follows: whoever waits at these goes first there, and what
    /// `access` allows is the same.
    pub(super) fn next(&self) -> Self {
        let next = Self::with(Gate::lined, Arc::clone(&self.line));
        next.set_access(self.access());
        next.set_back_at(self.back_at());
        next.during.store(During::Hold as u8, Ordering::Release);
        next
    }

    /// Picks the gate for a kind of request.
    pub fn of(&self, kind: Kind) -> &Arc<Gate> {
        match kind {
            Kind::Read => &self.reads,
            Kind::Write => &self.writes,
        }
    }

    /// Makes gates that let in what `access` allows.
    pub(super) fn with_access(access: Access) -> Arc<Self> {
        let gates = Self::default();
        gates.set_access(access);
        Arc::new(gates)
    }

    /// Asks to be let in; see [`Gate::enter`].
    pub fn enter(&self, kind: Kind, way: Way, pass: Pass) -> Entry {
        match way {
            Way::Usual => self.of(kind).enter(pass),
            Way::PastAccess => self.passed.enter(pass),
        }
    }

    fn all(&self) -> [&Arc<Gate>; 3] {
        [&self.writes, &self.passed, &self.reads]
    }

    /// Holds the gates that `during` says; who comes from this instant gets what it says.
    pub fn hold(&self, during: During) {
        // Before the bits: who sees a held gate must find the mode and the drain that belong to it.
        self.during.store(during as u8, Ordering::Release);
        let hold = if self.writes.is_held() {
            self.drain.current()
        } else {
            self.drain.begin()
        };
        if during == During::ReadOnly {
            self.writes.hold();
            self.passed.hold();
        } else {
            self.hold_all();
        }
        if self.writes.is_drained() && self.passed.is_drained() {
            self.drain.seen_empty(hold);
        }
    }

    /// Holds all gates.
    pub fn hold_all(&self) {
        self.line.hold();
        for gate in self.all() {
            gate.hold();
        }
    }

    /// Takes the hold back: those in line go on, oldest first.
    pub fn release(&self) {
        self.order_cut(Cut::Nothing);
        self.line.open(Instant::now(), |somebody_waits| {
            for gate in self.all() {
                if somebody_waits {
                    gate.line_up();
                }
                gate.release();
            }
            self.during.store(During::Hold as u8, Ordering::Release);
        });
    }

    /// Closes all gates for ever: those in line go on to the lane that took over.
    pub fn close(&self) {
        self.line.open(Instant::now(), |_| {
            for gate in self.all() {
                gate.close();
            }
        });
    }

    /// Closes all gates for ever: those in line wait on, at the held gates of the lane that took
    /// over.
    pub fn close_in_front_of_held(&self) {
        for gate in self.all() {
            gate.close();
        }
    }

    /// Lets in what `access` allows, from this instant.
    pub fn set_access(&self, access: Access) {
        // The reads first: who finds the writes shut, and nothing else, may count on that.
        self.reads.shut(access >= Access::Maintenance);
        self.writes.shut(access >= Access::ReadOnly);
    }

    /// Notes when users are told to come back, in seconds since the Unix epoch.
    pub fn set_back_at(&self, at_s: Option<i64>) {
        self.back_at_s.store(at_s.unwrap_or(0), Ordering::Release);
    }

    /// Tells when users are told to come back, in seconds since the Unix epoch.
    pub fn back_at(&self) -> Option<i64> {
        Some(self.back_at_s.load(Ordering::Acquire)).filter(|&at_s| at_s != 0)
    }

    /// Tells whether `access` forbids requests of this kind.
    pub fn forbids(&self, kind: Kind) -> bool {
        self.of(kind).is_shut()
    }

    /// Tells what `access` allows.
    pub fn access(&self) -> Access {
        if self.reads.is_shut() {
            Access::Maintenance
        } else if self.writes.is_shut() {
            Access::ReadOnly
        } else {
            Access::Open
        }
    }

    /// Waits until nothing is in flight at any gate.
    ///
    /// # Cancel safety
    /// Safe: nothing is lost but the wait.
    pub async fn drained(&self) {
        // Held gates only lose permits, so one after the other is as good as all at once.
        self.writes_drained().await;
        self.reads.drained().await;
    }

    /// Waits until no write is in flight.
    ///
    /// # Cancel safety
    /// Safe: nothing is lost but the wait.
    pub async fn writes_drained(&self) {
        let hold = self.drain.current();
        self.writes.drained().await;
        self.passed.drained().await;
        self.drain.seen_empty(hold);
    }

    /// Tells whether writes may still be at work: no only when none that came in is left, and none
    /// can come in.
    pub fn writing(&self) -> Writing {
        if self.writes.is_closed() {
            Writing::Over
        } else if !self.writes.is_held() {
            Writing::Open
        } else if self.drain.has_drained() {
            Writing::Over
        } else {
            Writing::Draining
        }
    }

    /// Waits until nothing is in flight that `access` forbids.
    ///
    /// # Cancel safety
    /// Safe: nothing is lost but the wait.
    pub async fn forbidden_drained(&self) {
        for gate in [&self.writes, &self.reads] {
            if gate.is_shut() {
                gate.drained().await;
            }
        }
    }

    /// Tells what those get who find a gate held.
    pub fn during(&self) -> During {
        let during = self.during.load(Ordering::Acquire);
        let words = [During::Hold, During::ReadOnly];
        let found = words.into_iter().find(|word| *word as u8 == during);
        found.unwrap_or(During::Page)
    }

    /// Orders the workers to end what is in flight, for a flip; they are told by
    /// [`super::Switchboard::nudge`]. An order stands until the gates are released: one for less
    /// takes nothing back.
    pub fn order_cut(&self, cut: Cut) {
        let (reads, writes) = cut.at_gates();
        for (gate, cuts) in [
            (&self.reads, reads),
            (&self.writes, writes),
            (&self.passed, writes),
        ] {
            // Only an order for nothing at all takes back.
            if cuts != Cuts::NONE || cut == Cut::Nothing {
                gate.order_cut(CutBy::Flip, cuts);
            }
        }
    }

    /// Orders the same for a change of `access`, whatever gets past that left out.
    pub fn order_access_cut(&self, cut: Cut) {
        let (reads, writes) = cut.at_gates();
        self.reads.order_cut(CutBy::Access, reads);
        self.writes.order_cut(CutBy::Access, writes);
    }

    /// Tells whether the lane is over.
    pub fn are_closed(&self) -> bool {
        self.reads.is_closed() && self.writes.is_closed()
    }

    /// Counts what is in flight at all gates.
    pub fn in_flight(&self) -> u64 {
        self.reads.in_flight() + self.writes_in_flight()
    }

    /// Counts the writes in flight.
    pub fn writes_in_flight(&self) -> u64 {
        self.writes.in_flight() + self.passed.in_flight()
    }

    /// Tells when a write was last given up unfinished.
    pub fn last_abandoned(&self) -> Option<Instant> {
        let last = self.passed.last_abandoned();
        self.writes.last_abandoned().max(last)
    }

    /// Counts what is in flight at the held gates: reads, and writes.
    ///
    /// Whoever is refused counts for an instant, so the least of several looks is what is there.
    pub fn held_in_flight(&self) -> (u64, u64) {
        const LOOKS: u32 = 16;
        let least = |gate: &Gate| (0..LOOKS).map(|_| gate.in_flight()).min().unwrap_or(0);
        let writes = least(&self.writes) + least(&self.passed);
        (least(&self.reads), writes)
    }

    /// Tells whether a write is in flight at the held gate.
    ///
    /// Whoever is refused counts for an instant, so it takes several looks in a row to be sure.
    pub fn has_writes(&self) -> bool {
        const LOOKS: u32 = 64;
        (0..LOOKS).all(|_| {
            std::thread::yield_now();
            self.writes_in_flight() > 0
        })
    }

    /// Gets in line with `bytes` in memory; see [`Line::join`].
    pub fn join(&self, bytes: u64, bounds: LineBounds) -> Joined {
        self.line.join(bytes, bounds, Instant::now(), || {
            for gate in self.all() {
                gate.line_over();
            }
        })
    }

    /// Shows the line of the site.
    pub fn line(&self) -> &Arc<Line> {
        &self.line
    }

    /// Counts the requests on hold.
    pub fn waiting(&self) -> usize {
        self.line.len()
    }

    /// Counts a request that a hold kept out, and that got the page.
    pub fn count_shed(&self) {
        self.shed.fetch_add(1, Ordering::Relaxed);
    }

    /// Tells what has become so far of those who found a gate held.
    pub fn hold_counts(&self) -> HoldCounts {
        HoldCounts {
            waited: self.line.joined(),
            shed: self.shed.load(Ordering::Relaxed),
            abandoned: self.writes.count_abandoned() + self.passed.count_abandoned(),
        }
    }

    /// Counts one more tunnel, until the place is dropped; its permit goes first.
    pub fn tunnel_place(self: &Arc<Self>) -> TunnelPlace {
        self.tunnels.fetch_add(1, Ordering::AcqRel);
        TunnelPlace {
            gates: Arc::clone(self),
        }
    }

    /// Counts the tunnels in flight.
    pub fn tunnels(&self) -> usize {
        self.tunnels.load(Ordering::Acquire)
    }

    /// Tells whether a tunnel is in flight.
    pub fn has_tunnels(&self) -> bool {
        self.tunnels() > 0
    }

    /// Waits until no tunnel is in flight.
    ///
    /// # Cancel safety
    /// Safe: nothing is lost but the wait.
    pub async fn tunnels_over(&self) {
        loop {
            // Made before the look: whatever ends after that is heard of.
            let over = self.tunnels_over.notified();
            if !self.has_tunnels() {
                return;
            }
            over.await;
        }
    }

    /// Counts a request whose first byte goes to an origin, at `now_ms` since the Unix epoch.
    pub fn count_forwarded(&self, now_ms: u64) {
        self.forwarded.fetch_add(1, Ordering::Relaxed);
        self.last_forwarded_ms.fetch_max(now_ms, Ordering::Relaxed);
    }

    /// Tells how many requests were forwarded, and when the last was (ms since the Unix epoch).
    pub fn forwarded(&self) -> (u64, u64) {
        (
            self.forwarded.load(Ordering::Relaxed),
            self.last_forwarded_ms.load(Ordering::Relaxed),
        )
    }
}

/// What has become of those who found a gate held; whoever wants to know it of one hold looks
/// before and after.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HoldCounts {
    /// Requests of the site that were on hold.
    pub waited: u64,
    /// Requests that got the page instead, or after it.
    pub shed: u64,
    /// Writes that were given up before their answers had ended.
    pub abandoned: u64,
}

/// The place of a tunnel among those that are counted; dropping it gives it back.
#[derive(Debug)]
#[must_use]
pub struct TunnelPlace {
    gates: Arc<Gates>,
}

impl Drop for TunnelPlace {
    fn drop(&mut self) {
        if self.gates.tunnels.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.gates.tunnels_over.notify_waiters();
        }
    }
}
