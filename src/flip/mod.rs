//! The flip: a planned switchover as a pure state machine.
//!
//! For: the order of things, and what follows from each result. Not for: doing any of them:
//! [`Flip::step`] takes what happened and the time, and says what to do next; `control::drive`
//! does it and feeds the result back.
//!
//! ```text
//! Rehearsing ═> Quiescing ═> Holding ═> Draining ═> Syncing ═> Checking ═> Closing ═> Committing
//!     │             │           │          │           │          │           │        ║  │  │
//!     │             └───────────┴──────────┴───────────┴──────────┴───────────┤        ║  │  │
//!     │ refused                                                               v        ║  │  │
//!     │                                             Restored <── Restoring <──┴────────╫──┘  │
//!     │                                                              ^    not written  ║     │
//!     │                                                     aborted, │                 ║     │
//!     v                                                      fsynced └── Aborting <────╫─────┘
//!  Settling ──> Refused                                                       unknown  ║
//!     ^ ╚═════> Settled, or Moved                                                      ║
//!     ╚═══════════════════ Confirming <═══════════ Publishing <════════════════════════╝
//!                                                              the point of no return
//! ```
//!
//! Double lines are the usual road. Before the commit every failure and every cancel leads back to
//! the old side; after it there is only forward. While the outcome of a commit is unknown the gates
//! stay held and users get the page.
//!
//! A result that comes late, for a phase that is over, is passed over: each phase takes only what
//! it asked for.
//!
//! A crash leaves the machine nowhere: the journal's row says on which side of the commit it was.
//! `walk` (tests) visits every reachable state and checks the invariants in each.

mod phases;
mod road;
#[cfg(test)]
mod walk;

use std::time::Duration;

use crate::site::{Answers, DrainThen, During, Outcome};

pub use road::{Stretch, road};

pub use phases::{
    Aborting, Checking, Closing, Committing, Confirming, Draining, Ended, Holding, Publishing,
    Quiescing, Rehearsing, Restoring, Settling, Syncing,
};

/// A point in time, as the caller's monotonic clock counts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment {
    /// Milliseconds since a start of the caller's choice.
    pub ms: u64,
}

impl Moment {
    /// Looks ahead.
    #[must_use]
    pub fn after(self, wait: Duration) -> Self {
        let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        Self {
            ms: self.ms.saturating_add(wait_ms),
        }
    }
}

/// What a flip is to do, fixed when it is begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Plan {
    /// What users get meanwhile.
    pub during: During,
    /// How long to wait for what is in flight.
    pub drain_for: Duration,
    /// What becomes of what is still in flight then.
    pub drain_then: DrainThen,
    /// An emergency: the old side is dead, or is to be taken as dead.
    pub now: bool,
    /// Direct names give out the old side's address until the new side's takes its place, so users
    /// are let in to the new side only when that has run out.
    pub keeps: bool,
}

impl Plan {
    /// Tells what is held from the start.
    fn scope(&self) -> Scope {
        if self.during == During::ReadOnly && !self.now {
            Scope::Writes
        } else {
            Scope::All
        }
    }
}

/// Which of the gates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// That of the writes.
    Writes,
    /// Both.
    All,
}

/// A flip in one of its phases.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Flip {
    /// Asks whether the target is fit, before anyone waits.
    Rehearsing(Rehearsing),
    /// The intent is journalled; copies of data end, `before` hooks run.
    Quiescing(Quiescing),
    /// The gates are being held.
    Holding(Holding),
    /// What is in flight ends.
    Draining(Draining),
    /// The last copy of the data.
    Syncing(Syncing),
    /// A short preflight again.
    Checking(Checking),
    /// Reads that went on so far are held and drained too.
    Closing(Closing),
    /// The commit is being written.
    Committing(Committing),
    /// The commit may or may not be on disk; it is being taken back.
    Aborting(Aborting),
    /// The new snapshot is out; the workers turn to it.
    Publishing(Publishing),
    /// The listeners are asked what they serve.
    Confirming(Confirming),
    /// The end is being journalled.
    Settling(Settling),
    /// On the way back to the old side.
    Restoring(Restoring),
    /// Over.
    Ended(Ended),
}

/// Something that happened, most often the result of an [`Action`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Input {
    /// The answer to [`Action::Preflight`]; a refusal comes with its words.
    Preflight(Result<(), String>),
    /// The answer to [`Action::JournalIntent`].
    IntentJournalled(Result<(), String>),
    /// The answer to [`Action::AwaitGuards`].
    GuardsOut(Result<(), String>),
    /// The answer to [`Action::Answer`]: every answer from here on is such a one.
    Answering(Result<(), String>),
    /// The answer to [`Action::AwaitLease`].
    LeaseOver(Result<(), String>),
    /// The answer to [`Action::RunHooks`].
    HooksDone(Hooks, Result<(), String>),
    /// The answer to [`Action::StopHooks`]: no process of a hook is left.
    HooksStopped,
    /// The answer to [`Action::Hold`]: from here nobody is admitted to what is held.
    Held,
    /// The answer to [`Action::AwaitDrained`]: nothing is in flight on what is held.
    Drained,
    /// The answer to [`Action::AwaitLinger`]: nothing of it is at work, or that cannot be known.
    Lingered(Result<(), String>),
    /// A timer that [`Action::SetTimer`] asked for, with whether a write is in flight.
    Timer {
        /// At least one write is in flight.
        writes_in_flight: bool,
    },
    /// The answer to [`Action::Commit`].
    Committed(Commit),
    /// The answer to [`Action::JournalAborted`].
    AbortJournalled(Result<(), String>),
    /// The answer to [`Action::Publish`]; it cannot fail.
    Published,
    /// The answer to [`Action::AwaitWorkers`].
    WorkersTurned(Result<(), String>),
    /// The answer to [`Action::Confirm`].
    Confirmed(Result<(), String>),
    /// The answer to [`Action::JournalEnd`].
    EndJournalled(Result<(), String>),
    /// Someone calls the flip off, in these words.
    Cancel(String),
}

