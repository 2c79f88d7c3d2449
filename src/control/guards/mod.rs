//! Guards: leases under which jobs run, above all the copies of a site's data, and which keep a flip
//! and a job of its sites apart.
//!
//! For: granting a lease only while its side is active, no flip is in progress and nothing would be
//! overwritten; holding it until nothing of the job is left; and having flips wait for it. Not for:
//! running the job, which `pointsman guard` does where the data is.
//!
//! ```text
//! pointsman guard ─ grant, begin, renew, end ─> Handle ─ Ask ─> owner ──fsync──> journal (guards)
//!                <── key, orders to end ──────────────────────────┤  └─> copies (torn, copied)
//! flip ── await_guards ──> interlock (waits, ends, refuses) <─────┤
//! clock ── tick ──> orphans (nobody renews): looked for ──────────┘──> Shown ──> admin, metrics
//! ```
//!
//! Invariants: a lease is on disk before its job is told of it, and before its first process runs;
//! a flip goes on when no lease of its sites is out; who does not know that a job is gone goes by
//! its being there.
//!
//! A crash leaves the rows of the journal: each is taken up as held, and becomes an orphan when its
//! job does not come back. Tests: `guard` in `tests/it`, and in `lease`.

mod ask;
mod grant;
mod interlock;
mod lease;
mod orphans;
mod owner;
mod shown;

pub(super) use ask::Ask;
pub use ask::{Begun, Ended, Granted, GrantedMove, GuardError, GuardRequest, Lessee, Order};
pub(super) use owner::{GuardEvent, Guards};
pub(super) use shown::Shown;
pub use shown::{GuardState, GuardStatus};
