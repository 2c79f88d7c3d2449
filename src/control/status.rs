//! What the control plane shows of itself: plain values, published whole at each change.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::site::{
    Access, During, Epoch, FlipId, Generation, GroupName, Move, Outcome, SideName, SiteName,
    Skipped, Who,
};
use crate::table::Chunks;

use super::hooks::{HookEnded, HookStatus};
use super::standby::Contradiction;

/// Everything that `status` and the API show; counters live in the metrics instead.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Another one after each change of what is shown here, apart from the phases of a running
    /// flip; see [`FlipStatus::version`].
    pub version: String,
    /// Counts the loaded tables.
    pub generation: Generation,
    /// Where the table was read from.
    pub file: String,
    /// Why the file as it is on disk is not what is served; `None` when it is.
    pub file_problem: Option<String>,
    /// The sites in the order of their names; shared with the status before, where they are as
    /// they were.
    pub sites: Chunks<Arc<SiteStatus>>,
    /// The sites that are flipped together.
    pub groups: Arc<BTreeMap<GroupName, Vec<SiteName>>>,
    /// Flips, the newest first: all that run, and the last that ended.
    pub flips: Vec<Arc<FlipStatus>>,
    /// Serials by zone name.
    pub zones: Vec<ZoneStatus>,
    /// Certificates, and files that should be some.
    #[serde(default)]
    pub certs: Vec<CertStatus>,
}

impl Status {
    /// Shows nothing; what is there before the actor has looked around.
    pub(super) fn empty() -> Self {
        Self {
            version: String::new(),
            generation: Generation(0),
            file: String::new(),
            file_problem: None,
            sites: Chunks::default(),
            groups: Arc::default(),
            flips: Vec::new(),
            zones: Vec::new(),
            certs: Vec::new(),
        }
    }
}

/// One site.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SiteStatus {
    /// Its name.
    pub name: SiteName,
    /// The active side; `None` when in doubt.
    pub active: Option<SideName>,
    /// The side that the file asks for; `None` when it leaves `active` out.
    pub desired: Option<SideName>,
    /// The file asks for another side, and no flip is on its way there.
    pub diverged: bool,
    /// Why a request of the file was not carried out, or why the site is in doubt.
    pub problem: Option<String>,
    /// What users may do.
    pub access: Access,
    /// What an operator said of that, when it is not as the file says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_said: Option<Box<AccessSaid>>,
    /// Parts that have a word of their own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<PartStatus>,
    /// The epoch of the lane that serves.
    pub epoch: Epoch,
    /// The flip in progress.
    pub flip: Option<FlipId>,
    /// Its canonical host.
    pub host: String,
    /// All its sides.
    pub sides: Vec<SideName>,
    /// Sides that do not serve and do not behave so.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub contradictions: Vec<Contradiction>,
    /// What its last flip left at risk, when that was an emergency.
    #[serde(default)]
    pub emergency: Option<Box<Emergency>>,
}

/// What an emergency flip skipped and cut, and what the side that it left may have that no other
/// has; shown until a planned flip of the site has settled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Emergency {
    /// The flip.
    pub flip: FlipId,
    /// Why it was made.
    pub reason: Option<String>,
    /// What it left out.
    pub skipped: Vec<Skipped>,
    /// The side that it left.
    pub from: SideName,
    /// The epoch that it ended.
    pub epoch: Epoch,
    /// Reads that were in flight and were cut.
    pub cut_reads: u64,
    /// Writes that were in flight and were cut.
    pub cut_writes: u64,
    /// Requests that the old side took since that epoch began, or since the daemon was started in
    /// it: at least as many.
    pub forwarded: u64,
    /// When the last of them was sent; `None` when none was.
    pub last_forwarded: Option<Timestamp>,
}

/// A part of a site.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartStatus {
    /// The prefix of its paths.
    pub prefix: String,
    /// What users may do there; the stricter of this and the site's own counts.
    pub access: Access,
    /// What an operator said of that, when it is not as the file says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub said: Option<Box<AccessSaid>>,
}

/// What an operator said of an access.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessSaid {
    /// What the file says.
    pub word: Access,
    /// Why it is not that.
    pub reason: Option<String>,
    /// When users are told to come back.
    pub back_at: Option<Timestamp>,
    /// Who said it.
    pub who: Who,
    /// When.
    pub at: Timestamp,
}

/// One zone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ZoneStatus {
    /// Its name, without a final dot.
    pub name: String,
    /// The serial that is published.
    pub serial: u32,
}

/// One certificate, or a file that should be one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertStatus {
    /// Its file without `.pem`, or its key in the table.
    pub name: String,
    /// The names it is for; empty when none was ever good.
    pub names: Vec<String>,
    /// The last second of its validity; `None` when none was ever good.
    pub expires: Option<Timestamp>,
    /// Why the file as it is on disk is not what answers, or that its time is over.
    pub problem: Option<String>,
}

/// One flip, in progress or ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlipStatus {
    /// Its number.
    pub id: FlipId,
    /// What it moves.
    pub moves: Vec<Move>,
    /// The epoch that each move makes, in the same order; empty until the intent is journalled.
    pub epochs: Vec<Epoch>,
    /// What users get meanwhile.
    pub during: During,
    /// Who asked.
    pub who: Who,
    /// Why.
    pub reason: Option<String>,
    /// When it began.
    pub began: Timestamp,
    /// Where it is, in the words of the flip protocol: `draining`, `settled`.
    pub phase: String,
    /// How it ended; `None` while it runs.
    pub outcome: Option<Outcome>,
    /// Why it ended as it did, and what to do next.
    pub message: Option<String>,
    /// When the wait of its phase is over at the latest; `None` when there is no such time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// Every phase it went through.
    pub timeline: Vec<PhaseEntry>,
    /// What it leaves out, as an emergency; empty when it is planned.
    #[serde(default)]
    pub skipped: Vec<Skipped>,
    /// Until when it waits for DNS answers that clients may still use; `None` when it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease_until: Option<Timestamp>,
    /// The hook that runs for it; after its end too.
    #[serde(default)]
    pub hook: Option<HookStatus>,
    /// Its hooks that have ended, the last of them; what they wrote is in the journal.
    #[serde(default)]
    pub hooks: Vec<HookEnded>,
    /// The guarded jobs that it waits for, in words; until `until`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub awaited_guards: Vec<String>,
}

/// When a flip entered a phase.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PhaseEntry {
    /// The phase.
    pub phase: String,
    /// When it was entered.
    pub at: Timestamp,
    /// How long the phase before took, in milliseconds.
    pub after_ms: u64,
    /// Until when it waited in this phase for DNS answers that clients could still use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease_until: Option<Timestamp>,
}
