//! How direct names answer while sites move: the zones that a flip publishes beside its snapshot,
//! and the wait for what they gave out before.
//!
//! What zones say follows from one place, [`Actor::standing`]: where the sites are, which of them
//! are in doubt, and how far each flip is. So flips that run side by side in one zone, and tables
//! that are loaded meanwhile, never undo what another one needs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use crate::flip::Input;
use crate::site::{Answers, During, FlipId, OnHold, Position, Positions, SiteName};
use crate::switchboard::{Publication, Snapshot, now_ms};
use crate::zone::{self, Zones};

use super::actor::{Actor, Event};
use super::ledger::Ground;
use super::running::{Moving, Running};
use super::steps::{TURN_WITHIN, in_words, not_turned};

/// Where sites are, and how their direct names answer, as far as that is not what is served.
#[derive(Debug, Default)]
pub(super) struct Standing {
    pub(super) positions: Positions,
    answers: BTreeMap<SiteName, Answers>,
}

impl Standing {
    /// Sites that are somewhere, and answer as usual.
    pub(super) fn at(positions: Positions) -> Self {
        Self {
            positions,
            answers: BTreeMap::new(),
        }
    }

    /// Tells how the direct names of a site answer, unless it is in doubt.
    pub(super) fn answers_of(&self, site: &SiteName) -> Answers {
        self.answers.get(site).copied().unwrap_or_default()
    }

    /// Has a site answer as usual.
    pub(super) fn forget(&mut self, site: &SiteName) {
        self.answers.remove(site);
    }
}

impl Moving {
    fn has_direct_names(&self) -> bool {
        !self.site.names.is_empty()
    }

    /// Tells how the names of this site answer when the flip as a whole has them answer so.
    fn answers(&self, answers: Answers) -> Answers {
        match (answers, self.site.flip.on_hold) {
            (Answers::Withheld, OnHold::Keep) => Answers::Short,
            (answers, OnHold::Keep | OnHold::NoData) => answers,
        }
    }
}

impl Actor {
    /// Adds what running flips make of their sites: direct names that answer otherwise, and sites
    /// in doubt, which are nowhere.
    pub(super) fn standing(&self, positions: &Positions) -> Standing {
        let mut standing = Standing::at(positions.clone());
        for running in self.flips.values() {
            for moving in &running.moves {
                let site = &moving.planned.site;
                let answers = moving.answers(running.answers);
                if answers != Answers::Usual {
                    standing.answers.insert(site.clone(), answers);
                }
                if running.is_in_doubt {
                    let nowhere = Position {
                        active: None,
                        epoch: moving.lane.epoch,
                    };
                    standing.positions.0.insert(site.clone(), nowhere);
                }
            }
        }
        standing
    }

    /// Lists the zones that a flip changes.
    pub(super) fn zones_of(&self, running: &Running) -> BTreeSet<&str> {
        let sites = running.moves.iter();
        sites
            .filter_map(|moving| self.table.site(moving.planned.site.as_str()))
            .flat_map(|site| zone::zones_of(&self.table, site))
            .collect()
    }

    /// Has the direct names of a flip's sites answer in another way; the serials are journalled
    /// before anybody gets such an answer.
    pub(super) fn answer(&mut self, id: FlipId, answers: Answers) -> Result<(), String> {
        let running = self.flips.get_mut(&id).ok_or("the flip is gone")?;
        let before = std::mem::replace(&mut running.answers, answers);
        if !running.moves.iter().any(Moving::has_direct_names) {
            return Ok(());
        }
        let published = self.publish_answers(id);
        if let (Err(_), Some(running)) = (&published, self.flips.get_mut(&id)) {
            running.answers = before;
        }
        published
    }

    fn publish_answers(&mut self, id: FlipId) -> Result<(), String> {
        let running = self.flips.get(&id).ok_or("the flip is gone")?;
        let before = self.board.current();
        let ready = self.ledger.ready_zones(&Ground {
            table: &self.table,
            before: Some(&before),
            standing: &self.standing(&Positions::default()),
            zones: Some(self.zones_of(running)),
        });
        let ready = ready.map_err(|mistakes| in_words(&mistakes))?;
        if ready.changed.is_empty() {
            return Ok(());
        }
        let written = self.ledger.journal_zones(ready.changed);
        written.map_err(|error| {
            format!("the serials of the zones could not be journalled: {error}")
        })?;
        let told = self.store(ready.zones);
        if let Some(running) = self.flips.get_mut(&id) {
            running.publication = Some(told);
        }
        Ok(())
    }

