//! The phases: one struct each, with the moves that are legal there.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a phase takes only what it asked for; whatever else comes is late, and passed over"
)]

use std::time::Duration;

use crate::site::{DrainThen, Outcome};

use super::{Action, Commit, CutWhat, Ending, Flip, Hooks, Input, Moment, Plan, Scope};

/// How long what was cut may take to be gone; closing a socket takes microseconds, so a longer
/// time means a worker is stuck, and the flip goes back.
const CUT_GRACE: Duration = Duration::from_secs(5);

/// How long to wait before the abort record is tried again; a full disk is seldom emptied sooner.
const ABORT_RETRY: Duration = Duration::from_secs(1);

/// Asks whether the target is fit, before anyone waits.
///
/// *Data*: nothing is journalled. *Access*: the old side serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rehearsing {
    pub(super) plan: Plan,
}

impl Rehearsing {
    pub(super) fn step(self, input: Input) -> (Flip, Vec<Action>) {
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
    plan: Plan,
    /// A hook may have run, so going back runs the `restore` hooks.
    hooked: bool,
}

impl Quiescing {
    pub(super) fn step(self, input: Input) -> (Flip, Vec<Action>) {
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
    plan: Plan,
    /// A cancel came meanwhile: the hold is completed before it is taken back, for a release that
    /// overtakes its hold would leave users held for ever.
    called_off: Option<String>,
}

impl Holding {
    pub(super) fn step(self, input: Input, now: Moment) -> (Flip, Vec<Action>) {
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

/// What is in flight ends.
///
/// *Data*: the intent. *Access*: held, in `read-only` for writes alone; who was in may finish.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Draining {
    plan: Plan,
    drain: Drain,
}

/// How far a drain has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Drain {
    /// What is in flight may end by itself.
    Waits,
    /// It was ended, and only has to be seen gone.
    WasCut,
    /// It is gone; what was given up unfinished may still be at work in an origin.
    Lingers,
}

fn drain(plan: Plan, now: Moment) -> (Flip, Vec<Action>) {
    if plan.now {
        return cut(plan, CutWhat::Everything, now);
    }
    let next = Draining {
        plan,
        drain: Drain::Waits,
    };
    let deadline = Action::SetTimer(now.after(plan.drain_for));
    let gone = Action::AwaitDrained(plan.scope());
    (Flip::Draining(next), vec![deadline, gone])
}

impl Draining {
    pub(super) fn step(self, input: Input, now: Moment) -> (Flip, Vec<Action>) {
        let Self { plan, drain } = self;
        match (input, drain) {
            (Input::Cancel(why), _) => restore(Outcome::Restored, why, true),
            // The old side is dead: nothing is at work there, and nothing can be copied from it.
            (Input::Drained, Drain::Waits | Drain::WasCut) if plan.now => close(plan),
            (Input::Drained, Drain::Waits | Drain::WasCut) => {
                let next = Self {
                    plan,
                    drain: Drain::Lingers,
                };
                (Flip::Draining(next), vec![Action::AwaitLinger])
            }
            (Input::Lingered, Drain::Lingers) => (
                Flip::Syncing(Syncing { plan }),
                vec![Action::RunHooks(Hooks::Sync)],
            ),
            (Input::Timer { .. }, Drain::WasCut) => stuck(),
            (Input::Timer { writes_in_flight }, Drain::Waits) => {
                match (plan.drain_then, writes_in_flight) {
                    (DrainThen::Restore, true) => restore(
                        Outcome::Restored,
                        format!(
                            "a write was still in flight after {:?}: try again, or set `drain: \
                             {{then: cut}}`",
                            plan.drain_for
                        ),
                        true,
                    ),
                    // The last write has just ended, and what is read goes on.
                    (DrainThen::Restore, false) if plan.scope() == Scope::Writes => {
                        cut(plan, CutWhat::Writes, now)
                    }
                    (DrainThen::Restore, false) => cut(plan, CutWhat::Reads, now),
                    (DrainThen::Cut, _) if plan.scope() == Scope::Writes => {
                        cut(plan, CutWhat::Writes, now)
                    }
                    (DrainThen::Cut, _) => cut(plan, CutWhat::Everything, now),
                }
            }
            _ => (Flip::Draining(self), Vec::new()),
        }
    }
}

fn cut(plan: Plan, what: CutWhat, now: Moment) -> (Flip, Vec<Action>) {
    let next = Draining {
        plan,
        drain: Drain::WasCut,
    };
    let grace = Action::SetTimer(now.after(CUT_GRACE));
    let mut actions = vec![grace, Action::Cut(what)];
    if plan.now {
        actions.push(Action::AwaitDrained(plan.scope()));
    }
    (Flip::Draining(next), actions)
}

fn stuck() -> (Flip, Vec<Action>) {
    let why = "what was in flight could not be ended: a worker is stuck; see the log";
    restore(Outcome::Restored, why.into(), true)
}

/// The last copy of the data.
///
/// *Data*: the intent; the target's data is being written by hooks. *Access*: held and drained, in
/// `read-only` for writes alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Syncing {
    plan: Plan,
}

impl Syncing {
    pub(super) fn step(self, input: Input) -> (Flip, Vec<Action>) {
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
    plan: Plan,
}

impl Checking {
    pub(super) fn step(self, input: Input) -> (Flip, Vec<Action>) {
        match input {
            Input::Preflight(Ok(())) => close(self.plan),
            Input::Preflight(Err(why)) | Input::Cancel(why) => {
                restore(Outcome::Restored, why, true)
            }
            _ => (Flip::Checking(self), Vec::new()),
        }
    }
}

/// Reads that went on so far are held and drained too.
///
/// *Data*: the intent. *Access*: nobody new, of any kind.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Closing {
    plan: Plan,
    stage: Stage,
}

/// How far the closing has come.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Stage {
    /// The hold is asked for.
    Holds,
    /// A cancel came meanwhile; see [`Holding`].
    CalledOff(String),
    /// What is in flight may end by itself, until then.
    Drains(Moment),
    /// It was ended, and only has to be seen gone.
    WasCut,
}

