//! What a flip leaves out.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{GuardId, UnknownWord};

/// What a flip leaves out, because it is an emergency or somebody goes over a check.
///
/// As text it is its word; a check that is gone over is `check:` and its name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Skipped {
    /// The wait for what is in flight: it is cut.
    Drain,
    /// The last copy of the data, and the checks after it.
    Sync,
    /// The checks of the target, all of them.
    Checks,
    /// One check of the target, by its name.
    Check(Arc<str>),
    /// The wait for DNS answers that clients may still use.
    Lease,
    /// The time that a site stays after a flip.
    Interval,
    /// What keeps writes from being left behind or overwritten, and a torn side from being used.
    Loss,
    /// A guarded job that is not proved gone, by the number of its lease.
    Guard(GuardId),
}

impl Skipped {
    /// What comes before the name of a check.
    const CHECK: &'static str = "check:";
    /// What comes before the number of a lease.
    const GUARD: &'static str = "guard:";

    /// Names the check that is gone over, if it is one.
    pub fn check(&self) -> Option<&str> {
        match self {
            Self::Check(name) => Some(name),
            Self::Drain
            | Self::Sync
            | Self::Checks
            | Self::Lease
            | Self::Interval
            | Self::Loss
            | Self::Guard(_) => None,
        }
    }

    /// Names the guarded job that is gone over, if it is one.
    pub fn guard(&self) -> Option<GuardId> {
        if let Self::Guard(id) = self {
            Some(*id)
        } else {
            None
        }
    }

    /// Reads one that names what is gone over.
    fn named(given: &str) -> Option<Self> {
        if let Some(name) = given.strip_prefix(Self::CHECK) {
            return Some(Self::Check(name.into()));
        }
        let id = given.strip_prefix(Self::GUARD)?;
        Some(Self::Guard(GuardId(id.parse().ok()?)))
    }
}

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Drain => f.write_str("drain"),
            Self::Sync => f.write_str("sync"),
            Self::Checks => f.write_str("checks"),
            Self::Lease => f.write_str("lease"),
            Self::Interval => f.write_str("interval"),
            Self::Loss => f.write_str("loss"),
            Self::Check(name) => write!(f, "{}{name}", Self::CHECK),
            Self::Guard(id) => write!(f, "{}{id}", Self::GUARD),
        }
    }
}

impl FromStr for Skipped {
    type Err = UnknownWord;

    fn from_str(given: &str) -> Result<Self, UnknownWord> {
        match given {
            "drain" => Ok(Self::Drain),
            "sync" => Ok(Self::Sync),
            "checks" => Ok(Self::Checks),
            "lease" => Ok(Self::Lease),
            "interval" => Ok(Self::Interval),
            "loss" => Ok(Self::Loss),
            _ => Self::named(given).ok_or_else(|| UnknownWord {
                given: given.into(),
                allowed: &[
                    "drain",
                    "sync",
                    "checks",
                    "lease",
                    "interval",
                    "loss",
                    "check:NAME",
                    "guard:ID",
                ],
            }),
        }
    }
}

impl From<Skipped> for String {
    fn from(skipped: Skipped) -> Self {
        skipped.to_string()
    }
}

impl TryFrom<String> for Skipped {
    type Error = UnknownWord;

    fn try_from(given: String) -> Result<Self, UnknownWord> {
        given.parse()
    }
}

/// Tells whether a flip that leaves this out takes the side that it leaves as dead.
pub fn is_emergency(skipped: &[Skipped]) -> bool {
    skipped.contains(&Skipped::Drain)
}
