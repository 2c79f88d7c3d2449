//! Walks every reachable state of a flip in a small world, and checks the invariants in each.
//!
//! The world is what the actions act upon: one site's old and new gates with at most one read and
//! one write in flight, a disk that may keep a commit that was reported as failed, and hooks. Its
//! moves are every answer an action can get, in any order, users that come and go, and a cancel at
//! any time. A crash is possible in every state, and what recovery would make of it is part of
//! the invariants.

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use crate::site::{DrainThen, During, Outcome};

use super::{Action, Commit, CutWhat, Ending, Flip, Hooks, Input, Moment, Plan};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Gate {
    Open,
    Held,
    Closed,
}

/// What is on disk, whatever the writer was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Disk {
    Nothing,
    Intent,
    Commit,
    Aborted,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct World {
    flip: Flip,
    asked: Vec<Action>,
    disk: Disk,
    old: Gate,
    new: Gate,
    old_reads: bool,
    old_writes: bool,
    new_reads: bool,
    workers_on_old: bool,
    hook_started: bool,
    restore_hooks_asked: bool,
    timer_set: bool,
    announced: Option<Outcome>,
}

impl World {
    fn begin(plan: Plan) -> Self {
        let (flip, asked) = Flip::begin(plan);
        Self {
            flip,
            asked,
            disk: Disk::Nothing,
            old: Gate::Open,
            new: Gate::Closed,
            old_reads: false,
            old_writes: false,
            new_reads: false,
            workers_on_old: true,
            hook_started: false,
            restore_hooks_asked: false,
            timer_set: false,
            announced: None,
        }
    }

    /// Every world that one event makes of this one.
    fn next(&self, step: StepFn) -> Vec<Self> {
        let mut worlds = Vec::new();
        for at in 0..self.asked.len() {
            let mut without = self.clone();
            let action = without.asked.remove(at);
            for (world, answer) in without.carry_out(&action) {
                worlds.push(world.feed(step, answer));
            }
        }
        worlds.extend(self.users());
        if self.timer_set {
            let mut fired = self.clone();
            fired.timer_set = false;
            let timer = Input::Timer {
                writes_in_flight: self.old_writes,
            };
            worlds.push(fired.feed(step, Some(timer)));
        }
        if self.flip.ending().is_none() {
            worlds.push(self.clone().feed(step, Some(Input::Cancel("no".into()))));
        }
        worlds
    }

    fn feed(mut self, step: StepFn, input: Option<Input>) -> Self {
        if let Some(input) = input {
            let (flip, actions) = step(self.flip, input, Moment { ms: 0 });
            self.flip = flip;
            self.asked.extend(actions);
        }
        self
    }

    /// Users that come, where they are let in, and go.
    fn users(&self) -> Vec<Self> {
        let mut worlds = Vec::new();
        for read in [true, false] {
            let mut world = self.clone();
            let in_flight = if read {
                &mut world.old_reads
            } else {
                &mut world.old_writes
            };
            if *in_flight || self.old == Gate::Open {
                *in_flight = !*in_flight;
                worlds.push(world);
            }
        }
        if self.new_reads || self.new == Gate::Open {
            worlds.push(Self {
                new_reads: !self.new_reads,
                ..self.clone()
            });
        }
        worlds
    }

