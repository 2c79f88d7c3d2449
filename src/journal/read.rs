//! The reading half: used at start, and for the history.

use std::collections::BTreeMap;
use std::str::FromStr;

use rusqlite::types::Type;
use rusqlite::{Connection, OpenFlags, OptionalExtension, Row};

use crate::site::{Access, Epoch, FlipId, Move, SideName, SiteName, Skipped, Who};

use super::{AnswersRecord, CutRecord, Journal, LaneRecord};

/// What is journalled of a site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SiteRecord {
    /// The active side.
    pub active: SideName,
    /// The epoch of its lane.
    pub epoch: Epoch,
    /// `active:` as last read in the file; `None` = left out.
    pub word: Option<SideName>,
    /// `access:` as last read.
    pub access: Access,
    /// A rewrite of the file that is still to be made: the word to lose, and the one to get.
    pub rewrite: Option<(SideName, SideName)>,
    /// The longest TTL that its direct names may have answered with, in seconds; `None` = they
    /// never answered.
    pub answer_ttl_s: Option<u32>,
}

/// What is journalled of a zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZoneRecord {
    /// Its name, without a final dot.
    pub name: String,
    /// The serial as last published.
    pub serial: u32,
    /// What the content hashed to; see `zone::Contents`.
    pub digest: u64,
}

/// A flip that a crash cut short.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnfinishedFlip {
    /// Its number.
    pub id: FlipId,
    /// Its commit is on disk: the site is on the new side.
    pub is_committed: bool,
    /// What it moves.
    pub moves: Vec<Move>,
}

/// The last move of a site, when it was an emergency.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmergencyRecord {
    /// The flip.
    pub flip: FlipId,
    /// What it left out.
    pub skipped: Vec<Skipped>,
    /// Why it was made.
    pub reason: Option<String>,
    /// The side that it left.
    pub from: SideName,
    /// The epoch that it ended.
    pub epoch: Epoch,
    /// What the lane that it closed had recorded.
    pub lane: LaneRecord,
}

impl Journal {
    /// Looks whether the file is whole, as the next start would: this connection remembers pages,
    /// and may go on with them over a file that has been overwritten.
    ///
    /// # Errors
    /// The disk's, or what is wrong with the file.
    pub(super) fn read_afresh(&self) -> rusqlite::Result<()> {
        let path = self.db.path().unwrap_or_default();
        // What is written goes to the file that was opened, and the next start reads that one.
        let is_ours = super::identity(path.as_ref()).is_ok_and(|file| file == self.file);
        if !is_ours {
            let gone = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CANTOPEN);
            let why = "another file was put in its place: stop the daemon before a journal is";
            return Err(rusqlite::Error::SqliteFailure(
                gone,
                Some(format!("{why} put back")),
            ));
        }
        let afresh = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        afresh.busy_timeout(super::BUSY_TIMEOUT)?;
        super::inspect(&afresh).map(|_| ())
    }

    /// Reads what is known of every site, removed ones included.
    ///
    /// # Errors
    /// The disk's, or a row that this program did not write.
    pub fn sites(&self) -> rusqlite::Result<BTreeMap<SiteName, SiteRecord>> {
        let mut query = self.db.prepare(SITES)?;
        let rows = query.query_map([], site)?;
        rows.collect()
    }

    /// Reads what is known of one site.
    ///
    /// # Errors
    /// Those of [`Journal::sites`].
    pub fn site(&self, name: &SiteName) -> rusqlite::Result<Option<SiteRecord>> {
        let mut query = self.db.prepare(&format!("{SITES} WHERE name = ?1"))?;
        let found = query.query_row([name.as_str()], site).optional()?;
        Ok(found.map(|(_, record)| record))
    }

    /// Reads the zones as last published.
    ///
    /// # Errors
    /// The disk's.
    pub fn zones(&self) -> rusqlite::Result<Vec<ZoneRecord>> {
        let mut query = self.db.prepare("SELECT name, serial, digest FROM zones")?;
        let rows = query.query_map([], |row| {
            let digest = row.get::<_, i64>(2)?.cast_unsigned();
            Ok(ZoneRecord {
                name: row.get(0)?,
                serial: row.get(1)?,
                digest,
            })
        })?;
        rows.collect()
    }

    /// Tells the number of the next flip.
    ///
    /// # Errors
    /// The disk's.
    pub fn next_flip(&self) -> rusqlite::Result<FlipId> {
        let last: Option<u64> = self
            .db
            .query_row("SELECT max(id) FROM flips", [], |row| row.get(0))
            .optional()?
            .flatten();
        Ok(FlipId(last.unwrap_or(0)).next())
    }

    /// Reads the flips that a crash cut short.
    ///
    /// # Errors
    /// The disk's.
    pub fn unfinished(&self) -> rusqlite::Result<Vec<UnfinishedFlip>> {
        let mut query = self.db.prepare(
            "SELECT id, state FROM flips WHERE state IN ('intent', 'committed', 'aborted')
             ORDER BY id",
        )?;
        let rows = query.query_map([], |row| {
            let id = FlipId(row.get(0)?);
            let state: String = row.get(1)?;
            let moves = self.moves(id)?.into_iter();
            let moves = moves.map(|past| past.planned).collect();
            Ok(UnfinishedFlip {
                id,
                is_committed: state == "committed",
                moves,
            })
        })?;
        rows.collect()
    }

    /// Reads the sites whose last move was an emergency.
    ///
    /// # Errors
    /// The disk's, or a row that this program did not write.
    pub fn emergencies(&self) -> rusqlite::Result<Vec<EmergencyRecord>> {
        let mut query = self.db.prepare(
            "SELECT f.id, f.skipped, f.reason, m.site, m.from_side, m.from_epoch,
                    coalesce(m.forwarded, 0), coalesce(m.last_forwarded_ms, 0),
                    coalesce(m.cut_reads, 0), coalesce(m.cut_writes, 0),
                    m.answers, m.last_answer_ms
             FROM sites s
             JOIN moves m ON m.site = s.name AND m.epoch = s.epoch
             JOIN flips f ON f.id = m.flip
             WHERE ' ' || f.skipped || ' ' LIKE '% drain %'
             ORDER BY s.name",
        )?;
        let rows = query.query_map([], |row| {
            Ok(EmergencyRecord {
                flip: FlipId(row.get(0)?),
                skipped: skipped(row, 1)?,
                reason: row.get(2)?,
                from: SideName::new(&row.get::<_, String>(4)?),
                epoch: Epoch(row.get(5)?),
                lane: LaneRecord {
                    site: SiteName::new(&row.get::<_, String>(3)?),
                    forwarded: row.get(6)?,
                    last_forwarded_ms: row.get(7)?,
                    answers: answers(row, 10)?,
                    cut: Some(CutRecord {
                        reads: row.get(8)?,
                        writes: row.get(9)?,
                    }),
                    held: 0,
                    shed: 0,
                    abandoned: 0,
                    closed: None,
                    late: None,
                },
            })
        })?;
        rows.collect()
    }
}

