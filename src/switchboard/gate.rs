//! The gate: admission and counting in one atomic step.
//!
//! One word holds all of a gate's state, `[closed:1 | held:1 | in_flight:62]`. [`Gate::enter`] adds
//! itself first and looks at what it got, so there is no instant between "may I" and "I am in"
//! for a hold to slip into. A hold sets its bit once; whoever comes later, with however old a
//! snapshot, sees it.
//!
//! ```text
//! enter ──admitted──> Permit ──drop──> in_flight - 1 ──0 while held──> drained() wakes
//!   │ held                                  ▲
//!   ├─────> Wait ──release or close──> enter again
//!   │ closed
//!   └─────> the caller loads the current snapshot and enters its lane
//! ```
//!
//! Who waits registers under the same lock that a wake-up takes, and looks at the word once more
//! while holding it: a release that was not seen there has yet to take the lock, and wakes him.
//!
//! `tests/it/gate_loom.rs` includes this file and explores its interleavings.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use super::sync::{Arc, AtomicU64, Mutex, MutexGuard, Ordering};

const CLOSED: u64 = 1 << 63;
const HELD: u64 = 1 << 62;
const IN_FLIGHT: u64 = HELD - 1;

/// What [`Gate::enter`] found.
#[derive(Debug)]
#[must_use]
pub enum Entry {
    /// In: go on, and keep the permit for as long as the exchange lasts.
    Admitted(Permit),
    /// A flip holds the gate: wait, or answer with the page.
    Held,
    /// This lane is over: load the current snapshot and enter its lane.
    Closed,
}

/// One of a lane's two gates; shared by every snapshot of the lane's epoch.
#[derive(Debug)]
pub struct Gate {
    word: AtomicU64,
    waiting: Mutex<Waiting>,
}

/// Everyone who sleeps at the gate.
#[derive(Debug, Default)]
struct Waiting {
    next_ticket: u64,
    /// Requests on hold, oldest first.
    entrants: VecDeque<(u64, Waker)>,
    /// Flips that wait for the last permit; one at a time in practice.
    drains: Vec<Waker>,
}

impl Default for Gate {
    fn default() -> Self {
        Self::new()
    }
}

impl Gate {
    /// Makes an open gate with nobody inside.
    pub fn new() -> Self {
        Self {
            word: AtomicU64::new(0),
            waiting: Mutex::new(Waiting::default()),
        }
    }

    /// Asks to be let in, and counts as in flight from the same instant.
    pub fn enter(self: &Arc<Self>) -> Entry {
        let before = self.word.fetch_add(1, Ordering::AcqRel);
        if before & (CLOSED | HELD) == 0 {
            return Entry::Admitted(Permit {
                gate: Arc::clone(self),
            });
        }
        self.leave();
        if before & CLOSED != 0 {
            Entry::Closed
        } else {
            Entry::Held
        }
    }

    /// Lets nobody in from this instant; who is in stays in.
    pub fn hold(&self) {
        self.word.fetch_or(HELD, Ordering::AcqRel);
    }

    /// Takes a hold back: the waiters are woken, oldest first, and enter again.
    pub fn release(&self) {
        self.word.fetch_and(!HELD, Ordering::AcqRel);
        self.wake_entrants();
    }

    /// Ends the gate for ever: the waiters are woken, to find the lane that took over.
    pub fn close(&self) {
        self.word.fetch_or(CLOSED, Ordering::AcqRel);
        self.wake_entrants();
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

    /// Waits until the gate is not held: released, or closed.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the queue.
    pub fn opened(self: &Arc<Self>) -> Opened {
        Opened {
            gate: Arc::clone(self),
            ticket: None,
        }
    }

    /// Waits until nobody is in flight while the gate is held or closed.
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
        if before & IN_FLIGHT == 1 && before & (CLOSED | HELD) != 0 {
            self.wake_drains();
        }
    }

    fn is_held(&self) -> bool {
        self.word.load(Ordering::Acquire) & (CLOSED | HELD) == HELD
    }

    fn is_drained(&self) -> bool {
        let word = self.word.load(Ordering::Acquire);
        word & (CLOSED | HELD) != 0 && word & IN_FLIGHT == 0
    }

    fn wake_entrants(&self) {
        let woken = std::mem::take(&mut self.lock().entrants);
        for (_, waker) in woken {
            waker.wake();
        }
    }

    fn wake_drains(&self) {
        let woken = std::mem::take(&mut self.lock().drains);
        for waker in woken {
            waker.wake();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // Nothing can panic while the lock is held, so a poisoned one is as good as any.
        self.waiting
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// The right to one upstream exchange; dropping it leaves the gate it was given at.
#[derive(Debug)]
#[must_use]
pub struct Permit {
    gate: Arc<Gate>,
}

impl Permit {
    /// Tells whether the lane was closed under this permit, which must never be seen.
    pub fn is_stale(&self) -> bool {
        self.gate.is_closed()
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.gate.leave();
    }
}

/// The future of [`Gate::opened`].
#[derive(Debug)]
#[must_use]
pub struct Opened {
    gate: Arc<Gate>,
    ticket: Option<u64>,
}

impl Future for Opened {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let mut waiting = this.gate.lock();
        if !this.gate.is_held() {
            return Poll::Ready(());
        }
        let ticket = *this.ticket.get_or_insert_with(|| {
            waiting.next_ticket += 1;
            waiting.next_ticket
        });
        match waiting
            .entrants
            .iter_mut()
            .find(|(taken, _)| *taken == ticket)
        {
            Some((_, waker)) => waker.clone_from(cx.waker()),
            None => waiting.entrants.push_back((ticket, cx.waker().clone())),
        }
        Poll::Pending
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            self.gate
                .lock()
                .entrants
                .retain(|(taken, _)| *taken != ticket);
        }
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
        let mut waiting = self.gate.lock();
        if self.gate.is_drained() {
            return Poll::Ready(());
        }
        waiting.drains.retain(|waker| !waker.will_wake(cx.waker()));
        waiting.drains.push(cx.waker().clone());
        Poll::Pending
    }
}