/// `page` and `hold` have held and drained reads all along; done once more, it is certain.
fn close(plan: Plan) -> (Flip, Vec<Action>) {
    let stage = Stage::Holds;
    let hold = Action::Hold(Scope::All);
    (Flip::Closing(Closing { plan, stage }), vec![hold])
}

impl Closing {
    pub(super) fn step(self, input: Input, now: Moment) -> (Flip, Vec<Action>) {
        let Self { plan, stage } = self;
        let to = |stage, actions| (Flip::Closing(Self { plan, stage }), actions);
        match (input, stage) {
            (Input::Held, Stage::Holds) => {
                let deadline = now.after(plan.drain_for);
                let gone = Action::AwaitDrained(Scope::All);
                to(
                    Stage::Drains(deadline),
                    vec![Action::SetTimer(deadline), gone],
                )
            }
            (Input::Held, Stage::CalledOff(why))
            | (Input::Cancel(why), Stage::Drains(_) | Stage::WasCut) => {
                restore(Outcome::Restored, why, true)
            }
            (Input::Cancel(why), Stage::Holds) => to(Stage::CalledOff(why), Vec::new()),
            (Input::Drained, Stage::Drains(_) | Stage::WasCut) => {
                (Flip::Committing(Committing {}), vec![Action::Commit])
            }
            // Only reads can be left: writes are held since before. The timer of the drain may
            // come late, and is not this one's.
            (Input::Timer { .. }, Stage::Drains(deadline)) if now >= deadline => {
                let grace = Action::SetTimer(now.after(CUT_GRACE));
                to(Stage::WasCut, vec![grace, Action::Cut(CutWhat::Reads)])
            }
            (Input::Timer { .. }, Stage::WasCut) => stuck(),
            (_, stage) => to(stage, Vec::new()),
        }
    }
}

/// The commit is being written.
///
/// *Data*: the commit, perhaps. *Access*: held and drained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Committing {}

