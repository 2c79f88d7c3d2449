//! The book of a site: what each side has taken, how far that was copied to each other, which side
//! is torn. Pure: time is an argument, and nothing is written here.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::site::{FlipId, GuardId, SideName};
use crate::switchboard::{Batch, Paths};

/// How many stretches are told apart; a copy that succeeds leaves one or two.
const STRETCHES_MAX: usize = 8;

/// What is known of the data of a site.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Book {
    sides: BTreeMap<SideName, Taken>,
    /// Sides onto which a copy was begun that has not succeeded.
    torn: BTreeMap<SideName, Torn>,
    /// Copies that run.
    copies: Vec<Copy>,
    /// When the last copy onto a side ended, however that was.
    #[serde(default)]
    ended: BTreeMap<SideName, Timestamp>,
}

/// What a side has taken.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Taken {
    /// Writes, since the site is known.
    writes: u64,
    /// Writes may have been sent that are not counted here yet.
    is_open: bool,
    /// How often the daemon was killed while that was so: each time some may be missing.
    losses: u32,
    /// Per other side, what its last copy has brought there.
    copied: BTreeMap<SideName, Mark>,
    /// When the first of all was sent, in milliseconds since the Unix epoch.
    first_ms: u64,
    /// The writes in the order in which they came, cut where copies have begun, without those that
    /// every copy has brought.
    stretches: Vec<Stretch>,
    /// The next write begins another stretch.
    is_cut: bool,
}

/// A point in what a side has taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Mark {
    writes: u64,
    losses: u32,
    /// Some of these may have come after it: an origin was still at work on what was given up.
    #[serde(default)]
    is_unsure: bool,
}

/// Writes between two beginnings of copies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Stretch {
    /// The writes up to its end.
    until: u64,
    first_ms: u64,
    last_ms: u64,
    paths: Paths,
}

/// A copy that was begun onto a side and has not succeeded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Torn {
    /// The side that was copied.
    pub from: SideName,
    /// What copied it, in words.
    pub job: String,
    /// When it was begun.
    pub since: Timestamp,
}

/// What makes a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Copier {
    /// The `sync` hooks of a flip.
    Flip(FlipId),
    /// A guarded job.
    Guard(GuardId),
}

/// What of the writes that a side has taken may not be in a copy that begins now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Unsure {
    /// Writes that are at its origins.
    pub(super) writes: u64,
    /// There may be more.
    pub(super) more: bool,
}

/// What a copy does to what its target has taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Manner {
    /// It is lost.
    Overwrites,
    /// It is kept, and what is copied is added to it.
    Merges,
}

/// A copy that runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Copy {
    by: Copier,
    from: SideName,
    to: SideName,
    manner: Manner,
    /// What `from` had taken when it was begun.
    began: Mark,
    /// What `from` had by then of what other sides took.
    #[serde(default)]
    had: BTreeMap<SideName, Mark>,
    /// Why its target was torn before.
    torn_before: Option<Torn>,
}

/// What copies were made onto a side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::control) struct CopyOnto {
    /// One runs.
    pub(in crate::control) runs: bool,
    /// When the last one ended; `None` when none is known of.
    pub(in crate::control) ended: Option<Timestamp>,
}

impl CopyOnto {
    /// Tells whether copies of this side are made so that they are known of.
    pub(in crate::control) fn is_known(self) -> bool {
        self.runs || self.ended.is_some()
    }

    /// Tells whether one has run since then, or runs.
    pub(in crate::control) fn has_run_since(self, then: Timestamp) -> bool {
        self.runs || self.ended.is_some_and(|ended| ended >= then)
    }
}

/// Writes that one side has and another has not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Uncopied {
    /// The side that took them.
    pub from: SideName,
    /// The side that lacks them.
    pub to: SideName,
    /// How many.
    pub writes: u64,
    /// There may be more: the daemon was killed since.
    pub at_least: bool,
    /// When the first was sent, as far as that is known.
    pub first: Option<Timestamp>,
    /// When the last was.
    pub last: Option<Timestamp>,
    /// Where most of them went.
    pub paths: Vec<(String, u64)>,
}

