//! What has happened: flips as the history and the evidence show them.

use jiff::Timestamp;
use rusqlite::{Row, params};

use crate::site::{During, Epoch, FlipId, Move, SideName, SiteName, Skipped, Via, Who};

use super::read::{answers, foreign, skipped, uid, word};
use super::{AnswersRecord, CutRecord, Journal};

/// A flip as the history shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlipRecord {
    /// Its number.
    pub id: FlipId,
    /// `intent`, `committed`, `aborted`, or how it ended.
    pub state: String,
    /// What users got meanwhile.
    pub during: During,
    /// Who asked.
    pub who: Who,
    /// Why.
    pub reason: Option<String>,
    /// When it began.
    pub began: Timestamp,
    /// When it ended; `None` when that was not written.
    pub ended: Option<Timestamp>,
    /// What it moved, in the order of the sites' names.
    pub moves: Vec<MoveRecord>,
    /// Why it ended as it did.
    pub message: Option<String>,
    /// Every phase, as JSON.
    pub timeline: Option<String>,
    /// What it left out; empty when it was planned and nothing was gone over.
    pub skipped: Vec<Skipped>,
}

impl FlipRecord {
    /// Tells whether it has moved its sites: its commit is on disk, and was not taken back.
    pub fn has_moved(&self) -> bool {
        ["committed", "settled", "moved"].contains(&self.state.as_str())
    }
}

/// One move of a flip, and what the lane that it left had recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MoveRecord {
    /// From where to where.
    pub planned: Move,
    /// The epoch of the lane that it left; `None`: it was refused before its intent.
    pub from_epoch: Option<Epoch>,
    /// The epoch that it made, or tried to.
    pub epoch: Option<Epoch>,
    /// Requests that the lane had forwarded when it was closed, or when the flip ended.
    pub forwarded: Option<u64>,
    /// When the last of them was.
    pub last_forwarded: Option<Timestamp>,
    /// What was cut of what was in flight; `None`: nothing was ordered to be.
    pub cut: Option<CutRecord>,
    /// How many requests were on hold meanwhile.
    pub held: Option<u64>,
    /// How many got the page instead, or after it.
    pub shed: Option<u64>,
    /// Writes that were given up before their answers had ended.
    pub abandoned: Option<u64>,
    /// When the lane was closed; `None`: it was not.
    pub closed: Option<Timestamp>,
    /// Requests that were forwarded on it after that, as far as was seen; anything but 0 is a
    /// mistake of this program.
    pub late: Option<u64>,
    /// What its direct names gave out; `None`: it has none.
    pub answers: Option<AnswersRecord>,
    /// Answers that its direct names gave out too late, as far as was seen; the same mistake.
    pub late_answers: Option<u64>,
}

/// Which flips of the history.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// Those of one site.
    pub site: Option<SiteName>,
    /// Those before this one.
    pub before: Option<FlipId>,
    /// Those that moved something.
    pub moved: bool,
    /// So many.
    pub most: u32,
}

const FLIPS: &str = "SELECT id, state, during, who, uid, via, reason, began_ms, message, timeline,
        skipped, ended_ms
     FROM flips";

impl Journal {
    /// Reads the last flips, the newest first.
    ///
    /// # Errors
    /// The disk's, or a row that this program did not write.
    pub fn recent(&self, most: u32) -> rusqlite::Result<Vec<FlipRecord>> {
        let page = Page {
            most,
            ..Page::default()
        };
        self.flips(&page)
    }

    /// Reads a page of the history, the newest flip first.
    ///
    /// # Errors
    /// The disk's, or a row that this program did not write.
    pub fn flips(&self, page: &Page) -> rusqlite::Result<Vec<FlipRecord>> {
        let mut query = self.db.prepare(&format!(
            "{FLIPS} WHERE (?1 IS NULL OR id < ?1)
               AND (?2 IS NULL OR id IN (SELECT flip FROM moves WHERE site = ?2))
               AND (NOT ?3 OR state IN ('committed', 'settled', 'moved'))
             ORDER BY id DESC LIMIT ?4"
        ))?;
        let before = page.before.map(|id| id.0);
        let site = page.site.as_ref().map(SiteName::as_str);
        let rows = query.query_map(params![before, site, page.moved, page.most], |row| {
            self.flip_of(row)
        })?;
        rows.collect()
    }

