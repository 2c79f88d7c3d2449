//! The ledger: the journal, and what it says, kept at hand.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::journal::{Journal, SiteAdoption, SiteRecord, ZoneRecord};
use crate::site::{Access, Epoch, Position, Positions, SiteName};
use crate::table::{Diagnostic, PathRule, Site, Table};
use crate::zone::{self, Serial, Zones};

/// The epoch at which a site is adopted.
const FIRST: Epoch = Epoch(1);

/// What is journalled, and whether it can be gone by.
#[derive(Debug)]
pub(super) struct Ledger {
    /// `Err` says why there is no journal to go by: every active side is in doubt.
    pub(super) journal: Result<Journal, String>,
    /// Every site the journal knows, removed ones included.
    pub(super) sites: BTreeMap<SiteName, SiteRecord>,
    zones: BTreeMap<String, ZoneRecord>,
    /// Random per process, so that nobody can choose names that collide.
    hash_key: u64,
}

/// Zones that are ready, and the serials that must be journalled before they are published.
#[derive(Debug)]
pub(super) struct ReadyZones {
    pub(super) zones: Zones,
    pub(super) changed: Vec<ZoneRecord>,
}

impl Ledger {
    /// Opens the ledger on a journal, or on the reason why there is none.
    pub(super) fn new(journal: Result<Journal, String>) -> Self {
        use std::hash::{BuildHasher, Hasher};
        let mut ledger = Self {
            journal,
            sites: BTreeMap::new(),
            zones: BTreeMap::new(),
            hash_key: std::hash::RandomState::new().build_hasher().finish(),
        };
        if let Err(error) = ledger.read_again() {
            ledger.give_up(&error);
        }
        ledger
    }

    /// Goes by the journal no longer: every active side is in doubt.
    pub(super) fn give_up(&mut self, error: &rusqlite::Error) {
        tracing::error!(%error, "the journal cannot be read: users get the page");
        self.journal = Err(format!(
            "journal.db in the state directory cannot be read: {error}; put it back from a \
             backup and start again"
        ));
        self.sites.clear();
        self.zones.clear();
    }

    /// Reads what is on disk.
    pub(super) fn read_again(&mut self) -> rusqlite::Result<()> {
        let Ok(journal) = &self.journal else {
            return Ok(());
        };
        self.sites = journal.sites()?;
        let zones = journal.zones()?;
        self.zones = zones
            .into_iter()
            .map(|zone| (zone.name.clone(), zone))
            .collect();
        Ok(())
    }

    /// Adopts the sites of a table that have no record yet, where [`Ledger::positions`] says.
    pub(super) fn adopt(&mut self, table: &Table) -> rusqlite::Result<()> {
        let Ok(journal) = &mut self.journal else {
            return Ok(());
        };
        let new: Vec<SiteAdoption> = table
            .words
            .iter()
            .filter(|(site, _)| !self.sites.contains_key(*site))
            .filter_map(|(site, words)| {
                let active = words.active.clone()?;
                Some(SiteAdoption {
                    site: site.clone(),
                    active,
                    access: words.access,
                })
            })
            .collect();
        if new.is_empty() {
            return Ok(());
        }
        journal.adopt(&new, Timestamp::now())?;
        for SiteAdoption { site, active, .. } in &new {
            tracing::info!(%site, %active, "new site: its word is adopted as the active side");
        }
        self.read_again()
    }

    /// Tells where the sites of a table are, or are to be adopted.
    pub(super) fn positions(&self, table: &Table) -> Positions {
        let position = |site: &Site| match self.sites.get(&site.name) {
            Some(record) => Position {
                active: Some(record.active.clone()),
                epoch: record.epoch,
            },
            None if self.journal.is_ok() => {
                let words = table.words.get(&site.name);
                Position {
                    active: words.and_then(|words| words.active.clone()),
                    epoch: FIRST,
                }
            }
            None => Position {
                active: None,
                epoch: Epoch(0),
            },
        };
        let sites = table.sites.iter();
        Positions(
            sites
                .map(|site| (site.name.clone(), position(site)))
                .collect(),
        )
    }

