//! The lanes that the last flips closed: whether they stayed so.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::site::{FlipId, SiteName};
use crate::switchboard::Lane;

use super::running::Running;

/// How many flips keep an eye on the lanes that they closed.
const FLIPS_KEPT: usize = 32;

/// The closed lanes of the last flips.
#[derive(Debug, Default)]
pub(super) struct ClosedLanes(VecDeque<(FlipId, Vec<ClosedLane>)>);

#[derive(Debug)]
struct ClosedLane {
    lane: Arc<Lane>,
    /// What it had forwarded when it was closed.
    forwarded: u64,
}

impl ClosedLanes {
    /// Keeps the lanes that a flip has just closed; the oldest are forgotten for them.
    pub(super) fn keep(&mut self, running: &Running) {
        let lanes = running.moves.iter().filter_map(|moving| {
            Some(ClosedLane {
                lane: Arc::clone(&moving.lane),
                forwarded: moving.closed?.forwarded,
            })
        });
        if self.0.len() == FLIPS_KEPT {
            self.0.pop_front();
        }
        self.0.push_back((running.id, lanes.collect()));
    }

    /// Counts what was forwarded on the lane of a site after a flip had closed it; `None` when
    /// nobody watches it any more.
    pub(super) fn late(&self, flip: FlipId, site: &SiteName) -> Option<u64> {
        let (_, lanes) = self.0.iter().find(|(id, _)| *id == flip)?;
        let closed = lanes.iter().find(|closed| closed.lane.site == *site)?;
        Some(closed.lane.gates.forwarded().0 - closed.forwarded)
    }
}