    /// Waits until nobody may use any more what direct names gave out before they answered as they
    /// do now: first for the workers, so that all of it is noted, then until it is over.
    pub(super) fn await_lease(&mut self, id: FlipId) -> Option<Input> {
        let board = Arc::clone(&self.board);
        let leases = Arc::clone(board.current().zones.leases());
        let events = self.events.clone();
        let running = self.flips.get_mut(&id)?;
        let sites = running.leaving_their_answers();
        if sites.is_empty() {
            return Some(Input::LeaseOver(Ok(())));
        }
        let publication = running.publication;
        running.spawn_answer(&self.events, async move {
            if let Some(publication) = publication {
                let turned = board
                    .all_at(publication, Instant::now() + TURN_WITHIN)
                    .await;
                if let Err(late) = turned {
                    return Input::LeaseOver(Err(not_turned(&late)));
                }
            }
            let now_ms = now_ms();
            let ends = sites.iter().map(|site| leases.until_ms(site, now_ms));
            let left = ends.max().unwrap_or(0).saturating_sub(now_ms);
            if left > 0 {
                let left = Duration::from_millis(left);
                // The actor is gone only when the process ends.
                let _ = events.send(Event::Lease(id, Timestamp::now() + left)).await;
                tokio::time::sleep(left).await;
            }
            Input::LeaseOver(Ok(()))
        })
    }

    /// Shows until when a flip waits for answers.
    pub(super) fn lease_known(&mut self, id: FlipId, until: Timestamp) {
        if let Some(running) = self.flips.get_mut(&id) {
            tracing::info!(flip = %id, %until, "waits for DNS answers that clients may still use");
            running.wait_for_lease(until);
            self.show();
        }
    }

    /// In doubt, the page: also for those who would have been held, and for names SERVFAIL.
    pub(super) fn show_doubt(&mut self, id: FlipId) {
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
            standing: &self.standing(&Positions::default()),
            zones,
        });
        if let Some(zones) = zones {
            self.store(zones);
        }
        self.show();
    }

    /// Has the names of a flip that goes back answer as they did before it.
    pub(super) fn restore_answers(&mut self, id: FlipId) {
        let Some(running) = self.flips.get_mut(&id) else {
            return;
        };
        let was_in_doubt = std::mem::take(&mut running.is_in_doubt);
        let had_answers = std::mem::take(&mut running.answers);
        let has_names = running.moves.iter().any(Moving::has_direct_names);
        if !was_in_doubt && (had_answers == Answers::Usual || !has_names) {
            return;
        }
        let before = self.board.current();
        let zones = self.flips.get(&id).map(|running| self.zones_of(running));
        let ready = self.ledger.ready_zones(&Ground {
            table: &self.table,
            before: Some(&before),
            standing: &self.standing(&Positions::default()),
            zones,
        });
        match ready {
            Ok(ready) => {
                if let Err(error) = self.ledger.journal_zones(ready.changed.clone()) {
                    tracing::error!(%error, "the zones' serials could not be journalled");
                    // The next ones must be others all the same.
                    self.ledger.remember_zones(ready.changed);
                }
                self.store(ready.zones);
            }
            Err(mistakes) => {
                tracing::error!("the zones stay as they are: {}", in_words(&mistakes));
            }
        }
    }

    /// Publishes other zones over the same lanes.
    fn store(&mut self, zones: Arc<Zones>) -> Publication {
        let current = self.board.current();
        let table = Arc::clone(&self.table);
        let nobody = Positions::default();
        let next = Snapshot::follow(Some(&current), self.generation, table, &nobody, zones);
        self.publish_snapshot(Arc::new(next))
    }
}

impl Running {
    /// Lists the sites whose direct names gave out before what they do not give out now.
    fn leaving_their_answers(&self) -> Vec<SiteName> {
        let keeps = |moving: &&Moving| {
            // What goes on to be given out is waited for when it ends.
            self.answers != Answers::Withheld || moving.answers(self.answers) == Answers::Withheld
        };
        let moves = self.moves.iter();
        let leaving = moves
            .filter(|moving| moving.has_direct_names())
            .filter(keeps);
        leaving.map(|moving| moving.planned.site.clone()).collect()
    }
}
