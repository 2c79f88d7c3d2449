//! The commit and what follows: from here there is only forward, or a commit that is taken back.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a phase takes only what it asked for; whatever else comes is late, and passed over"
)]

use std::time::Duration;

use crate::site::Outcome;

use super::super::{Action, Commit, Ending, Flip, Input, Moment, Plan};
use super::ending::{Settling, restore};

/// How long to wait before the abort record is tried again; a full disk is seldom emptied sooner.
const ABORT_RETRY: Duration = Duration::from_secs(1);

/// The commit is being written.
///
/// *Data*: the commit, perhaps. *Access*: held and drained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Committing {
    pub(super) plan: Plan,
}

impl Committing {
    pub(in crate::flip) fn step(self, input: Input) -> (Flip, Vec<Action>) {
        let Input::Committed(commit) = input else {
            return (Flip::Committing(self), Vec::new());
        };
        match commit {
            Commit::Written => {
                let next = Publishing {
                    keeps: self.plan.keeps && !self.plan.now,
                    doubt: None,
                };
                (Flip::Publishing(next), vec![Action::Publish])
            }
            Commit::NotWritten(why) => restore(Outcome::Restored, why, true),
            Commit::Unknown(why) => (
                Flip::Aborting(Aborting { why }),
                vec![Action::JournalAborted],
            ),
        }
    }
}

/// The commit may or may not be on disk; it is being taken back.
///
/// *Data*: unknown, until `aborted` is on disk. *Access*: held; everyone gets the page.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Aborting {
    /// What the commit failed with.
    pub why: String,
}

impl Aborting {
    pub(in crate::flip) fn step(self, input: &Input, now: Moment) -> (Flip, Vec<Action>) {
        match input {
            Input::AbortJournalled(Ok(())) => restore(Outcome::Restored, self.why, true),
            Input::AbortJournalled(Err(_)) => (
                Flip::Aborting(self),
                vec![Action::SetTimer(now.after(ABORT_RETRY))],
            ),
            Input::Timer { .. } => (Flip::Aborting(self), vec![Action::JournalAborted]),
            _ => (Flip::Aborting(self), Vec::new()),
        }
    }
}

/// The new snapshot is out; the workers turn to it, and old DNS answers that were given out until
/// then run out.
///
/// *Data*: the commit. *Access*: the new side; in the latter case nobody yet.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Publishing {
    keeps: bool,
    /// The workers that have not turned, in words.
    doubt: Option<String>,
}

impl Publishing {
    pub(in crate::flip) fn step(self, input: Input) -> (Flip, Vec<Action>) {
        match input {
            Input::Published => (Flip::Publishing(self), vec![Action::AwaitWorkers]),
            Input::WorkersTurned(turned) if self.keeps => {
                let doubt = turned.err();
                (
                    Flip::Publishing(Self { doubt, ..self }),
                    vec![Action::AwaitLease],
                )
            }
            Input::WorkersTurned(turned) => confirm(turned.err(), Vec::new()),
            // There is only forward, and whom a worker still serves is not made better by a wait.
            Input::LeaseOver(over) => confirm(self.doubt.or(over.err()), vec![Action::LetIn]),
            _ => (Flip::Publishing(self), Vec::new()),
        }
    }
}

fn confirm(doubt: Option<String>, mut actions: Vec<Action>) -> (Flip, Vec<Action>) {
    actions.push(Action::Confirm);
    (Flip::Confirming(Confirming { doubt }), actions)
}

/// The listeners are asked what they serve.
///
/// *Data*: the commit. *Access*: the new side.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Confirming {
    /// The workers that have not turned, in words.
    pub(super) doubt: Option<String>,
}

impl Confirming {
    pub(in crate::flip) fn step(self, input: Input) -> (Flip, Vec<Action>) {
        let Input::Confirmed(confirmed) = input else {
            return (Flip::Confirming(self), Vec::new());
        };
        let ending = match self.doubt.or_else(|| confirmed.err()) {
            None => Ending {
                outcome: Outcome::Settled,
                message: String::new(),
            },
            Some(message) => Ending {
                outcome: Outcome::Moved,
                message,
            },
        };
        let journal = Action::JournalEnd(ending.clone());
        (Flip::Settling(Settling { ending }), vec![journal])
    }
}
