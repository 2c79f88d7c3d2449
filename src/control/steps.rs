//! The steps of a flip, as the actor does them: each carries out one action of the machine.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use crate::flip::{Commit, CutWhat, Ending, Flip, Input, Moment, Scope};
use crate::journal::{CommitError, FlipEnd};
use crate::site::{During, FlipId, Outcome, Position, Positions, Tunnels};
use crate::switchboard::{Cut, Snapshot};
use crate::table::Diagnostic;
use crate::zone::{self, Zones};

use super::actor::{Actor, Event};
use super::emergency::{about_to_be_cut, lanes};
use super::ledger::Ground;
use super::preflight::{self, Thoroughness};
use super::running::{Prepared, Running};
use super::{confirm, failpoint, hooks, rewrite};

/// How long a worker may take to turn to a new snapshot; it takes microseconds.
const TURN_WITHIN: Duration = Duration::from_secs(5);

impl Actor {
    pub(super) fn preflight(&mut self, id: FlipId) -> Option<Input> {
        let file = self.file.clone();
        let running = self.flips.get_mut(&id)?;
        if running.skips_checks() {
            return Some(Input::Preflight(Ok(())));
        }
        let rehearses = matches!(running.flip, Flip::Rehearsing(_));
        // A word that cannot be rewritten is no reason to stay on a dead side: it is tried again,
        // and shown, until it can be.
        let needs_word = rehearses && !running.is_emergency();
        let targets: Vec<_> = running
            .moves
            .iter()
            .map(|moving| (Arc::clone(&moving.site), moving.planned.to.clone()))
            .collect();
        let mut tried = Ok(());
        if needs_word {
            for (site, to) in &targets {
                let word = self
                    .table
                    .words
                    .get(&site.name)
                    .and_then(|words| words.active.clone());
                if tried.is_ok() && word.is_some_and(|word| word != *to) {
                    tried = rewrite::try_out(&file, &self.loader, &site.name, to).map_err(|why| {
                        format!(
                            "the word of {} could not be written into the file after it: {why}; \
                             put that right first (see `pointsman check`), let the daemon write \
                             there, or leave `active:` out of the file",
                            site.name
                        )
                    });
                }
            }
        }
        let of_hooks = needs_word.then(|| targets.iter().map(|(site, _)| Arc::clone(site)));
        let sites: Vec<_> = of_hooks.into_iter().flatten().collect();
        running.spawn_answer(&self.events, async move {
            let tried = match tried {
                Ok(()) => hooks::all_found(sites, file).await,
                Err(why) => Err(why),
            };
            if let Err(why) = tried {
                return Input::Preflight(Err(why));
            }
            let how = if rehearses {
                Thoroughness::AllTries
            } else {
                Thoroughness::OneTry
            };
            Input::Preflight(preflight::all(targets, how).await)
        })
    }

