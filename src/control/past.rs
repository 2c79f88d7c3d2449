//! The past: the history of flips, and the evidence that each lane stayed closed.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::journal::{FlipRecord, MoveRecord, Page};
use crate::site::{During, Epoch, FlipId, Move, Outcome, Skipped, Who};

use super::actor::Actor;
use super::evidence::{Late, Seen};
use super::status::PhaseEntry;

/// The longest page of the history.
const PAGE_MAX: u32 = 1_000;

/// A flip of the history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PastFlip {
    /// Its number.
    pub id: FlipId,
    /// How it ended; `None` while it runs, and when a crash cut it short and that was not noted.
    pub outcome: Option<Outcome>,
    /// It has moved its sites: its commit is on disk.
    pub has_moved: bool,
    /// What it moved, or would have moved.
    pub moves: Vec<PastMove>,
    /// What users got meanwhile.
    pub during: During,
    /// Who asked.
    pub who: Who,
    /// Why.
    pub reason: Option<String>,
    /// When it began.
    pub began: Timestamp,
    /// When it ended.
    pub ended: Option<Timestamp>,
    /// How long anybody was held, in ms; `None` when nobody was.
    pub held_ms: Option<u64>,
    /// What it left out or went over.
    pub skipped: Vec<Skipped>,
    /// Why it ended as it did.
    pub message: Option<String>,
    /// Every phase it went through.
    pub timeline: Vec<PhaseEntry>,
}

/// One move of a flip of the history, and what is known of the lane that it left.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PastMove {
    /// From where to where.
    #[serde(flatten)]
    pub planned: Move,
    /// The epoch of the lane that it left.
    pub from_epoch: Option<Epoch>,
    /// The epoch that it made, or tried to make.
    pub epoch: Option<Epoch>,
    /// Requests that the lane had forwarded when it was closed, or when the flip ended.
    pub forwarded: Option<u64>,
    /// When the last of them was.
    pub last_forwarded: Option<Timestamp>,
    /// Reads that were cut in the middle.
    pub cut_reads: u64,
    /// Writes that were cut in the middle.
    pub cut_writes: u64,
    /// Requests that were on hold meanwhile.
    pub held: Option<u64>,
    /// Requests that got the page instead of being let in, or after they were on hold.
    pub shed: Option<u64>,
    /// Writes that were given up before their answers had ended.
    pub abandoned: Option<u64>,
    /// When the lane was closed; `None` when it was not, or when that is not known.
    pub closed: Option<Timestamp>,
    /// Requests that were forwarded on it after that; anything but 0 is a mistake of this program.
    pub late: Option<u64>,
    /// DNS answers that gave out an address of the side that it left, since the daemon that closed
    /// the lane began; `None` when the site has no direct names.
    pub answers: Option<u64>,
    /// When the last of them was sent.
    pub last_answer: Option<Timestamp>,
    /// DNS answers that did so after every worker had turned; anything but 0 is a mistake of this
    /// program.
    pub late_answers: Option<u64>,
    /// The daemon that closed the lane still runs and watches it. Otherwise `late` is what was
    /// journalled last: that daemon has ended, and its connections with it, or it watches the lanes
    /// of later flips.
    pub is_watched: bool,
}

/// Why the history was not read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HistoryError {
    /// The asker is at fault.
    #[error("there is no flip {0} in the journal: `pointsman history` lists them")]
    Unknown(FlipId),
    /// The journal cannot be read; the machine is at fault.
    #[error("the history could not be read: {0}")]
    Journal(String),
    /// The daemon is stopping.
    #[error("the daemon is stopping")]
    Stopping,
}

impl Actor {
    /// Reads a page of the history.
    pub(super) fn history(&self, page: &Page) -> Result<Vec<PastFlip>, HistoryError> {
        let most = page.most.min(PAGE_MAX);
        let page = Page {
            most,
            ..page.clone()
        };
        let journal = self.ledger.journal.as_ref();
        let journal = journal.map_err(|why| HistoryError::Journal(why.clone()))?;
        let flips = journal.flips(&page);
        let flips = flips.map_err(|error| HistoryError::Journal(error.to_string()))?;
        Ok(flips
            .into_iter()
            .map(|flip| self.with_evidence(flip))
            .collect())
    }

