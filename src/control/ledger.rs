//! The ledger: the journal, and what it says, kept at hand.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;

use crate::journal::{AccessRecord, Journal, Place, REMEDY, SiteAdoption, SiteRecord, ZoneRecord};
use crate::site::{Access, Epoch, Position, Positions, SideName, SiteName};
use crate::switchboard::Snapshot;
use crate::table::{Diagnostic, PathRule, Table};
use crate::zone::{self, Contents, Says, Serial, Zones};

use super::answers::Standing;

/// The epoch at which a site is adopted.
const FIRST: Epoch = Epoch(1);

/// New sites that are logged one by one; a first start may bring very many.
const ADOPTED_SHOWN: usize = 20;

/// What is journalled, and whether it can be gone by.
#[derive(Debug)]
pub(super) struct Ledger {
    /// `Err` says why there is no journal to go by: every active side is in doubt.
    pub(super) journal: Result<Journal, String>,
    /// Every site the journal knows, removed ones included.
    pub(super) sites: BTreeMap<SiteName, SiteRecord>,
    /// Those of them whose word in the file is still to be rewritten.
    due: BTreeSet<SiteName>,
    zones: BTreeMap<String, ZoneRecord>,
    /// What operators have said of `access`, apart from the file.
    pub(super) accesses: BTreeMap<Place, AccessRecord>,
    /// Something that is served could not be journalled at the start: the next table is looked
    /// through whole for it, and not only for what it changes.
    pub(super) is_behind: bool,
    /// Random per process, so that nobody can choose names that collide.
    hash_key: u64,
}

/// Zones that are ready, and the serials that must be journalled before they are published.
#[derive(Debug)]
pub(super) struct ReadyZones {
    pub(super) zones: Arc<Zones>,
    pub(super) changed: Vec<ZoneRecord>,
}

/// What zones are made of: a table, where its sites are, and how their direct names answer.
#[derive(Debug)]
pub(super) struct Ground<'a> {
    pub(super) table: &'a Table,
    /// What is served: it has the position of every site that `standing` does not name.
    pub(super) before: Option<&'a Snapshot>,
    pub(super) standing: &'a Standing,
    /// The zones that may differ from what is served; `None` for all.
    pub(super) zones: Option<BTreeSet<&'a str>>,
}

impl Ground<'_> {
    fn contents(&self) -> Result<BTreeMap<String, Contents>, Vec<Diagnostic>> {
        let all = || self.table.dns.zones.keys().map(String::as_str).collect();
        let zones = self.zones.clone().unwrap_or_else(all);
        if zones.is_empty() {
            return Ok(BTreeMap::new());
        }
        zone::contents_of(self.table, &zones, |site| {
            let named = self.standing.positions.of(site).cloned();
            Says {
                position: named.or_else(|| self.before?.position(site)),
                answers: self.standing.answers_of(site),
            }
        })
    }
}