    /// Does an action in the world; each way it can go, with its answer.
    fn carry_out(&self, action: &Action) -> Vec<(Self, Option<Input>)> {
        match action {
            Action::Preflight => self.clone().either(Input::Preflight, self),
            Action::AwaitGuards => self.clone().either(Input::GuardsOut, self),
            Action::Confirm => self.clone().either(Input::Confirmed, self),
            Action::JournalEnd(_) => self.clone().either(Input::EndJournalled, self),
            Action::AwaitWorkers => self
                .with(|done| done.workers_on_old = false)
                .either(Input::WorkersTurned, self),
            Action::JournalIntent => self
                .with(|done| done.disk = Disk::Intent)
                .either(Input::IntentJournalled, self),
            Action::JournalAborted => self
                .with(|done| done.disk = Disk::Aborted)
                .either(Input::AbortJournalled, self),
            Action::Commit => self.commit(),
            Action::RunHooks(hooks) => {
                let started = self.with(|started| {
                    started.hook_started = true;
                    started.restore_hooks_asked |= *hooks == Hooks::Restore;
                });
                let answer = |result| Some(Input::HooksDone(*hooks, result));
                vec![
                    (started.clone(), answer(Ok(()))),
                    (started, answer(Err("exit 1".into()))),
                ]
            }
            // A hook that was asked for and has not answered is ended here, or never began.
            Action::StopHooks => self.then(Some(Input::HooksStopped), |stopped| {
                stopped
                    .asked
                    .retain(|asked| !matches!(asked, Action::RunHooks(_)));
            }),
            Action::Hold => self.then(Some(Input::Held), |held| held.old = Gate::Held),
            Action::AwaitDrained if self.old_reads || self.old_writes => {
                self.then(None, |waits| waits.asked.push(Action::AwaitDrained))
            }
            Action::AwaitDrained => self.then(Some(Input::Drained), |_| {}),
            Action::SetTimer(_) => self.then(None, |set| set.timer_set = true),
            Action::Cut(what) => self.then(None, |cut| {
                cut.old_reads = false;
                cut.old_writes &= *what == CutWhat::Reads;
            }),
            Action::Publish => self.then(Some(Input::Published), |published| {
                published.old = Gate::Closed;
                published.new = Gate::Open;
            }),
            Action::Release => self.then(None, |released| released.old = Gate::Open),
            Action::Announce(ending) => {
                self.then(None, |told| told.announced = Some(ending.outcome))
            }
        }
    }

    fn with(&self, change: impl FnOnce(&mut Self)) -> Self {
        let mut world = self.clone();
        change(&mut world);
        world
    }

    /// The one way in which something goes.
    fn then(
        &self,
        answer: Option<Input>,
        change: impl FnOnce(&mut Self),
    ) -> Vec<(Self, Option<Input>)> {
        vec![(self.with(change), answer)]
    }

    /// The two ways in which something goes: done, or failed and nothing changed.
    fn either(
        self,
        answer: fn(Result<(), String>) -> Input,
        unchanged: &Self,
    ) -> Vec<(Self, Option<Input>)> {
        let failed = Some(answer(Err("no".into())));
        vec![(self, Some(answer(Ok(())))), (unchanged.clone(), failed)]
    }

    fn commit(&self) -> Vec<(Self, Option<Input>)> {
        let kept = Self {
            disk: Disk::Commit,
            ..self.clone()
        };
        let unknown = || Some(Input::Committed(Commit::Unknown("EIO".into())));
        vec![
            (kept.clone(), Some(Input::Committed(Commit::Written))),
            (
                self.clone(),
                Some(Input::Committed(Commit::NotWritten("busy".into()))),
            ),
            (kept, unknown()),
            (self.clone(), unknown()),
        ]
    }

    /// The invariants; the sentence of the one that does not hold.
    fn broken(&self) -> Option<&'static str> {
        let old_busy = self.old_reads || self.old_writes;
        if self.old == Gate::Open && self.new == Gate::Open || old_busy && self.new_reads {
            return Some("I1 one side: both sides serve");
        }
        if self.announced == Some(Outcome::Settled) && (old_busy || self.workers_on_old) {
            return Some("I2 done means done: acknowledged, and the old side is still reached");
        }
        // After a crash a commit means the new side; anything else means the old one.
        let recovers_new = self.disk == Disk::Commit;
        if self.new == Gate::Open && !recovers_new {
            return Some("I4 durable before acknowledged: served new, recovers old");
        }
        if self.old == Gate::Open && recovers_new {
            return Some("I6 when in doubt, the page: served old, recovers new");
        }
        let moved = matches!(self.announced, Some(Outcome::Settled | Outcome::Moved));
        if self.announced.is_some() && moved != recovers_new {
            return Some("I4 durable before acknowledged: announced one side, recovers the other");
        }
        if self.asked.contains(&Action::RunHooks(Hooks::Sync)) && self.old_writes {
            return Some("data is copied while a writer is left");
        }
        let hook_asked = self
            .asked
            .iter()
            .any(|action| matches!(action, Action::RunHooks(Hooks::Before | Hooks::Sync)));
        if self.announced.is_some() && hook_asked {
            return Some("a hook still runs after the end was announced");
        }
        if self.flip.ending().is_none() && self.asked.is_empty() && !self.timer_set {
            return Some("the flip waits for nothing and will never end");
        }
        self.broken_at_the_end()
    }

    fn broken_at_the_end(&self) -> Option<&'static str> {
        let Ending { outcome, .. } = self.flip.ending()?;
        if !self.asked.is_empty() {
            return None;
        }
        let restored = matches!(outcome, Outcome::Restored | Outcome::RestoredUnheld);
        if restored && self.hook_started && !self.restore_hooks_asked {
            return Some("hooks ran, the flip went back, and no restore hook was run");
        }
        if self.old == Gate::Held {
            return Some("the flip is over and its users are still held");
        }
        (self.announced != Some(*outcome)).then_some("nobody was told how the flip ended")
    }
}

