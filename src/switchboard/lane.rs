//! A lane: one site at one epoch.
//!
//! The gates of an epoch outlive any snapshot: a reload replaces a lane's origins and keeps its
//! gates, so an old snapshot can never admit what a newer one would not.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};

use crate::site::{During, Epoch, SideName, SiteName};
use crate::table::OriginAddr;

use super::gate::{Entry, Gate};

/// One site at one epoch: its gates and the origins of its active side.
#[derive(Debug)]
pub struct Lane {
    /// The site.
    pub site: SiteName,
    /// The side that is active in this epoch.
    pub side: SideName,
    /// The epoch.
    pub epoch: Epoch,
    /// The origins of that side; never empty.
    pub origins: Vec<OriginAddr>,
    /// Shared by every snapshot of this epoch.
    pub gates: Arc<Gates>,
}

/// Which of the two gates a request goes through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A plain safe request (RFC 9110 §9.2.1).
    Read,
    /// Anything else: unsafe methods, Upgrade, CONNECT.
    Write,
    /// What a write has become by 101 (Switching Protocols): it has no end of its own.
    Tunnel,
}

/// How much of what is in flight is to be ended at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cut {
    /// Nothing.
    Nothing,
    /// Tunnels.
    Tunnels,
    /// Tunnels and reads.
    Reads,
    /// Tunnels, reads and writes.
    Everything,
}

/// The two gates of an epoch, and what is counted at them.
#[derive(Debug)]
pub struct Gates {
    /// Admits plain safe requests.
    pub reads: Arc<Gate>,
    /// Admits everything else.
    pub writes: Arc<Gate>,
    /// What those get who find a gate held: a [`During`] as number.
    during: AtomicU8,
    /// A [`Cut`] as number.
    cut: AtomicU8,
    /// Requests on hold.
    waiting: AtomicUsize,
    /// Requests of which a first byte went to an origin.
    forwarded: AtomicU64,
    /// When that last happened, in milliseconds since the Unix epoch; 0 = never.
    last_forwarded_ms: AtomicU64,
}

impl Default for Gates {
    fn default() -> Self {
        Self {
            reads: Arc::new(Gate::new()),
            writes: Arc::new(Gate::new()),
            during: AtomicU8::new(During::Page as u8),
            cut: AtomicU8::new(Cut::Nothing as u8),
            waiting: AtomicUsize::new(0),
            forwarded: AtomicU64::new(0),
            last_forwarded_ms: AtomicU64::new(0),
        }
    }
}

impl Gates {
    /// Picks the gate for a kind of request.
    pub fn of(&self, kind: Kind) -> &Arc<Gate> {
        match kind {
            Kind::Read => &self.reads,
            Kind::Write | Kind::Tunnel => &self.writes,
        }
    }

    /// Asks to be let in; see [`Gate::enter`].
    pub fn enter(&self, kind: Kind) -> Entry {
        self.of(kind).enter()
    }

    /// Holds both gates; who comes from this instant gets what `during` says.
    pub fn hold(&self, during: During) {
        // Before the bits: who sees a held gate must find the mode that belongs to it.
        self.during.store(during as u8, Ordering::Release);
        self.writes.hold();
        self.reads.hold();
    }

    /// Takes the hold back.
    pub fn release(&self) {
        self.cut.store(Cut::Nothing as u8, Ordering::Release);
        self.reads.release();
        self.writes.release();
    }

    /// Closes both gates for ever.
    pub fn close(&self) {
        self.writes.close();
        self.reads.close();
    }

    /// Waits until nothing is in flight at either gate.
    ///
    /// # Cancel safety
    /// Safe: nothing is lost but the wait.
    pub async fn drained(&self) {
        // Held gates only lose permits, so one after the other is as good as both at once.
        self.writes.drained().await;
        self.reads.drained().await;
    }

    /// Tells what those get who find a gate held.
    pub fn during(&self) -> During {
        if self.during.load(Ordering::Acquire) == During::Hold as u8 {
            During::Hold
        } else {
            During::Page
        }
    }

    /// Orders the workers to end what is in flight; they are told by [`super::Switchboard::nudge`].
    pub fn order_cut(&self, cut: Cut) {
        self.cut.store(cut as u8, Ordering::Release);
    }

    /// Tells whether an exchange of this kind is to be ended.
    pub fn is_cut(&self, kind: Kind) -> bool {
        let cut = self.cut.load(Ordering::Acquire);
        match kind {
            // A lane that is over lets the others end; a tunnel has no end of its own.
            Kind::Tunnel => cut >= Cut::Tunnels as u8 || self.are_closed(),
            Kind::Read => cut >= Cut::Reads as u8,
            Kind::Write => cut >= Cut::Everything as u8,
        }
    }

    /// Tells whether the lane is over.
    pub fn are_closed(&self) -> bool {
        self.reads.is_closed() && self.writes.is_closed()
    }

    /// Counts what is in flight at both gates.
    pub fn in_flight(&self) -> u64 {
        self.reads.in_flight() + self.writes.in_flight()
    }

    /// Tells whether a write is in flight at the held gate.
    ///
    /// Whoever is refused counts for an instant, so it takes several looks in a row to be sure.
    pub fn has_writes(&self) -> bool {
        const LOOKS: u32 = 64;
        (0..LOOKS).all(|_| {
            std::thread::yield_now();
            self.writes.in_flight() > 0
        })
    }

    /// Takes a place among those on hold; `None` when `most` are taken.
    pub fn wait_place(self: &Arc<Self>, most: usize) -> Option<WaitPlace> {
        let taken = self.waiting.fetch_add(1, Ordering::AcqRel);
        let place = WaitPlace {
            gates: Arc::clone(self),
        };
        (taken < most).then_some(place)
    }

    /// Counts the requests on hold.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Acquire)
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

/// A place among the requests on hold; dropping it gives it back.
#[derive(Debug)]
#[must_use]
pub struct WaitPlace {
    gates: Arc<Gates>,
}

impl Drop for WaitPlace {
    fn drop(&mut self) {
        self.gates.waiting.fetch_sub(1, Ordering::AcqRel);
    }
}
