//! What the rounds read last, for whoever wants to show it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::site::{SideName, SiteName};

/// How new the data of one side are, as they were read last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SideFreshness {
    /// The side.
    pub side: SideName,
    /// The marker that was read last; `None` until one was.
    pub marker: Option<String>,
    /// When that was.
    pub read: Option<Timestamp>,
    /// Why the last reading failed; `None` when it did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// By how much it is older than the active side; `None` for that one, for texts, and while
    /// either cannot be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lag: Option<Lag>,
    /// How often it went backwards while it was active; `None` for texts, which have no order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub went_backwards: Option<u64>,
    /// It is active, and older than it was in this epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backwards: Option<Backwards>,
}

/// By how much a side is older than the active one; 0 when it is as new, or newer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lag {
    /// In numbers.
    Count(u64),
    /// In seconds.
    Seconds(u64),
}

/// How far an active side went back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backwards {
    /// The newest marker it had in this epoch.
    pub had: String,
    /// When it was first read to be older.
    pub since: Timestamp,
}

/// What was read last of every site that has a marker.
#[derive(Debug, Default)]
pub struct Readings(Mutex<BTreeMap<SiteName, Vec<SideFreshness>>>);

impl Readings {
    /// Shows every site that has a marker.
    pub fn all(&self) -> BTreeMap<SiteName, Vec<SideFreshness>> {
        self.lock().clone()
    }

    /// Shows one site; empty without a marker.
    pub(super) fn of(&self, site: &SiteName) -> Vec<SideFreshness> {
        self.lock().get(site).cloned().unwrap_or_default()
    }

    pub(super) fn put(&self, site: SiteName, sides: Vec<SideFreshness>) {
        self.lock().insert(site, sides);
    }

    pub(super) fn forget(&self, site: &SiteName) {
        self.lock().remove(site);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<SiteName, Vec<SideFreshness>>> {
        // Each change is whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SideFreshness {
    /// Shows a side that was not read yet.
    pub(super) fn unknown(side: SideName) -> Self {
        Self {
            side,
            marker: None,
            read: None,
            problem: None,
            lag: None,
            went_backwards: None,
            backwards: None,
        }
    }
}

impl fmt::Display for Lag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => write!(f, "{count}"),
            Self::Seconds(seconds) => write!(f, "{seconds} s"),
        }
    }
}
