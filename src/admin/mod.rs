//! The admin side: the API, its event streams, health, metrics and the status page.
//!
//! For: letting operators and machines see what the control plane published and ask it for flips.
//! Not for: deciding anything (that is `control`), or users' requests (that is `proxy`).
//!
//! ```text
//! admin.sock ─┐                                              ┌─> control::Handle (flips, status)
//! TCP ────────┼─> server ──> auth ──> Peer ──> router ──> api ┤
//! TLS ────────┘   (cap,      (token,  (who)    health, scrape └─> Switchboard  (counts at gates)
//!                 timeouts)   scope)           page, events
//! ```
//!
//! Who asks is known from the peer credentials of the unix socket, or from a token. Without one TCP
//! may be asked what changes nothing, and TLS nothing but whether the daemon is alive.
//!
//! Invariants: nothing is changed over TCP without a token that the table has at that instant; what
//! a scope may is in the one table of `scope`, and what is not in it is for operators; a secret is
//! never kept, printed or logged; every error is a problem document made in
//! `problem`; what is changed is changed as its asker saw it, which the control plane looks at and
//! not this side; at most [`CONNECTIONS_MAX`] connections near and far, each with a deadline for its request head
//! and a limit for its body; an event stream ends with its flip, with the server, or after an hour.
//!
//! A crash leaves a stale `admin.sock` behind, which the next start replaces. Tests: the ends of
//! `problem.rs`, `page.rs` and `scrape.rs`, and `server/tests.rs`, which talks to both listeners.

mod access;
mod api;
mod auth;
mod body;
mod conditional;
mod events;
mod failures;
mod flips;
mod guards;
mod health;
mod invite;
mod listeners;
mod page;
mod past;
mod peer;
mod problem;
mod role;
pub mod says;
mod scope;
mod scrape;
mod server;
mod view;

pub use access::{AccessBody, AccessChanged};
pub use flips::{FlipAsked, FlipBody, ForceBody, MoveBody};
pub use guards::{
    BeginBody, Done, EndBody, GuardBody, NO_LEASE, NOT_ITS_TURN, ReleaseBody, RenewBody,
};
pub use invite::{InviteBody, Invited};
pub use listeners::{Error, Listeners, Tls};
pub use problem::Problem;
pub use server::{CONNECTIONS_MAX, Server, spawn};
pub use view::{FlipView, SiteView, StatusView, WATCHED_MAX, WatchView};

use std::sync::Arc;

use crate::control::Handle;
use crate::switchboard::Switchboard;
use crate::telemetry::Metrics;

/// What the admin side shows and whom it asks.
#[derive(Clone, Debug)]
pub struct Parts {
    /// The control actor.
    pub handle: Handle,
    /// Every metric of the process.
    pub metrics: Arc<Metrics>,
    /// The gates, for what is in flight and on hold.
    pub switchboard: Arc<Switchboard>,
}
