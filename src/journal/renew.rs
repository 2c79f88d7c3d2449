//! A new journal in place of one that cannot be used, by the word of somebody who knows.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rusqlite::params;

use crate::site::{Access, Epoch, SideName, SiteName};

use super::{FILE, FILE_IN_THE_MAKING, Journal, OpenError, StateLock};

/// The files of a journal, by what comes after the name of the first.
const SUFFIXES: [&str; 3] = ["", "-wal", "-shm"];

/// Where a site is said to be.
#[derive(Clone, Debug)]
pub struct SiteRenewal {
    /// Its name.
    pub site: SiteName,
    /// The side that has its current data.
    pub active: SideName,
    /// The word of the file; one that says another side is rewritten at the next start, and is no
    /// request.
    pub word: Option<SideName>,
    /// What the file says of its access.
    pub access: Access,
}

/// What a renewal did.
#[derive(Debug)]
pub struct Renewed {
    /// The files of the old journal, under their new names; nothing is ever deleted.
    pub kept: Vec<PathBuf>,
    /// The epoch of every site.
    pub epoch: Epoch,
}

impl Journal {
    /// Tells why the journal of a state directory cannot be gone by; `None` when it can, or when
    /// this would be a first start.
    ///
    /// # Errors
    /// Those of [`Journal::open`] that a new journal would not cure.
    pub fn what_is_wrong(lock: &StateLock) -> Result<Option<OpenError>, OpenError> {
        let directory = |source| OpenError::Directory {
            path: lock.directory().into(),
            source,
        };
        if lock.is_unused().map_err(directory)? {
            return Ok(None);
        }
        match Self::open(lock) {
            Ok(opened) => Ok(opened.journal.read_all().err().map(|source| {
                let path = lock.directory().join(FILE);
                OpenError::Unreadable { path, source }
            })),
            Err(error @ (OpenError::Missing { .. } | OpenError::Unreadable { .. })) => {
                Ok(Some(error))
            }
            Err(error @ (OpenError::TooNew { .. } | OpenError::Directory { .. })) => Err(error),
        }
    }

    /// Reads all that a start reads.
    fn read_all(&self) -> rusqlite::Result<()> {
        self.sites()?;
        self.zones()?;
        self.accesses()?;
        self.unfinished()?;
        self.recent(super::RECENT)?;
        self.emergencies()?;
        self.unfinished_hooks()?;
        self.hooks_due()?;
        self.next_flip().map(|_| ())
    }

    /// Puts a journal in place of the one that is there, with these sites and nothing else in it.
    ///
    /// It is complete before the old one is moved aside; a crash in between leaves a state
    /// directory without a journal, which is doubt, and the renewal can be done again.
    ///
    /// # Errors
    /// The disk's; the old journal is untouched then, or moved aside.
    pub fn renew(
        lock: &StateLock,
        sites: &[SiteRenewal],
        why: &str,
        at: Timestamp,
    ) -> Result<Renewed, OpenError> {
        let directory = |source| OpenError::Directory {
            path: lock.directory().into(),
            source,
        };
        let (path, making) = (
            lock.directory().join(FILE),
            lock.directory().join(FILE_IN_THE_MAKING),
        );
        let epoch = epoch_after_all(at);
        super::remove_if_there(&making).map_err(directory)?;
        let made = super::make(&making).and_then(|()| write(&making, sites, epoch, why, at));
        made.map_err(|source| OpenError::Unreadable {
            path: making.clone(),
            source,
        })?;
        let kept = move_aside(&path, at).map_err(directory)?;
        fs::rename(&making, &path).map_err(directory)?;
        super::sync(lock.directory()).map_err(directory)?;
        Ok(Renewed { kept, epoch })
    }
}

/// An epoch that the old journal, which nobody can read, has not used: what was said under an epoch
/// (to origins, in `_flip` names, in logs) must never be said of another lane. Epochs begin at 1
/// and grow by one per flip attempt, and nobody has flipped once a second since 1970; so it also is
/// above that of an earlier renewal.
fn epoch_after_all(at: Timestamp) -> Epoch {
    Epoch(u64::try_from(at.as_second()).unwrap_or(1))
}

fn write(
    path: &Path,
    sites: &[SiteRenewal],
    epoch: Epoch,
    why: &str,
    at: Timestamp,
) -> rusqlite::Result<()> {
    let mut db = super::connect(path)?;
    let tx = db.transaction()?;
    for renewal in sites {
        let (site, active) = (renewal.site.as_str(), renewal.active.as_str());
        let word = renewal.word.as_ref().map(SideName::as_str);
        let stale = word.filter(|word| *word != active);
        tx.execute(
            "INSERT INTO sites
                 (name, active, epoch, epoch_used, word, access, rewrite_from, rewrite_to)
             VALUES (?1, ?2, ?3, ?3, ?4, ?5, ?6, ?7)",
            params![
                site,
                active,
                epoch.0,
                word.map(|_| active),
                renewal.access.word(),
                stale,
                stale.map(|_| active),
            ],
        )?;
        tx.execute(
            "INSERT INTO events (at_ms, site, what, detail) VALUES (?1, ?2, 'recovered', ?3)",
            params![at.as_millisecond(), site, format!("{active}: {why}")],
        )?;
    }
    tx.commit()?;
    db.close().map_err(|(_, error)| error)
}

/// Renames the files of a journal, so that SQLite still finds them together.
fn move_aside(path: &Path, at: Timestamp) -> io::Result<Vec<PathBuf>> {
    let mut kept = Vec::new();
    for suffix in SUFFIXES {
        let from = path.with_file_name(format!("{FILE}{suffix}"));
        let to = format!("{FILE}.broken-{}{suffix}", at.as_second());
        let to = path.with_file_name(to);
        match fs::rename(&from, &to) {
            Ok(()) => kept.push(to),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(kept)
}