impl Book {
    /// Takes in what a side has taken.
    pub(super) fn took(&mut self, side: &SideName, batch: &Batch) {
        if batch.writes == 0 {
            return;
        }
        let taken = self.sides.entry(side.clone()).or_default();
        if taken.writes == 0 {
            taken.first_ms = batch.first_ms;
        }
        taken.writes += batch.writes;
        let until = taken.writes;
        let begins = std::mem::take(&mut taken.is_cut);
        match taken.stretches.last_mut().filter(|_| !begins) {
            Some(last) => {
                last.until = until;
                last.last_ms = batch.last_ms;
                last.paths.join(&batch.paths);
            }
            None => taken.stretches.push(Stretch {
                until,
                first_ms: batch.first_ms,
                last_ms: batch.last_ms,
                paths: batch.paths.clone(),
            }),
        }
        taken.bound();
    }

    /// Notes that a side may take writes that are not counted at once; tells whether that is new.
    pub(super) fn open(&mut self, side: &SideName) -> bool {
        let taken = self.sides.entry(side.clone()).or_default();
        !std::mem::replace(&mut taken.is_open, true)
    }

    /// Notes that all that a side took is counted, and that it takes no more without a word.
    pub(super) fn close(&mut self, side: &SideName) {
        if let Some(taken) = self.sides.get_mut(side) {
            taken.is_open = false;
        }
    }

    /// Finds what one side has taken that another lacks; `None` when it lacks nothing.
    pub(crate) fn uncopied(&self, from: &SideName, to: &SideName) -> Option<Uncopied> {
        let taken = self.sides.get(from)?;
        let copied = taken.copied.get(to).copied().unwrap_or_default();
        let at_least = taken.losses > copied.losses || copied.is_unsure;
        let counted = taken.writes.saturating_sub(copied.writes);
        let writes = counted.max(u64::from(at_least));
        if writes == 0 {
            return None;
        }
        let stretches = taken.stretches.iter();
        let mut missing = stretches.filter(|stretch| stretch.until > copied.writes);
        let mut paths = Paths::default();
        missing
            .clone()
            .for_each(|stretch| paths.join(&stretch.paths));
        let first_ms = missing.clone().next().map(|stretch| stretch.first_ms);
        let first_ms = if copied.writes == 0 && taken.writes > 0 {
            Some(taken.first_ms)
        } else {
            first_ms
        };
        let last_ms = missing.next_back().map(|stretch| stretch.last_ms);
        Some(Uncopied {
            from: from.clone(),
            to: to.clone(),
            writes,
            at_least,
            first: first_ms.and_then(moment),
            last: last_ms.and_then(moment),
            paths: paths.busiest(),
        })
    }

    /// Shows why a side is torn; `None` when it is whole.
    pub(crate) fn torn(&self, side: &SideName) -> Option<&Torn> {
        self.torn.get(side)
    }

    /// Shows why a side is torn, apart from a guarded job that copies onto it: one that runs may
    /// yet succeed.
    pub(super) fn torn_before_jobs(&self, side: &SideName) -> Option<&Torn> {
        let is_of_job = |copy: &&Copy| copy.to == *side && matches!(copy.by, Copier::Guard(_));
        match self.copies.iter().find(is_of_job) {
            Some(copy) => copy.torn_before.as_ref(),
            None => self.torn(side),
        }
    }

    /// Shows what copies were made onto a side.
    pub(super) fn onto(&self, side: &SideName) -> CopyOnto {
        CopyOnto {
            runs: self.copies.iter().any(|copy| copy.to == *side),
            ended: self.ended.get(side).copied(),
        }
    }

    /// Tells whether somebody makes a copy.
    pub(super) fn copies_by(&self, by: Copier) -> bool {
        self.copies.iter().any(|copy| copy.by == by)
    }

    /// Begins a copy: until it has succeeded, its target is torn.
    pub(super) fn begin_copy(
        &mut self,
        by: Copier,
        (from, to): (&SideName, &SideName),
        manner: Manner,
        torn: Torn,
        unsure: Unsure,
    ) {
        let taken = self.sides.entry(from.clone()).or_default();
        let mut began = taken.mark();
        began.writes = began.writes.saturating_sub(unsure.writes);
        began.is_unsure = unsure.more;
        taken.is_cut = true;
        let others = self.sides.iter().filter(|(side, _)| *side != to);
        let had = others.filter_map(|(side, taken)| Some((side.clone(), *taken.copied.get(from)?)));
        let had = had.collect();
        let torn_before = self.torn.insert(to.clone(), torn);
        self.copies.push(Copy {
            had,
            torn_before,
            by,
            from: from.clone(),
            to: to.clone(),
            manner,
            began,
        });
    }

