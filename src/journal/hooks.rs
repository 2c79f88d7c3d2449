//! The hooks of flips: what was run, what it said, and what is still to be run.

use jiff::Timestamp;
use rusqlite::{Row, Transaction, params};

use crate::processes::Leader;
use crate::site::{Epoch, FlipId, HookPhase, HookResult, Move, SiteName, Skipped};

use super::Journal;
use super::read::{foreign, skipped, word};

/// Flips whose hooks' output is kept; of older ones only the results are.
const OUTPUTS_KEPT: u64 = 256;

/// A hook that is about to be started.
#[derive(Clone, Debug)]
pub struct HookStart {
    /// The flip it belongs to.
    pub flip: FlipId,
    /// The site.
    pub site: SiteName,
    /// When it runs.
    pub phase: HookPhase,
    /// What it is called.
    pub name: String,
    /// What its processes have in their environment, and no others have.
    pub mark: String,
    /// When.
    pub began: Timestamp,
}

/// How a hook ended.
#[derive(Clone, Debug)]
pub struct HookEnd {
    /// How.
    pub result: HookResult,
    /// In words, for the operator.
    pub detail: String,
    /// What it wrote, bounded by who kept it.
    pub output: String,
    /// When.
    pub ended: Timestamp,
}

/// A hook that the journal has a start of, and no end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnfinishedHook {
    /// The flip it belongs to.
    pub flip: FlipId,
    /// Counts the hooks of the flip.
    pub number: u32,
    /// The site.
    pub site: SiteName,
    /// When it was run.
    pub phase: HookPhase,
    /// What it is called.
    pub name: String,
    /// What its processes have in their environment.
    pub mark: String,
    /// Its first process; `None` when the daemon died before that was noted.
    pub leader: Option<Leader>,
}

/// A flip that has ended, with hooks that are still to be run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DueHooks {
    /// The flip.
    pub flip: FlipId,
    /// Which of the hooks.
    pub phase: HookPhase,
    /// What the flip moved, or was to move, and the epochs.
    pub moves: Vec<(Move, Epoch)>,
    /// Why it was made.
    pub reason: Option<String>,
    /// What it left out, as an emergency.
    pub skipped: Vec<Skipped>,
}

/// A hook as the history shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookRecord {
    /// The site.
    pub site: SiteName,
    /// When it was run.
    pub phase: HookPhase,
    /// What it is called.
    pub name: String,
    /// When it began.
    pub began: Timestamp,
    /// When it ended; `None` while it runs.
    pub ended: Option<Timestamp>,
    /// How.
    pub result: Option<HookResult>,
    /// In words.
    pub detail: Option<String>,
    /// What it wrote: its first and its last part.
    pub output: Option<String>,
}

impl Journal {
    /// Writes that a hook is about to be started; its number among those of the flip.
    ///
    /// # Errors
    /// The disk's, and then it must not be started.
    pub fn hook_begins(&mut self, hook: &HookStart) -> rusqlite::Result<u32> {
        // An INSERT that returns something is written when its statement is reset, and what that says
        // is lost; a commit says it.
        let tx = self.db.transaction()?;
        let number = tx.query_row(
            "INSERT INTO hooks (flip, number, site, phase, name, mark, began_ms)
             SELECT ?1, coalesce(max(number), 0) + 1, ?2, ?3, ?4, ?5, ?6
             FROM hooks WHERE flip = ?1
             RETURNING number",
            params![
                hook.flip.0,
                hook.site.as_str(),
                hook.phase.word(),
                hook.name,
                hook.mark,
                hook.began.as_millisecond()
            ],
            |row| row.get(0),
        )?;
        tx.commit()?;
        Ok(number)
    }

    /// Writes which process a hook is.
    ///
    /// # Errors
    /// The disk's.
    pub fn hook_runs(&mut self, flip: FlipId, number: u32, is: &Leader) -> rusqlite::Result<()> {
        self.db.execute(
            "UPDATE hooks SET leader = ?3, started = ?4, boot = ?5 WHERE flip = ?1 AND number = ?2",
            params![flip.0, number, is.process, is.started, is.boot],
        )?;
        Ok(())
    }

    /// Writes how a hook ended, and forgets what those of long ago wrote.
    ///
    /// # Errors
    /// The disk's.
    pub fn hook_ended(&mut self, flip: FlipId, number: u32, end: &HookEnd) -> rusqlite::Result<()> {
        let tx = self.db.transaction()?;
        tx.execute(
            "UPDATE hooks SET ended_ms = ?3, result = ?4, detail = ?5, output = ?6
             WHERE flip = ?1 AND number = ?2",
            params![
                flip.0,
                number,
                end.ended.as_millisecond(),
                end.result.word(),
                end.detail,
                end.output
            ],
        )?;
        tx.execute(
            "UPDATE hooks SET output = NULL WHERE flip < ?1 AND output IS NOT NULL",
            [flip.0.saturating_sub(OUTPUTS_KEPT)],
        )?;
        tx.commit()
    }

