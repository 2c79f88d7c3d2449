//! Reloading: from a changed file to a new snapshot, and to what its words ask for.
//!
//! A file is taken whole or not at all. What it changes of a site in a flip waits, whole, until
//! that flip has ended; every flip's end looks at the file again.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;

use crate::flip::Flip;
use crate::site::{Position, Positions, SideName, SiteName, Via, Who};
use crate::switchboard::{SiteView, Snapshot};
use crate::table::{Diagnostic, Diff, ReadFile, Table};

use super::actor::Actor;
use super::handle::FlipRequest;
use super::words::{Ask, Doing, decide};
use super::{failpoint, rewrite};

/// The largest file that is read: a table of 100,000 sites has some 30 MB.
const FILE_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// Reads files from the disk, for [`Table::load`].
#[derive(Clone, Copy, Debug)]
pub struct Disk;

impl ReadFile for Disk {
    fn read(&self, path: &Path) -> std::io::Result<String> {
        let length = fs::metadata(path)?.len();
        if length > FILE_BYTES_MAX {
            return Err(std::io::Error::other(format!(
                "{length} bytes are more than the {FILE_BYTES_MAX} that are read"
            )));
        }
        fs::read_to_string(path)
    }
}

impl Actor {
    /// Reads the file again; what is wrong with it changes nothing but the status.
    pub(super) fn reload(&mut self) {
        if self.is_stopping {
            return;
        }
        self.rewrite_words();
        let problem = self.load().err();
        if problem != self.file_problem {
            match &problem {
                Some(why) => tracing::error!(
                    file = %self.file.display(),
                    "the file is not taken, the last good table goes on: {why}"
                ),
                None => tracing::info!(file = %self.file.display(), "the file is taken again"),
            }
            self.file_problem = problem;
        }
        self.show();
    }

    fn load(&mut self) -> Result<(), String> {
        let owner = fs::metadata(&self.file)
            .map_err(|error| error.to_string())?
            .uid();
        let text = Disk.read(&self.file).map_err(|error| error.to_string())?;
        let table =
            Table::load(&self.file, &text, &Disk).map_err(|mistakes| in_words(&mistakes))?;
        let diff = Diff::between(&self.table, &table, &self.file, &text);
        self.accept(&table, &diff)?;
        if diff.rest || access_differs(&self.table, &diff) {
            self.publish_table(table)?;
        } else {
            self.table = Arc::new(table);
        }
        self.ask_for_words(owner);
        Ok(())
    }

    /// Says why a sound table cannot be taken as things stand.
    fn accept(&self, table: &Table, diff: &Diff) -> Result<(), String> {
        if !diff.restart.is_empty() {
            return Err(in_words(&diff.restart));
        }
        sides_are_there(table, &self.ledger.sites)?;
        for running in self.flips.values() {
            for moving in &running.moves {
                let name = &moving.planned.site;
                let now = table.sites.iter().find(|site| site.name == *name);
                if now != Some(&moving.site) {
                    return Err(format!(
                        "the edit of {name} waits for flip {} to end",
                        running.id
                    ));
                }
            }
        }
        Ok(())
    }

    fn publish_table(&mut self, table: Table) -> Result<(), String> {
        let journal_failed = |error| format!("the journal could not be written: {error}");
        for adopted in self.ledger.adopt(&table).map_err(journal_failed)? {
            tracing::info!(site = %adopted.site, active = %adopted.active, "new site adopted");
        }
        let positions = self.positions_with(&table);
        let ready = self
            .ledger
            .ready_zones(&table, &positions)
            .map_err(|e| e.to_string())?;
        self.ledger
            .journal_zones(ready.changed)
            .map_err(journal_failed)?;
        self.journal_access(&table).map_err(journal_failed)?;

        let before = self.board.current();
        let generation = self.generation.next();
        let table = Arc::new(table);
        let next = Snapshot::follow(
            Some(&before),
            generation,
            Arc::clone(&table),
            &positions,
            Arc::new(ready.zones),
        );
        let removed = |view: &&SiteView| next.site(&view.site.name).is_none();
        let gone: Vec<_> = before
            .sites()
            .iter()
            .filter(removed)
            .filter_map(|view| view.lane.clone())
            .collect();
        self.certs.follow(&table);
        self.board.publish(Arc::new(next));
        for lane in &gone {
            lane.gates.close();
        }
        if !gone.is_empty() {
            self.board.nudge();
        }
        self.table = table;
        self.generation = generation;
        tracing::info!(%generation, sites = self.table.sites.len(), "table published");
        Ok(())
    }

    fn journal_access(&mut self, table: &Table) -> rusqlite::Result<()> {
        let Ok(journal) = &mut self.ledger.journal else {
            return Ok(());
        };
        for (site, words) in &table.words {
            if self
                .ledger
                .sites
                .get(site)
                .is_some_and(|known| known.access != words.access)
            {
                journal.access_read(site, words.access, Timestamp::now())?;
            }
        }
        self.ledger.read_again()
    }

    /// Tells where each site of a table is served, or is to be when it is new.
    ///
    /// The snapshot comes before the journal: while the outcome of a commit is unknown the journal
    /// may name a side that nobody has been let in to.
    pub(super) fn positions_with(&self, table: &Table) -> Positions {
        let mut positions = self.ledger.positions(table);
        let current = self.board.current();
        for site in &table.sites {
            if let Some(view) = current.site(&site.name) {
                let lane = view.lane.as_ref();
                let position = Position {
                    active: lane.map(|lane| lane.side.clone()),
                    epoch: lane.map_or(crate::site::Epoch(0), |lane| lane.epoch),
                };
                positions.0.insert(site.name.clone(), position);
            }
        }
        positions
    }