    pub(super) fn journal_intent(&mut self, id: FlipId) -> Result<(), String> {
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
            if is_emergency && moving.cut.is_none() {
                moving.cut = Some(about_to_be_cut(gates));
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

    /// Waits until no origin is likely to be at work any more on a write that was given up.
    pub(super) fn await_linger(&mut self, id: FlipId) -> Option<Input> {
        let running = self.flips.get_mut(&id)?;
        let quiet = running.moves.iter().filter_map(|moving| {
            let given_up = moving.lane.gates.last_abandoned()?;
            Some(given_up + moving.site.flip.linger)
        });
        let quiet = quiet
            .max()
            .filter(|&quiet| quiet > std::time::Instant::now());
        let Some(quiet) = quiet else {
            return Some(Input::Lingered);
        };
        tracing::info!(flip = %id, "waits for what an origin may still do with a write given up");
        running.spawn_answer(&self.events, async move {
            tokio::time::sleep_until(quiet.into()).await;
            Input::Lingered
        })
    }

    pub(super) fn set_timer(&mut self, id: FlipId, at: Moment) -> Option<Input> {
        let wait = Duration::from_millis(at.ms.saturating_sub(self.now().ms));
        let events = self.events.clone();
        let running = self.flips.get_mut(&id)?;
        if let Some(earlier) = running.timer.take() {
            earlier.abort();
        }
        running.timer = Some(running.tasks.spawn(async move {
            tokio::time::sleep(wait).await;
            // The actor is gone only when the process ends.
            let _ = events.send(Event::Timer(id)).await;
        }));
        None
    }

    pub(super) fn cut(&mut self, id: FlipId, what: CutWhat) -> Option<Input> {
        for moving in &self.flips.get(&id)?.moves {
            let cut = match (what, moving.held(Scope::Writes)) {
                (CutWhat::Reads, _) => Cut::Reads,
                (CutWhat::Writes, Scope::Writes) => Cut::Writes,
                (CutWhat::Writes, Scope::All) | (CutWhat::Everything, _) => Cut::Everything,
            };
            moving.lane.gates.order_cut(cut);
        }
        self.board.nudge();
        None
    }

    /// Builds the next snapshot from the current one, and journals the commit with its serials.
    pub(super) fn commit(&mut self, id: FlipId) -> Commit {
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
        let ready = self.ledger.ready_zones(&Ground {
            table: &self.table,
            before: Some(&before),
            positions: &self.with_doubt(&positions),
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

    /// Lists the zones that a flip changes.
    fn zones_of(&self, running: &Running) -> BTreeSet<&str> {
        let sites = running.moves.iter();
        sites
            .filter_map(|moving| self.table.site(moving.planned.site.as_str()))
            .flat_map(|site| zone::zones_of(&self.table, site))
            .collect()
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

    /// In doubt, the page: also for those who would have been held, and for names SERVFAIL.
    fn show_doubt(&mut self, id: FlipId) {
        let Some(running) = self.flips.get_mut(&id) else {
            return;
        };
        running.is_in_doubt = true;
        for moving in &running.moves {
            moving.lane.gates.hold(During::Page);
        }
        let before = self.board.current();
        let zones = self.flips.get(&id).map(|running| self.zones_of(running));
        let zones = self.ledger.zones_in_doubt(&Ground {
            table: &self.table,
            before: Some(&before),
            positions: &self.with_doubt(&Positions::default()),
            zones,
        });
        if let Some(zones) = zones {
            self.store(zones);
        }
        self.show();
    }

    /// Adds the sites whose active side is in doubt, as names see them: nowhere.
    pub(super) fn with_doubt(&self, positions: &Positions) -> Positions {
        let mut all = positions.clone();
        let in_doubt = self.flips.values().filter(|running| running.is_in_doubt);
        for moving in in_doubt.flat_map(|running| &running.moves) {
            let nowhere = Position {
                active: None,
                epoch: moving.lane.epoch,
            };
            all.0.insert(moving.planned.site.clone(), nowhere);
        }
        all
    }

    /// Ends the doubt: the zones are those of the old side again.
    fn end_doubt(&mut self, id: FlipId) {
        let before = self.board.current();
        let zones = self.flips.get(&id).map(|running| self.zones_of(running));
        let ready = self.ledger.ready_zones(&Ground {
            table: &self.table,
            before: Some(&before),
            positions: &self.with_doubt(&Positions::default()),
            zones,
        });
        match ready {
            Ok(ready) => {
                if let Err(error) = self.ledger.journal_zones(ready.changed) {
                    tracing::error!(%error, "the zones' serials could not be journalled");
                }
                self.store(ready.zones);
            }
            Err(mistakes) => {
                tracing::error!("the zones stay in doubt: {}", in_words(&mistakes));
            }
        }
    }

    /// Publishes other zones over the same lanes.
    fn store(&mut self, zones: Arc<Zones>) {
        let current = self.board.current();
        let table = Arc::clone(&self.table);
        let nobody = Positions::default();
        let next = Snapshot::follow(Some(&current), self.generation, table, &nobody, zones);
        self.publish_snapshot(Arc::new(next));
    }

    /// The store that moves the sites; it cannot fail.
    pub(super) fn publish(&mut self, id: FlipId) -> Option<Input> {
        let running = self.flips.get_mut(&id)?;
        let Prepared { snapshot, zones } = running.prepared.take()?;
        let closing: Vec<_> = running.moves.iter().map(|m| Arc::clone(&m.lane)).collect();
        self.publish_snapshot(snapshot);
        for lane in closing {
            lane.gates.close();
        }
        let running = self.flips.get_mut(&id)?;
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
            Input::WorkersTurned(turned.map_err(|late| {
                format!(
                    "workers that did not turn within {TURN_WITHIN:?}: {}",
                    late.join(", ")
                )
            }))
        })
    }

    pub(super) fn confirm(&mut self, id: FlipId) -> Option<Input> {
        let (table, certs) = (Arc::clone(&self.table), Arc::clone(&self.certs));
        let running = self.flips.get_mut(&id)?;
        let sites = running
            .moves
            .iter()
            .map(|moving| moving.planned.site.clone());
        let expected = sites.zip(running.epochs.iter().copied()).collect();
        running.spawn_answer(&self.events, async move {
            Input::Confirmed(confirm::listeners(table, certs, expected).await)
        })
    }

    pub(super) fn release(&mut self, id: FlipId) -> Option<Input> {
        let running = self.flips.get_mut(&id)?;
        if std::mem::take(&mut running.is_in_doubt) {
            self.end_doubt(id);
        }
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
    fn spawn_answer(
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

fn in_words(mistakes: &[Diagnostic]) -> String {
    mistakes
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("; ")
}
