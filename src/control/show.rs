//! Showing: the status, built anew from what the actor knows and published whole.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::journal::Place;
use crate::site::{SideName, SiteName};
use crate::switchboard::{Part, SiteView, Snapshot};
use crate::table::{Chunks, Table};

use super::actor::Actor;
use super::running::Running;
use super::status::{AccessSaid, FlipStatus, PartStatus, SiteStatus, Status, ZoneStatus};

/// What the status was last made of; what is the same is not made anew.
#[derive(Debug)]
pub(super) struct Shown {
    table: Arc<Table>,
    snapshot: Arc<Snapshot>,
    special: BTreeSet<SiteName>,
    is_in_doubt: bool,
    sites: Chunks<Arc<SiteStatus>>,
}

impl Shown {
    /// Finds the places of the sites that the table or the snapshot changed; `None` when sites
    /// have come or gone.
    fn differing(&self, table: &Arc<Table>, snapshot: &Arc<Snapshot>) -> Option<Vec<usize>> {
        let (old, new) = (self.snapshot.sites(), snapshot.sites());
        if old.len() != new.len() {
            return None;
        }
        let mut found = Vec::new();
        for ((at, old), (_, new)) in old.unshared(new).zip(new.unshared(old)) {
            let is_same_site = Arc::ptr_eq(&old.site, &new.site);
            if !is_same_site && old.site.name != new.site.name {
                return None;
            }
            let lane = |view: &SiteView| view.lane.as_ref().map(Arc::as_ptr);
            let same = is_same_site && lane(old) == lane(new);
            found.extend((!same).then_some(at));
        }
        if !Arc::ptr_eq(&self.table.words, &table.words) {
            let both = self.table.words.iter().zip(table.words.iter());
            for (at, (old, new)) in both.enumerate() {
                found.extend((old != new).then_some(at));
            }
        }
        Some(found)
    }
}

/// Ended flips that the status keeps showing; older ones are in the journal.
const RECENT_FLIPS: usize = 32;

impl Actor {
    /// Keeps showing a flip that has ended.
    pub(super) fn remember(&mut self, ended: FlipStatus) {
        self.recent.push_front(Arc::new(ended));
        self.recent.truncate(RECENT_FLIPS);
    }

    /// Publishes what is shown of all this.
    pub(super) fn show(&mut self) {
        let sites = self.site_statuses();
        let running = self
            .flips
            .values()
            .rev()
            .map(|flip| Arc::new(flip.status()));
        let before = Arc::clone(&self.status.borrow());
        let mut status = Status {
            version: before.version.clone(),
            generation: self.generation,
            file: self.file.display().to_string(),
            file_problem: self.file_problem.as_ref().map(ToString::to_string),
            sites,
            groups: Arc::clone(&self.table.groups),
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
        if status.shows_other_than(&before) {
            status.version = self.versions.next();
        }
        self.status.send_replace(Arc::new(status));
    }

    /// Shows every site; what is shown of one that nothing has happened to is shared with before.
    fn site_statuses(&mut self) -> Chunks<Arc<SiteStatus>> {
        let snapshot = self.board.current();
        let special = self.special();
        let is_in_doubt = self.ledger.journal.is_err();
        let before = self
            .shown
            .take()
            .filter(|shown| shown.is_in_doubt == is_in_doubt);
        let sites = match before {
            Some(shown) => {
                let mut sites = shown.sites.clone();
                let mut stale = shown.differing(&self.table, &snapshot);
                if stale.is_none() || sites.len() != self.table.sites.len() {
                    sites = self.all_statuses(&snapshot);
                    stale = None;
                }
                let again = stale.into_iter().flatten().collect::<BTreeSet<_>>();
                let named = special.union(&shown.special);
                let named = named.filter_map(|name| self.table.place_of(name));
                for at in again.into_iter().chain(named) {
                    let status = Arc::new(self.site_status(&snapshot, &self.table.sites[at].name));
                    if *sites[at] != *status {
                        sites[at] = status;
                    }
                }
                sites
            }
            None => self.all_statuses(&snapshot),
        };
        self.shown = Some(Shown {
            table: Arc::clone(&self.table),
            snapshot,
            special,
            is_in_doubt,
            sites: sites.clone(),
        });
        sites
    }

    fn all_statuses(&self, snapshot: &Snapshot) -> Chunks<Arc<SiteStatus>> {
        let sites = self.table.sites.iter();
        let each = sites.map(|site| Arc::new(self.site_status(snapshot, &site.name)));
        each.collect()
    }

    /// Lists the sites of which there is more to show than table and snapshot say.
    fn special(&self) -> BTreeSet<SiteName> {
        let running = self.flips.values().flat_map(|running| &running.moves);
        let moving = running.map(|moving| &moving.planned.site);
        let told = self.problems.keys().chain(self.unwritten.keys());
        let told = told.chain(self.emergencies.keys());
        let told = told.chain(self.contradictions.keys());
        let due = self.ledger.due_rewrites().map(|(site, _)| site);
        let said = self.ledger.accesses.keys().map(|place| &place.site);
        let named = moving.chain(told).chain(self.rewritten.keys()).chain(due);
        let named = named.chain(said);
        named.cloned().collect()
    }

    fn site_status(&self, snapshot: &Snapshot, name: &SiteName) -> SiteStatus {
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
            access: lane.map_or(words.access, |lane| lane.gates.access()),
            access_said: self.said_of(name, ""),
            parts: view.map(|view| self.parts_of(view)).unwrap_or_default(),
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
            contradictions: self.contradictions.get(name).cloned().unwrap_or_default(),
            emergency: self.emergencies.get(name).cloned().map(Box::new),
        }
    }

    fn parts_of(&self, view: &SiteView) -> Vec<PartStatus> {
        let part = |part: &Part| PartStatus {
            prefix: part.prefix.clone(),
            access: part.gates.access(),
            said: self.said_of(&view.site.name, &part.prefix),
        };
        view.parts().iter().map(part).collect()
    }

    fn said_of(&self, site: &SiteName, prefix: &str) -> Option<Box<AccessSaid>> {
        let (site, prefix) = (site.clone(), prefix.to_owned());
        let said = self.ledger.accesses.get(&Place { site, prefix })?;
        Some(Box::new(AccessSaid {
            word: said.word,
            reason: said.reason.clone(),
            back_at: said.back_at,
            who: said.who.clone(),
            at: said.at,
        }))
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