    /// Journals the access that a new table gives, where it differs from what was last read.
    pub(super) fn read_access(&mut self, old: &Table, new: &Table) -> rusqlite::Result<()> {
        let Ok(journal) = &mut self.journal else {
            return Ok(());
        };
        let now = Timestamp::now();
        for (site, words) in new.words.iter() {
            if let Some(known) = self.sites.get_mut(site)
                && known.access != words.access
            {
                journal.access_read(site, words.access, now)?;
                known.access = words.access;
            }
        }
        for site in &new.sites {
            let before = old.sites.binary_search_by(|old| old.name.cmp(&site.name));
            let before = before.map_or(&[][..], |at| &old.sites[at].paths);
            for (prefix, access) in changed_paths(before, &site.paths) {
                journal.path_access_read(&site.name, prefix, access, now)?;
            }
        }
        Ok(())
    }

    /// Compiles the zones of a table at these positions, with the serials they get.
    pub(super) fn ready_zones(
        &self,
        table: &Table,
        positions: &Positions,
    ) -> Result<ReadyZones, Vec<Diagnostic>> {
        let contents = zone::contents(table, positions)?;
        let mut serials = BTreeMap::new();
        let mut changed = Vec::new();
        for (name, content) in &contents {
            let serial = match self.zones.get(name) {
                Some(known) if known.digest == content.digest => Serial(known.serial),
                Some(known) => Serial(known.serial).next(),
                None => Serial::first(unix_time(), content.file_serial),
            };
            serials.insert(name.clone(), serial);
            let record = ZoneRecord {
                name: name.clone(),
                serial: serial.0,
                digest: content.digest,
            };
            if self.zones.get(name) != Some(&record) {
                changed.push(record);
            }
        }
        Ok(ReadyZones {
            zones: Zones::compile(&contents, &serials, self.hash_key),
            changed,
        })
    }

    /// Compiles the zones of a table at these positions under the serials they have.
    ///
    /// For doubt, in which nothing new can be journalled, and no record of a zone differs.
    pub(super) fn zones_in_doubt(&self, table: &Table, positions: &Positions) -> Option<Zones> {
        let contents = zone::contents(table, positions).ok()?;
        let serials = self
            .zones
            .iter()
            .map(|(name, zone)| (name.clone(), Serial(zone.serial)));
        Some(Zones::compile(&contents, &serials.collect(), self.hash_key))
    }

    /// Journals serials that are about to be published outside a flip.
    pub(super) fn journal_zones(&mut self, changed: Vec<ZoneRecord>) -> rusqlite::Result<()> {
        // In doubt there is nothing to write to: the zones only say SERVFAIL and the same hosts.
        if let (Ok(journal), false) = (&mut self.journal, changed.is_empty()) {
            journal.zones_published(&changed)?;
        }
        self.remember_zones(changed);
        Ok(())
    }

    /// Takes over serials that a commit has journalled.
    pub(super) fn remember_zones(&mut self, changed: Vec<ZoneRecord>) {
        self.zones
            .extend(changed.into_iter().map(|zone| (zone.name.clone(), zone)));
    }

    /// Shows the serial of each zone.
    pub(super) fn serials(&self) -> impl Iterator<Item = (&str, u32)> {
        self.zones
            .values()
            .map(|zone| (zone.name.as_str(), zone.serial))
    }
}

/// Lists the paths whose access differs from before; one that has no word any more is open.
fn changed_paths<'p>(before: &'p [PathRule], after: &'p [PathRule]) -> Vec<(&'p str, Access)> {
    let gone = before
        .iter()
        .filter(|rule| after.iter().all(|now| now.prefix != rule.prefix))
        .map(|rule| (rule.prefix.as_str(), Access::Open));
    let changed = after.iter().filter(|rule| !before.contains(rule));
    changed
        .map(|rule| (rule.prefix.as_str(), rule.access))
        .chain(gone)
        .collect()
}

fn unix_time() -> u64 {
    u64::try_from(Timestamp::now().as_second()).unwrap_or(0)
}
