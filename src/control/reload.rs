//! Reloading: from a changed file to a new snapshot, and to what its words ask for.
//!
//! A file is taken whole or not at all. What it changes of a site in a flip waits, whole, until
//! that flip has ended; every flip's end looks at the file again.

use std::collections::BTreeSet;
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use crate::site::SiteName;
use crate::switchboard::{Cut, Snapshot};
use crate::table::{self, Change, Diagnostic, Diff, Loader, Table};
use crate::zone;

use super::actor::Actor;
use super::background;
use super::ledger::Ground;
use super::misfit::{self, NotTaken};
use super::read::{Disk, Opened};

impl Actor {
    /// Reads the file again; what is wrong with it changes nothing but the status.
    pub(super) fn reload(&mut self) {
        if self.is_stopping {
            return;
        }
        self.rewrite_words();
        let problem = self.load().err();
        if problem != self.file_problem {
            let file = self.file.display();
            match &problem {
                Some(NotTaken::Waits { site, flip }) => {
                    tracing::info!(%file, %site, %flip, "the edit waits for the flip to end");
                }
                Some(why @ (NotTaken::Mistakes(_) | NotTaken::Failed(_))) => tracing::error!(
                    %file, "the file is not taken, the last good table goes on: {why}"
                ),
                None => tracing::info!(%file, "the file is taken again"),
            }
            self.file_problem = problem;
        }
        self.show();
    }

    fn load(&mut self) -> Result<(), NotTaken> {
        let began = Instant::now();
        let niceness = self.niceness();
        let (file, loader, served) = (&self.file, &mut self.loader, &self.table);
        let read = background::run("reload", niceness, || follow(file, loader, served));
        let (table, diff, metadata) = read.map_err(no_thread)??;
        self.accept(&table, &diff)?;
        if diff.rest || self.access_differs(&diff) {
            self.publish_table(table, &diff)?;
            let took_ms = began.elapsed().as_millis();
            let (generation, sites) = (self.generation, self.table.sites.len());
            tracing::info!(%generation, sites, took_ms, "table published");
        } else {
            self.table = table;
        }
        self.rewritten.clear();
        self.ask_for_words(metadata.uid());
        Ok(())
    }

    /// Tells how far a reload gives way to requests: not while a flip runs, whose held users wait
    /// for the actor and so for this.
    fn niceness(&self) -> i32 {
        if self.flips.is_empty() {
            background::NICENESS
        } else {
            0
        }
    }

    /// Says why a sound table cannot be taken as things stand.
    fn accept(&self, table: &Table, diff: &Diff) -> Result<(), NotTaken> {
        let mut found: Vec<Diagnostic> = diff.restart.clone();
        let mut misfits = misfit::with_flips(table, self.flips.values());
        // In doubt nothing is known of any site, and nothing is to be held against the table.
        if self.ledger.journal.is_ok() {
            let sites = self.to_look_at(table, diff);
            misfits.extend(misfit::with_the_journal(table, sites, &self.ledger.sites));
        }
        if !misfits.is_empty() {
            found.extend(table::place(
                &self.file,
                &self.loader.text().to_string(),
                misfits,
            ));
        }
        if !found.is_empty() {
            found.sort_by_key(|one| (one.line, one.column));
            return Err(NotTaken::Mistakes(found));
        }
        misfit::wait_for_flips(table, self.flips.values())
    }

    /// Lists the sites that a new table is held against the journal for: those it touches, as the
    /// table before it fits the journal already.
    fn to_look_at<'t>(&self, table: &'t Table, diff: &'t Diff) -> BTreeSet<&'t SiteName> {
        if self.ledger.is_behind {
            table.words.keys().collect()
        } else {
            diff.touched()
        }
    }

    fn access_differs(&self, diff: &Diff) -> bool {
        let before = |site| self.table.words.get(site).map(|words| words.access);
        let mut words = diff.words.iter();
        words.any(|(site, words)| before(site) != Some(words.access))
    }

