//! What a marker of freshness is, and where it is read: `freshness`.

use std::time::Duration;

use super::check::Pattern;

/// `freshness:` a marker by which two sides can be told apart: the newest of what users wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Freshness {
    /// The request target, beginning with `/`; asked for with GET.
    pub path: String,
    /// Where the marker is in the body of the answer.
    pub place: MarkerPlace,
    /// What it is, and how much older the target of a flip may be.
    pub kind: MarkerKind,
    /// How often it is read from every side.
    pub every: Duration,
    /// How long one reading may take.
    pub timeout: Duration,
}

impl Freshness {
    /// What it is called on the command line and in the journal, where checks are gone over.
    pub const CHECK: &'static str = "freshness";
}

/// Where a marker is in a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MarkerPlace {
    /// At this pointer of the body, which is JSON (RFC 6901).
    Json(String),
    /// In the only group of a regular expression, where it first matches.
    Regex(Pattern),
}

/// What a marker is, with the most that a target may lag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MarkerKind {
    /// A whole number that grows, such as an id.
    Number {
        /// By how much it may be less.
        max_lag: u64,
    },
    /// A time, in RFC 3339 or in whole seconds since the Unix epoch.
    Time {
        /// By how much it may be earlier.
        max_lag: Duration,
    },
    /// Any text, which is the same or not.
    Text,
}
