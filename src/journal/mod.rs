//! The journal: where the sites are, and every flip with who, when and why.
//!
//! For: the state of the switch, durable before anyone is told of it. Not for: deciding anything,
//! and never kept in the sites' own data.
//!
//! ```text
//! control ── intent ── commit ── end ──> journal.db (SQLite, WAL, synchronous=FULL)
//!         <── state(), recent() ──────── one writer, under the lock on the state directory
//! ```
//!
//! Invariants: what a function returned `Ok` for is on disk; a commit is one transaction with the
//! new epochs, words and serials in it; a flip without a commit means the old side.
//!
//! A crash leaves a flip as `intent` (the old side) or `committed` (the new one); `control` reads
//! both at start with [`Journal::unfinished`]. What a crash cannot leave, a broken file, is put right
//! by somebody who knows, with [`Journal::renew`]. Tests: `recovery` in `tests/it`, and below.

mod access;
mod books;
mod guards;
mod hooks;
mod lock;
mod migrate;
mod past;
mod read;
mod record;
mod renew;
mod reserve;
#[cfg(test)]
mod tests;
mod write;

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::Connection;

use reserve::Reserve;

pub use access::{AccessRecord, Place};
pub use books::BookEvent;
pub use guards::WithLease;
pub use hooks::{DueHooks, HookEnd, HookRecord, HookStart, UnfinishedHook};
pub use lock::{Left, LockError, StateLock};
pub use past::{FlipRecord, MoveRecord, Page};
pub use read::{EmergencyRecord, SiteRecord, UnfinishedFlip, ZoneRecord};
pub use record::{
    AnswersRecord, CommitError, CutRecord, FlipEnd, LaneRecord, NewFlip, SiteAdoption,
};
pub use renew::{Renewed, SiteRenewal};

/// How many of the last flips are read at a start.
pub const RECENT: u32 = 32;

/// The file in the state directory.
const FILE: &str = "journal.db";

/// Its name until it is complete; one that is found was cut short, and is made anew.
const FILE_IN_THE_MAKING: &str = "journal.new";

/// The version that `PRAGMA user_version` has; a journal of a later one is refused,
/// and one of an earlier one is brought here.
const VERSION: i64 = 6;

/// How long a reader of the file from outside (a backup, an `sqlite3` shell) may keep us waiting.
const BUSY_TIMEOUT: Duration = Duration::from_secs(2);

/// What helps when a journal cannot be gone by.
pub const REMEDY: &str = "put it back from a backup; or, when you know which sides have the current \
    data: stop pointsman, then `pointsman recover --adopt SITE=SIDE --reason WHY`, and start again";

/// The open journal.
#[derive(Debug)]
pub struct Journal {
    db: Connection,
    reserve: Reserve,
    /// The file that was opened, by device and number; another may be put in its place.
    file: (u64, u64),
}

/// Why there is no journal to go by.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The state directory was used before, and its journal is gone: the active sides are in doubt.
    #[error(
        "{} is missing in a state directory that was used before: {REMEDY}",
        path.display()
    )]
    Missing {
        /// Where it should be.
        path: PathBuf,
    },
    /// It is there and cannot be used: the active sides are in doubt.
    #[error("{} cannot be used as a journal: {source}: {REMEDY}", path.display())]
    Unreadable {
        /// Where it is.
        path: PathBuf,
        /// What is wrong with it.
        source: rusqlite::Error,
    },
    /// It was written by a later version of this program.
    #[error("{} has version {version}, and this program knows {VERSION}: upgrade it", path.display())]
    TooNew {
        /// Where it is.
        path: PathBuf,
        /// Its version.
        version: i64,
    },
    /// The directory cannot be used.
    #[error("{}: {source}", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
}

/// A journal that was opened, and whether it is new.
#[derive(Debug)]
pub struct Opened {
    /// The journal.
    pub journal: Journal,
    /// This is the first start: nothing is known of any site.
    pub is_first: bool,
}

impl Journal {
    /// Opens the journal of a state directory, or makes it on a first start.
    ///
    /// Only a directory in which nothing but an unmarked lock file is found is a first start.
    ///
    /// # Errors
    /// See [`OpenError`]; the operator is at fault in all of them, or the disk is.
    pub fn open(lock: &StateLock) -> Result<Opened, OpenError> {
        let path = lock.directory().join(FILE);
        let directory = |source| OpenError::Directory {
            path: lock.directory().into(),
            source,
        };
        let is_first = lock.is_unused().map_err(directory)?;
        if !is_first && !path.exists() {
            return Err(OpenError::Missing { path });
        }
        let unreadable = |source| OpenError::Unreadable {
            path: path.clone(),
            source,
        };
        if is_first {
            let making = lock.directory().join(FILE_IN_THE_MAKING);
            remove_if_there(&making).map_err(directory)?;
            make(&making).map_err(unreadable)?;
            fs::rename(&making, &path).map_err(directory)?;
            // The journal's own directory entry must be as durable as what is written into it.
            sync(lock.directory()).map_err(directory)?;
        }
        // Also for a journal that was put here from a backup: should it ever go missing, that is
        // doubt, and not a first start.
        lock.mark_used().map_err(directory)?;
        let mut db = connect(&path).map_err(unreadable)?;
        let version = inspect(&db).map_err(unreadable)?;
        if version > VERSION {
            return Err(OpenError::TooNew { path, version });
        }
        migrate::migrate(&mut db, version).map_err(unreadable)?;
        let file = identity(&path).map_err(directory)?;
        let reserve = Reserve::of(lock.directory());
        if let Err(error) = reserve.keep() {
            // The sites are served all the same; a flip on a full disk is refused by its intent.
            tracing::error!(%error, "no space could be kept for the journal: make room");
        }
        Ok(Opened {
            journal: Self { db, reserve, file },
            is_first,
        })
    }
}

fn make(path: &Path) -> rusqlite::Result<()> {
    let db = connect(path)?;
    let schema = include_str!("schema.sql");
    db.execute_batch(&format!(
        "BEGIN; {schema} PRAGMA user_version = {VERSION}; COMMIT;"
    ))?;
    // The last connection to close moves the log into the file and removes it.
    db.close().map_err(|(_, error)| error)
}

fn sync(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Tells a file from any other, whatever its name.
fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let metadata = fs::metadata(path)?;
    Ok((metadata.dev(), metadata.ino()))
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let db = Connection::open(path)?;
    db.busy_timeout(BUSY_TIMEOUT)?;
    db.pragma_update(None, "journal_mode", "WAL")?;
    // In WAL mode FULL is what syncs the log at every commit.
    db.pragma_update(None, "synchronous", "FULL")?;
    db.pragma_update(None, "foreign_keys", true)?;
    Ok(db)
}

/// Looks whether the file is a whole journal, and tells its version.
fn inspect(db: &Connection) -> rusqlite::Result<i64> {
    // A corrupted journal is doubt at start, rather than a surprise in the middle of a flip.
    let verdict: String = db.query_row("PRAGMA quick_check", [], |row| row.get(0))?;
    if verdict != "ok" {
        let corrupt = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT);
        return Err(rusqlite::Error::SqliteFailure(corrupt, Some(verdict)));
    }
    // A file of the right name without our tables is not a journal.
    db.query_row("SELECT count(*) FROM sites", [], |row| row.get::<_, i64>(0))?;
    db.query_row("PRAGMA user_version", [], |row| row.get(0))
}
