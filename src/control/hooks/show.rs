//! What is shown of hooks: the one that runs, and how those before it ended.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::site::{HookPhase, HookResult, SiteName};

/// Ended hooks that a flip shows; all of them are in the journal.
const SHOWN: usize = 64;

/// A hook that runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HookStatus {
    /// The site.
    pub site: SiteName,
    /// Which of its hooks.
    pub phase: HookPhase,
    /// What it is called.
    pub name: String,
    /// When it began.
    pub since: Timestamp,
    /// What it wrote last.
    pub last_line: Option<String>,
    /// What stands in the way of its end.
    pub problem: Option<String>,
}

/// A hook that has ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HookEnded {
    /// The site.
    pub site: SiteName,
    /// Which of its hooks.
    pub phase: HookPhase,
    /// What it is called.
    pub name: String,
    /// When it began.
    pub since: Timestamp,
    /// How long it ran, in milliseconds.
    pub took_ms: u64,
    /// How it ended.
    pub result: HookResult,
    /// The same in words.
    pub detail: String,
}

/// Adds one that has ended to those that are shown.
pub(super) fn add(hooks: &mut Vec<HookEnded>, ended: HookEnded) {
    let over = (hooks.len() + 1).saturating_sub(SHOWN);
    hooks.drain(..over);
    hooks.push(ended);
}
