//! How long a connection may lie idle, how long a stream may stall, and how much may be reset.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use crate::proxy::Limits;

use super::meter::Meter;

/// How many exchanges a client may give up beyond those that it lets be answered: each costs an
/// origin its connection. Who seeks in films resets some dozens; who floods, thousands.
const GIVEN_UP_MAX: u32 = 128;

/// What a connection is doing, for the watch over it.
#[derive(Debug)]
pub(super) struct Patience {
    state: Cell<State>,
    streams: RefCell<Vec<Weak<Clock>>>,
    /// Exchanges that may still be given up.
    credit: Cell<u32>,
    spent: Notify,
    meter: Rc<Meter>,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// Nothing was asked yet, or the client was told to go away.
    Expected(Instant),
    /// No stream is open.
    Idle(Instant),
    /// Some are.
    Busy,
}

/// Why a connection is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Over {
    /// Nothing is asked on it.
    Idle,
    /// A stream takes and sends nothing.
    Stalled,
    /// Too much was given up.
    Flood,
}

/// One stream; dropping it before [`Stream::answered`] is to give it up.
#[derive(Debug)]
pub(super) struct Stream {
    clock: Rc<Clock>,
    patience: Rc<Patience>,
    answered: Cell<bool>,
}

/// Since when a stream waits for its client.
#[derive(Debug, Default)]
struct Clock {
    reading: Cell<Option<Instant>>,
    writing: Cell<Option<Instant>>,
}

impl Patience {
    /// Begins the watch over a connection that is there since `since`.
    pub(super) fn new(since: Instant) -> Rc<Self> {
        Rc::new(Self {
            state: Cell::new(State::Expected(since)),
            streams: RefCell::new(Vec::new()),
            credit: Cell::new(GIVEN_UP_MAX),
            spent: Notify::new(),
            meter: Rc::default(),
        })
    }

    /// Shares the count of what comes on the connection.
    pub(super) fn meter(&self) -> &Rc<Meter> {
        &self.meter
    }

    /// Begins the watch over a stream.
    pub(super) fn begin(self: &Rc<Self>) -> Rc<Stream> {
        let clock = Rc::new(Clock::default());
        self.state.set(State::Busy);
        self.meter.request();
        self.streams.borrow_mut().push(Rc::downgrade(&clock));
        Rc::new(Stream {
            clock,
            patience: Rc::clone(self),
            answered: Cell::new(false),
        })
    }

    /// Gives the client as long as a head may take, and no more.
    pub(super) fn last_chance(&self) {
        self.state.set(State::Expected(Instant::now()));
    }

    /// Returns why the connection is over, when it is.
    pub(super) async fn over(&self, limits: Limits) -> Over {
        loop {
            let spent = self.spent.notified();
            if self.credit.get() == 0 {
                return Over::Flood;
            }
            let now = Instant::now();
            let due = self.due(limits);
            if let Some((due, over)) = due
                && due <= now
            {
                return over;
            }
            // A stream may begin to wait meanwhile, so this never sleeps for longer than the
            // strictest limit; it is late by as much at most.
            let look = now + limits.head_within.min(limits.idle_for);
            let wake = due.map_or(look, |(due, _)| due.min(look));
            // Both arms may be dropped: they only tell when to look again.
            tokio::select! {
                () = spent => {}
                () = sleep_until(wake) => {}
            }
        }
    }

    fn due(&self, limits: Limits) -> Option<(Instant, Over)> {
        match self.state.get() {
            State::Expected(since) => Some((since + limits.head_within, Over::Idle)),
            State::Idle(since) => Some((since + limits.idle_for, Over::Idle)),
            State::Busy => {
                let streams = self.streams.borrow();
                let clocks = streams.iter().filter_map(Weak::upgrade);
                let waits = clocks.flat_map(|clock| [clock.reading.get(), clock.writing.get()]);
                let oldest = waits.flatten().min()?;
                Some((oldest + limits.idle_for, Over::Stalled))
            }
        }
    }

    fn ended(&self, was_answered: bool) {
        let mut streams = self.streams.borrow_mut();
        streams.retain(|stream| stream.strong_count() > 0);
        if streams.is_empty() {
            self.state.set(State::Idle(Instant::now()));
        }
        let credit = self.credit.get();
        self.credit.set(if was_answered {
            GIVEN_UP_MAX.min(credit + 1)
        } else {
            credit.saturating_sub(1)
        });
        if self.credit.get() == 0 {
            self.spent.notify_one();
        }
    }
}

impl Stream {
    /// Notes bytes of a body, either way.
    pub(super) fn carried(&self, bytes: usize) {
        self.patience.meter.carried(bytes);
    }

    /// Notes whether a part of the request's body is waited for.
    pub(super) fn reading(&self, waits: bool) {
        note(&self.clock.reading, waits);
    }

    /// Notes whether the client has yet to take a part of the answer.
    pub(super) fn writing(&self, waits: bool) {
        note(&self.clock.writing, waits);
    }

    /// Notes that the answer is complete.
    pub(super) fn answered(&self) {
        self.answered.set(true);
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        // Its clock must be gone before the open streams are counted.
        self.clock = Rc::default();
        self.patience.ended(self.answered.get());
    }
}

/// Notes since when something waits; a part that moved begins the wait anew.
fn note(since: &Cell<Option<Instant>>, waits: bool) {
    since.set(waits.then(|| since.get().unwrap_or_else(Instant::now)));
}
