//! The actor's side: books read, opened before a first write, kept up to date, and written.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use crate::journal::{BookEvent, Journal};
use crate::site::{FlipId, GuardId, SiteName, Storage};
use crate::switchboard::Lane;
use crate::table::Table;

use super::super::actor::Actor;
use super::super::running::Moving;
use super::book::{Book, Copier, Manner, Torn, Unsure};
use super::shown::Shown;

/// How often what was counted is collected and written: a crash loses the exact count of so much.
const COLLECT_EVERY: Duration = Duration::from_secs(1);

/// The books of all sites.
#[derive(Debug)]
pub(in crate::control) struct Copies {
    pub(super) books: BTreeMap<SiteName, Book>,
    /// The lanes whose tallies are open: at most one of each site.
    open: BTreeMap<SiteName, Arc<Lane>>,
    /// Lanes that wait for their writes to be journalled, as the disk did not take it.
    waiting: Vec<Arc<Lane>>,
    /// Sites whose books on disk are not as they are.
    pub(super) unwritten: BTreeSet<SiteName>,
    /// Until when what was given up is known to be worked on no more, where `flip.quiet` tells that.
    pub(super) quiet: BTreeMap<SiteName, std::time::Instant>,
    /// When it is collected next.
    pub(in crate::control) due: Instant,
    shown: Arc<Shown>,
}

impl Copies {
    /// Reads what the journal has; jobs whose leases are `held` may have gone on.
    ///
    /// # Errors
    /// The disk's, or a book is none: the journal cannot be gone by.
    pub(in crate::control) fn read(
        journal: &Journal,
        table: &Table,
        held: &BTreeSet<GuardId>,
    ) -> rusqlite::Result<Self> {
        let mut copies = Self::empty();
        for (site, text) in journal.books()? {
            let mut book: Book = serde_json::from_str(&text).map_err(|error| {
                let kind = rusqlite::types::Type::Text;
                rusqlite::Error::FromSqlConversionFailure(1, kind, Box::new(error))
            })?;
            let before = book.clone();
            // A clean stop has closed it.
            book.take_up(held);
            if book != before {
                copies.unwritten.insert(site.clone());
            }
            copies.books.insert(site, book);
        }
        copies.show_all(table);
        Ok(copies)
    }

    /// Begins with nothing.
    pub(in crate::control) fn empty() -> Self {
        Self {
            books: BTreeMap::new(),
            open: BTreeMap::new(),
            waiting: Vec::new(),
            unwritten: BTreeSet::new(),
            quiet: BTreeMap::new(),
            due: Instant::now(),
            shown: Arc::default(),
        }
    }

    /// Shares what is shown of them.
    pub(in crate::control) fn shown(&self) -> Arc<Shown> {
        Arc::clone(&self.shown)
    }

    /// Tells whether there is anything to collect or to write.
    pub(in crate::control) fn has_work(&self) -> bool {
        !(self.open.is_empty() && self.waiting.is_empty() && self.unwritten.is_empty())
    }

    /// Finds the book of a site.
    pub(super) fn book(&self, site: &SiteName) -> Option<&Book> {
        self.books.get(site)
    }

    /// Lets lanes take writes, once that is on disk.
    fn open_lanes(&mut self, mut lanes: Vec<Arc<Lane>>, journal: &mut Journal) {
        // Whoever asked for one that is closed since has been cut.
        lanes.retain(|lane| !lane.gates.are_closed());
        let mut are_new = false;
        for lane in &lanes {
            if let Some(before) = self.open.remove(&lane.site)
                && !Arc::ptr_eq(&before.gates, &lane.gates)
            {
                self.close(&before);
            }
            let book = self.books.entry(lane.site.clone()).or_default();
            if book.open(&lane.side) {
                self.unwritten.insert(lane.site.clone());
            }
            // One that the disk did not take is as new.
            are_new |= self.unwritten.contains(&lane.site);
        }
        if are_new && let Err(error) = self.write(journal, &[]) {
            tracing::error!(%error, "writes wait: that there are some cannot be journalled; make \
                room on the disk of the state directory");
            self.waiting.extend(lanes);
            return;
        }
        for lane in lanes {
            lane.gates.tally().open();
            self.open.insert(lane.site.clone(), lane);
        }
    }