    /// Journals what a table brings, and serves it: the zones and the snapshot are made first, for
    /// a table that has a mistake there must leave nothing behind.
    fn publish_table(&mut self, table: Arc<Table>, diff: &Diff) -> Result<(), NotTaken> {
        let journal_failed =
            |error| NotTaken::Failed(format!("the journal could not be written: {error}"));
        let before = self.board.current();
        let sites = self.to_look_at(&table, diff);
        // Every other site stays where it is served. That comes before the journal: while the
        // outcome of a commit is unknown the journal may name a side that nobody was let in to.
        let positions = self.ledger.positions(&table, &diff.added);
        let all = diff.touched().into_iter().chain(&diff.removed);
        let zones = zone::touched(&self.table, &table, all).filter(|_| !self.ledger.is_behind);
        let ready = self.ledger.ready_zones(&Ground {
            table: &table,
            before: Some(&before),
            standing: &self.standing(&positions),
            zones,
        });
        let ready = ready.map_err(NotTaken::Mistakes)?;
        let generation = self.generation.next();
        let next = background::run("snapshot", self.niceness(), || {
            let (before, table) = (Some(&*before), Arc::clone(&table));
            Snapshot::follow(before, generation, table, &positions, ready.zones)
        });
        let next = next.map_err(no_thread)?;

        let adopted = self.ledger.adopt(&table, sites.iter().copied());
        adopted.map_err(journal_failed)?;
        let changed = ready.changed;
        self.ledger.journal_zones(changed).map_err(journal_failed)?;
        let access = self.ledger.read_access(&self.table, &table, sites);
        access.map_err(journal_failed)?;
        let sites = self.to_look_at(&table, diff);
        let ttls = self.ledger.note_answer_ttls(&table, sites, false);
        ttls.map_err(journal_failed)?;
        self.ledger.is_behind = false;

        self.cut_returning(diff);
        if names_certificates(&self.table, &table, diff) {
            self.certs.follow(&table);
        }
        self.publish_snapshot(Arc::new(next));
        self.close_removed(diff, &before);
        self.rounds.follow(&self.table, &table, diff);
        self.table = table;
        self.copies.show_all(&self.table);
        self.generation = generation;
        self.follow_access(&diff.touched());
        Ok(())
    }

    /// Closes the lanes of removed sites: nobody new gets in, and what is in flight ends.
    fn close_removed(&mut self, diff: &Diff, before: &Snapshot) {
        for site in &diff.removed {
            let view = before.site(site);
            if let Some(lane) = view.and_then(|view| view.lane.clone()) {
                lane.gates.close();
                self.leaving.insert(site.clone(), lane);
            }
        }
        self.leaving.retain(|_, lane| lane.gates.in_flight() > 0);
        if !diff.removed.is_empty() {
            self.board.nudge();
        }
    }

    /// Cuts what is still in flight in the closed lane of a site that comes back: a flip of it
    /// waits for its new lane only, and must find nothing at work in the old one.
    fn cut_returning(&mut self, diff: &Diff) {
        for site in &diff.added {
            if let Some(lane) = self.leaving.remove(site) {
                lane.gates.order_cut(Cut::Everything);
            }
        }
    }
}

/// Reads the file, and compares it with the table that is served.
fn follow(
    file: &Path,
    loader: &mut Loader,
    served: &Table,
) -> Result<(Arc<Table>, Diff, Metadata), NotTaken> {
    let failed = |error| NotTaken::Failed(format!("{}: {error}", file.display()));
    let opened = Opened::new(file).map_err(failed)?;
    let change = Change::between(loader.text(), &opened).map_err(failed)?;
    let table = loader.follow(change, &Disk).map_err(NotTaken::Mistakes)?;
    let diff = Diff::between(served, &table, file, loader.text());
    Ok((table, diff, opened.metadata))
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "this is what map_err hands over"
)]
fn no_thread(error: io::Error) -> NotTaken {
    NotTaken::Failed(format!("no thread can be started: {error}"))
}

/// Tells whether a table may name other certificates than the one before it.
fn names_certificates(old: &Table, new: &Table, diff: &Diff) -> bool {
    let mut sites = diff.touched().into_iter().chain(&diff.removed);
    let has_own = |table: &Table, site: &SiteName| {
        table
            .site(site.as_str())
            .is_some_and(|site| site.tls.is_some())
    };
    old.certs != new.certs || sites.any(|site| has_own(old, site) || has_own(new, site))
}
