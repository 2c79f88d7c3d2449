//! Waiting at a held gate: bounded in number by the site's places, in time by its patience.

use std::sync::Arc;

use tokio::time::{Instant, timeout_at};

use crate::switchboard::{Gates, Kind};
use crate::table::FlipPolicy;

/// Why a request left the hold without going on; its word is the metric's label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Evicted {
    /// Every place was taken.
    Full,
    /// It waited as long as the site allows.
    Timeout,
}

impl Evicted {
    pub(super) fn reason(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Timeout => "timeout",
        }
    }
}

/// Waits until the gate is released or closed; `since` is when this request first waited.
///
/// # Errors
/// Why it may wait no longer.
///
/// # Cancel safety
/// Dropping the future (the client is gone) gives the place back.
pub(super) async fn wait(
    gates: &Arc<Gates>,
    kind: Kind,
    policy: &FlipPolicy,
    since: Instant,
) -> Result<(), Evicted> {
    let _place = gates
        .wait_place(policy.hold_requests)
        .ok_or(Evicted::Full)?;
    let opened = gates.of(kind).opened();
    timeout_at(since + policy.hold_for, opened)
        .await
        .map_err(|_| Evicted::Timeout)
}
