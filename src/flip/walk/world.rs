//! The small world that actions act upon, and what must be true of it.

use crate::site::{Answers, Outcome};

use super::super::{Action, Commit, CutWhat, Ending, Flip, Hooks, Input, Moment, Plan, Scope};
use super::names::Names;
use super::site::{Gate, Site};

/// Later than any deadline.
const LATE: Moment = Moment { ms: 1 << 60 };

/// The machine, or a broken variant of it.
pub(super) type StepFn = fn(Flip, Input, Moment) -> (Flip, Vec<Action>);

/// What is on disk, whatever the writer was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Disk {
    Nothing,
    Intent,
    Commit,
    Aborted,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct World {
    flip: Flip,
    plan: Plan,
    pub(super) asked: Vec<Action>,
    disk: Disk,
    pub(super) sites: Vec<Site>,
    workers_on_old: bool,
    names: Names,
    hook_started: bool,
    restore_hooks_asked: bool,
    timer_set: bool,
    /// A timer was replaced when it had fired already, and is still on its way.
    timer_on_its_way: bool,
    /// An answer may still be lost.
    can_lose: bool,
    /// An answer was lost: the flip may wait for it for ever.
    has_lost: bool,
    pub(super) announced: Option<Outcome>,
}

impl World {
    pub(super) fn begin(plan: Plan, sites: usize) -> Self {
        let (flip, asked) = Flip::begin(plan);
        Self {
            flip,
            plan,
            asked,
            disk: Disk::Nothing,
            sites: vec![Site::AT_REST; sites],
            workers_on_old: true,
            names: Names::ASKED,
            hook_started: false,
            restore_hooks_asked: false,
            timer_set: false,
            timer_on_its_way: false,
            can_lose: true,
            has_lost: false,
            announced: None,
        }
    }

    /// Every world that one event makes of this one.
    pub(super) fn next(&self, step: StepFn) -> Vec<Self> {
        let mut worlds = Vec::new();
        for at in 0..self.asked.len() {
            let mut without = self.clone();
            let action = without.asked.remove(at);
            for (world, answer) in without.carry_out(&action) {
                if answer.is_some() && world.can_lose {
                    worlds.push(world.with(|lost| (lost.can_lose, lost.has_lost) = (false, true)));
                }
                worlds.push(world.feed(step, answer, LATE));
            }
        }
        worlds.extend(self.users());
        let timer = || {
            Some(Input::Timer {
                writes_in_flight: self.sites.iter().any(|site| site.old_write),
            })
        };
        if self.timer_set {
            let fired = self.with(|fired| fired.timer_set = false);
            worlds.push(fired.feed(step, timer(), LATE));
        }
        if self.timer_on_its_way {
            let fired = self.with(|fired| fired.timer_on_its_way = false);
            worlds.push(fired.feed(step, timer(), Moment { ms: 0 }));
        }
        if self.flip.ending().is_none() {
            let cancel = Input::Cancel("no".into());
            worlds.push(self.clone().feed(step, Some(cancel), LATE));
        }
        worlds
    }

    fn feed(mut self, step: StepFn, input: Option<Input>, now: Moment) -> Self {
        if let Some(input) = input {
            let (flip, actions) = step(self.flip, input, now);
            self.flip = flip;
            self.asked.extend(actions);
        }
        self
    }

    /// Tells whether the flip has ended, and nothing is under way of what it asked for.
    pub(super) fn flip_is_over(&self) -> bool {
        self.flip.ending().is_some() && self.asked.is_empty()
    }

    fn users(&self) -> Vec<Self> {
        let mut worlds = Vec::new();
        for at in 0..self.sites.len() {
            let moved = self.sites[at].users();
            worlds.extend(moved.map(|site| self.with(|world| world.sites[at] = site)));
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
            Action::RunHooks(hooks) => self.run(*hooks),
            // A hook that was asked for and has not answered is ended here, or never began.
            Action::StopHooks => self.then(Some(Input::HooksStopped), |stopped| {
                stopped
                    .asked
                    .retain(|asked| !matches!(asked, Action::RunHooks(_)));
            }),
            Action::Answer(answers) => self
                .with(|done| done.names.answer(*answers, done.plan.keeps))
                .either(Input::Answering, self),
            Action::AwaitLease => self.await_lease(),
            Action::Hold(scope) => self.then(Some(Input::Held), |held| {
                held.names.held_too_early |= !held.plan.now && held.names.may_be_used_for_long();
                held.sites.iter_mut().for_each(|site| site.hold(*scope));
            }),
            Action::AwaitDrained(scope) => self.await_drained(*scope),
            Action::AwaitLinger => self.clone().either(Input::Lingered, self),
            Action::SetTimer(_) => self.then(None, |set| {
                set.timer_on_its_way |= set.timer_set;
                set.timer_set = true;
            }),
            Action::Cut(what) => self.then(None, |cut| {
                for site in &mut cut.sites {
                    site.old_read &= *what == CutWhat::Writes;
                    site.old_write &= *what == CutWhat::Reads;
                }
            }),
            Action::Publish => self.then(Some(Input::Published), |published| {
                published.names.answers = Answers::Usual;
                let is_held = published.plan.keeps && !published.plan.now;
                for site in &mut published.sites {
                    site.both(Gate::Closed);
                    site.new = if is_held { Gate::Held } else { Gate::Open };
                }
            }),
            Action::LetIn => self.then(None, |let_in| {
                let_in
                    .sites
                    .iter_mut()
                    .for_each(|site| site.new = Gate::Open);
            }),
            Action::Release => self.then(None, |released| {
                released.names.answers = Answers::Usual;
                let sites = released.sites.iter_mut();
                sites.for_each(|site| site.both(Gate::Open));
            }),
            Action::Announce(ending) => {
                self.then(None, |told| told.announced = Some(ending.outcome))
            }
        }
    }

