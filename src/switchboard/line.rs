//! The line: those on hold at a site, in the order in which they came.
//!
//! A line belongs to a site, and not to a lane, so whoever waited at the old lane goes on at the
//! new one in the same order. When a hold ends, those in line go on at a pace, and who comes
//! meanwhile waits behind them: they are the next wave, which takes at most half as long as the
//! wave before. So a line ends, in twice the time of its first wave at the latest, however many
//! come.
//!
//! ```text
//! join ──> waits ──hold over──> has a slot ──its time──> goes ──> enters the gate in turn
//!             ▲                      │ held again
//!             └──────────────────────┘
//! ```
//!
//! Who waits leaves his waker under the lock under which the hold ends, so no wake-up is lost. That
//! nobody gets in during a hold is the gate's affair, whatever the line says.
//!
//! `tests/it/gate_loom.rs` includes this file and explores its interleavings.

use std::collections::BTreeMap;
use std::task::Waker;
use std::time::{Duration, Instant};

use super::sync::{Arc, Mutex, MutexGuard};

/// A wave of less than this is none: timers are no finer.
const WAVE_MIN: Duration = Duration::from_millis(5);

/// The bounds of a line, from the site's policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineBounds {
    /// How many requests may wait.
    pub requests: usize,
    /// How many bytes they may keep in memory, all together.
    pub bytes: u64,
    /// How many of them go on per second when the hold is over, at least 1.
    pub release_rate: u32,
}

/// Those on hold at a site.
#[derive(Debug, Default)]
pub struct Line {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// A hold is in force: nobody goes on.
    held: bool,
    /// Those who go on, at a pace; `None` when nobody has to wait for anybody.
    wave: Option<Wave>,
    /// In the order of their tickets, which is that of their coming.
    waiting: BTreeMap<u64, Waiting>,
    /// Those of them who have no slot.
    without_slot: u32,
    next_ticket: u64,
    bytes: u64,
    /// As the last who came brought it.
    release_rate: u32,
}

#[derive(Clone, Copy, Debug)]
struct Wave {
    ends: Instant,
    span: Duration,
}

#[derive(Debug)]
struct Waiting {
    waker: Option<Waker>,
    /// When it goes on; `None` during a hold, and for the next wave.
    slot: Option<Instant>,
}

/// What [`Line::join`] found.
#[derive(Debug)]
#[must_use]
pub enum Joined {
    /// In line.
    Waits(Place),
    /// Every place is taken, or the memory is.
    Full,
    /// There is no line any more: go on.
    Over,
}

/// When somebody in line may go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Now.
    Now,
    /// Not before this.
    At(Instant),
    /// When the hold ends; the waker that was left is woken then.
    Later,
}

impl Line {
    /// Gets somebody in line who keeps `bytes` in memory; `at_end` is called while nobody can join
    /// when there is no line any more.
    pub fn join(
        self: &Arc<Self>,
        bytes: u64,
        bounds: LineBounds,
        now: Instant,
        at_end: impl FnOnce(),
    ) -> Joined {
        let mut state = self.lock();
        if state.is_over(now) {
            state.wave = None;
            at_end();
            return Joined::Over;
        }
        let bytes_then = state.bytes.saturating_add(bytes);
        if state.waiting.len() >= bounds.requests || bytes_then > bounds.bytes {
            return Joined::Full;
        }
        state.bytes = bytes_then;
        state.release_rate = bounds.release_rate;
        let ticket = state.next_ticket;
        state.next_ticket += 1;
        let waiting = Waiting {
            waker: None,
            slot: None,
        };
        state.waiting.insert(ticket, waiting);
        state.without_slot += 1;
        Joined::Waits(Place {
            line: Arc::clone(self),
            ticket,
            bytes,
        })
    }

    /// Begins a hold: those who were about to go on wait again. To be called before the gates are
    /// held, so that who finds one held finds this.
    pub(super) fn hold(&self) {
        let mut state = self.lock();
        state.held = true;
        state.wave = None;
        for waiting in state.waiting.values_mut() {
            waiting.slot = None;
        }
        state.without_slot = state.count();
    }

