//! A flip in progress, as the actor keeps it.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant;

use crate::flip::{Flip, Scope};
use crate::journal::{CutRecord, NewFlip, ZoneRecord};
use crate::site::{During, Epoch, FlipId, Move, SideName, SiteName, Skipped};
use crate::switchboard::{Lane, Publication, Snapshot};
use crate::table::Site;

use super::hooks::{HookEnded, HookStatus};
use super::status::{FlipStatus, PhaseEntry};

/// A flip in progress.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) id: FlipId,
    pub(super) flip: Flip,
    pub(super) journalled: NewFlip,
    pub(super) moves: Vec<Moving>,
    /// Known once the intent is journalled.
    pub(super) epochs: Vec<Epoch>,
    pub(super) timeline: Vec<PhaseEntry>,
    pub(super) phase_began: Instant,
    /// What its actions wait for; ended with the flip.
    pub(super) tasks: JoinSet<()>,
    /// The one of them that is the timer.
    pub(super) timer: Option<AbortHandle>,
    /// What the commit wrote, to be stored by the step after it.
    pub(super) prepared: Option<Prepared>,
    pub(super) publication: Option<Publication>,
    /// The outcome of its commit is not known: nobody is told of either side.
    pub(super) is_in_doubt: bool,
    /// A hook of it has begun.
    pub(super) hooked: bool,
    /// The hook that runs.
    pub(super) hook: Option<HookStatus>,
    /// Those that have ended.
    pub(super) hooks: Vec<HookEnded>,
    /// Flips before it whose hooks are still to end.
    pub(super) awaited_hooks: BTreeSet<FlipId>,
}

/// One site on the move.
#[derive(Debug)]
pub(super) struct Moving {
    pub(super) planned: Move,
    pub(super) site: Arc<Site>,
    pub(super) during: During,
    /// The lane it leaves.
    pub(super) lane: Arc<Lane>,
    /// What an emergency found in flight there, once the lane is held.
    pub(super) cut: Option<CutRecord>,
}

/// A snapshot that is ready to be stored, with the serials in it.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) zones: Vec<ZoneRecord>,
}

impl Moving {
    /// Tells which gates of this site are held when the flip as a whole holds those of `scope`: a
    /// site that is not read-only meanwhile is held altogether.
    pub(super) fn held(&self, scope: Scope) -> Scope {
        if self.during == During::ReadOnly {
            scope
        } else {
            Scope::All
        }
    }
}

impl Running {
    /// Tells whether the old side is to be taken as dead.
    pub(super) fn is_emergency(&self) -> bool {
        !self.journalled.skipped.is_empty()
    }

    /// Tells whether the target is taken as it is.
    pub(super) fn skips_checks(&self) -> bool {
        self.journalled.skipped.contains(&Skipped::Checks)
    }

    /// Finds where a site goes.
    pub(super) fn target_of(&self, site: &SiteName) -> Option<&SideName> {
        let moving = self
            .moves
            .iter()
            .find(|moving| moving.planned.site == *site)?;
        Some(&moving.planned.to)
    }

    /// Notes that the flip entered a phase; returns how long the phase before took, in ms.
    pub(super) fn enter_phase(&mut self) -> u64 {
        let now = Instant::now();
        let after = now.duration_since(self.phase_began).as_millis();
        let after_ms = u64::try_from(after).unwrap_or(u64::MAX);
        self.phase_began = now;
        self.timeline.push(PhaseEntry {
            phase: self.flip.phase().into(),
            at: Timestamp::now(),
            after_ms,
        });
        after_ms
    }

    /// Shows it.
    pub(super) fn status(&self) -> FlipStatus {
        let ending = self.flip.ending();
        let ended_with = ending
            .map(|ending| ending.message.clone())
            .filter(|text| !text.is_empty());
        let message = if let Flip::Aborting(doubt) = &self.flip {
            Some(doubt.why.clone())
        } else {
            ended_with
        };
        FlipStatus {
            id: self.id,
            moves: self.journalled.moves.clone(),
            epochs: self.epochs.clone(),
            during: self.journalled.during,
            who: self.journalled.who.clone(),
            reason: self.journalled.reason.clone(),
            began: self.journalled.began,
            phase: self.flip.phase().into(),
            outcome: ending.map(|ending| ending.outcome),
            message,
            timeline: self.timeline.clone(),
            skipped: self.journalled.skipped.clone(),
            hook: self.hook.clone(),
            hooks: self.hooks.clone(),
        }
    }
}