    /// Takes in what the tally of a lane has counted.
    fn take(&mut self, lane: &Lane) {
        let batch = lane.gates.tally().collect();
        if batch.writes > 0 {
            let book = self.books.entry(lane.site.clone()).or_default();
            book.took(&lane.side, &batch);
            self.unwritten.insert(lane.site.clone());
        }
    }

    /// Takes in what every open tally has counted, and writes the books that differ from the disk.
    fn collect(&mut self, journal: &mut Journal, table: &Table) {
        let open: Vec<_> = self.open.values().cloned().collect();
        open.iter().for_each(|lane| self.take(lane));
        let changed = self.unwritten.clone();
        if !changed.is_empty()
            && let Err(error) = self.write(journal, &[])
        {
            tracing::error!(%error, "the counts of writes cannot be journalled: make room");
        }
        changed.iter().for_each(|site| self.show(table, site));
        let waiting = std::mem::take(&mut self.waiting);
        if !waiting.is_empty() {
            self.open_lanes(waiting, journal);
        }
    }

    /// Takes in all that a lane has counted; its next write is journalled first.
    fn close(&mut self, lane: &Lane) {
        let is_other = |waits: &Arc<Lane>| !Arc::ptr_eq(&waits.gates, &lane.gates);
        self.waiting.retain(is_other);
        let batch = lane.gates.tally().close();
        let Some(book) = self.books.get_mut(&lane.site) else {
            return;
        };
        book.took(&lane.side, &batch);
        book.close(&lane.side);
        self.open.remove(&lane.site);
        self.unwritten.insert(lane.site.clone());
    }

    fn write(&mut self, journal: &mut Journal, events: &[BookEvent]) -> rusqlite::Result<()> {
        journal.write_books(&self.unwritten_books(), events)?;
        self.books_are_written();
        Ok(())
    }

    /// Shows the books that are not on disk as they are, as text.
    pub(in crate::control) fn unwritten_books(&self) -> Vec<(SiteName, String)> {
        let text = |site: &SiteName| {
            let text = serde_json::to_string(self.books.get(site)?).ok()?;
            Some((site.clone(), text))
        };
        self.unwritten.iter().filter_map(text).collect()
    }

    /// Notes that they are on disk.
    pub(in crate::control) fn books_are_written(&mut self) {
        self.unwritten.clear();
    }

    pub(in crate::control) fn show(&self, table: &Table, site: &SiteName) {
        let site_of = table.site(site.as_str());
        let separate = site_of.filter(|site| site.storage == Storage::Separate);
        match (separate, self.books.get(site)) {
            (Some(site), Some(book)) => self.shown.show(site, book),
            (_, _) => self.shown.forget(site),
        }
    }

    /// Shows the books of a table.
    pub(in crate::control) fn show_all(&self, table: &Table) {
        self.books.keys().for_each(|site| self.show(table, site));
    }

    /// Writes what was counted until the last request has ended: a clean stop knows all.
    pub(in crate::control) fn end(mut self, journal: &mut Journal) -> rusqlite::Result<()> {
        let open: Vec<_> = self.open.values().cloned().collect();
        open.iter().for_each(|lane| self.close(lane));
        self.write(journal, &[])
    }
}

impl Actor {
    /// Journals that sides take writes, and lets them.
    pub(in crate::control) fn open_for_writes(&mut self, lanes: Vec<Arc<Lane>>) {
        let sites: Vec<_> = lanes.iter().map(|lane| lane.site.clone()).collect();
        if let Ok(journal) = &mut self.ledger.journal {
            self.copies.open_lanes(lanes, journal);
        }
        for site in sites {
            self.copies.show(&self.table, &site);
        }
    }

    /// Takes in what was counted since.
    pub(in crate::control) fn collect_writes(&mut self) {
        self.copies.due = Instant::now() + COLLECT_EVERY;
        if let Ok(journal) = &mut self.ledger.journal {
            self.copies.collect(journal, &self.table);
        }
    }

    /// Takes in all that the sides which a flip leaves have taken; nothing is in flight there.
    pub(in crate::control) fn close_books(&mut self, id: FlipId) {
        let Some(running) = self.flips.get(&id) else {
            return;
        };
        for moving in &running.moves {
            self.copies.close(&moving.lane);
        }
        self.collect_writes();
    }

