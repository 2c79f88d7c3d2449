//! What is written: the values of the writing functions.

use jiff::Timestamp;

use crate::site::{Access, During, HookPhase, Move, Outcome, SideName, SiteName, Skipped, Who};

/// A flip as it is first written, with its intent or its refusal.
#[derive(Clone, Debug)]
pub struct NewFlip {
    /// What it moves.
    pub moves: Vec<Move>,
    /// What users get meanwhile.
    pub during: During,
    /// Who asked.
    pub who: Who,
    /// Why.
    pub reason: Option<String>,
    /// When it began.
    pub began: Timestamp,
    /// What it leaves out, as an emergency; empty when it is planned.
    pub skipped: Vec<Skipped>,
    /// The words of the file that asked for it, which count as read from here on.
    pub words: Vec<(SiteName, Option<SideName>)>,
}

/// How a flip ended.
#[derive(Clone, Debug)]
pub struct FlipEnd {
    /// How.
    pub outcome: Outcome,
    /// Why.
    pub message: String,
    /// When.
    pub ended: Timestamp,
    /// Every phase, as JSON.
    pub timeline: String,
    /// What the lanes that it closed had recorded.
    pub lanes: Vec<LaneRecord>,
    /// The hooks that are still to be run.
    pub hooks_due: Option<HookPhase>,
}

/// What a lane recorded until it was closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaneRecord {
    /// Its site.
    pub site: SiteName,
    /// Requests of which a first byte went to an origin.
    pub forwarded: u64,
    /// When the last of them did; milliseconds since the Unix epoch, 0 = never.
    pub last_forwarded_ms: u64,
    /// Addresses that its direct names gave out; `None` when it has none.
    pub answers: Option<AnswersRecord>,
    /// What was cut of what was in flight.
    pub cut: Option<CutRecord>,
    /// How many requests were on hold meanwhile.
    pub held: u64,
    /// How many got the page instead, or after it.
    pub shed: u64,
    /// Writes that were given up before their answers had ended.
    pub abandoned: u64,
    /// When it was closed; `None`: it was not.
    pub closed: Option<Timestamp>,
    /// Requests that were forwarded after that; `None`: it was not closed.
    pub late: Option<u64>,
}

/// DNS answers of a lane that gave out an address of its side, since the daemon began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AnswersRecord {
    /// How many.
    pub count: u64,
    /// When the last was sent; milliseconds since the Unix epoch, 0 = never.
    pub last_ms: u64,
}

/// Exchanges that were cut.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CutRecord {
    /// Reads.
    pub reads: u64,
    /// Writes.
    pub writes: u64,
}

/// A site that is seen for the first time.
#[derive(Clone, Debug)]
pub struct SiteAdoption {
    /// Its name.
    pub site: SiteName,
    /// The word of the file, which is adopted as its active side.
    pub active: SideName,
    /// What the file says of its access.
    pub access: Access,
}

/// Why a commit is not known to be on disk.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// It is certainly not: the transaction never got to its commit.
    #[error("the journal could not be written: {0}")]
    NotWritten(rusqlite::Error),
    /// It may be: the commit itself failed.
    #[error("the journal could not tell whether the commit was written: {0}")]
    Unknown(rusqlite::Error),
}
