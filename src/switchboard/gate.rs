//! The gate: admission and counting in one atomic step.
//!
//! One word holds all of a gate's state, `[closed | held | shut | lined | in_flight:60]`.
//! [`Gate::enter`] adds itself first and looks at what it got, so there is no instant between "may
//! I" and "I am in" for a hold to slip into. A hold sets its bit once; whoever comes later, with
//! however old a snapshot, sees it.
//!
//! ```text
//! enter ──admitted──> Permit ──drop──> in_flight - 1 ──0 while held or shut──> drained() wakes
//!   │ held, lined
//!   ├─────> the caller gets in line, and enters again when it is his turn
//!   │ shut
//!   ├─────> the caller answers what `access` says
//!   │ closed
//!   └─────> the caller loads the current snapshot and enters its lane
//! ```
//!
//! `tests/it/gate_loom.rs` includes this file and explores its interleavings.

use std::future::Future;
use std::pin::Pin;
use std::sync::PoisonError;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use super::sync::{Arc, AtomicU8, AtomicU64, Mutex, MutexGuard, Ordering};

/// The lane is over.
const CLOSED: u64 = 1 << 63;
/// A flip lets nobody in.
const HELD: u64 = 1 << 62;
/// `access` forbids what comes through this gate.
const SHUT: u64 = 1 << 61;
/// Those who were on hold go first, in their line.
const LINED: u64 = 1 << 60;
const IN_FLIGHT: u64 = LINED - 1;

/// What lets somebody in who would otherwise be kept out; a held or closed gate lets in nobody.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pass(u64);

impl Pass {
    /// Lets in whose turn in the line it is.
    #[must_use]
    pub fn in_turn() -> Self {
        Self(LINED)
    }
}

/// What [`Gate::enter`] found.
#[derive(Debug)]
#[must_use]
pub enum Entry {
    /// In: go on, and keep the permit for as long as the exchange lasts.
    Admitted(Permit),
    /// A flip holds the gate, or others go first: get in line, or answer with the page.
    Held,
    /// `access` forbids it: answer with the page, now.
    Shut,
    /// This lane is over: load the current snapshot and enter its lane.
    Closed,
}

/// What of that which came in through a gate is to be ended at once, for one reason or another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cuts(u8);

impl Cuts {
    pub(super) const NONE: Self = Self(0);
    /// What ends by itself, sooner or later.
    pub(super) const PLAIN: Self = Self(1);
    /// Tunnels, which have no end of their own.
    pub(super) const TUNNELS: Self = Self(2);
    pub(super) const ALL: Self = Self(3);
}

/// Who orders a cut; each takes back its own only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CutBy {
    Flip,
    Access,
}

impl CutBy {
    fn shift(self) -> u8 {
        match self {
            Self::Flip => 0,
            Self::Access => 2,
        }
    }
}

/// One of a lane's two gates; shared by every snapshot of the lane's epoch.
#[derive(Debug)]
pub struct Gate {
    word: AtomicU64,
    /// [`Cuts`] by [`CutBy`].
    cuts: AtomicU8,
    /// Who waits for the last permit to come back; one at a time in practice.
    drains: Mutex<Vec<Waker>>,
    /// Exchanges that were given up unfinished: their origins may still be at work.
    abandoned: Mutex<Abandoned>,
}

/// Exchanges that were given up unfinished.
#[derive(Clone, Copy, Debug, Default)]
struct Abandoned {
    count: u64,
    last: Option<Instant>,
}

impl Default for Gate {
    fn default() -> Self {
        Self::new()
    }
}

impl Gate {
    /// Makes an open gate with nobody inside.
    pub fn new() -> Self {
        Self::with(0)
    }

    /// Makes a gate at which a line stands.
    pub(super) fn lined() -> Self {
        Self::with(LINED)
    }

