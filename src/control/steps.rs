//! The steps of a flip, as the actor does them: each carries out one action of the machine.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use crate::flip::{Commit, CutWhat, Ending, Input, Moment, Scope};
use crate::journal::{CommitError, FlipEnd};
use crate::site::{Answers, FlipId, Outcome, Position, Positions, Tunnels};
use crate::switchboard::{Cut, Snapshot};
use crate::table::Diagnostic;

use super::actor::{Actor, Event};
use super::checks;
use super::emergency::{about_to_be_cut, lanes};
use super::ledger::Ground;
use super::running::{Closed, Moving, Prepared, Running};
use super::{confirm, failpoint};

/// How long a worker may take to turn to a new snapshot; it takes microseconds.
pub(super) const TURN_WITHIN: Duration = Duration::from_secs(5);

impl Actor {
    pub(super) fn journal_intent(&mut self, id: FlipId) -> Result<(), String> {
        self.journal_accepted(id);
        let running = self.flips.get_mut(&id).ok_or("the flip is gone")?;
        let journal = self.ledger.journal.as_mut().map_err(|why| why.clone())?;
        running.epochs = journal.intent(id, &running.journalled).map_err(|error| {
            format!("the intent could not be journalled: {error}; nothing happened")
        })?;
        self.read_moved(id)
    }

    /// Reads what the journal says of the sites of a flip.
    fn read_moved(&mut self, id: FlipId) -> Result<(), String> {
        let running = self.flips.get(&id).ok_or("the flip is gone")?;
        let sites = running.moves.iter().map(|moving| &moving.planned.site);
        let read = self.ledger.read_sites(sites);
        read.map_err(|error| error.to_string())
    }

    pub(super) fn hold(&mut self, id: FlipId, scope: Scope) -> Option<Input> {
        let running = self.flips.get_mut(&id)?;
        let is_emergency = running.is_emergency();
        for moving in &mut running.moves {
            let gates = &moving.lane.gates;
            gates.hold(moving.during);
            if scope == Scope::All {
                gates.hold_all();
            }
            if is_emergency {
                moving.cut.get_or_insert_with(|| about_to_be_cut(gates));
            }
            match moving.site.flip.websockets {
                // Its client comes back at once, to wait like all.
                Tunnels::Close => gates.order_cut(Cut::Tunnels),
                Tunnels::Drain => {}
            }
        }
        self.board.nudge();
        Some(Input::Held)
    }

    pub(super) fn await_drained(&mut self, id: FlipId, scope: Scope) -> Option<Input> {
        let running = self.flips.get_mut(&id)?;
        let held: Vec<_> = running
            .moves
            .iter()
            .map(|moving| (Arc::clone(&moving.lane.gates), moving.held(scope)))
            .collect();
        running.spawn_answer(&self.events, async move {
            for (gates, held) in held {
                match held {
                    Scope::Writes => gates.writes_drained().await,
                    Scope::All => gates.drained().await,
                }
            }
            Input::Drained
        })
    }

    /// Waits until no origin is likely to be at work any more on a write that was given up, or says
    /// that it is not.
    pub(super) fn await_linger(&mut self, id: FlipId) -> Option<Input> {
        let running = self.flips.get_mut(&id)?;
        let (mut asked, mut over) = (Vec::new(), None);
        for moving in &running.moves {
            let Some(given_up) = moving.lane.gates.last_abandoned() else {
                continue;
            };
            if moving.site.flip.quiet.is_some() {
                asked.push((Arc::clone(&moving.site), moving.planned.from.clone()));
            } else {
                over = over.max(Some(given_up + moving.site.flip.linger));
            }
        }
        let over = over.filter(|&over| over > std::time::Instant::now());
        if over.is_none() && asked.is_empty() {
            return Some(Input::Lingered(Ok(())));
        }
        tracing::info!(flip = %id, "waits for what an origin may still do with a write given up");
        running.spawn_answer(&self.events, async move {
            let quiet = checks::apart(checks::until_quiet(asked)).await;
            if let (Ok(()), Some(over)) = (&quiet, over) {
                tokio::time::sleep_until(over.into()).await;
            }
            Input::Lingered(quiet)
        })
    }

    pub(super) fn set_timer(&mut self, id: FlipId, at: Moment) -> Option<Input> {
        let wait = Duration::from_millis(at.ms.saturating_sub(self.now().ms));
        let events = self.events.clone();
        let running = self.flips.get_mut(&id)?;
        if let Some(earlier) = running.timer.take() {
            earlier.abort();
        }
        running.until = Timestamp::now().checked_add(wait).ok();
        running.timer = Some(running.tasks.spawn(async move {
            tokio::time::sleep(wait).await;
            // The actor is gone only when the process ends.
            let _ = events.send(Event::Timer(id)).await;
        }));
        self.show();
        None
    }

