//! The lanes that the last flips closed: whether they stayed so.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::site::{FlipId, SiteName};
use crate::switchboard::Lane;
use crate::zone::AnswerLease;

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
    /// What its direct names gave out, and how often they had when every worker had turned.
    answers: Option<(Arc<AnswerLease>, u64)>,
}

/// What came after a lane was closed; anything but 0 is a mistake of this program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Late {
    /// Requests that were forwarded on it.
    pub(super) requests: u64,
    /// DNS answers that gave out an address of its side.
    pub(super) answers: u64,
}

impl ClosedLanes {
    /// Keeps the lanes that a flip has closed, once every worker has turned; the oldest are
    /// forgotten for them.
    pub(super) fn keep(&mut self, running: &Running) {
        let lanes = running.moves.iter().filter_map(|moving| {
            Some(ClosedLane {
                lane: Arc::clone(&moving.lane),
                forwarded: moving.closed?.forwarded,
                answers: moving
                    .lease
                    .as_ref()
                    .map(|lease| (Arc::clone(lease), lease.given().0)),
            })
        });
        if self.0.len() == FLIPS_KEPT {
            self.0.pop_front();
        }
        self.0.push_back((running.id, lanes.collect()));
    }

    /// Counts what came after a flip had closed the lane of a site; `None` when nobody watches it
    /// any more.
    pub(super) fn late(&self, flip: FlipId, site: &SiteName) -> Option<Late> {
        let (_, lanes) = self.0.iter().find(|(id, _)| *id == flip)?;
        let closed = lanes.iter().find(|closed| closed.lane.site == *site)?;
        let answers = closed.answers.as_ref();
        Some(Late {
            requests: closed.lane.gates.forwarded().0 - closed.forwarded,
            answers: answers.map_or(0, |(lease, had)| lease.given().0 - had),
        })
    }
}
