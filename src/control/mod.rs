//! The control plane: the one actor that may change anything.
//!
//! For: reading the file, running flips, journalling, publishing. Not for: serving; it meets the
//! data plane only in the switchboard.
//!
//! ```text
//! socket ─ Handle ─ Command ─┐                     ┌─> journal
//! routes.yaml ─── watch ─────┤
//! certs/*.pem ─── watch ─────┼─> Actor ── drive ───┼─> switchboard (gates, publish)
//! tasks ────────── Event ────┘     │               └─> routes.yaml (the one word)
//!                                  ├─ Status ─> watch ─> admin, demo
//!                                  ├─ sites ─> checks ─> Findings ─> admin
//!                                  ├─ Status ─> freshness ─> Readings ─> admin
//!                                  └─ guards (leases of jobs) ─> admin
//! ```
//!
//! Invariants: one actor, so a commit and its publication are one uninterrupted step; only what the
//! journal has on disk is announced; a file is taken whole or not at all.
//!
//! A crash leaves the journal and perhaps a word that is still to be rewritten: [`Control::open`]
//! reads the one before anybody is served, and the actor begins with the other. Tests: `flips`, `groups`, `requests`, `emergency`, `hooks`, `recovery`, `edits`, `reload`, `words`
//! and `watch` in `tests/it`.

mod access;
mod actor;
mod answers;
mod asks;
mod background;
mod begin;
mod certs;
mod checks;
mod confirm;
mod copies;
mod drive;
mod emergency;
mod evidence;
mod failpoint;
mod freshness;
mod group;
mod guards;
mod handle;
mod hooks;
mod invite;
mod invite_key;
mod ledger;
mod misfit;
mod past;
mod plan;
mod read;
mod recover;
mod rehearsal;
mod reload;
mod repeats;
mod request;
mod rewrite;
mod rules;
mod running;
mod show;
mod standby;
#[cfg(test)]
pub(crate) mod standin;
mod start;
mod status;
mod steps;
mod tunnels;
mod version;
mod watch;
mod words;

pub use crate::journal::{Page, Place};
pub use crate::processes::Leader;
pub use crate::site::{Outcome, Via, Who};
pub use access::{AccessError, AccessRequest, Cleared};
pub use checks::{CheckStatus, Findings, SideChecks};
pub use copies::{SiteCopies, Torn, TornSide, Uncopied};
pub use freshness::{Backwards, Lag, Readings, SideFreshness};
pub use guards::{
    Begun, Ended, Granted, GrantedMove, GuardError, GuardRequest, GuardState, GuardStatus, Lessee,
    Order,
};
pub use handle::{CancelError, FlipError, Handle};
pub use hooks::{HookEnded, HookStatus, missing_programs};
pub use invite::{Invitation, InviteError, InviteRequest};
pub use past::{HistoryError, PastFlip, PastMove};
pub use plan::{PlannedFlip, PlannedStep};
pub use read::Disk;
pub use request::{Expected, FlipRequest, Forced, RequestKey, What};
pub use standby::Contradiction;
pub use start::{Control, StartError, Stopped};
pub use status::{
    AccessSaid, CertStatus, Emergency, FlipStatus, PartStatus, PhaseEntry, SiteStatus, Status,
    ZoneStatus,
};
pub use watch::{Watch, watch};
