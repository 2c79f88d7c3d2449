//! Before the commit: from the rehearsal to a target that was checked once more.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a phase takes only what it asked for; whatever else comes is late, and passed over"
)]

use crate::site::Outcome;

use super::super::{Action, Flip, Hooks, Input, Moment, Plan};
use super::drain::{close, drain};
use super::ending::{refuse, restore};

/// Asks whether the target is fit, before anyone waits.
///
/// *Data*: nothing is journalled. *Access*: the old side serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rehearsing {
    pub(in crate::flip) plan: Plan,
}

impl Rehearsing {
    pub(in crate::flip) fn step(self, input: Input) -> (Flip, Vec<Action>) {
        match input {
            Input::Preflight(Ok(())) => {
                let next = Quiescing {
                    plan: self.plan,
                    hooked: false,
                };
                (Flip::Quiescing(next), vec![Action::JournalIntent])
            }
            Input::Preflight(Err(why)) | Input::Cancel(why) => refuse(why),
            _ => (Flip::Rehearsing(self), Vec::new()),
        }
    }
}

/// The intent is journalled; copies of data end, `before` hooks run.
///
/// *Data*: the intent with epoch n+1. *Access*: the old side serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Quiescing {
    pub(in crate::flip) plan: Plan,
    /// A hook may have run, so going back runs the `restore` hooks.
    pub(super) hooked: bool,
}

impl Quiescing {
    pub(in crate::flip) fn step(self, input: Input) -> (Flip, Vec<Action>) {
        let Self { plan, hooked } = self;
        match input {
            // Nothing was written, so nothing happened.
            Input::IntentJournalled(Err(why)) => refuse(why),
            Input::IntentJournalled(Ok(())) => (Flip::Quiescing(self), vec![Action::AwaitGuards]),
            Input::GuardsOut(Ok(())) => (
                Flip::Quiescing(Self { plan, hooked: true }),
                vec![Action::RunHooks(Hooks::Before)],
            ),
            Input::HooksDone(Hooks::Before, Ok(())) => {
                let next = Holding {
                    plan,
                    called_off: None,
                };
                (Flip::Holding(next), vec![Action::Hold(plan.scope())])
            }
            Input::GuardsOut(Err(why))
            | Input::HooksDone(Hooks::Before, Err(why))
            | Input::Cancel(why) => restore(Outcome::RestoredUnheld, why, hooked),
            _ => (Flip::Quiescing(self), Vec::new()),
        }
    }
}

/// The gates are being held.
///
/// *Data*: the intent. *Access*: nobody new from some instant in this phase.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Holding {
    pub(in crate::flip) plan: Plan,
    /// A cancel came meanwhile: the hold is completed before it is taken back, for a release that
    /// overtakes its hold would leave users held for ever.
    pub(super) called_off: Option<String>,
}

impl Holding {
    pub(in crate::flip) fn step(self, input: Input, now: Moment) -> (Flip, Vec<Action>) {
        let Self { plan, called_off } = self;
        match (input, called_off) {
            (Input::Held, None) => drain(plan, now),
            (Input::Held, Some(why)) => restore(Outcome::Restored, why, true),
            (Input::Cancel(why), None) => (
                Flip::Holding(Self {
                    plan,
                    called_off: Some(why),
                }),
                Vec::new(),
            ),
            (_, called_off) => (Flip::Holding(Self { plan, called_off }), Vec::new()),
        }
    }
}

/// The last copy of the data.
///
/// *Data*: the intent; the target's data is being written by hooks. *Access*: held and drained, in
/// `read-only` for writes alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Syncing {
    pub(in crate::flip) plan: Plan,
}

impl Syncing {
    pub(in crate::flip) fn step(self, input: Input) -> (Flip, Vec<Action>) {
        let Self { plan } = self;
        match input {
            Input::HooksDone(Hooks::Sync, Ok(())) => {
                (Flip::Checking(Checking { plan }), vec![Action::Preflight])
            }
            Input::HooksDone(Hooks::Sync, Err(why)) | Input::Cancel(why) => {
                restore(Outcome::Restored, why, true)
            }
            _ => (Flip::Syncing(self), Vec::new()),
        }
    }
}

/// A short preflight again.
///
/// *Data*: the intent. *Access*: as while syncing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Checking {
    pub(in crate::flip) plan: Plan,
}

impl Checking {
    pub(in crate::flip) fn step(self, input: Input) -> (Flip, Vec<Action>) {
        match input {
            Input::Preflight(Ok(())) => close(self.plan),
            Input::Preflight(Err(why)) | Input::Cancel(why) => {
                restore(Outcome::Restored, why, true)
            }
            _ => (Flip::Checking(self), Vec::new()),
        }
    }
}
