//! What must be true of the records of both sides, whatever users were given meanwhile.

use std::collections::BTreeSet;

use crate::support::origin::{Origin, Seen};
use crate::support::records::{Span, overlaps, users};
use crate::support::stage::Stage;

use super::tally::Tally;
use super::{Rest, photos};

pub(super) fn assert_one_side(stage: &Stage, during: &str, rests: &[Rest]) {
    let (live, backup) = (users(&stage.live), users(&stage.backup));
    let enough = 50 * rests.len();
    assert!(
        live.len() > enough && backup.len() > enough,
        "{during}: too little load to show anything"
    );
    for rest in rests {
        let old = if rest.side == "backup" {
            &live
        } else {
            &backup
        };
        let span = rest.acknowledged..rest.next_flip;
        let stale = old.iter().filter(|seen| span.contains(&seen.began)).count();
        assert_eq!(
            stale, 0,
            "{during}: {} was acknowledged, the old side reached",
            rest.side
        );
    }
    // What goes through a tunnel is looked at from its other end.
    let requests = |seen: &[Seen]| {
        let all = seen.iter().filter(|seen| seen.path != "/upgrade");
        all.map(|seen| (seen.began, seen.ended.unwrap()))
            .collect::<Vec<Span>>()
    };
    let both = overlaps(&requests(&live), &requests(&backup));
    assert_eq!(both, 0, "{during}: both sides in work at once");
    for never in ["stale_epoch_requests", "lane_closed_twice"] {
        let line = format!("pointsman_{never}_total{{site=\"ispot\"}}");
        let count = stage.place.metric(&line).unwrap_or(0.0);
        assert!(count == 0.0, "{during}: {never} {count}");
    }
}

/// Every write that was answered is at one side, once; one that was refused is at none.
pub(super) fn assert_nothing_lost(stage: &Stage, during: &str, tally: &Tally) {
    let sides = [&stage.live, &stage.backup];
    let of_side = |side: &&Origin| [side.observations(), photos::kept(&users(side))].concat();
    let kept: Vec<String> = sides.iter().flat_map(of_side).collect();
    let once: BTreeSet<String> = kept.iter().cloned().collect();
    assert_eq!(kept.len(), once.len(), "{during}: a write arrived twice");
    let written = tally.written.lock().unwrap();
    let lost: Vec<_> = written.difference(&once).collect();
    assert!(
        lost.is_empty(),
        "{during}: answered, at neither side: {lost:?}"
    );
    let refused = tally.refused.lock().unwrap();
    let taken: Vec<_> = refused.intersection(&once).collect();
    assert!(taken.is_empty(), "{during}: refused and taken: {taken:?}");
}

/// Tells when too few requests of a kind were answered to show anything.
pub(super) fn assert_enough(tally: &Tally, flips: usize) {
    let written = tally.written.lock().unwrap();
    for kind in ["photo", "fresh", "h2"] {
        let count = written.iter().filter(|id| id.starts_with(kind)).count();
        assert!(
            count >= flips,
            "{kind}: only {count} written over {flips} flips"
        );
    }
}