    pub(super) fn cut(&mut self, id: FlipId, what: CutWhat) -> Option<Input> {
        for moving in &mut self.flips.get_mut(&id)?.moves {
            let cut = match (what, moving.held(Scope::Writes)) {
                (CutWhat::Reads, _) => Cut::Reads,
                (CutWhat::Writes, Scope::Writes) => Cut::Writes,
                (CutWhat::Writes, Scope::All) | (CutWhat::Everything, _) => Cut::Everything,
            };
            moving.note_cut(cut);
            moving.lane.gates.order_cut(cut);
        }
        self.board.nudge();
        None
    }

    /// Builds the next snapshot from the current one, and journals the commit with its serials.
    pub(super) fn commit(&mut self, id: FlipId) -> Commit {
        self.close_books(id);
        self.journal_left(id);
        let prepared = match self.prepare(id) {
            Ok(prepared) => prepared,
            Err(why) => return Commit::NotWritten(why),
        };
        let lanes = self.flips.get(&id).map(lanes).unwrap_or_default();
        let Ok(journal) = &mut self.ledger.journal else {
            return Commit::NotWritten("there is no journal".into());
        };
        match journal.commit(id, &prepared.zones, &lanes, Timestamp::now()) {
            Ok(()) => {
                failpoint::hit("committed");
                if let Some(running) = self.flips.get_mut(&id) {
                    running.prepared = Some(prepared);
                }
                Commit::Written
            }
            Err(error @ CommitError::NotWritten(_)) => Commit::NotWritten(error.to_string()),
            Err(error @ CommitError::Unknown(_)) => Commit::Unknown(error.to_string()),
        }
    }

    pub(super) fn prepare(&self, id: FlipId) -> Result<Prepared, String> {
        let running = self.flips.get(&id).ok_or("the flip is gone")?;
        let mut positions = Positions::default();
        for (moving, epoch) in running.moves.iter().zip(&running.epochs) {
            let active = Some(moving.planned.to.clone());
            positions.0.insert(
                moving.planned.site.clone(),
                Position {
                    active,
                    epoch: *epoch,
                },
            );
        }
        let before = self.board.current();
        let mut standing = self.standing(&positions);
        // The new side's address has nothing to be short for.
        running
            .moves
            .iter()
            .for_each(|moving| standing.forget(&moving.planned.site));
        let ready = self.ledger.ready_zones(&Ground {
            table: &self.table,
            before: Some(&before),
            standing: &standing,
            zones: Some(self.zones_of(running)),
        });
        let ready = ready.map_err(|mistakes| in_words(&mistakes))?;
        let snapshot = Snapshot::follow(
            Some(&before),
            self.generation,
            Arc::clone(&self.table),
            &positions,
            ready.zones,
        );
        Ok(Prepared {
            snapshot: Arc::new(snapshot),
            zones: ready.changed,
        })
    }

    pub(super) fn journal_aborted(&mut self, id: FlipId) -> Result<(), String> {
        let running = self.flips.get(&id).ok_or("the flip is gone")?;
        if !running.is_in_doubt {
            self.show_doubt(id);
        }
        let journal = self.ledger.journal.as_mut().map_err(|why| why.clone())?;
        let written = journal.abort(id).map_err(|error| error.to_string());
        if let Err(why) = &written {
            tracing::error!(flip = %id, why, "the outcome of a commit is unknown: the page is \
                served until the journal can be written; make room on its disk");
        }
        written?;
        self.ledger.read_again().map_err(|error| error.to_string())
    }

    /// The store that moves the sites; it cannot fail.
    pub(super) fn publish(&mut self, id: FlipId) -> Option<Input> {
        let running = self.flips.get_mut(&id)?;
        let Prepared { snapshot, zones } = running.prepared.take()?;
        let kept = running.hold_new_lanes(&snapshot);
        // All is held and has drained: whatever is forwarded from here on is too late.
        let counted: Vec<_> = running.moves.iter().map(Moving::forwarded).collect();
        self.publish_snapshot(snapshot);
        let running = self.flips.get_mut(&id)?;
        for (moving, forwarded) in running.moves.iter_mut().zip(counted) {
            if kept.contains(&moving.lane.site) {
                moving.lane.gates.close_in_front_of_held();
            } else {
                moving.lane.gates.close();
            }
            let at = Timestamp::now();
            moving.closed = Some(Closed { at, forwarded });
        }
        running.answers = Answers::Usual;
        // Told again: the lanes that a worker looks at on the first call may not be closed yet.
        running.publication = Some(self.board.nudge());
        self.ledger.remember_zones(zones);
        if let Err(error) = self.read_moved(id) {
            tracing::error!(%error, "the journal could not be read after a commit");
        }
        failpoint::hit("published");
        self.rewrite_words();
        self.show();
        Some(Input::Published)
    }

