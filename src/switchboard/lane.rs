//! A lane: one site at one epoch.
//!
//! The gates of an epoch outlive any snapshot: a reload replaces a lane's origins and keeps its
//! gates, so an old snapshot can never admit what a newer one would not.

use std::sync::Arc;

use crate::site::{Epoch, SideName, SiteName};
use crate::table::OriginAddr;

use super::gate::Cuts;
use super::gates::Gates;

/// One site at one epoch: its gates and the origins of its active side.
#[derive(Debug)]
pub struct Lane {
    /// The site.
    pub site: SiteName,
    /// The side that is active in this epoch.
    pub side: SideName,
    /// The epoch.
    pub epoch: Epoch,
    /// The origins of that side; never empty.
    pub origins: Vec<OriginAddr>,
    /// Shared by every snapshot of this epoch.
    pub gates: Arc<Gates>,
}

/// Which of the two gates a request goes through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A plain safe request (RFC 9110 §9.2.1).
    Read,
    /// Anything else: unsafe methods, Upgrade, CONNECT.
    Write,
}

/// What of that which is in flight is to be ended at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Nothing.
    Nothing,
    /// Tunnels.
    Tunnels,
    /// Tunnels and reads.
    Reads,
    /// Tunnels and writes.
    Writes,
    /// Tunnels, reads and writes.
    Everything,
}

impl Cut {
    /// What that means at the gate of the reads, and at that of the writes.
    pub(super) fn at_gates(self) -> (Cuts, Cuts) {
        match self {
            Self::Nothing => (Cuts::NONE, Cuts::NONE),
            Self::Tunnels => (Cuts::NONE, Cuts::TUNNELS),
            Self::Reads => (Cuts::ALL, Cuts::TUNNELS),
            Self::Writes => (Cuts::NONE, Cuts::ALL),
            Self::Everything => (Cuts::ALL, Cuts::ALL),
        }
    }
}

/// How a request gets past what `access` says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Way {
    /// Not at all: it is a user's.
    #[default]
    Usual,
    /// It is an operator's, or writes where that is allowed while the rest may only be read.
    PastAccess,
}