/// Every column of a site that is read, for [`site`].
const SITES: &str = "SELECT name, active, epoch, word, access, rewrite_from, rewrite_to,
                            answer_ttl_s FROM sites";

fn site(row: &Row<'_>) -> rusqlite::Result<(SiteName, SiteRecord)> {
    let record = SiteRecord {
        active: SideName::new(&row.get::<_, String>(1)?),
        epoch: Epoch(row.get(2)?),
        word: side(row, 3)?,
        access: word(row, 4)?,
        rewrite: side(row, 5)?.zip(side(row, 6)?),
        answer_ttl_s: row.get(7)?,
    };
    Ok((SiteName::new(&row.get::<_, String>(0)?), record))
}

fn side(row: &Row<'_>, at: usize) -> rusqlite::Result<Option<SideName>> {
    Ok(row
        .get::<_, Option<String>>(at)?
        .map(|side| SideName::new(&side)))
}

/// Reads a count of answers and, in the next column, the time of the last.
pub(super) fn answers(row: &Row<'_>, at: usize) -> rusqlite::Result<Option<AnswersRecord>> {
    let count: Option<u64> = row.get(at)?;
    let last_ms: Option<u64> = row.get(at + 1)?;
    let both = count.zip(last_ms);
    Ok(both.map(|(count, last_ms)| AnswersRecord { count, last_ms }))
}

pub(super) fn skipped(row: &Row<'_>, at: usize) -> rusqlite::Result<Vec<Skipped>> {
    let words: Option<String> = row.get(at)?;
    let words = words.iter().flat_map(|words| words.split(' '));
    // The name of a check may have blanks in it.
    let plain = |word: &str| word.replace("%20", " ").replace("%25", "%");
    let each = words.map(|word| plain(word).parse().map_err(|error| foreign(at, error)));
    each.collect()
}

/// What the column of a uid holds for the holder of a token, who has none; no user has it.
const NO_UID: i64 = -1;

/// Writes a uid.
pub(super) fn uid_column(who: &Who) -> i64 {
    who.uid.map_or(NO_UID, i64::from)
}

/// Reads a uid.
pub(super) fn uid(row: &Row<'_>, at: usize) -> rusqlite::Result<Option<u32>> {
    match row.get(at)? {
        NO_UID => Ok(None),
        uid => u32::try_from(uid)
            .map(Some)
            .map_err(|error| foreign(at, error)),
    }
}

pub(super) fn word<T>(row: &Row<'_>, at: usize) -> rusqlite::Result<T>
where
    T: FromStr,
    T::Err: std::error::Error + Send + Sync + 'static,
{
    row.get::<_, String>(at)?
        .parse()
        .map_err(|error| foreign(at, error))
}

pub(super) fn foreign(
    at: usize,
    error: impl std::error::Error + Send + Sync + 'static,
) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(at, Type::Text, Box::new(error))
}
