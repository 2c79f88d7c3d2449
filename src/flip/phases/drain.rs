//! Draining: what is in flight ends, by itself or at its deadline.

use std::time::Duration;

use crate::site::{DrainThen, Outcome};

use super::super::{Action, CutWhat, Flip, Hooks, Input, Moment, Plan, Scope};
use super::before::Syncing;
use super::commit::Committing;
use super::ending::restore;

/// How long what was cut may take to be gone; closing a socket takes microseconds, so a longer
/// time means a worker is stuck, and the flip goes back.
const CUT_GRACE: Duration = Duration::from_secs(5);

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
    /// That is over too; clients of direct names may still be where the last answers led them.
    Leases,
}

pub(super) fn drain(plan: Plan, now: Moment) -> (Flip, Vec<Action>) {
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
    pub(in crate::flip) fn step(self, input: Input, now: Moment) -> (Flip, Vec<Action>) {
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
            (Input::Lingered(Ok(())), Drain::Lingers) => {
                let next = Self {
                    plan,
                    drain: Drain::Leases,
                };
                (Flip::Draining(next), vec![Action::AwaitLease])
            }
            (Input::LeaseOver(Ok(())), Drain::Leases) => (
                Flip::Syncing(Syncing { plan }),
                vec![Action::RunHooks(Hooks::Sync)],
            ),
            (Input::LeaseOver(Err(why)), Drain::Leases) => restore(Outcome::Restored, why, true),
            (Input::Lingered(Err(why)), Drain::Lingers) => restore(Outcome::Restored, why, true),
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
pub(super) fn close(plan: Plan) -> (Flip, Vec<Action>) {
    let stage = Stage::Holds;
    let hold = Action::Hold(Scope::All);
    (Flip::Closing(Closing { plan, stage }), vec![hold])
}

impl Closing {
    pub(in crate::flip) fn step(self, input: Input, now: Moment) -> (Flip, Vec<Action>) {
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
                (Flip::Committing(Committing { plan }), vec![Action::Commit])
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
