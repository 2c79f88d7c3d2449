//! When a marker says that a standby was written to by somebody else. Pure: time is an argument.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::site::{Epoch, SideName};

use super::super::copies::CopyOnto;
use super::marker::Marker;

/// What the sides of a site that do not serve had.
#[derive(Debug, Default)]
pub(super) struct Standbys {
    /// The active side, and its epoch, for which the rest counts.
    active: Option<(SideName, Epoch)>,
    /// Another was active before: whatever a side was left with, it may have taken while it served.
    has_moved: bool,
    /// What a side was left with, or less when it has had less since.
    left_with: BTreeMap<SideName, Marker>,
    /// What was read of each before, and when.
    before: BTreeMap<SideName, (Marker, Timestamp)>,
    /// Those whose marker has moved by itself, how, and when.
    moved: BTreeMap<SideName, (String, Timestamp)>,
}

/// What was read of one side.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen<'m> {
    pub(super) side: &'m SideName,
    pub(super) marker: &'m Marker,
    pub(super) at: Timestamp,
    /// What copies of this site have been made onto it.
    pub(super) copies: CopyOnto,
    /// It has taken writes through Pointsman, when it served, that the active side lacks.
    pub(super) has_more: bool,
}

impl Standbys {
    /// Begins anew when another side is active, or the same one again after another.
    pub(super) fn of(&mut self, active: &(SideName, Epoch)) -> &mut Self {
        if self.active.as_ref() != Some(active) {
            *self = Self {
                has_moved: self.active.is_some(),
                active: Some(active.clone()),
                ..Self::default()
            };
        }
        self
    }

    /// Notes what was read while nobody is to be judged: a flip is under way.
    pub(super) fn pass_over(&mut self, seen: Seen<'_>) {
        self.note_least(seen);
        let last = (seen.marker.clone(), seen.at);
        self.before.insert(seen.side.clone(), last);
    }

    /// Tells how a side contradicts that it takes no writes; `None` when it does not.
    ///
    /// It has something newer than the active side, read after it, has, and newer than what it was
    /// left with: no copy brings that. Or, where copies are known of, it has something else than
    /// before, and no copy has run since.
    pub(super) fn judge(&mut self, seen: Seen<'_>, active: &Marker) -> Option<String> {
        let Seen {
            side,
            marker,
            at,
            copies,
            has_more: _,
        } = seen;
        self.note_least(seen);
        let before = self.before.insert(side.clone(), (marker.clone(), at));
        if let Some((was, since)) = &before
            && was != marker
            && copies.is_known()
            && !copies.has_run_since(*since)
        {
            let how = format!("its marker went from {was} to {marker}, and no copy has run");
            self.moved.insert(side.clone(), (how, at));
        }
        // A whole copy has put that right.
        let is_over = |(_, when): &(String, Timestamp)| copies.has_run_since(*when);
        if self.moved.get(side).is_some_and(is_over) && !copies.runs {
            self.moved.remove(side);
        }
        let was_left = self.left_with.get(side).is_some_and(|left| left == marker);
        if active.is_older_than(marker) && !was_left {
            return Some(format!(
                "its marker is {marker}, and the active side has {active}"
            ));
        }
        self.moved.get(side).map(|(how, _)| how.clone())
    }

    /// Keeps the least that a side has had since it was left. A flip to a side that lags leaves one
    /// that is ahead; nobody else wrote there. After a start the counted writes tell the same.
    fn note_least(&mut self, seen: Seen<'_>) {
        let Seen { side, marker, .. } = seen;
        match self.left_with.get_mut(side) {
            Some(least) if marker.is_older_than(least) => *least = marker.clone(),
            Some(_) => {}
            None if self.has_moved || seen.has_more => {
                self.left_with.insert(side.clone(), marker.clone());
            }
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("a time")
    }

    /// Judges numbers read of backup while live has 100; copies as given.
    fn judged(reads: &[(i64, i128, CopyOnto)]) -> Vec<bool> {
        let (live, backup) = (SideName::new("live"), SideName::new("backup"));
        let mut standbys = Standbys::default();
        let each = reads.iter().map(|(second, number, copies)| {
            let marker = Marker::Number(*number);
            let seen = Seen {
                side: &backup,
                marker: &marker,
                at: at(*second),
                copies: *copies,
                has_more: false,
            };
            let found = standbys.of(&(live.clone(), Epoch(1)));
            found.judge(seen, &Marker::Number(100)).is_some()
        });
        each.collect()
    }

    /// Judges numbers read of live, which was left for backup with 100 there: as a process that saw
    /// it move, or as one that began after that.
    fn judged_left(saw_it_move: bool, has_more: bool, reads: &[i128]) -> Vec<bool> {
        let (live, backup) = (SideName::new("live"), SideName::new("backup"));
        let mut standbys = Standbys::default();
        if saw_it_move {
            standbys.of(&(live.clone(), Epoch(1)));
        }
        let each = reads.iter().zip(1..).map(|(number, second)| {
            let marker = Marker::Number(*number);
            let seen = Seen {
                side: &live,
                marker: &marker,
                at: at(second),
                copies: NONE,
                has_more,
            };
            let found = standbys.of(&(backup.clone(), Epoch(2)));
            found.judge(seen, &Marker::Number(100)).is_some()
        });
        each.collect()
    }

    #[test]
    fn what_a_side_was_left_with_is_no_write_of_somebody_else_and_what_comes_after_is() {
        for (saw_it_move, has_more) in [(true, false), (true, true), (false, true)] {
            let judged = |reads: &[i128]| judged_left(saw_it_move, has_more, reads);
            assert_eq!(judged(&[120, 120, 121, 120]), [false, false, true, false]);
            // A copy has made it as old as the active side, and what it had counts no more.
            assert_eq!(judged(&[120, 100, 101, 120]), [false, false, true, true]);
            // It was behind when it was left.
            assert_eq!(judged(&[90, 101]), [false, true]);
        }
        // It never served, as far as is known.
        assert_eq!(judged_left(false, false, &[120]), [true]);
    }

    const NONE: CopyOnto = CopyOnto {
        runs: false,
        ended: None,
    };

    fn ended(second: i64) -> CopyOnto {
        CopyOnto {
            ended: Some(at(second)),
            ..NONE
        }
    }

    #[test]
    fn what_is_newer_than_the_active_side_was_written_there() {
        assert_eq!(
            judged(&[(1, 90, NONE), (2, 101, NONE), (3, 100, NONE)]),
            [false, true, false]
        );
    }

    #[test]
    fn what_moves_without_a_copy_was_written_there_until_the_next_copy() {
        let reads = [
            (10, 90, ended(5)),
            (20, 90, ended(5)),
            (30, 91, ended(5)),
            (40, 91, ended(5)),
            (50, 99, ended(45)),
        ];
        assert_eq!(judged(&reads), [false, false, true, true, false]);
    }

    #[test]
    fn what_a_copy_moves_is_no_contradiction_nor_what_nobody_copies_by_us() {
        let runs = CopyOnto {
            runs: true,
            ended: Some(at(5)),
        };
        let reads = [(10, 90, ended(5)), (20, 95, runs), (30, 99, ended(25))];
        assert_eq!(judged(&reads), [false, false, false]);
        // A replication, of which nothing is known.
        let reads = [(10, 90, NONE), (20, 95, NONE)];
        assert_eq!(judged(&reads), [false, false]);
    }
}