    /// Carries out what the words of the file ask for; all moves of one edit are one flip.
    fn ask_for_words(&mut self, owner: u32) {
        let mut moves = Vec::new();
        let mut words = Vec::new();
        let mut reason = None;
        let table = Arc::clone(&self.table);
        for (site, said) in &table.words {
            let Some(record) = self.ledger.sites.get(site) else {
                continue;
            };
            let word = said.active.as_ref();
            match decide(word, record, &self.doing(site)) {
                Ask::Nothing | Ask::Later => {}
                Ask::Note => self.note_word(site, word, "nothing to do"),
                Ask::Cancel(flip) => {
                    self.note_word(site, word, "edited back: the flip is cancelled");
                    // One that got past its commit meanwhile is flipped back by the next look.
                    let _ = self.cancel(flip, "the word was edited back");
                }
                Ask::Flip(to) => {
                    moves.push((site.clone(), Some(to)));
                    words.push((site.clone(), word.cloned()));
                    reason = reason.or_else(|| said.reason.clone());
                }
            }
        }
        if moves.is_empty() {
            return;
        }
        let who = Who {
            name: user_name(owner),
            uid: owner,
            via: Via::File,
        };
        let request = FlipRequest {
            moves,
            during: None,
            reason,
            who,
        };
        if let Err(why) = self.begin(&request, words.clone()) {
            for (site, word) in words {
                self.problems.insert(site.clone(), why.to_string());
                self.note_word(&site, word.as_ref(), &why.to_string());
            }
        }
    }

    /// Remembers a word that no flip carries.
    pub(super) fn note_word(&mut self, site: &SiteName, word: Option<&SideName>, why: &str) {
        if let Ok(journal) = &mut self.ledger.journal
            && let Err(error) = journal.word_read(site, word, why, Timestamp::now())
        {
            tracing::error!(%site, %error, "a word could not be journalled as read");
        }
        // Also when the disk is full: a word must not be asked for again and again.
        if let Some(record) = self.ledger.sites.get_mut(site) {
            record.word = word.cloned();
        }
    }

    fn doing(&self, site: &SiteName) -> Doing {
        match self.flip_of(site) {
            None => Doing::Rests,
            Some(running) => match running.target_of(site) {
                Some(to) if running.flip.is_cancellable() => Doing::Leaves(running.id, to.clone()),
                Some(_) | None => Doing::Arrives,
            },
        }
    }

    /// Writes the words that commits have left to be written into the file.
    pub(super) fn rewrite_words(&mut self) {
        let pending: Vec<_> = self
            .ledger
            .sites
            .iter()
            .filter(|(site, _)| {
                self.flip_of(site)
                    .is_none_or(|running| is_published(&running.flip))
            })
            .filter_map(|(site, record)| Some((site.clone(), record.rewrite.clone()?)))
            .collect();
        for (site, (from, to)) in pending {
            failpoint::hit("rewriting");
            let written = rewrite::active(&self.file, &site, &from, &to)
                .map_err(|error| error.to_string())
                .and_then(|()| match &mut self.ledger.journal {
                    Ok(journal) => journal.rewritten(&site).map_err(|error| error.to_string()),
                    Err(why) => Err(why.clone()),
                });
            match written {
                Ok(()) => {
                    if let Some(record) = self.ledger.sites.get_mut(&site) {
                        record.rewrite = None;
                    }
                }
                Err(why) => {
                    let why = format!("the file still has to say `active: {to}`: {why}");
                    tracing::error!(%site, why, "the word was not rewritten; it is tried again");
                    self.problems.insert(site, why);
                }
            }
        }
    }
}

/// Joins mistakes, one to a line.
fn in_words(mistakes: &[Diagnostic]) -> String {
    mistakes
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("\n")
}

fn access_differs(old: &Table, diff: &Diff) -> bool {
    let before = |site| old.words.get(site).map(|words| words.access);
    diff.words
        .iter()
        .any(|(site, words)| before(site) != Some(words.access))
}

/// Says which site's journalled active side a table does not have, or which new site has no word.
pub(super) fn sides_are_there(
    table: &Table,
    known: &std::collections::BTreeMap<SiteName, crate::journal::SiteRecord>,
) -> Result<(), String> {
    for site in &table.sites {
        let word = table
            .words
            .get(&site.name)
            .and_then(|words| words.active.as_ref());
        match known.get(&site.name) {
            Some(record) if site.side(&record.active).is_none() => {
                return Err(format!(
                    "sites.{}.sides: side {} is missing, and it is the active one: put it back, \
                     or flip away from it first",
                    site.name, record.active
                ));
            }
            None if word.is_none() => {
                return Err(format!(
                    "sites.{}: a site that is seen for the first time needs `active:`, to say \
                     which of its sides has the current data",
                    site.name
                ));
            }
            Some(_) | None => {}
        }
    }
    Ok(())
}

fn is_published(flip: &Flip) -> bool {
    matches!(
        flip,
        Flip::Publishing(_) | Flip::Confirming(_) | Flip::Settling(_)
    )
}

/// Finds the name of a user; the number itself when there is none.
fn user_name(uid: u32) -> String {
    match nix::unistd::User::from_uid(uid.into()) {
        Ok(Some(user)) => user.name,
        Ok(None) | Err(_) => uid.to_string(),
    }
}