impl Committing {
    pub(super) fn step(self, input: Input) -> (Flip, Vec<Action>) {
        let Input::Committed(commit) = input else {
            return (Flip::Committing(self), Vec::new());
        };
        match commit {
            Commit::Written => (Flip::Publishing(Publishing {}), vec![Action::Publish]),
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
    pub(super) fn step(self, input: &Input, now: Moment) -> (Flip, Vec<Action>) {
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

/// The new snapshot is out; the workers turn to it.
///
/// *Data*: the commit. *Access*: the new side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Publishing {}

impl Publishing {
    pub(super) fn step(self, input: Input) -> (Flip, Vec<Action>) {
        match input {
            Input::Published => (Flip::Publishing(self), vec![Action::AwaitWorkers]),
            Input::WorkersTurned(turned) => {
                let next = Confirming {
                    doubt: turned.err(),
                };
                (Flip::Confirming(next), vec![Action::Confirm])
            }
            _ => (Flip::Publishing(self), Vec::new()),
        }
    }
}

/// The listeners are asked what they serve.
///
/// *Data*: the commit. *Access*: the new side.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Confirming {
    /// The workers that have not turned, in words.
    doubt: Option<String>,
}

impl Confirming {
    pub(super) fn step(self, input: Input) -> (Flip, Vec<Action>) {
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

/// The end is being journalled: of a flip that moved, or of one that was refused.
///
/// *Data*: the commit, or nothing; soon its end. *Access*: the new side, or the old one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Settling {
    pub(super) ending: Ending,
}

impl Settling {
    pub(super) fn step(self, input: Input) -> (Flip, Vec<Action>) {
        let Input::EndJournalled(written) = input else {
            return (Flip::Settling(self), Vec::new());
        };
        let mut ending = self.ending;
        if let Err(why) = written {
            // What happened has happened, or has not: only its record is incomplete.
            ending.message = join(&ending.message, &why);
        }
        let mut actions = vec![Action::Announce(ending.clone())];
        if ending.outcome != Outcome::Refused {
            actions.push(Action::RunHooks(Hooks::After));
        }
        (Flip::Ended(Ended { ending }), actions)
    }
}

/// On the way back to the old side.
///
/// *Data*: the intent, which alone means the old side. *Access*: held until no hook runs any more,
/// then the old side.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Restoring {
    ending: Ending,
    hooked: bool,
}

impl Restoring {
    pub(super) fn step(self, input: Input) -> (Flip, Vec<Action>) {
        match input {
            Input::HooksStopped => {
                let journal = Action::JournalEnd(self.ending.clone());
                (Flip::Restoring(self), vec![Action::Release, journal])
            }
            Input::EndJournalled(written) => {
                let Self { mut ending, hooked } = self;
                if let Err(why) = written {
                    // An intent without a commit means the old side, with or without this record.
                    ending.message = join(&ending.message, &why);
                }
                let mut actions = vec![Action::Announce(ending.clone())];
                if hooked {
                    actions.push(Action::RunHooks(Hooks::Restore));
                }
                (Flip::Ended(Ended { ending }), actions)
            }
            _ => (Flip::Restoring(self), Vec::new()),
        }
    }
}

/// Over.
///
/// *Data*: how it ended. *Access*: one side, the journal's.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Ended {
    pub(super) ending: Ending,
}

fn refuse(message: String) -> (Flip, Vec<Action>) {
    let ending = Ending {
        outcome: Outcome::Refused,
        message,
    };
    let journal = Action::JournalEnd(ending.clone());
    (Flip::Settling(Settling { ending }), vec![journal])
}

fn restore(outcome: Outcome, message: String, hooked: bool) -> (Flip, Vec<Action>) {
    let ending = Ending { outcome, message };
    (
        Flip::Restoring(Restoring { ending, hooked }),
        vec![Action::StopHooks],
    )
}

fn join(message: &str, more: &str) -> String {
    if message.is_empty() {
        more.into()
    } else {
        format!("{message}; {more}")
    }
}