    /// Notes on disk that the last copies of a flip begin: their targets are torn until they have
    /// succeeded.
    ///
    /// # Errors
    /// It could not be journalled, and nothing is to be copied.
    pub(in crate::control) fn begin_copies(&mut self, id: FlipId) -> Result<(), String> {
        let Some(running) = self.flips.get(&id) else {
            return Ok(());
        };
        let copied = running.moves.iter().filter(|moving| copies(moving));
        for moving in copied {
            let Moving { planned, lane, .. } = moving;
            self.copies.close(lane);
            let book = self.copies.books.entry(planned.site.clone()).or_default();
            let torn = Torn {
                from: planned.from.clone(),
                job: format!("the sync hooks of flip {id}"),
                since: Timestamp::now(),
            };
            let sides = (&planned.from, &planned.to);
            // Nobody writes.
            let unsure = Unsure::default();
            book.begin_copy(Copier::Flip(id), sides, manner(moving), torn, unsure);
            self.copies.unwritten.insert(planned.site.clone());
        }
        let written = self.write_copies(id);
        if written.is_err() {
            self.drop_copies(id);
        }
        written
    }

    /// Takes back that the last copies of a flip began: nothing was copied.
    pub(in crate::control) fn drop_copies(&mut self, id: FlipId) {
        let moves = self.flips.get(&id).into_iter();
        for moving in moves.flat_map(|running| &running.moves) {
            let site = &moving.planned.site;
            if let Some(book) = self.copies.books.get_mut(site) {
                book.drop_copy(Copier::Flip(id));
                self.copies.unwritten.insert(site.clone());
            }
        }
    }

    /// Notes on disk how the last copies of a flip ended.
    ///
    /// # Errors
    /// It could not be journalled: if the daemon is killed before it can be, their targets are torn.
    pub(in crate::control) fn end_copies(
        &mut self,
        id: FlipId,
        ran: &SitesRan,
    ) -> Result<(), String> {
        let Some(running) = self.flips.get(&id) else {
            return Ok(());
        };
        for moving in running.moves.iter().filter(|moving| copies(moving)) {
            let site = &moving.planned.site;
            if let Some(book) = self.copies.books.get_mut(site) {
                let ran = ran.get(site).copied().unwrap_or_default();
                let hooks = moving.site.flip.hooks.sync.len();
                match ran {
                    Ran { begun: 0, .. } => book.drop_copy(Copier::Flip(id)),
                    Ran { succeeded, .. } => {
                        let succeeded = succeeded == hooks;
                        book.end_copy(Copier::Flip(id), succeeded, Timestamp::now());
                    }
                }
                self.copies.unwritten.insert(site.clone());
            }
        }
        self.write_copies(id)
    }

    fn write_copies(&mut self, id: FlipId) -> Result<(), String> {
        let journal = self.ledger.journal.as_mut().map_err(|why| why.clone())?;
        let written = self.copies.write(journal, &[]);
        let sites = self.flips.get(&id).into_iter();
        for moving in sites.flat_map(|running| &running.moves) {
            self.copies.show(&self.table, &moving.planned.site);
        }
        written.map_err(|error| format!("the last copy could not be journalled: {error}"))
    }

    /// Journals something about the data of sites.
    pub(in crate::control) fn journal_data(&mut self, events: &[BookEvent]) {
        if events.is_empty() {
            return;
        }
        for BookEvent { site, what, detail } in events {
            tracing::warn!(%site, detail, "{what}");
        }
        if let Ok(journal) = &mut self.ledger.journal
            && let Err(error) = self.copies.write(journal, events)
        {
            tracing::error!(%error, "what was said of data could not be journalled");
        }
    }
}

/// How many hooks of a site were begun, and how many of them ended with 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::control) struct Ran {
    pub(in crate::control) begun: usize,
    pub(in crate::control) succeeded: usize,
}

/// The same of each site of a flip.
pub(in crate::control) type SitesRan = BTreeMap<SiteName, Ran>;

/// Tells what the sync hooks of a move do to what its target has.
pub(super) fn manner(moving: &Moving) -> Manner {
    let mut hooks = moving.site.flip.hooks.sync.iter();
    if hooks.all(|hook| hook.merges) {
        Manner::Merges
    } else {
        Manner::Overwrites
    }
}

/// Tells whether the sync hooks of a move copy what its old side has taken.
pub(super) fn copies(moving: &Moving) -> bool {
    moving.site.storage == Storage::Separate && !moving.site.flip.hooks.sync.is_empty()
}
