//! Freshness: whether the side that a flip moves to has what the active side has.
//!
//! For: reading the marker of a site from both sides at the moment it matters, and refusing a flip
//! that would leave data behind; and for reading it all the time, to show by how much a standby lags
//! and to raise the alarm when the data of the active side go backwards. Not for: what was written in detail (a marker is one value), nor for
//! copying anything (the `sync` hooks do).
//!
//! ```text
//!             ┌─ active side: each origin, the newest counts ─┐
//! marker ask ─┤                                               ├─ lag <= max_lag ──> the flip goes on
//!             └─ target:      each origin, the oldest counts ─┘        else ──> refused, or restored
//! rounds: every side, every `every` ──> Readings ──> status, metrics, log    (a thread of its own)
//! ```
//!
//! Invariants: a flip reads both sides afresh, never from an earlier round; what cannot be read is not
//! taken as fresh; a site without a marker costs nothing. In the rehearsal of a flip with `sync`
//! hooks the lag does not count, as the copy is still to come; after them it does.
//!
//! A reading that is older than the one before it, of the same active side in the same epoch, alarms
//! at once; a round in which a flip ends compares nothing.
//!
//! A standby that is newer than the active side, or whose marker moves while no copy runs, was written
//! to by somebody else: `standby` tells everybody.
//!
//! A crash loses what the rounds read, and the next start begins without any. Tests: `tests/it/freshness.rs`, and beside the code.

mod marker;
mod read;
mod rounds;
mod shown;
mod standby;

use std::sync::Arc;

use crate::certs::Trust;
use crate::site::{HookPhase, SideName, Skipped, is_emergency};
use crate::table::{Freshness, Site};

use super::request::FlipRequest;
use super::running::Moving;
use read::Counts;
pub(super) use rounds::begin as begin_rounds;
pub use shown::{Backwards, Lag, Readings, SideFreshness};

/// When in a flip sides are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum When {
    /// Nobody waits yet, and what `sync` hooks copy is not there yet.
    BeforeCopies,
    /// Users wait, and nothing is copied any more.
    AfterCopies,
}

/// A site that moves, whose sides are to be compared.
#[derive(Debug)]
pub(super) struct Compared {
    site: Arc<Site>,
    from: SideName,
    to: SideName,
}

/// Lists the moves whose sides are compared: none in an emergency, or where that is gone over.
pub(super) fn compared(moves: &[Moving], skipped: &[Skipped]) -> Vec<Compared> {
    let gone_over = skipped.iter().filter_map(Skipped::check);
    if is_emergency(skipped) || gone_over.into_iter().any(|name| name == Freshness::CHECK) {
        return Vec::new();
    }
    let with_marker = moves
        .iter()
        .filter(|moving| moving.site.freshness.is_some());
    let compared = with_marker.map(|moving| Compared {
        site: Arc::clone(&moving.site),
        from: moving.planned.from.clone(),
        to: moving.planned.to.clone(),
    });
    compared.collect()
}

/// Lists what a flip leaves out; an emergency compares nothing, and says so where there is a marker.
pub(super) fn with_skipped(request: &FlipRequest, moves: &[Moving]) -> Vec<Skipped> {
    let mut skipped = request.skipped();
    let mut marked = moves.iter().map(|moving| moving.site.freshness.is_some());
    let freshness = Skipped::Check(Freshness::CHECK.into());
    if request.now && marked.any(|is_marked| is_marked) && !skipped.contains(&freshness) {
        skipped.push(freshness);
    }
    skipped
}

/// Compares the sides of sites, one site after the other.
///
/// # Errors
/// The first target that is too old or cannot be read, in words for the operator.
pub(super) async fn compare(sites: Vec<Compared>, when: When) -> Result<(), String> {
    let trust = Trust::default();
    for compared in &sites {
        one(compared, when, &trust).await?;
    }
    Ok(())
}

async fn one(compared: &Compared, when: When, trust: &Trust) -> Result<(), String> {
    let Compared { site, from, to } = compared;
    let Some(freshness) = &site.freshness else {
        return Ok(());
    };
    let over = "or go over it with --force-check freshness --reason …";
    let read = |side, counts| read::side(site, freshness, side, counts, trust);
    // The active side first: what is written between the two readings cannot be held against the
    // target.
    let active = read(from, Counts::Newest).await.map_err(|why| {
        format!(
            "how new the data of {} are cannot be read from its active side {from}: {why}; put that \
             right, {over}; if {from} is dead, move with --now",
            site.name
        )
    })?;
    let target = read(to, Counts::Oldest).await.map_err(|why| {
        format!(
            "how new the data of {} are cannot be read from side {to}: {why}; put that right, {over}",
            site.name
        )
    })?;
    let copies_follow = !site.flip.hooks.of(HookPhase::Sync).is_empty();
    if when == When::BeforeCopies && copies_follow {
        return Ok(());
    }
    marker::not_too_old(freshness.kind, &target, &active).map_err(|lag| {
        format!(
            "the data of {} side {to} are older than those of {from}: {to} has {target}, {from} has \
             {active}, {lag}; copy them to {to} first, {over}",
            site.name
        )
    })
}