    /// Reads the hooks that a crash cut short.
    ///
    /// # Errors
    /// The disk's, or a row that this program did not write.
    pub fn unfinished_hooks(&self) -> rusqlite::Result<Vec<UnfinishedHook>> {
        let mut query = self.db.prepare(
            "SELECT flip, number, site, phase, name, mark, leader, started, boot FROM hooks
             WHERE ended_ms IS NULL ORDER BY flip, number",
        )?;
        let rows = query.query_map([], |row| {
            let process: Option<i32> = row.get(6)?;
            let leader = match process {
                Some(process) => Some(Leader {
                    process,
                    started: row.get(7)?,
                    boot: row.get(8)?,
                }),
                None => None,
            };
            Ok(UnfinishedHook {
                flip: FlipId(row.get(0)?),
                number: row.get(1)?,
                site: SiteName::new(&row.get::<_, String>(2)?),
                phase: word(row, 3)?,
                name: row.get(4)?,
                mark: row.get(5)?,
                leader,
            })
        })?;
        rows.collect()
    }

    /// Tells whether any hook of a flip has begun.
    ///
    /// # Errors
    /// The disk's.
    pub fn has_hooks(&self, flip: FlipId) -> rusqlite::Result<bool> {
        let query = "SELECT EXISTS (SELECT 1 FROM hooks WHERE flip = ?1)";
        self.db.query_row(query, [flip.0], |row| row.get(0))
    }

    /// Reads the flips whose last hooks are still to be run.
    ///
    /// # Errors
    /// The disk's, or a row that this program did not write.
    pub fn hooks_due(&self) -> rusqlite::Result<Vec<DueHooks>> {
        let mut query = self.db.prepare(
            "SELECT d.flip, d.phase, f.reason, f.skipped
             FROM hooks_due d JOIN flips f ON f.id = d.flip ORDER BY d.flip",
        )?;
        let rows = query.query_map([], |row| {
            let flip = FlipId(row.get(0)?);
            let moves = self.moves(flip)?.into_iter();
            Ok(DueHooks {
                flip,
                phase: word(row, 1)?,
                moves: moves
                    .filter_map(|past| Some((past.planned, past.epoch?)))
                    .collect(),
                reason: row.get(2)?,
                skipped: skipped(row, 3)?,
            })
        })?;
        rows.collect()
    }

    /// Takes hooks off the list that a later flip of one of their sites has made pointless, or
    /// worse: they would be run where the site is now. Tells whose they were.
    ///
    /// # Errors
    /// The disk's, and then none was taken off.
    pub fn forget_hooks_of_old(&mut self) -> rusqlite::Result<Vec<FlipId>> {
        let tx = self.db.transaction()?;
        let old: Vec<FlipId> = tx
            .prepare(
                "SELECT DISTINCT d.flip FROM hooks_due d
                 JOIN moves m ON m.flip = d.flip
                 JOIN moves later ON later.site = m.site AND later.flip > d.flip
                 WHERE later.epoch IS NOT NULL",
            )?
            .query_map([], |row| row.get(0).map(FlipId))?
            .collect::<rusqlite::Result<_>>()?;
        for flip in &old {
            tx.execute("DELETE FROM hooks_due WHERE flip = ?1", [flip.0])?;
        }
        tx.commit()?;
        Ok(old)
    }

    /// Writes that the last hooks of a flip have been run, or are not to be run any more.
    ///
    /// # Errors
    /// The disk's; the next start runs them again.
    pub fn hooks_through(&mut self, flip: FlipId) -> rusqlite::Result<()> {
        self.db
            .execute("DELETE FROM hooks_due WHERE flip = ?1", [flip.0])?;
        Ok(())
    }

    /// Reads the hooks of a flip, in the order in which they were run.
    ///
    /// # Errors
    /// The disk's, or a row that this program did not write.
    pub fn hooks_of(&self, flip: FlipId) -> rusqlite::Result<Vec<HookRecord>> {
        let mut query = self.db.prepare(
            "SELECT site, phase, name, began_ms, ended_ms, result, detail, output FROM hooks
             WHERE flip = ?1 ORDER BY number",
        )?;
        let rows = query.query_map([flip.0], record)?;
        rows.collect()
    }
}

fn record(row: &Row<'_>) -> rusqlite::Result<HookRecord> {
    let time =
        |at: usize, ms: i64| Timestamp::from_millisecond(ms).map_err(|error| foreign(at, error));
    let ended: Option<i64> = row.get(4)?;
    let result: Option<String> = row.get(5)?;
    Ok(HookRecord {
        site: SiteName::new(&row.get::<_, String>(0)?),
        phase: word(row, 1)?,
        name: row.get(2)?,
        began: time(3, row.get(3)?)?,
        ended: ended.map(|ms| time(4, ms)).transpose()?,
        result: result
            .map(|word| word.parse().map_err(|error| foreign(5, error)))
            .transpose()?,
        detail: row.get(6)?,
        output: row.get(7)?,
    })
}

/// Writes that hooks of a flip are still to be run, with the end of the flip.
pub(super) fn due(tx: &Transaction<'_>, flip: FlipId, phase: HookPhase) -> rusqlite::Result<()> {
    tx.execute(
        "INSERT INTO hooks_due (flip, phase) VALUES (?1, ?2)
         ON CONFLICT (flip) DO UPDATE SET phase = ?2",
        params![flip.0, phase.word()],
    )?;
    Ok(())
}
