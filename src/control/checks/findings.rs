//! Findings: what the checks found last, for whoever wants to show it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::site::{SideName, SiteName};

/// What one check found on one side.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckStatus {
    /// The check.
    pub name: String,
    /// Whether it passed the last time; `None` until it was made once.
    pub ok: Option<bool>,
    /// Since when that is so.
    pub since: Option<Timestamp>,
    /// When it was made last.
    pub last_run: Option<Timestamp>,
    /// Why it failed; `None` when it did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub words: Option<String>,
    /// It was made last so long ago that it says nothing of now.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stale: bool,
}

/// What the checks of a site found on one side.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SideChecks {
    /// The side.
    pub side: SideName,
    /// Each check, in the order of the file.
    pub checks: Vec<CheckStatus>,
}

/// The results of all rounds; a site without checks is not among them.
#[derive(Debug, Default)]
pub struct Findings {
    sites: Mutex<BTreeMap<SiteName, Kept>>,
    in_flight: AtomicUsize,
}

#[derive(Debug)]
struct Kept {
    sides: Vec<SideChecks>,
    /// After how long a result says nothing any more.
    stale_after: SignedDuration,
}

/// What a result changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// It passes or fails as it did, or passes for the first time.
    None,
    /// It fails, and did not.
    Fails,
    /// It passes, and did not.
    PassesAgain,
}

impl Findings {
    /// Shows the results of every site that has checks.
    pub fn all(&self) -> BTreeMap<SiteName, Vec<SideChecks>> {
        let now = Timestamp::now();
        let sites = self.lock();
        let each = sites.iter();
        each.map(|(site, kept)| (site.clone(), kept.shown(now)))
            .collect()
    }

    /// Counts the rounds that are under way.
    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Counts a round that is under way, until what is returned is dropped.
    pub(super) fn begin(&self) -> InFlight<'_> {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        InFlight(&self.in_flight)
    }

    /// Lists what is shown of a site, in the place of what was.
    pub(super) fn put(&self, site: SiteName, sides: Vec<SideChecks>, stale_after: Duration) {
        let stale_after = SignedDuration::try_from(stale_after).unwrap_or(SignedDuration::MAX);
        self.lock().insert(site, Kept { sides, stale_after });
    }

    /// Forgets a site.
    pub(super) fn remove(&self, site: &SiteName) {
        self.lock().remove(site);
    }

    /// Shows what was found last; `None` when there is no such check.
    pub(super) fn find(
        &self,
        site: &SiteName,
        side: &SideName,
        check: &str,
    ) -> Option<CheckStatus> {
        let sites = self.lock();
        let sides = &sites.get(site)?.sides;
        let on_side = sides.iter().find(|shown| shown.side == *side)?;
        let mut checks = on_side.checks.iter();
        checks.find(|shown| shown.name == check).cloned()
    }

    /// Notes a result, and tells what it changed.
    pub(super) fn note(
        &self,
        (site, side, check): (&SiteName, &SideName, &str),
        result: Result<(), String>,
        now: Timestamp,
    ) -> Change {
        let mut sites = self.lock();
        let sides = sites
            .get_mut(site)
            .into_iter()
            .flat_map(|kept| &mut kept.sides);
        let mut checks = sides
            .filter(|shown| shown.side == *side)
            .flat_map(|shown| &mut shown.checks);
        let Some(shown) = checks.find(|shown| shown.name == check) else {
            return Change::None;
        };
        let before = shown.ok.replace(result.is_ok());
        if before != shown.ok {
            shown.since = Some(now);
        }
        shown.last_run = Some(now);
        shown.words = result.err();
        match (before, shown.ok) {
            (None | Some(true), Some(false)) => Change::Fails,
            (Some(false), Some(true)) => Change::PassesAgain,
            (_, _) => Change::None,
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<SiteName, Kept>> {
        self.sites.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn shown(&self, now: Timestamp) -> Vec<SideChecks> {
        let mut sides = self.sides.clone();
        for shown in sides.iter_mut().flat_map(|side| &mut side.checks) {
            let is_old = |last: Timestamp| now.duration_since(last) > self.stale_after;
            shown.stale = shown.last_run.is_some_and(is_old);
        }
        sides
    }
}

/// A round that is under way.
#[derive(Debug)]
pub(super) struct InFlight<'f>(&'f AtomicUsize);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl CheckStatus {
    /// Shows a check that was not made yet.
    pub(super) fn unknown(name: &str) -> Self {
        Self {
            name: name.into(),
            ok: None,
            since: None,
            last_run: None,
            words: None,
            stale: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_is_news_when_it_is_another_and_stale_when_it_is_old() {
        let findings = Findings::default();
        let (site, side) = (SiteName::new("ispot"), SideName::new("live"));
        let sides = vec![SideChecks {
            side: side.clone(),
            checks: vec![CheckStatus::unknown("quiz")],
        }];
        findings.put(site.clone(), sides, Duration::from_secs(30));
        let at = |second| Timestamp::from_second(second).expect("a time");
        let note = |result: Result<(), &str>, second| {
            let result = result.map_err(str::to_owned);
            findings.note((&site, &side, "quiz"), result, at(second))
        };

        assert_eq!(note(Ok(()), 1), Change::None);
        assert_eq!(note(Err("500"), 2), Change::Fails);
        assert_eq!(note(Err("502"), 3), Change::None);
        let shown = findings.find(&site, &side, "quiz").expect("it is there");
        assert_eq!((shown.since, shown.last_run), (Some(at(2)), Some(at(3))));
        assert_eq!(shown.words.as_deref(), Some("502"));
        assert!(findings.all()[&site][0].checks[0].stale, "it is of 1970");
        assert_eq!(note(Ok(()), 4), Change::PassesAgain);
        let shown = findings.find(&site, &side, "quiz").expect("it is there");
        assert_eq!((shown.ok, shown.words), (Some(true), None));
        let other = findings.note((&site, &side, "other"), Ok(()), at(5));
        assert_eq!(other, Change::None);
    }
}
