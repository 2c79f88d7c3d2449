//! What a flip is asked for with: what is to move, and why.

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
}

/// What is to move.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// These sites, and where to; without a side: to the other one of exactly two.
    Sites(Vec<(SiteName, Option<SideName>)>),
    /// All sites of a group that are not there yet; without a side: to the other one of two.
    Group(GroupName, Option<SideName>),
}