impl Ledger {
    /// Opens the ledger on a journal, or on the reason why there is none.
    pub(super) fn new(journal: Result<Journal, String>) -> Self {
        use std::hash::{BuildHasher, Hasher};
        let mut ledger = Self {
            journal,
            sites: BTreeMap::new(),
            due: BTreeSet::new(),
            zones: BTreeMap::new(),
            accesses: BTreeMap::new(),
            is_behind: false,
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
            "journal.db in the state directory cannot be read: {error}: {REMEDY}"
        ));
        self.sites.clear();
        self.due.clear();
        self.zones.clear();
        self.accesses.clear();
    }

    /// Reads what is on disk.
    pub(super) fn read_again(&mut self) -> rusqlite::Result<()> {
        let Ok(journal) = &self.journal else {
            return Ok(());
        };
        self.sites = journal.sites()?;
        let due = self
            .sites
            .iter()
            .filter(|(_, record)| record.rewrite.is_some());
        self.due = due.map(|(site, _)| site.clone()).collect();
        self.accesses = journal.accesses()?.into_iter().collect();
        let zones = journal.zones()?;
        self.zones = zones
            .into_iter()
            .map(|zone| (zone.name.clone(), zone))
            .collect();
        Ok(())
    }

    /// Reads what is on disk of some sites.
    pub(super) fn read_sites<'s>(
        &mut self,
        sites: impl IntoIterator<Item = &'s SiteName>,
    ) -> rusqlite::Result<()> {
        let Ok(journal) = &self.journal else {
            return Ok(());
        };
        for site in sites {
            if let Some(record) = journal.site(site)? {
                if record.rewrite.is_some() {
                    self.due.insert(site.clone());
                } else {
                    self.due.remove(site);
                }
                self.sites.insert(site.clone(), record);
            }
        }
        Ok(())
    }

    /// Adopts those of some sites that have no record yet, where [`Ledger::positions`] says.
    pub(super) fn adopt<'s>(
        &mut self,
        table: &Table,
        sites: impl IntoIterator<Item = &'s SiteName>,
    ) -> rusqlite::Result<()> {
        let Ok(journal) = &mut self.journal else {
            return Ok(());
        };
        let new: Vec<SiteAdoption> = sites
            .into_iter()
            .filter(|site| !self.sites.contains_key(*site))
            .filter_map(|site| {
                let words = table.words.get(site)?;
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
        for SiteAdoption { site, active, .. } in new.iter().take(ADOPTED_SHOWN) {
            tracing::info!(%site, %active, "new site: its word is adopted as the active side");
        }
        if new.len() > ADOPTED_SHOWN {
            tracing::info!(sites = new.len(), "so are the words of many more new sites");
        }
        self.read_sites(new.iter().map(|adopted| &adopted.site))
    }

    /// Tells where some sites of a table are by the journal, or are to be adopted.
    pub(super) fn positions<'s>(
        &self,
        table: &Table,
        sites: impl IntoIterator<Item = &'s SiteName>,
    ) -> Positions {
        let position = |site: &SiteName| match self.sites.get(site) {
            Some(record) => Position {
                active: Some(record.active.clone()),
                epoch: record.epoch,
            },
            None if self.journal.is_ok() => {
                let words = table.words.get(site);
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
        let sites = sites.into_iter();
        Positions(sites.map(|site| (site.clone(), position(site))).collect())
    }

    /// Journals the access that a new table gives to some sites, where it differs from what was
    /// last read.
    pub(super) fn read_access<'s>(
        &mut self,
        old: &Table,
        new: &Table,
        sites: impl IntoIterator<Item = &'s SiteName>,
    ) -> rusqlite::Result<()> {
        let Ok(journal) = &mut self.journal else {
            return Ok(());
        };
        let (mut words, mut parts) = (Vec::new(), Vec::new());
        for name in sites {
            if let Some(said) = new.words.get(name)
                && let Some(known) = self.sites.get(name)
                && known.access != said.access
            {
                words.push((name.clone(), said.access));
            }
            let before = old.site(name.as_str()).map_or(&[][..], |site| &site.paths);
            let after = new.site(name.as_str()).map_or(&[][..], |site| &site.paths);
            parts.extend(
                changed_paths(before, after)
                    .into_iter()
                    .map(|(prefix, access)| {
                        let (site, prefix) = (name.clone(), prefix.to_owned());
                        (Place { site, prefix }, access)
                    }),
            );
        }
        if words.is_empty() && parts.is_empty() {
            return Ok(());
        }
        journal.access_read(&words, &parts, Timestamp::now())?;
        for (name, access) in words {
            if let Some(known) = self.sites.get_mut(&name) {
                known.access = access;
            }
        }
        Ok(())
    }

    /// Journals how long answers of the direct names of some sites may be used, before a table
    /// gives them: the next start may have to wait for them, whatever the file says by then. What
    /// was given before counts too, unless all of it is `over`.
    pub(super) fn note_answer_ttls<'s>(
        &mut self,
        table: &Table,
        sites: impl IntoIterator<Item = &'s SiteName>,
        over: bool,
    ) -> rusqlite::Result<()> {
        let Ok(journal) = &mut self.journal else {
            return Ok(());
        };
        let known = |name| Some((name, self.sites.get(name)?.answer_ttl_s));
        let each = sites.into_iter().filter_map(known);
        let changed = each.filter_map(|(name, before)| {
            let now = table.site(name.as_str());
            let now = now.and_then(|site| site.answer_ttl_s());
            let longest = if over { now } else { now.max(before) };
            (longest != before).then(|| (name.clone(), longest))
        });
        let changed: Vec<_> = changed.collect();
        if changed.is_empty() {
            return Ok(());
        }
        journal.answer_ttls(&changed)?;
        for (name, longest) in changed {
            if let Some(record) = self.sites.get_mut(&name) {
                record.answer_ttl_s = longest;
            }
        }
        Ok(())
    }

    /// Compiles the zones of a table, with the serials they get.
    pub(super) fn ready_zones(&self, ground: &Ground<'_>) -> Result<ReadyZones, Vec<Diagnostic>> {
        let contents = ground.contents()?;
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
            zones: self.compiled(ground, &contents, &serials),
            changed,
        })
    }

    fn compiled(
        &self,
        ground: &Ground<'_>,
        contents: &BTreeMap<String, Contents>,
        serials: &BTreeMap<String, Serial>,
    ) -> Arc<Zones> {
        match (ground.before, &ground.zones) {
            (Some(before), Some(touched)) if touched.is_empty() => Arc::clone(&before.zones),
            (Some(before), Some(_)) => {
                Arc::new(Zones::clone(&before.zones).with(contents, serials))
            }
            (Some(before), None) => Arc::new(before.zones.anew(contents, serials)),
            (None, _) => Arc::new(Zones::compile(contents, serials, self.hash_key)),
        }
    }

    /// Compiles the zones of a table under the serials they have.
    ///
    /// For doubt, in which nothing new can be journalled, and no record of a zone differs.
    pub(super) fn zones_in_doubt(&self, ground: &Ground<'_>) -> Option<Arc<Zones>> {
        let contents = ground.contents().ok()?;
        let serials = self
            .zones
            .iter()
            .map(|(name, zone)| (name.clone(), Serial(zone.serial)));
        Some(self.compiled(ground, &contents, &serials.collect()))
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

    /// Lists the words that commits have left to be written into the file.
    pub(super) fn due_rewrites(&self) -> impl Iterator<Item = (&SiteName, &(SideName, SideName))> {
        let due = self.due.iter();
        due.filter_map(|site| Some((site, self.sites.get(site)?.rewrite.as_ref()?)))
    }

    /// Notes that the word of a site is in the file.
    pub(super) fn rewritten(&mut self, site: &SiteName) {
        self.due.remove(site);
        if let Some(record) = self.sites.get_mut(site) {
            record.rewrite = None;
        }
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
