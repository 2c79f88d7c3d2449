//! One lease: who holds it, for what, and whether its job still shows itself. Pure: time is an
//! argument.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::processes::Leader;
use crate::site::{GuardId, OnFlip, SiteName, Who};

use super::ask::{GrantedMove, Order};

/// How long a lease is held without being renewed; then its job may be gone, or cut off.
pub(super) const HELD_FOR: Duration = Duration::from_secs(10);

/// What the journal has of a lease.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Lease {
    pub(super) sites: Vec<GrantedMove>,
    pub(super) job: String,
    pub(super) who: Who,
    pub(super) host: String,
    pub(super) key: String,
    pub(super) on_flip: OnFlip,
    pub(super) granted: Timestamp,
    /// The first process of its job; `None` until that is about to run.
    pub(super) child: Option<Leader>,
    /// That process was seen on this machine, so that it can be looked for here.
    pub(super) is_near: bool,
}

/// A lease that is out.
#[derive(Clone, Debug)]
pub(super) struct Out {
    pub(super) lease: Lease,
    /// When its job was last heard.
    renewed: Instant,
    /// Its job is told to end, and then has so long.
    told_to_end: Option<Duration>,
    /// It was said that it is an orphan.
    pub(super) is_orphaned: bool,
    /// Somebody looks for its processes.
    pub(super) is_looked_for: bool,
}

impl Lease {
    /// Tells whether a site is among its own.
    pub(super) fn is_for(&self, site: &SiteName) -> bool {
        self.sites.iter().any(|bound| bound.site == *site)
    }

    /// Lists the sites that its job copies.
    pub(super) fn copied_sites(&self) -> Vec<SiteName> {
        let copied = self.sites.iter().filter(|bound| bound.to.is_some());
        copied.map(|bound| bound.site.clone()).collect()
    }

    /// Names it in a message.
    pub(super) fn named(&self, id: GuardId) -> String {
        let Self { job, host, who, .. } = self;
        format!("guard {id} ({job}; {} on {host})", who.name)
    }
}

impl Out {
    /// Takes one that was just granted, or that a daemon before this one has granted.
    pub(super) fn new(lease: Lease, now: Instant) -> Self {
        Self {
            lease,
            renewed: now,
            told_to_end: None,
            is_orphaned: false,
            is_looked_for: false,
        }
    }

    /// Notes that its job shows itself; tells whether it was an orphan.
    pub(super) fn renew(&mut self, now: Instant) -> bool {
        self.renewed = now;
        std::mem::take(&mut self.is_orphaned)
    }

    /// Tells whether its job has not shown itself for too long.
    pub(super) fn has_expired(&self, now: Instant) -> bool {
        now.duration_since(self.renewed) >= HELD_FOR
    }

    /// Has its job end; a shorter grace goes before a longer one.
    pub(super) fn tell_to_end(&mut self, grace: Duration) {
        let before = self.told_to_end.unwrap_or(Duration::MAX);
        self.told_to_end = Some(before.min(grace));
    }

    /// Tells whether its job was told to end.
    pub(super) fn is_told_to_end(&self) -> bool {
        self.told_to_end.is_some()
    }

    /// What its job is to do.
    pub(super) fn order(&self) -> Order {
        match self.told_to_end {
            None => Order::GoOn,
            Some(grace) => Order::End {
                grace_ms: u64::try_from(grace.as_millis()).unwrap_or(u64::MAX),
            },
        }
    }
}
