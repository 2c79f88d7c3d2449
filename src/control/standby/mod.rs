//! The standby watch: whether a side that does not serve behaves as one.
//!
//! For: asking each such side, all the time and as a direct visitor does, whether it says by itself
//! that it does not serve; and for telling everybody when it says otherwise, or when `freshness` finds
//! that it has taken a write that did not come through Pointsman. Not for: keeping anybody out (the
//! fence at the origin does), nor for refusing flips (`copies` and `freshness` do).
//!
//! ```text
//! standby.expect: every origin of every other side ─> rounds ─> Judge ─┐
//! freshness: the marker of every other side ───────> its rounds ───────┴─> Teller
//!                                                 Teller ─ raised, over ─> actor ─> journal, log, status
//! ```
//!
//! Invariants: one odd answer raises nothing; an origin that does not answer says nothing; while a
//! flip of the site is under way, with its last hooks, nobody is judged; what was raised is over when
//! the side is as it should be, or is the active one.
//!
//! A crash forgets what was raised, and the next start finds it again; but not a write on a side that
//! has counted writes of its own, as these explain what it has: the next one there is found. Tests: `standby` in `tests/it`,
//! and in `judge`.

mod judge;
mod raised;
mod rounds;
mod teller;

use super::status::Status;
use crate::site::SiteName;

pub use raised::Contradiction;
pub(super) use raised::{Raised, Said};
pub(super) use rounds::begin as begin_rounds;
pub(super) use teller::Teller;

/// Tells whether a flip of a site is under way, or its last hooks are.
pub(super) fn is_moving(status: &Status, site: &SiteName) -> bool {
    let flips = status.flips.iter();
    let mut busy = flips.filter(|flip| flip.outcome.is_none() || flip.hook.is_some());
    busy.any(|flip| flip.moves.iter().any(|moved| moved.site == *site))
}