    /// Reads one flip; what was seen of its lanes since it was last looked at is journalled.
    pub(super) fn past(&mut self, id: FlipId) -> Result<PastFlip, HistoryError> {
        let journal = self.ledger.journal.as_mut();
        let journal = journal.map_err(|why| HistoryError::Journal(why.clone()))?;
        let failed = |error: rusqlite::Error| HistoryError::Journal(error.to_string());
        let flip = journal.flip(id).map_err(failed)?;
        let flip = flip.ok_or(HistoryError::Unknown(id))?;
        for past in &flip.moves {
            let site = &past.planned.site;
            let late = self.closed.late(id, site).unwrap_or_default();
            let Late { requests, answers } = late;
            if requests > past.late.unwrap_or(0) || answers > past.late_answers.unwrap_or(0) {
                tracing::error!(flip = %id, %site, requests, answers, "something reached the old \
                    side after the flip: please report this as a bug");
                journal.late(id, site, requests, answers).map_err(failed)?;
            }
        }
        Ok(self.with_evidence(flip))
    }

    /// Journals what reached a side after its lane was closed; nothing, if all is as it must be.
    pub(super) fn journal_late(&mut self, seen: &[Seen]) {
        for Seen { flip, site, late } in seen {
            let Late { requests, answers } = *late;
            if requests == 0 && answers == 0 {
                continue;
            }
            tracing::error!(%flip, %site, requests, answers, "something reached the old side after \
                the flip: please report this as a bug");
            if let Ok(journal) = &mut self.ledger.journal
                && let Err(error) = journal.late(*flip, site, requests, answers)
            {
                tracing::error!(%error, "that could not be journalled");
            }
        }
    }

    fn with_evidence(&self, flip: FlipRecord) -> PastFlip {
        let timeline = flip.timeline.as_deref();
        let timeline = timeline.and_then(|json| serde_json::from_str(json).ok());
        let timeline: Vec<PhaseEntry> = timeline.unwrap_or_default();
        let (id, has_moved) = (flip.id, flip.has_moved());
        let moves = flip.moves.into_iter();
        PastFlip {
            id,
            outcome: flip.state.parse().ok(),
            has_moved,
            moves: moves.map(|past| self.evidence(id, past)).collect(),
            during: flip.during,
            who: flip.who,
            reason: flip.reason,
            began: flip.began,
            ended: flip.ended,
            held_ms: held_ms(&timeline),
            skipped: flip.skipped,
            message: flip.message.filter(|text| !text.is_empty()),
            timeline,
        }
    }

    fn evidence(&self, flip: FlipId, past: MoveRecord) -> PastMove {
        let watched = self.closed.late(flip, &past.planned.site);
        let cut = past.cut.unwrap_or_default();
        PastMove {
            from_epoch: past.from_epoch,
            epoch: past.epoch,
            forwarded: past.forwarded,
            last_forwarded: past.last_forwarded,
            cut_reads: cut.reads,
            cut_writes: cut.writes,
            held: past.held,
            shed: past.shed,
            abandoned: past.abandoned,
            closed: past.closed,
            late: watched.map(|late| late.requests).max(past.late),
            answers: past.answers.map(|answers| answers.count),
            last_answer: past.answers.and_then(|answers| {
                let ms = i64::try_from(answers.last_ms).ok().filter(|ms| *ms > 0)?;
                Timestamp::from_millisecond(ms).ok()
            }),
            late_answers: watched.map(|late| late.answers).max(past.late_answers),
            is_watched: watched.is_some(),
            planned: past.planned,
        }
    }
}

/// Tells how long a flip held anybody, in ms, from its phases.
pub(super) fn held_ms(timeline: &[PhaseEntry]) -> Option<u64> {
    let began = timeline.iter().position(|entry| entry.phase == "holding")?;
    let ends = ["publishing", "restoring"];
    let mut rest = timeline[began..].iter();
    let end = rest.find(|entry| ends.contains(&entry.phase.as_str()))?;
    let held: SignedDuration = end.at.duration_since(timeline[began].at);
    u64::try_from(held.as_millis()).ok()
}