    /// Reads one flip; `None` when there was none of that number.
    ///
    /// # Errors
    /// The disk's, or a row that this program did not write.
    pub fn flip(&self, id: FlipId) -> rusqlite::Result<Option<FlipRecord>> {
        let mut query = self.db.prepare(&format!("{FLIPS} WHERE id = ?1"))?;
        let mut rows = query.query_map([id.0], |row| self.flip_of(row))?;
        rows.next().transpose()
    }

    /// Tells which flip moved a site last, and when it ended; `None` when none has.
    ///
    /// # Errors
    /// The disk's.
    pub fn last_move(&self, site: &SiteName) -> rusqlite::Result<Option<(FlipId, Timestamp)>> {
        let mut query = self.db.prepare(
            "SELECT f.id, coalesce(f.ended_ms, f.began_ms)
             FROM moves m JOIN flips f ON f.id = m.flip
             WHERE m.site = ?1 AND f.state IN ('committed', 'settled', 'moved')
             ORDER BY f.id DESC LIMIT 1",
        )?;
        let mut rows = query.query_map([site.as_str()], |row| {
            Ok((FlipId(row.get(0)?), time(row, 1)?.unwrap_or_default()))
        })?;
        rows.next().transpose()
    }

    /// Notes that something reached the side of a lane that was closed: all the requests and DNS
    /// answers there were so far.
    ///
    /// # Errors
    /// The disk's.
    pub fn late(
        &mut self,
        id: FlipId,
        site: &SiteName,
        requests: u64,
        answers: u64,
    ) -> rusqlite::Result<()> {
        self.db.execute(
            "UPDATE moves SET late = ?3, late_answers = ?4 WHERE flip = ?1 AND site = ?2",
            params![id.0, site.as_str(), requests, answers],
        )?;
        Ok(())
    }

    fn flip_of(&self, row: &Row<'_>) -> rusqlite::Result<FlipRecord> {
        let id = FlipId(row.get(0)?);
        let via: Via = word(row, 5)?;
        let began = time(row, 7)?;
        Ok(FlipRecord {
            id,
            state: row.get(1)?,
            during: word(row, 2)?,
            who: Who {
                name: row.get(3)?,
                uid: uid(row, 4)?,
                via,
            },
            reason: row.get(6)?,
            began: began.unwrap_or_default(),
            ended: time(row, 11)?,
            moves: self.moves(id)?,
            message: row.get(8)?,
            timeline: row.get(9)?,
            skipped: skipped(row, 10)?,
        })
    }

    pub(super) fn moves(&self, id: FlipId) -> rusqlite::Result<Vec<MoveRecord>> {
        let mut query = self.db.prepare(
            "SELECT site, from_side, to_side, from_epoch, epoch, forwarded, last_forwarded_ms,
                    cut_reads, cut_writes, held, closed_ms, late,
                    answers, last_answer_ms, late_answers, shed, abandoned
             FROM moves WHERE flip = ?1 ORDER BY site",
        )?;
        let rows = query.query_map([id.0], |row| {
            let epoch = |at| Ok::<_, rusqlite::Error>(row.get::<_, Option<u64>>(at)?.map(Epoch));
            let cut: (Option<u64>, Option<u64>) = (row.get(7)?, row.get(8)?);
            let last = time(row, 6)?;
            Ok(MoveRecord {
                planned: Move {
                    site: SiteName::new(&row.get::<_, String>(0)?),
                    from: SideName::new(&row.get::<_, String>(1)?),
                    to: SideName::new(&row.get::<_, String>(2)?),
                },
                from_epoch: epoch(3)?,
                epoch: epoch(4)?,
                forwarded: row.get(5)?,
                // 0 is written when there was none.
                last_forwarded: last.filter(|at| *at > Timestamp::UNIX_EPOCH),
                cut: cut
                    .0
                    .zip(cut.1)
                    .map(|(reads, writes)| CutRecord { reads, writes }),
                held: row.get(9)?,
                closed: time(row, 10)?,
                late: row.get(11)?,
                answers: answers(row, 12)?,
                late_answers: row.get(14)?,
                shed: row.get(15)?,
                abandoned: row.get(16)?,
            })
        })?;
        rows.collect()
    }
}

fn time(row: &Row<'_>, at: usize) -> rusqlite::Result<Option<Timestamp>> {
    let ms: Option<i64> = row.get(at)?;
    let time = ms.map(Timestamp::from_millisecond).transpose();
    time.map_err(|error| foreign(at, error))
}
