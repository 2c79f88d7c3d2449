//! Before the commit: from the rehearsal to a target that was checked once more.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a phase takes only what it asked for; whatever else comes is late, and passed over"
)]

use crate::site::{Answers, Outcome};

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
                let next = Quiescing::begin(self.plan);
                (Flip::Quiescing(next), vec![Action::JournalIntent])
            }
            Input::Preflight(Err(why)) | Input::Cancel(why) => refuse(why),
            _ => (Flip::Rehearsing(self), Vec::new()),
        }
    }
}

/// The intent is journalled; copies of data end, old DNS answers run out, `before` hooks run.
///
/// In this order: guards are the most likely to call it off, and until they are out nothing has
/// changed; and what `before` hooks stop at the old side is to be stopped for as short as can be,
/// so the wait for answers comes before them.
///
/// *Data*: the intent with epoch n+1. *Access*: the old side serves.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Quiescing {
    pub(in crate::flip) plan: Plan,
    stage: Quiet,
}

/// How far the quiescing has come.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Quiet {
    /// The intent is being journalled.
    Intends,
    /// Guarded jobs end.
    Guards,
    /// Direct names are to answer for a short time only.
    Shortens,
    /// A cancel came meanwhile: it is completed before it is taken back, for a way back that
    /// overtakes it would leave them so for ever.
    CalledOff(String),
    /// What they answered before runs out.
    Leases,
    /// `before` hooks run, so going back runs the `restore` hooks.
    Hooks,
}

impl Quiescing {
    pub(super) fn begin(plan: Plan) -> Self {
        Self {
            plan,
            stage: Quiet::Intends,
        }
    }

    pub(in crate::flip) fn step(self, input: Input) -> (Flip, Vec<Action>) {
        let Self { plan, stage } = self;
        let to = |stage, actions| (Flip::Quiescing(Self { plan, stage }), actions);
        let unheld = |why, hooked| restore(Outcome::RestoredUnheld, why, hooked);
        match (input, stage) {
            // Nothing was written, so nothing happened.
            (Input::IntentJournalled(Err(why)), Quiet::Intends) => refuse(why),
            (Input::IntentJournalled(Ok(())), Quiet::Intends) => {
                to(Quiet::Guards, vec![Action::AwaitGuards])
            }
            // The old side is dead, and so is what an old answer leads to.
            (Input::GuardsOut(Ok(())), Quiet::Guards) if plan.now => {
                to(Quiet::Hooks, vec![Action::RunHooks(Hooks::Before)])
            }
            (Input::GuardsOut(Ok(())), Quiet::Guards) => {
                to(Quiet::Shortens, vec![Action::Answer(Answers::Short)])
            }
            (Input::Answering(Ok(())), Quiet::Shortens) => {
                to(Quiet::Leases, vec![Action::AwaitLease])
            }
            (Input::LeaseOver(Ok(())), Quiet::Leases) => {
                to(Quiet::Hooks, vec![Action::RunHooks(Hooks::Before)])
            }
            (Input::HooksDone(Hooks::Before, Ok(())), Quiet::Hooks) => {
                let next = Holding::begin(plan);
                (Flip::Holding(next), vec![Action::Hold(plan.scope())])
            }
            (Input::GuardsOut(Err(why)), Quiet::Guards)
            | (Input::Answering(Err(why)), Quiet::Shortens)
            | (Input::Answering(_), Quiet::CalledOff(why))
            | (Input::LeaseOver(Err(why)), Quiet::Leases)
            | (Input::Cancel(why), Quiet::Intends | Quiet::Guards | Quiet::Leases) => {
                unheld(why, false)
            }
            (Input::Cancel(why), Quiet::Shortens) => to(Quiet::CalledOff(why), Vec::new()),
            (Input::HooksDone(Hooks::Before, Err(why)) | Input::Cancel(why), Quiet::Hooks) => {
                unheld(why, true)
            }
            (_, stage) => to(stage, Vec::new()),
        }
    }
}

/// The gates are being held, then direct names answer as they are to while users are.
///
/// *Data*: the intent. *Access*: nobody new from some instant in this phase.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Holding {
    pub(in crate::flip) plan: Plan,
    /// A cancel came meanwhile: what was asked for is completed before it is taken back, for a
    /// release that overtakes its hold would leave users held for ever.
    called_off: Option<String>,
}

impl Holding {
    fn begin(plan: Plan) -> Self {
        Self {
            plan,
            called_off: None,
        }
    }

    pub(in crate::flip) fn step(self, input: Input, now: Moment) -> (Flip, Vec<Action>) {
        let Self { plan, called_off } = self;
        match (input, called_off) {
            (Input::Held, None) if plan.now => drain(plan, now),
            (Input::Held, None) => {
                let withhold = Action::Answer(Answers::Withheld);
                (Flip::Holding(Self::begin(plan)), vec![withhold])
            }
            (Input::Answering(Ok(())), None) => drain(plan, now),
            (Input::Held | Input::Answering(_), Some(why)) | (Input::Answering(Err(why)), None) => {
                restore(Outcome::Restored, why, true)
            }
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
