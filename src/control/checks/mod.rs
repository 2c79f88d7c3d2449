//! Checks: what is asked of the sides of a site, before a flip, during one, and all the time.
//!
//! For: running the checks of the table and saying in words what they found. Not for: deciding
//! anything by it (a flip does, when its fresh preflight fails), nor for how one probe is made.
//!
//! ```text
//!                 ┌─ preflight: the target of a flip, afresh ──> the flip goes on, or is refused
//! table ─> ask ───┼─ quiet: the side that it leaves, until it is ──> the flip goes on, or back
//!                 └─ rounds: both sides, every `preflight.every` ──> findings ─> status, metrics, log
//!                    (a thread of its own)
//! ```
//!
//! Invariants: of one check on one side at most one round is under way; rounds are bounded together
//! and for each site, so that a slow one holds up its own site at most; a site without checks costs
//! nothing; what a reload does not touch keeps its results.
//!
//! A crash loses the results, and the next start begins without any. Tests: `tests/it/checks.rs`,
//! `tests/it/quiet.rs`, and those beside the code.

mod ask;
mod findings;
mod preflight;
mod quiet;
mod rounds;
mod units;

use super::background;

pub(super) use ask::{request, who_answers_otherwise};
pub use findings::{CheckStatus, Findings, SideChecks};
pub(super) use preflight::{Thoroughness, all};
pub(super) use quiet::{now_quiet, until_quiet};
pub(super) use rounds::Rounds;

/// Makes checks on a thread of their own: a program that cannot even be started, on a disk that does
/// not answer, is not to stop the actor.
///
/// # Errors
/// Those of the checks, or that there can be no further thread.
pub(super) async fn apart(
    checks: impl Future<Output = Result<(), String>> + Send + 'static,
) -> Result<(), String> {
    let made = background::apart("preflight", checks).await;
    made.map_err(|error| format!("the checks could not be made: {error}"))?
}
