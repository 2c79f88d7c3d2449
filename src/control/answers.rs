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
use crate::zone::{self, AnswerLease, Leases, Zones};

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

    /// Tells whether its names give out the old side's address until the new one's takes its place.
    pub(super) fn keeps(&self) -> bool {
        self.has_direct_names() && self.site.flip.on_hold == OnHold::Keep
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
        let waits = running.answers_to_wait_for();
        if waits.is_empty() {
            return Some(Input::LeaseOver(Ok(())));
        }
        let (publication, phase) = (running.publication, running.flip.phase());
        let has_moved = running.answers == Answers::Usual;
        running.spawn_answer(&self.events, async move {
            let mut turned = Ok(());
            if let Some(publication) = publication {
                let deadline = Instant::now() + TURN_WITHIN;
                let all = board.all_at(publication, deadline).await;
                turned = all.map_err(|late| not_turned(&late));
            }
            // Behind the commit nothing goes back: what is known of is waited for all the same.
            if turned.is_err() && !has_moved {
                return Input::LeaseOver(turned);
            }
            let now_ms = now_ms();
            let ends = waits.iter().map(|wait| wait.until_ms(&leases, now_ms));
            let left = ends.max().unwrap_or(0).saturating_sub(now_ms);
            if left > 0 {
                let left = Duration::from_millis(left);
                let known = Event::Lease(id, phase, Timestamp::now() + left);
                // The actor is gone only when the process ends.
                let _ = events.send(known).await;
                tokio::time::sleep(left).await;
            }
            Input::LeaseOver(turned)
        })
    }

    /// Lets users in to lanes that were held until old answers had run out.
    pub(super) fn let_in(&mut self, id: FlipId) -> Option<Input> {
        for lane in std::mem::take(&mut self.flips.get_mut(&id)?.held_new) {
            lane.gates.release();
        }
        None
    }

    /// Shows until when a flip waits for answers, unless it is past that phase.
    pub(super) fn lease_known(&mut self, id: FlipId, phase: &'static str, until: Timestamp) {
        let Some(running) = self.flips.get_mut(&id) else {
            return;
        };
        if running.flip.phase() == phase {
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
    /// Holds the new lanes of the sites whose names gave out the old side's address until here, to
    /// be published so; tells which sites these are.
    pub(super) fn hold_new_lanes(&mut self, next: &Snapshot) -> BTreeSet<SiteName> {
        let mut kept = BTreeSet::new();
        if self.is_emergency() {
            return kept;
        }
        for moving in self.moves.iter().filter(|moving| moving.keeps()) {
            let view = next.site(&moving.planned.site);
            let Some(lane) = view.and_then(|view| view.lane.as_ref()) else {
                continue;
            };
            lane.gates.hold(moving.during);
            // Those in line wait for this lane too, and with `read-only` for reads as well: they
            // are held already, for a last moment that is a little longer.
            lane.gates.hold_all();
            kept.insert(moving.planned.site.clone());
            self.held_new.push(Arc::clone(lane));
        }
        kept
    }

    /// Lists what the direct names of its sites gave out, and do not give out any more.
    fn answers_to_wait_for(&self) -> Vec<GivenOut> {
        let named = self.moves.iter().filter(|moving| moving.has_direct_names());
        let waits = named.filter_map(|moving| {
            let of_site = || Some(GivenOut::BySite(moving.planned.site.clone()));
            match self.answers {
                Answers::Short => of_site(),
                // What goes on to be given out is waited for when it ends.
                Answers::Withheld if moving.keeps() => None,
                Answers::Withheld => of_site(),
                Answers::Usual if moving.keeps() => moving.lease.clone().map(GivenOut::ByLane),
                Answers::Usual => None,
            }
        });
        waits.collect()
    }
}

/// Addresses that direct names gave out.
#[derive(Debug)]
enum GivenOut {
    /// In whatever epoch: an emergency may have left some of those before.
    BySite(SiteName),
    /// In the epoch of one lane: the next one gives out its own meanwhile.
    ByLane(Arc<AnswerLease>),
}

impl GivenOut {
    /// Tells until when a client may use them.
    fn until_ms(&self, leases: &Leases, now_ms: u64) -> u64 {
        match self {
            Self::BySite(site) => leases.until_ms(site, now_ms),
            Self::ByLane(lease) => lease.until_ms(now_ms),
        }
    }
}
