//! Showing: the status, built anew from what the actor knows and published whole.

use std::sync::Arc;

use crate::site::{SideName, SiteName};

use super::actor::Actor;
use super::running::Running;
use super::status::{FlipStatus, SiteStatus, Status, ZoneStatus};

/// Ended flips that the status keeps showing; older ones are in the journal.
const RECENT_FLIPS: usize = 32;

impl Actor {
    /// Keeps showing a flip that has ended.
    pub(super) fn remember(&mut self, ended: FlipStatus) {
        self.recent.push_front(Arc::new(ended));
        self.recent.truncate(RECENT_FLIPS);
    }

    /// Publishes what is shown of all this.
    pub(super) fn show(&self) {
        let running = self
            .flips
            .values()
            .rev()
            .map(|flip| Arc::new(flip.status()));
        let status = Status {
            generation: self.generation,
            file: self.file.display().to_string(),
            file_problem: self.file_problem.as_ref().map(ToString::to_string),
            sites: self
                .table
                .sites
                .iter()
                .map(|site| self.site_status(&site.name))
                .collect(),
            flips: running.chain(self.recent.iter().cloned()).collect(),
            zones: self
                .ledger
                .serials()
                .filter(|(name, _)| self.table.dns.zones.contains_key(*name))
                .map(|(name, serial)| ZoneStatus {
                    name: name.into(),
                    serial,
                })
                .collect(),
            certs: self.certificates(),
        };
        self.status.send_replace(Arc::new(status));
    }

    fn site_status(&self, name: &SiteName) -> SiteStatus {
        let snapshot = self.board.current();
        let view = snapshot.site(name);
        let lane = view.and_then(|view| view.lane.as_ref());
        let words = self.table.words.get(name).cloned().unwrap_or_default();
        let running = |running: &&Running| running.flip.ending().is_none();
        let flip = self.flip_of(name).filter(running);
        // The journal moves a site at the commit; users of the status hear of it when it is
        // acknowledged, that is, when its flip has ended.
        let leaving = flip.and_then(|running| {
            let moving = running
                .moves
                .iter()
                .find(|moving| moving.planned.site == *name)?;
            Some((moving.planned.from.clone(), moving.lane.epoch))
        });
        let (active, epoch) = match (leaving, lane) {
            (Some((_, epoch)), _) if flip.is_some_and(|running| running.is_in_doubt) => {
                (None, epoch)
            }
            (Some((from, epoch)), _) => (Some(from), epoch),
            (None, Some(lane)) => (Some(lane.side.clone()), lane.epoch),
            (None, None) => (None, crate::site::Epoch(0)),
        };
        let doubt = self.ledger.journal.as_ref().err().cloned();
        let unwritten = || self.unwritten.get(name).cloned();
        let desired = self.desired(name, words.active);
        SiteStatus {
            name: name.clone(),
            diverged: flip.is_none() && desired.is_some() && desired != active,
            desired,
            active,
            problem: doubt
                .or_else(unwritten)
                .or_else(|| self.problems.get(name).cloned()),
            access: view.map_or(words.access, |view| view.access),
            epoch,
            flip: flip.map(|running| running.id),
            host: view.map_or_else(String::new, |view| view.site.hosts[0].clone()),
            sides: view
                .map(|view| {
                    view.site
                        .sides
                        .iter()
                        .map(|side| side.name.clone())
                        .collect()
                })
                .unwrap_or_default(),
        }
    }

    /// Tells which side the file asks for: its word as last read, unless that was or is about to
    /// be rewritten.
    fn desired(&self, name: &SiteName, word: Option<SideName>) -> Option<SideName> {
        let record = self.ledger.sites.get(name);
        let pending = record.and_then(|record| record.rewrite.as_ref());
        let is_due = |(from, _): &&(SideName, SideName)| {
            Some(from) == word.as_ref() && !self.unwritten.contains_key(name)
        };
        let to = pending.filter(is_due).map(|(_, to)| to);
        to.or(self.rewritten.get(name)).cloned().or(word)
    }
}