    fn with(word: u64) -> Self {
        Self {
            word: AtomicU64::new(word),
            cuts: AtomicU8::new(0),
            drains: Mutex::new(Vec::new()),
            abandoned: Mutex::new(Abandoned::default()),
        }
    }

    /// Asks to be let in, and counts as in flight from the same instant.
    pub fn enter(self: &Arc<Self>, pass: Pass) -> Entry {
        let before = self.word.fetch_add(1, Ordering::AcqRel);
        let barred = before & (CLOSED | HELD | SHUT | LINED) & !pass.0;
        if barred == 0 {
            return Entry::Admitted(Permit {
                gate: Arc::clone(self),
                also: None,
                stage: AtomicU8::new(Stage::Nothing as u8),
            });
        }
        self.leave();
        if barred & CLOSED != 0 {
            Entry::Closed
        } else if barred & SHUT != 0 {
            Entry::Shut
        } else {
            Entry::Held
        }
    }

    /// Lets nobody in from this instant; who is in stays in.
    pub fn hold(&self) {
        self.word.fetch_or(HELD, Ordering::AcqRel);
    }

    /// Tells whether the gate is held.
    pub(super) fn is_held(&self) -> bool {
        self.word.load(Ordering::Acquire) & HELD != 0
    }

    /// Takes a hold back.
    pub fn release(&self) {
        self.word.fetch_and(!HELD, Ordering::AcqRel);
    }

    /// Lets those in line go before all others, from this instant.
    pub(super) fn line_up(&self) {
        self.word.fetch_or(LINED, Ordering::AcqRel);
    }

    /// Ends that: nobody is left in the line.
    pub(super) fn line_over(&self) {
        self.word.fetch_and(!LINED, Ordering::AcqRel);
    }

    /// Lets nobody in without a pass through `access`, from this instant, or lets all in again.
    pub(super) fn shut(&self, is_shut: bool) {
        if is_shut {
            self.word.fetch_or(SHUT, Ordering::AcqRel);
        } else {
            self.word.fetch_and(!SHUT, Ordering::AcqRel);
        }
    }

    /// Tells whether `access` forbids what comes through this gate.
    pub(super) fn is_shut(&self) -> bool {
        self.word.load(Ordering::Acquire) & SHUT != 0
    }

    /// Notes that an exchange was given up unfinished, at this instant.
    pub fn abandon(&self) {
        let mut abandoned = self.abandoned();
        abandoned.count += 1;
        abandoned.last = Some(Instant::now());
    }

    /// Tells when an exchange was last given up unfinished.
    pub fn last_abandoned(&self) -> Option<Instant> {
        self.abandoned().last
    }

    /// Counts the exchanges that were given up unfinished.
    pub fn count_abandoned(&self) -> u64 {
        self.abandoned().count
    }

    fn abandoned(&self) -> MutexGuard<'_, Abandoned> {
        // As with the other lock.
        self.abandoned
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Orders what came in through this gate to be ended; who carries it is told elsewhere. An order
    /// stands until one for nothing takes it back.
    pub(super) fn order_cut(&self, by: CutBy, cuts: Cuts) {
        if cuts == Cuts::NONE {
            let others = !(Cuts::ALL.0 << by.shift());
            self.cuts.fetch_and(others, Ordering::AcqRel);
        } else {
            self.cuts.fetch_or(cuts.0 << by.shift(), Ordering::AcqRel);
        }
    }

    fn is_cut(&self, cuts: Cuts) -> bool {
        let ordered = self.cuts.load(Ordering::Acquire);
        [CutBy::Flip, CutBy::Access]
            .iter()
            .any(|by| ordered >> by.shift() & cuts.0 != 0)
    }

    /// Ends the gate for ever.
    pub fn close(&self) {
        self.word.fetch_or(CLOSED, Ordering::AcqRel);
        self.wake_drains();
    }

    /// Tells whether the gate has been closed.
    pub fn is_closed(&self) -> bool {
        self.word.load(Ordering::Acquire) & CLOSED != 0
    }

