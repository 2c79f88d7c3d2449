//! What is counted, from the records of both origins and the times of the flips: pure, on one clock.
//!
//! `tests/it/flip_counts.rs` tries it on stories made by hand.

use std::time::Instant;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Live,
    Backup,
}

impl Side {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Backup => "backup",
        }
    }

    pub(crate) fn other(self) -> Self {
        match self {
            Self::Live => Self::Backup,
            Self::Backup => Self::Live,
        }
    }
}

/// One request, as the origin that worked on it saw it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Worked {
    pub(crate) side: Side,
    /// When its whole head was there.
    pub(crate) began: Instant,
    /// When its work was done, just before the answer was written.
    pub(crate) ended: Instant,
    /// When its connection was last seen open, if it was closed before the work was done. The work
    /// went on: most applications do not look.
    pub(crate) cut: Option<Instant>,
}

/// A time in which the old side should be left alone.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rest {
    pub(crate) old: Side,
    pub(crate) since: Instant,
    /// When the next flip was asked for.
    pub(crate) until: Instant,
}

/// When the work of a request counts as over, if its connection was cut.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Over {
    /// When it was over.
    AtItsEnd,
    /// When nobody waited for it any more: what an origin does that notices, and gives up at once.
    AtTheCut,
}

/// Counts the requests whose work began at the old side in its rest.
pub(crate) fn stale(requests: &[Worked], rests: &[Rest]) -> usize {
    let is_stale = |request: &&Worked| {
        rests.iter().any(|rest| {
            request.side == rest.old && rest.since < request.began && request.began < rest.until
        })
    };
    requests.iter().filter(is_stale).count()
}

/// Counts the requests that had begun at the old side before its rest, and went on into it.
pub(crate) fn still_in_work(requests: &[Worked], rests: &[Rest]) -> usize {
    let goes_on = |request: &&Worked| {
        rests.iter().any(|rest| {
            request.side == rest.old && request.began <= rest.since && rest.since < request.ended
        })
    };
    requests.iter().filter(goes_on).count()
}

/// Counts the requests in work at one side while any request was in work at the other: those whose
/// time from begin to end has an instant in common with that of a request of the other side. So
/// one long request at one side and three at the other are four.
pub(crate) fn double(requests: &[Worked], over: Over) -> usize {
    let of_side = |side: Side| requests.iter().filter(move |request| request.side == side);
    [Side::Live, Side::Backup]
        .into_iter()
        .map(|side| {
            let other = LatestEnds::of(of_side(side.other()), over);
            let meets = |request: &&Worked| other.meet(request.began, end(request, over));
            of_side(side).filter(meets).count()
        })
        .sum()
}

fn end(request: &Worked, over: Over) -> Instant {
    match over {
        Over::AtItsEnd => request.ended,
        Over::AtTheCut => request.cut.unwrap_or(request.ended),
    }
}

/// The requests of a side by their begin, each with the latest end of those up to it.
struct LatestEnds(Vec<(Instant, Instant)>);

impl LatestEnds {
    fn of<'r>(requests: impl Iterator<Item = &'r Worked>, over: Over) -> Self {
        let mut spans: Vec<_> = requests
            .map(|request| (request.began, end(request, over)))
            .collect();
        spans.sort();
        let mut latest = None;
        for (_, ended) in &mut spans {
            latest = latest.max(Some(*ended));
            *ended = latest.unwrap_or(*ended);
        }
        Self(spans)
    }

    /// Tells whether any of them has an instant in common with this time.
    fn meet(&self, began: Instant, ended: Instant) -> bool {
        let before = self.0.partition_point(|(other, _)| *other < ended);
        before > 0 && self.0[before - 1].1 > began
    }
}