    /// Ends the copy that somebody made; one that did not succeed leaves its target torn.
    pub(super) fn end_copy(&mut self, by: Copier, succeeded: bool, now: Timestamp) {
        let ended = self.copies.extract_if(.., |copy| copy.by == by);
        for copy in ended.collect::<Vec<_>>() {
            self.ended.insert(copy.to.clone(), now);
            if !succeeded {
                continue;
            }
            self.torn.remove(&copy.to);
            let from = self.sides.entry(copy.from.clone()).or_default();
            from.copied.insert(copy.to.clone(), copy.began);
            from.forget();
            self.bring(&copy);
        }
    }

    /// Notes what a copy has made of its target: it has what its source had of other sides, and, if
    /// it was overwritten, no more than that, and nothing of its own.
    fn bring(&mut self, copy: &Copy) {
        let is_other = |side: &SideName| *side != copy.from && *side != copy.to;
        let others: Vec<_> = self
            .sides
            .keys()
            .filter(|side| is_other(side))
            .cloned()
            .collect();
        for (side, taken) in self.sides.iter_mut().filter(|(side, _)| is_other(side)) {
            let brought = copy.had.get(side).copied().unwrap_or_default();
            let mark = taken.copied.entry(copy.to.clone()).or_default();
            *mark = match copy.manner {
                Manner::Overwrites => brought,
                Manner::Merges => brought.max(*mark),
            };
            taken.forget();
        }
        if copy.manner == Manner::Overwrites
            && let Some(overwritten) = self.sides.get_mut(&copy.to)
        {
            let all = overwritten.mark();
            for side in others.into_iter().chain([copy.from.clone()]) {
                overwritten.copied.insert(side, all);
            }
            overwritten.forget();
        }
    }

    /// Takes back that somebody began a copy: nothing of it was done.
    pub(super) fn drop_copy(&mut self, by: Copier) {
        let dropped = self.copies.extract_if(.., |copy| copy.by == by);
        for copy in dropped.collect::<Vec<_>>() {
            match copy.torn_before {
                Some(torn) => self.torn.insert(copy.to, torn),
                None => self.torn.remove(&copy.to),
            };
        }
    }

    /// Takes up what a daemon has left: one that was killed, and did not close what was open, may
    /// have sent more than it counted; and the copies that it made are not whole.
    ///
    /// Jobs whose leases are `held` may have gone on.
    pub(super) fn take_up(&mut self, held: &BTreeSet<GuardId>) {
        self.copies.retain(|copy| match copy.by {
            Copier::Flip(_) => false,
            Copier::Guard(id) => held.contains(&id),
        });
        for taken in self.sides.values_mut() {
            taken.losses += u32::from(std::mem::take(&mut taken.is_open));
        }
    }

    /// Lists the sides that are torn.
    pub(crate) fn all_torn(&self) -> &BTreeMap<SideName, Torn> {
        &self.torn
    }

    /// Lists what every side has that another lacks.
    pub(crate) fn all_uncopied(&self, sides: &[SideName]) -> Vec<Uncopied> {
        let pairs = sides
            .iter()
            .flat_map(|from| sides.iter().map(move |to| (from, to)));
        let pairs = pairs.filter(|(from, to)| from != to);
        pairs
            .filter_map(|(from, to)| self.uncopied(from, to))
            .collect()
    }
}

fn moment(ms: u64) -> Option<Timestamp> {
    Timestamp::from_millisecond(i64::try_from(ms).ok()?).ok()
}

impl Taken {
    fn mark(&self) -> Mark {
        Mark {
            writes: self.writes,
            losses: self.losses,
            is_unsure: false,
        }
    }

    /// Forgets the stretches that every copy has brought.
    fn forget(&mut self) {
        let all_have = self.copied.values().map(|mark| mark.writes).min();
        let all_have = all_have.unwrap_or(0);
        self.stretches.retain(|stretch| stretch.until > all_have);
    }

    /// Joins the oldest stretches when there are too many: of copies that all fail.
    fn bound(&mut self) {
        while self.stretches.len() > STRETCHES_MAX {
            let oldest = self.stretches.remove(0);
            if let Some(next) = self.stretches.first_mut() {
                next.first_ms = oldest.first_ms;
                next.paths.join(&oldest.paths);
            }
        }
    }
}

#[cfg(test)]
#[path = "book_tests.rs"]
mod tests;