    /// Counts the permits that are out; an entry being refused may count for an instant.
    pub fn in_flight(&self) -> u64 {
        self.word.load(Ordering::Acquire) & IN_FLIGHT
    }

    /// Waits until nobody is in flight while the gate is held, shut or closed.
    ///
    /// # Cancel safety
    /// Dropping the future leaves at most a spurious wake-up behind.
    pub fn drained(self: &Arc<Self>) -> Drained {
        Drained {
            gate: Arc::clone(self),
        }
    }

    fn leave(&self) {
        let before = self.word.fetch_sub(1, Ordering::AcqRel);
        if before & IN_FLIGHT == 1 && before & (CLOSED | HELD | SHUT) != 0 {
            self.wake_drains();
        }
    }

    /// Tells whether nobody is in flight while the gate is held, shut or closed.
    pub(super) fn is_drained(&self) -> bool {
        let word = self.word.load(Ordering::Acquire);
        word & (CLOSED | HELD | SHUT) != 0 && word & IN_FLIGHT == 0
    }

    fn wake_drains(&self) {
        let woken = std::mem::take(&mut *self.lock());
        for waker in woken {
            waker.wake();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Waker>> {
        // Nothing can panic while the lock is held, so a poisoned one is as good as any.
        self.drains.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right to one upstream exchange; dropping it leaves the gate it was given at.
#[derive(Debug)]
#[must_use]
pub struct Permit {
    gate: Arc<Gate>,
    /// The right to a part of the site, where that has a gate of its own.
    also: Option<Box<Self>>,
    /// A [`Stage`] as number.
    stage: AtomicU8,
}

/// How far an exchange has come.
#[derive(Clone, Copy, Debug)]
enum Stage {
    /// Its origin has nothing of it, or has answered.
    Nothing,
    /// Its origin may be at work on it.
    AtWork,
}

impl Permit {
    /// Notes that the origin is about to get something of the exchange.
    pub fn begin_work(&self) {
        self.stage.store(Stage::AtWork as u8, Ordering::Release);
    }

    /// Notes that the origin has nothing of it to work on: it has answered, or got nothing.
    pub fn end_work(&self) {
        self.stage.store(Stage::Nothing as u8, Ordering::Release);
    }

    /// Joins the right to a part of the site to that to the whole.
    pub fn and(mut self, part: Self) -> Self {
        self.also = Some(Box::new(part));
        self
    }

    /// Tells whether the lane was closed under this permit, which must never be seen.
    pub fn is_stale(&self) -> bool {
        self.gate.is_closed()
    }

    /// Tells whether the exchange is to be ended at once.
    pub fn is_cut(&self) -> bool {
        self.has(Cuts::PLAIN)
    }

    /// Tells whether a tunnel, which has no end of its own, is to be ended.
    pub fn is_cut_as_tunnel(&self) -> bool {
        // A lane that is over lets the others end.
        self.has(Cuts::TUNNELS) || self.gate.is_closed()
    }

    fn has(&self, cuts: Cuts) -> bool {
        let also = self.also.as_ref();
        self.gate.is_cut(cuts) || also.is_some_and(|also| also.has(cuts))
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        // Before it leaves: whoever sees the gate drained must see this too.
        if self.stage.load(Ordering::Acquire) == Stage::AtWork as u8 {
            self.gate.abandon();
        }
        self.gate.leave();
    }
}

/// The future of [`Gate::drained`].
#[derive(Debug)]
#[must_use]
pub struct Drained {
    gate: Arc<Gate>,
}

impl Future for Drained {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        // Looked at with the lock held: the last to leave takes it after he has left, and so
        // either is seen to have left, or finds this waker.
        let mut drains = self.gate.lock();
        if self.gate.is_drained() {
            return Poll::Ready(());
        }
        drains.retain(|waker| !waker.will_wake(cx.waker()));
        drains.push(cx.waker().clone());
        Poll::Pending
    }
}