    /// Ends a hold: those in line go on from `now`. `turn` opens or closes the gates, and is told
    /// whether anybody is in line; nobody can join meanwhile.
    pub(super) fn open(&self, now: Instant, turn: impl FnOnce(bool)) {
        let mut state = self.lock();
        turn(!state.waiting.is_empty());
        if !std::mem::take(&mut state.held) {
            // The line was not held: whoever is in it goes on as he was going to.
            return;
        }
        let rate = state.release_rate.max(1);
        let span = Duration::from_secs(1).saturating_mul(state.count()) / rate;
        state.begin_wave(now, span);
        let wakers: Vec<_> = state
            .waiting
            .values_mut()
            .filter_map(|waiting| waiting.waker.take())
            .collect();
        drop(state);
        for waker in wakers {
            waker.wake();
        }
    }

    /// Counts those in line.
    pub fn len(&self) -> usize {
        self.lock().waiting.len()
    }

    /// Counts all who ever got in line.
    pub fn joined(&self) -> u64 {
        self.lock().next_ticket
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing can panic while the lock is held, so a poisoned one is as good as any.
        self.state
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl State {
    fn count(&self) -> u32 {
        u32::try_from(self.waiting.len()).unwrap_or(u32::MAX)
    }

    /// Tells whether nobody waits for a hold to end, nor for a later wave.
    fn is_over(&self, now: Instant) -> bool {
        let no_wave = |wave: Wave| now >= wave.ends && self.without_slot == 0;
        !self.held && self.wave.is_none_or(no_wave)
    }

    /// Gives a slot to everyone who has none, evenly over `span`.
    fn begin_wave(&mut self, now: Instant, span: Duration) {
        if span < WAVE_MIN || self.without_slot == 0 {
            self.wave = None;
            return;
        }
        let (mut slot, step) = (now, span / self.without_slot);
        for waiting in self.waiting.values_mut() {
            if waiting.slot.is_none() {
                waiting.slot = Some(slot);
                slot += step;
            }
        }
        self.without_slot = 0;
        let ends = now + span;
        self.wave = Some(Wave { ends, span });
    }
}

/// A place in the line; dropping it gives it back.
#[derive(Debug)]
#[must_use]
pub struct Place {
    line: Arc<Line>,
    ticket: u64,
    bytes: u64,
}

impl Place {
    /// Asks whether it is this one's turn; unless it is, the waker is woken when the hold ends.
    pub fn turn(&self, waker: &Waker, now: Instant) -> Turn {
        let mut state = self.line.lock();
        if let (false, Some(wave)) = (state.held, state.wave)
            && now >= wave.ends
        {
            // Who went on with it has a slot; whoever has none came meanwhile.
            state.begin_wave(now, wave.span / 2);
        }
        let (held, wave) = (state.held, state.wave);
        let Some(waiting) = state.waiting.get_mut(&self.ticket) else {
            return Turn::Now;
        };
        let turn = match (held, wave, waiting.slot) {
            (true, ..) => Turn::Later,
            (false, None, _) => Turn::Now,
            (false, Some(_), Some(slot)) if slot <= now => Turn::Now,
            (false, Some(_), Some(slot)) => Turn::At(slot),
            (false, Some(wave), None) => Turn::At(wave.ends),
        };
        if turn != Turn::Now {
            waiting.waker = Some(waker.clone());
        }
        turn
    }

    /// Tells whether it is a place in this line.
    pub fn is_in(&self, line: &Arc<Line>) -> bool {
        Arc::ptr_eq(&self.line, line)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.line.lock();
        let left = state.waiting.remove(&self.ticket);
        if left.is_some_and(|waiting| waiting.slot.is_none()) {
            state.without_slot -= 1;
        }
        state.bytes = state.bytes.saturating_sub(self.bytes);
    }
}