/// What became of the commit.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Commit {
    /// It is on disk: the point of no return.
    Written,
    /// It is certainly not on disk.
    NotWritten(String),
    /// It may be on disk.
    Unknown(String),
}

/// Which of the site's hooks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Hooks {
    /// Before anyone is held.
    Before,
    /// While nobody writes: the last copy.
    Sync,
    /// After the flip was acknowledged.
    After,
    /// On the way back.
    Restore,
}

/// What is to be ended of what is in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CutWhat {
    /// Reads only: no write is in flight.
    Reads,
    /// Writes only, tunnels first: what is read goes on.
    Writes,
    /// Everything, tunnels first.
    Everything,
}

/// Something to do.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub enum Action {
    /// Run the preflight checks against the target.
    Preflight,
    /// Write the intent, with the next epoch.
    JournalIntent,
    /// Refuse new guards and wait for running ones.
    AwaitGuards,
    /// Have direct names answer in this way; [`Action::Release`] and [`Action::Publish`] bring the
    /// usual back.
    Answer(Answers),
    /// Wait until no client may use any more what direct names gave out before they answered as
    /// they do.
    AwaitLease,
    /// Run these hooks, one after the other.
    RunHooks(Hooks),
    /// End the process group of the hook that runs, if one does.
    StopHooks,
    /// Hold these gates.
    Hold(Scope),
    /// Wait until nothing is in flight on these gates.
    AwaitDrained(Scope),
    /// Wait until what was given up unfinished is no longer at work in an origin.
    AwaitLinger,
    /// Call back at this moment; replaces an earlier timer.
    SetTimer(Moment),
    /// End what is in flight.
    Cut(CutWhat),
    /// Write the commit, fsynced; the new epoch, words and serials are in the same transaction.
    Commit,
    /// Append that the commit does not count, fsynced.
    JournalAborted,
    /// Store the new snapshot and close the old lanes; direct names answer with the new side. When
    /// they gave out the old one until here ([`Plan::keeps`]), the new lanes are held.
    Publish,
    /// Wait until every worker has turned to the new snapshot and dropped its old pools.
    AwaitWorkers,
    /// Let users in to new lanes that were published held.
    LetIn,
    /// Ask each own listener what it serves.
    Confirm,
    /// Open the old side's gates again, and have its direct names answer as usual.
    Release,
    /// Write how it ended.
    JournalEnd(Ending),
    /// Tell everyone who waits.
    Announce(Ending),
}

/// How a flip ended, and why.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Ending {
    /// How.
    pub outcome: Outcome,
    /// Why, and what to do next; empty when all went well.
    pub message: String,
}

impl Flip {
    /// Begins a flip with its rehearsal.
    pub fn begin(plan: Plan) -> (Self, Vec<Action>) {
        (
            Self::Rehearsing(Rehearsing { plan }),
            vec![Action::Preflight],
        )
    }

    /// Takes what happened at `now`, and says what to do next.
    #[must_use]
    pub fn step(self, input: Input, now: Moment) -> (Self, Vec<Action>) {
        match self {
            Self::Rehearsing(phase) => phase.step(input),
            Self::Quiescing(phase) => phase.step(input),
            Self::Holding(phase) => phase.step(input, now),
            Self::Draining(phase) => phase.step(input, now),
            Self::Syncing(phase) => phase.step(input),
            Self::Checking(phase) => phase.step(input),
            Self::Closing(phase) => phase.step(input, now),
            Self::Committing(phase) => phase.step(input),
            Self::Aborting(phase) => phase.step(&input, now),
            Self::Publishing(phase) => phase.step(input),
            Self::Confirming(phase) => phase.step(input),
            Self::Settling(phase) => phase.step(input),
            Self::Restoring(phase) => phase.step(input),
            Self::Ended(phase) => (Self::Ended(phase), Vec::new()),
        }
    }

    /// Names the phase as operators see it.
    pub fn phase(&self) -> &'static str {
        match self {
            Self::Rehearsing(_) => "rehearsing",
            Self::Quiescing(_) => "quiescing",
            Self::Holding(_) => "holding",
            Self::Draining(_) => "draining",
            Self::Syncing(_) => "syncing",
            Self::Checking(_) => "checking",
            Self::Closing(_) => "closing",
            Self::Committing(_) => "committing",
            Self::Aborting(_) => "unknown",
            Self::Publishing(_) => "publishing",
            Self::Confirming(_) => "confirming",
            Self::Settling(settling) if settling.ending.outcome == Outcome::Refused => "refusing",
            Self::Settling(_) => "settling",
            Self::Restoring(_) => "restoring",
            Self::Ended(ended) => ended.ending.outcome.word(),
        }
    }

    /// Tells whether a cancel can still lead back.
    pub fn is_cancellable(&self) -> bool {
        match self {
            Self::Rehearsing(_)
            | Self::Quiescing(_)
            | Self::Holding(_)
            | Self::Draining(_)
            | Self::Syncing(_)
            | Self::Checking(_)
            | Self::Closing(_) => true,
            Self::Committing(_)
            | Self::Aborting(_)
            | Self::Publishing(_)
            | Self::Confirming(_)
            | Self::Settling(_)
            | Self::Restoring(_)
            | Self::Ended(_) => false,
        }
    }

    /// Shows how it ended; `None` while it runs.
    pub fn ending(&self) -> Option<&Ending> {
        if let Self::Ended(ended) = self {
            Some(&ended.ending)
        } else {
            None
        }
    }
}