    pub(super) fn await_workers(&mut self, id: FlipId) -> Option<Input> {
        let board = Arc::clone(&self.board);
        let running = self.flips.get_mut(&id)?;
        let publication = running.publication?;
        running.spawn_answer(&self.events, async move {
            let deadline = Instant::now() + TURN_WITHIN;
            let turned = board.all_at(publication, deadline).await;
            Input::WorkersTurned(turned.map_err(|late| not_turned(&late)))
        })
    }

    pub(super) fn confirm(&mut self, id: FlipId) -> Option<Input> {
        let (table, certs) = (Arc::clone(&self.table), Arc::clone(&self.certs));
        let running = self.flips.get_mut(&id)?;
        let forgotten = self.closed.keep(running);
        let sites = running
            .moves
            .iter()
            .map(|moving| moving.planned.site.clone());
        let expected = sites.zip(running.epochs.iter().copied()).collect();
        self.journal_late(&forgotten);
        let running = self.flips.get_mut(&id)?;
        running.spawn_answer(&self.events, async move {
            Input::Confirmed(confirm::listeners(table, certs, expected).await)
        })
    }

    pub(super) fn release(&mut self, id: FlipId) -> Option<Input> {
        self.restore_answers(id);
        let running = self.flips.get_mut(&id)?;
        for moving in &running.moves {
            moving.lane.gates.release();
        }
        None
    }

    pub(super) fn journal_end(&mut self, id: FlipId, ending: &Ending) -> Result<(), String> {
        let running = self.flips.get(&id).ok_or("the flip is gone")?;
        let end = FlipEnd {
            outcome: ending.outcome,
            message: ending.message.clone(),
            ended: Timestamp::now(),
            timeline: serde_json::to_string(&running.timeline).unwrap_or_default(),
            lanes: lanes(running),
            hooks_due: Self::hooks_due(running, ending),
        };
        let journal = self.ledger.journal.as_mut().map_err(|why| why.clone())?;
        let written = if running.epochs.is_empty() {
            journal.refused(id, &running.journalled, &end)
        } else {
            journal.end(id, &end)
        };
        if let Err(error) = written {
            tracing::error!(flip = %id, %error, "the end of a flip could not be journalled");
            let words = running.journalled.words.clone();
            for (site, word) in words {
                self.note_word(&site, word.as_ref(), "the refusal could not be journalled");
            }
            return Err(format!("its end could not be journalled: {error}"));
        }
        self.read_moved(id)
    }

    pub(super) fn announce(&mut self, id: FlipId, ending: &Ending) -> Option<Input> {
        self.metrics.flip_ended(ending.outcome.word());
        let sites: Vec<_> = self
            .flips
            .get(&id)?
            .moves
            .iter()
            .map(|m| m.planned.site.clone())
            .collect();
        let message = &ending.message;
        if matches!(ending.outcome, Outcome::Settled | Outcome::Moved) {
            self.look_for_emergencies(id);
        }
        match ending.outcome {
            Outcome::Settled => tracing::info!(flip = %id, "flip acknowledged"),
            Outcome::Moved => {
                tracing::error!(flip = %id, message, "moved, but not confirmed: ask `status`");
            }
            Outcome::Refused | Outcome::RestoredUnheld | Outcome::Restored => {
                tracing::warn!(flip = %id, message, "the site stays where it was");
            }
        }
        if !message.is_empty() {
            for site in sites {
                self.problems.insert(site, format!("flip {id}: {message}"));
            }
        }
        None
    }
}

impl Running {
    /// Runs something that takes time; its answer comes back as an event.
    pub(super) fn spawn_answer(
        &mut self,
        events: &tokio::sync::mpsc::Sender<Event>,
        work: impl Future<Output = Input> + Send + 'static,
    ) -> Option<Input> {
        let (id, events) = (self.id, events.clone());
        // What is over is taken out, so that the set is no larger than what is under way.
        while self.tasks.try_join_next().is_some() {}
        self.tasks.spawn(async move {
            let answer = work.await;
            // The actor is gone only when the process ends.
            let _ = events.send(Event::Flip(id, answer)).await;
        });
        None
    }
}

pub(super) fn not_turned(late: &[String]) -> String {
    format!(
        "workers that did not turn within {TURN_WITHIN:?}: {}",
        late.join(", ")
    )
}

pub(super) fn in_words(mistakes: &[Diagnostic]) -> String {
    mistakes
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("; ")
}