    fn await_drained(&self, scope: Scope) -> Vec<(Self, Option<Input>)> {
        if self.sites.iter().any(|site| site.has_in_flight(scope)) {
            self.then(None, |waits| waits.asked.push(Action::AwaitDrained(scope)))
        } else {
            self.then(Some(Input::Drained), |_| {})
        }
    }

    fn await_lease(&self) -> Vec<(Self, Option<Input>)> {
        let waited = self.with(|waited| waited.names.wait(waited.has_moved()));
        // Behind the commit it is waited even if a worker is late, who is then said to be.
        let late = if self.has_moved() { &waited } else { self };
        waited.clone().either(Input::LeaseOver, late)
    }

    fn run(&self, hooks: Hooks) -> Vec<(Self, Option<Input>)> {
        let started = self.with(|started| {
            started.hook_started = true;
            started.restore_hooks_asked |= hooks == Hooks::Restore;
        });
        let answer = |result| Some(Input::HooksDone(hooks, result));
        vec![
            (started.clone(), answer(Ok(()))),
            (started, answer(Err("exit 1".into()))),
        ]
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
    pub(super) fn broken(&self) -> Option<&'static str> {
        let is_old_busy = self.sites.iter().any(|site| site.has_in_flight(Scope::All));
        if self.sites.iter().any(Site::is_on_two_sides) {
            return Some("I1 one side: both sides serve");
        }
        if self.announced == Some(Outcome::Settled) && (is_old_busy || self.workers_on_old) {
            return Some("I2 done means done: acknowledged, and the old side is still reached");
        }
        if self.is_serving(|site| site.new == Gate::Open) && self.is_serving(Site::serves_old) {
            return Some("I5 all or nothing: one site has moved and the other has not");
        }
        // After a crash a commit means the new side; anything else means the old one.
        let recovers_new = self.disk == Disk::Commit;
        if self.is_serving(|site| site.new == Gate::Open) && !recovers_new {
            return Some("I4 durable before acknowledged: served new, recovers old");
        }
        if self.is_serving(Site::serves_old) && recovers_new {
            return Some("I6 when in doubt, the page: served old, recovers new");
        }
        let moved = matches!(self.announced, Some(Outcome::Settled | Outcome::Moved));
        if self.announced.is_some() && moved != recovers_new {
            return Some("I4 durable before acknowledged: announced one side, recovers the other");
        }
        let is_written = self.sites.iter().any(|site| site.old_write);
        let syncs = self.asked.contains(&Action::RunHooks(Hooks::Sync));
        if syncs && is_written {
            return Some("data is copied while a writer is left");
        }
        let is_let_in = self.is_serving(|site| site.new == Gate::Open) && !self.plan.now;
        if let Some(broken) = self.names.broken(syncs && !self.plan.keeps, is_let_in) {
            return Some(broken);
        }
        let hook_asked = self
            .asked
            .iter()
            .any(|action| matches!(action, Action::RunHooks(Hooks::Before | Hooks::Sync)));
        if self.announced.is_some() && hook_asked {
            return Some("a hook still runs after the end was announced");
        }
        let waits = !self.asked.is_empty() || self.timer_set || self.has_lost;
        if self.flip.ending().is_none() && !waits {
            return Some("the flip waits for nothing and will never end");
        }
        self.broken_at_the_end()
    }

    /// Tells whether the names give out the new side's address.
    fn has_moved(&self) -> bool {
        self.sites.iter().any(|site| site.new != Gate::Closed)
    }

    fn is_serving(&self, how: impl Fn(&Site) -> bool) -> bool {
        self.sites.iter().any(how)
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
        if self.names.answers != Answers::Usual && !self.has_lost {
            return Some("the flip is over and its names do not answer as usual");
        }
        let is_held = |site: &Site| [site.reads, site.writes, site.new].contains(&Gate::Held);
        if self.is_serving(is_held) && !self.has_lost {
            return Some("the flip is over and its users are still held");
        }
        (self.announced != Some(*outcome)).then_some("nobody was told how the flip ended")
    }
}
