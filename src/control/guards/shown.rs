//! What is shown of leases: they come and go with every job, and so are no part of the status.

use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::site::{GuardId, OnFlip, SiteName, Who};

use super::ask::GrantedMove;
use super::lease::Out;

/// Whether the job of a lease shows itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GuardState {
    /// It renews the lease.
    Held,
    /// It renews the lease, and was told to end.
    Ending,
    /// It does not: it may be gone, or be cut off from here, and blocks flips until that is known.
    Orphaned,
}

impl GuardState {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Ending => "ending",
            Self::Orphaned => "orphaned",
        }
    }
}

/// A lease that is out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuardStatus {
    /// Its number.
    pub id: GuardId,
    /// Whether its job shows itself.
    pub state: GuardState,
    /// The sites it is for.
    pub sites: Vec<GrantedMove>,
    /// What its job is called.
    pub job: String,
    /// The host that it runs on.
    pub host: String,
    /// The first process there; `None` until it is about to run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<i32>,
    /// Who runs it.
    pub who: Who,
    /// When it was granted.
    pub since: Timestamp,
    /// What becomes of it at a planned flip.
    pub on_flip: OnFlip,
}

impl GuardStatus {
    /// Tells whether it is for a site.
    pub fn is_for(&self, site: &SiteName) -> bool {
        self.sites.iter().any(|bound| bound.site == *site)
    }

    pub(super) fn of(id: GuardId, out: &Out) -> Self {
        let lease = out.lease.clone();
        Self {
            id,
            state: match (out.is_orphaned, out.is_told_to_end()) {
                (true, _) => GuardState::Orphaned,
                (false, true) => GuardState::Ending,
                (false, false) => GuardState::Held,
            },
            sites: lease.sites,
            job: lease.job,
            host: lease.host,
            process: lease.child.map(|child| child.process),
            who: lease.who,
            since: lease.granted,
            on_flip: lease.on_flip,
        }
    }
}

/// Every lease that is out.
#[derive(Debug, Default)]
pub struct Shown(Mutex<Vec<GuardStatus>>);

impl Shown {
    /// Lists them, the oldest first.
    pub fn all(&self) -> Vec<GuardStatus> {
        self.lock().clone()
    }

    pub(super) fn show(&self, all: Vec<GuardStatus>) {
        *self.lock() = all;
    }

    fn lock(&self) -> MutexGuard<'_, Vec<GuardStatus>> {
        // Each change is whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
