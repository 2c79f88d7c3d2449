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

/// What was seen of a closed lane.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) flip: FlipId,
    pub(super) site: SiteName,
    pub(super) late: Late,
}

impl ClosedLanes {
    /// Keeps the lanes that a flip has closed, once every worker has turned; the oldest are
    /// forgotten for them, and what was seen of those is to be journalled.
    pub(super) fn keep(&mut self, running: &Running) -> Vec<Seen> {
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
        let lanes = (running.id, lanes.collect());
        let forgotten = if self.0.len() == FLIPS_KEPT {
            self.0.pop_front()
        } else {
            None
        };
        self.0.push_back(lanes);
        forgotten.iter().flat_map(seen).collect()
    }

    /// Shows what was seen of all of them.
    pub(super) fn seen(&self) -> Vec<Seen> {
        self.0.iter().flat_map(seen).collect()
    }

    /// Counts what came after a flip had closed the lane of a site; `None` when nobody watches it
    /// any more.
    pub(super) fn late(&self, flip: FlipId, site: &SiteName) -> Option<Late> {
        let (_, lanes) = self.0.iter().find(|(id, _)| *id == flip)?;
        let closed = lanes.iter().find(|closed| closed.lane.site == *site)?;
        Some(closed.late())
    }
}

impl ClosedLane {
    fn late(&self) -> Late {
        let answers = self.answers.as_ref();
        Late {
            requests: self.lane.gates.forwarded().0 - self.forwarded,
            answers: answers.map_or(0, |(lease, had)| lease.given().0 - had),
        }
    }
}

fn seen((flip, lanes): &(FlipId, Vec<ClosedLane>)) -> impl Iterator<Item = Seen> {
    lanes.iter().map(|closed| Seen {
        flip: *flip,
        site: closed.lane.site.clone(),
        late: closed.late(),
    })
}
