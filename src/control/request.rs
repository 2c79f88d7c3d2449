//! What a flip is asked for with: what is to move, and what has to be as the asker saw it.

use crate::site::{During, GroupName, SideName, SiteName, Who};

/// Asks for a flip.
#[derive(Clone, Debug)]
pub struct FlipRequest {
    /// What is to move.
    pub what: What,
    /// What users get meanwhile; the site's own word when left out.
    pub during: Option<During>,
    /// Why, for the journal.
    pub reason: Option<String>,
    /// Who asks.
    pub who: Who,
    /// What the asker has looked at.
    pub expected: Expected,
    /// Names the request, so that it can be sent again by one who did not hear the answer.
    pub key: Option<RequestKey>,
}

/// What is to move.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// These sites, and where to; without a side: to the other one of exactly two.
    Sites(Vec<(SiteName, Option<SideName>)>),
    /// All sites of a group that are not there yet; without a side: to the other one of two.
    Group(GroupName, Option<SideName>),
}

/// What a request was made in view of: it is not carried out when that has changed since.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Expected {
    /// Whatever there is.
    #[default]
    Anything,
    /// One of these versions.
    OneOf(Vec<String>),
}

impl Expected {
    /// Tells whether a version is one that was looked at.
    pub(super) fn is_met_by(&self, version: &str) -> bool {
        match self {
            Self::Anything => true,
            Self::OneOf(versions) => versions.iter().any(|seen| seen == version),
        }
    }
}

/// The name that a client gives to a request: 1 to 64 visible ASCII characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestKey(String);

impl RequestKey {
    /// The longest key; the usual UUIDs have 36.
    pub const LETTERS_MAX: usize = 64;

    /// Takes a text as a key; `None` when it is none.
    pub fn new(text: &str) -> Option<Self> {
        let is_key = (1..=Self::LETTERS_MAX).contains(&text.len())
            && text.bytes().all(|letter| letter.is_ascii_graphic());
        is_key.then(|| Self(text.to_owned()))
    }
}
