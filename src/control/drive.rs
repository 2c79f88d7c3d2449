//! Driving flips: feeds the machine, has its actions carried out, and feeds their results back.
//!
//! What is over at once (journal, gates, the store of a snapshot) is done here and now and its
//! answer fed back in the same turn: so the commit and the publication are one uninterrupted step.
//! What takes time runs as a task of the flip and comes back as an event.

use std::collections::VecDeque;
use std::time::Duration;

use crate::flip::{Action, Input};
use crate::journal::NewFlip;
use crate::site::FlipId;

use super::actor::Actor;
use super::failpoint;

impl Actor {
    /// Tells a flip what happened, and does what follows from it.
    pub(super) fn feed(&mut self, id: FlipId, input: Input) {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            let now = self.now();
            let Some(running) = self.flips.get_mut(&id) else {
                return;
            };
            if matches!(input, Input::LeaseOver(_)) {
                running.lease_until = None;
            }
            let before = running.flip.phase();
            let (flip, actions) = running.flip.clone().step(input, now);
            running.flip = flip;
            if running.flip.phase() != before {
                self.entered_phase(id);
            }
            for action in actions {
                inputs.extend(self.carry_out(id, action));
            }
        }
        self.retire(id);
    }

    /// Carries out the first actions of a flip.
    pub(super) fn carry_out_all(&mut self, id: FlipId, actions: Vec<Action>) {
        for action in actions {
            if let Some(answer) = self.carry_out(id, action) {
                self.feed(id, answer);
            }
        }
    }

    /// Notes that a flip entered a phase.
    pub(super) fn entered_phase(&mut self, id: FlipId) {
        let Some(running) = self.flips.get_mut(&id) else {
            return;
        };
        let left = running.timeline.last().map(|entry| entry.phase.clone());
        let after_ms = running.enter_phase();
        let phase = running.flip.phase();
        let has_ended = running.flip.ending().is_some();
        let moves = running
            .journalled
            .moves
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>();
        let in_flight: u64 = running.moves.iter().map(|m| m.lane.gates.in_flight()).sum();
        let moves = moves.join(", ");
        if left.is_none() {
            let NewFlip { who, reason, .. } = &running.journalled;
            let reason = reason.as_deref().unwrap_or_default();
            tracing::info!(flip = %id, moves, who = %who.name, via = %who.via, reason, "flip begins");
        }
        tracing::info!(flip = %id, moves, in_flight, after_ms, "flip {phase}");
        if let Some(left) = left {
            self.metrics
                .phase_took(&left, Duration::from_millis(after_ms));
        }
        // Its end is shown with all that follows from it, when it is retired.
        if !has_ended {
            self.show();
        }
        failpoint::hit(phase);
    }

    /// Does one thing; its answer, when it is known at once.
    fn carry_out(&mut self, id: FlipId, action: Action) -> Option<Input> {
        match action {
            Action::Preflight => self.preflight(id),
            Action::JournalIntent => Some(Input::IntentJournalled(self.journal_intent(id))),
            Action::AwaitGuards => self.await_guards(id),
            Action::RunHooks(hooks) => self.run_hooks(id, hooks),
            Action::StopHooks => self.stop_hooks(id),
            Action::Answer(answers) => Some(Input::Answering(self.answer(id, answers))),
            Action::AwaitLease => self.await_lease(id),
            Action::Hold(scope) => self.hold(id, scope),
            Action::AwaitDrained(scope) => self.await_drained(id, scope),
            Action::AwaitLinger => self.await_linger(id),
            Action::SetTimer(at) => self.set_timer(id, at),
            Action::Cut(what) => self.cut(id, what),
            Action::Commit => Some(Input::Committed(self.commit(id))),
            Action::JournalAborted => Some(Input::AbortJournalled(self.journal_aborted(id))),
            Action::Publish => self.publish(id),
            Action::AwaitWorkers => self.await_workers(id),
            Action::LetIn => self.let_in(id),
            Action::Confirm => self.confirm(id),
            Action::Release => self.release(id),
            Action::JournalEnd(ending) => Some(Input::EndJournalled(self.journal_end(id, &ending))),
            Action::Announce(ending) => self.announce(id, &ending),
        }
    }

    /// Takes a flip that has ended off the list, and looks at what waited for its end.
    fn retire(&mut self, id: FlipId) {
        if self
            .flips
            .get(&id)
            .is_none_or(|running| running.flip.ending().is_none())
        {
            return;
        }
        if let Some(running) = self.flips.remove(&id) {
            self.remember(running.status());
        }
        self.look_again = true;
        self.show();
    }
}