type StepFn = fn(Flip, Input, Moment) -> (Flip, Vec<Action>);

/// Visits every state; the number of them and the outcomes seen, or the first broken invariant.
fn walk(plan: Plan, step: StepFn) -> Result<(usize, HashSet<Outcome>), &'static str> {
    let first = World::begin(plan);
    let mut seen = HashSet::from([first.clone()]);
    let mut queue = VecDeque::from([first]);
    let mut outcomes = HashSet::new();
    while let Some(world) = queue.pop_front() {
        if let Some(broken) = world.broken() {
            return Err(broken);
        }
        outcomes.extend(world.announced);
        for next in world.next(step) {
            if seen.insert(next.clone()) {
                queue.push_back(next);
            }
        }
    }
    Ok((seen.len(), outcomes))
}

fn plans() -> Vec<Plan> {
    let mut plans = Vec::new();
    for during in [During::Page, During::Hold] {
        for drain_then in [DrainThen::Restore, DrainThen::Cut] {
            plans.push(Plan {
                during,
                drain_for: Duration::from_secs(30),
                drain_then,
            });
        }
    }
    plans
}

#[test]
fn every_reachable_state_of_a_flip_keeps_the_invariants() {
    for plan in plans() {
        let (states, outcomes) = walk(plan, Flip::step).expect("an invariant is broken");
        assert!(
            states > 500,
            "only {states} states were reached: the world is too small"
        );
        for outcome in [
            Outcome::Settled,
            Outcome::Moved,
            Outcome::Refused,
            Outcome::RestoredUnheld,
            Outcome::Restored,
        ] {
            assert!(outcomes.contains(&outcome), "{outcome} was never reached");
        }
    }
}

#[test]
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "a broken variant changes one input only"
)]
fn broken_variants_of_the_flip_are_seen_to_fail() {
    let broken: [(&str, StepFn); 6] = [
        ("the hold is forgotten", |flip, input, now| {
            let (flip, mut actions) = flip.step(input, now);
            if actions.contains(&Action::Hold) {
                return flip.step(Input::Held, now);
            }
            actions.retain(|action| *action != Action::Hold);
            (flip, actions)
        }),
        (
            "the deadline counts as drained",
            |flip, input, now| match (&flip, input) {
                (Flip::Draining(_), Input::Timer { .. }) => flip.step(Input::Drained, now),
                (_, input) => flip.step(input, now),
            },
        ),
        (
            "an unknown commit counts as not written",
            |flip, input, now| match input {
                Input::Committed(Commit::Unknown(why)) => {
                    flip.step(Input::Committed(Commit::NotWritten(why)), now)
                }
                input => flip.step(input, now),
            },
        ),
        (
            "a commit that failed is published",
            |flip, input, now| match input {
                Input::Committed(_) => flip.step(Input::Committed(Commit::Written), now),
                input => flip.step(input, now),
            },
        ),
        (
            "a running hook is left alone on the way back",
            |flip, input, now| {
                let (flip, actions) = flip.step(input, now);
                if actions == [Action::StopHooks] {
                    return flip.step(Input::HooksStopped, now);
                }
                (flip, actions)
            },
        ),
        ("nobody waits for the workers", |flip, input, now| {
            let (flip, actions) = flip.step(input, now);
            if actions == [Action::AwaitWorkers] {
                return flip.step(Input::WorkersTurned(Ok(())), now);
            }
            (flip, actions)
        }),
    ];
    for (what, step) in broken {
        let found = plans().into_iter().find_map(|plan| walk(plan, step).err());
        assert!(found.is_some(), "{what}: no invariant noticed");
    }
}
