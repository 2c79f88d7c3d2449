//! Versions: whether what somebody looked at is still what is.
//!
//! The API gives them out as entity tags (RFC 9110 §8.8.3) and takes them back as preconditions.

use std::hash::{DefaultHasher, Hasher};

use jiff::Timestamp;

use super::status::{FlipStatus, Status};

/// Numbers the versions of the status.
#[derive(Debug)]
pub(super) struct Versions {
    /// When this daemon began, in ms: so no version is one of the daemon before it.
    began_ms: i64,
    count: u64,
}

impl Versions {
    pub(super) fn new() -> Self {
        Self {
            began_ms: Timestamp::now().as_millisecond(),
            count: 0,
        }
    }

    pub(super) fn next(&mut self) -> String {
        self.count += 1;
        format!("{:x}-{}", self.began_ms, self.count)
    }
}

impl Status {
    /// Tells whether this has anything else to decide upon than the status before it.
    ///
    /// A flip counts when it begins and when it ends: whoever decides on another site meanwhile
    /// is not to be sent back at each of its phases.
    pub(super) fn shows_other_than(&self, before: &Self) -> bool {
        let ends = |status: &Self| -> Vec<_> {
            let flips = status.flips.iter();
            flips.map(|flip| (flip.id, flip.outcome)).collect()
        };
        // A serial goes up with each step of a flip that names see.
        let names = |status: &Self| -> Vec<_> {
            let zones = status.zones.iter();
            zones.map(|zone| zone.name.clone()).collect()
        };
        // What is shared with before, as the sites mostly are, is not looked into.
        self.sites != before.sites
            || self.groups != before.groups
            || self.generation != before.generation
            || self.file_problem != before.file_problem
            || names(self) != names(before)
            || self.certs != before.certs
            || ends(self) != ends(before)
    }
}

impl FlipStatus {
    /// Names what is shown of it: another version with every phase, the same for ever at its end.
    ///
    /// What its hooks write does not count, nor how long it still waits: who looked at it a line
    /// before may cancel it.
    pub fn version(&self) -> String {
        let mut shown = self.clone();
        (shown.hook, shown.hooks) = (None, Vec::new());
        (shown.until, shown.lease_until) = (None, None);
        for entry in &mut shown.timeline {
            entry.lease_until = None;
        }
        let mut hasher = DefaultHasher::new();
        // Names, numbers and times are always written.
        hasher.write(&serde_json::to_vec(&shown).unwrap_or_default());
        format!("{}-{:016x}", self.id, hasher.finish())
    }
}
