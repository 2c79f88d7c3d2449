//! What is shown of copies: it changes with every write, and so is no part of the status.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::site::{SideName, SiteName};
use crate::table::Site;

use super::book::{Book, CopyOnto, Torn, Uncopied};

/// How many of the busiest paths are named to an operator.
const PATHS_SHOWN: usize = 3;

/// What the sides of one site have that others lack.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SiteCopies {
    /// All its sides; empty when it was never written to.
    #[serde(skip)]
    pub sides: Vec<SideName>,
    /// What copies were made onto each.
    #[serde(skip)]
    pub(in crate::control) onto: BTreeMap<SideName, CopyOnto>,
    /// Writes that a side has taken and another lacks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub uncopied: Vec<Uncopied>,
    /// Sides that are torn.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub torn: Vec<TornSide>,
}

impl SiteCopies {
    /// Lists each side with each other.
    pub fn pairs(&self) -> impl Iterator<Item = (&SideName, &SideName)> {
        let from = self.sides.iter();
        let pairs = from.flat_map(|from| self.sides.iter().map(move |to| (from, to)));
        pairs.filter(|(from, to)| from != to)
    }

    /// Shows what one side has taken that another lacks.
    pub fn lacks(&self, from: &SideName, to: &SideName) -> Option<&Uncopied> {
        let mut all = self.uncopied.iter();
        all.find(|found| found.from == *from && found.to == *to)
    }
}

/// A side onto which a copy was begun that has not succeeded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TornSide {
    /// The side.
    pub side: SideName,
    /// How it came to that.
    #[serde(flatten)]
    pub torn: Torn,
}

/// What was found last of every site that has anything to say; at most a second old.
#[derive(Debug, Default)]
pub struct Shown(Mutex<BTreeMap<SiteName, SiteCopies>>);

impl Shown {
    /// Shows one site.
    pub fn of(&self, site: &SiteName) -> SiteCopies {
        self.lock().get(site).cloned().unwrap_or_default()
    }

    /// Shows every site that has anything to say.
    pub fn all(&self) -> BTreeMap<SiteName, SiteCopies> {
        self.lock().clone()
    }

    /// Shows what copies were made onto a side; nothing is known where sides share their storage.
    pub(in crate::control) fn onto(&self, site: &SiteName, side: &SideName) -> CopyOnto {
        let all = self.lock();
        let found = all.get(site).and_then(|copies| copies.onto.get(side));
        found.copied().unwrap_or_default()
    }

    /// Tells whether a side has taken writes, through Pointsman, that another lacks.
    pub(in crate::control) fn has_more(
        &self,
        site: &SiteName,
        side: &SideName,
        than: &SideName,
    ) -> bool {
        let all = self.lock();
        let found = all.get(site).and_then(|copies| copies.lacks(side, than));
        found.is_some_and(|lacking| lacking.writes > 0)
    }

    pub(super) fn show(&self, site: &Site, book: &Book) {
        let sides: Vec<_> = site.sides.iter().map(|side| side.name.clone()).collect();
        let torn = book.all_torn().iter();
        let torn = torn.filter(|(side, _)| site.side(side).is_some());
        let copies = SiteCopies {
            uncopied: book.all_uncopied(&sides),
            onto: sides
                .iter()
                .map(|side| (side.clone(), book.onto(side)))
                .collect(),
            sides,
            torn: torn
                .map(|(side, torn)| TornSide {
                    side: side.clone(),
                    torn: torn.clone(),
                })
                .collect(),
        };
        self.lock().insert(site.name.clone(), copies);
    }

    pub(super) fn forget(&self, site: &SiteName) {
        self.lock().remove(site);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<SiteName, SiteCopies>> {
        // Each change is whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Display for Uncopied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            from,
            to,
            writes,
            at_least,
            first,
            last,
            paths,
        } = self;
        let least = if *at_least { "at least " } else { "" };
        let plural = if *writes == 1 { "write" } else { "writes" };
        write!(f, "{from} took {least}{writes} {plural} that {to} has not")?;
        if first.is_some() {
            write!(f, ", from {} to {}", clock(*first), clock(*last))?;
        }
        let shown = paths.iter().take(PATHS_SHOWN);
        let shown: Vec<_> = shown
            .map(|(path, count)| format!("{path} ({count})"))
            .collect();
        if shown.is_empty() {
            return Ok(());
        }
        write!(f, ", most of them at {}", shown.join(", "))
    }
}

impl fmt::Display for TornSide {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { side, torn } = self;
        write!(
            f,
            "{side} is torn: {} began to copy {} onto it at {}, and that has not come to its end",
            torn.job,
            torn.from,
            clock(Some(torn.since))
        )
    }
}

pub(super) fn clock(at: Option<Timestamp>) -> String {
    at.map_or_else(
        || "an unknown time".into(),
        |at| at.strftime("%F %H:%M:%S UTC").to_string(),
    )
}
