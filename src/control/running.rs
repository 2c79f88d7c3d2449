//! A flip in progress, as the actor keeps it.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant;

use crate::flip::{Flip, Scope};
use crate::journal::{CutRecord, NewFlip, ZoneRecord};
use crate::site::{self, Answers, During, Epoch, FlipId, Move, SideName, SiteName};
use crate::switchboard::{Cut, HoldCounts, Lane, Publication, Snapshot};
use crate::table::Site;
use crate::zone::AnswerLease;

use super::emergency::about_to_be_cut;
use super::hooks::{HookEnded, HookStatus};
use super::status::{FlipStatus, PhaseEntry};

/// A flip in progress.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) id: FlipId,
    pub(super) flip: Flip,
    pub(super) journalled: NewFlip,
    pub(super) moves: Vec<Moving>,
    /// Whether the rules of its sites allowed it when it was asked for.
    pub(super) rules: Result<(), String>,
    /// Known once the intent is journalled.
    pub(super) epochs: Vec<Epoch>,
    pub(super) timeline: Vec<PhaseEntry>,
    pub(super) phase_began: Instant,
    /// What its actions wait for; ended with the flip.
    pub(super) tasks: JoinSet<()>,
    /// The one of them that is the timer.
    pub(super) timer: Option<AbortHandle>,
    /// When that runs out, if it belongs to this phase.
    pub(super) until: Option<Timestamp>,
    /// What the commit wrote, to be stored by the step after it.
    pub(super) prepared: Option<Prepared>,
    pub(super) publication: Option<Publication>,
    /// The outcome of its commit is not known: nobody is told of either side.
    pub(super) is_in_doubt: bool,
    /// How the direct names of its sites answer.
    pub(super) answers: Answers,
    /// Lanes that it published held.
    pub(super) held_new: Vec<Arc<Lane>>,
    /// Until when it waits for answers that clients may still use.
    pub(super) lease_until: Option<Timestamp>,
    /// A hook of it has begun.
    pub(super) hooked: bool,
    /// The hook that runs.
    pub(super) hook: Option<HookStatus>,
    /// Those that have ended.
    pub(super) hooks: Vec<HookEnded>,
    /// Flips before it whose hooks are still to end.
    pub(super) awaited_hooks: BTreeSet<FlipId>,
    /// It waits for guarded jobs, or for those hooks.
    pub(super) awaits_guards: bool,
    /// The jobs, in words.
    pub(super) awaited_guards: Vec<String>,
}

/// One site on the move.
#[derive(Debug)]
pub(super) struct Moving {
    pub(super) planned: Move,
    pub(super) site: Arc<Site>,
    pub(super) during: During,
    /// The lane it leaves.
    pub(super) lane: Arc<Lane>,
    /// What was in flight there when it was ordered to be cut.
    pub(super) cut: Option<CutRecord>,
    /// What had become of those who found a gate held, when this began.
    pub(super) before: HoldCounts,
    /// The lane as it was closed.
    pub(super) closed: Option<Closed>,
    /// What its direct names gave out in that lane's epoch; `None` when it has none.
    pub(super) lease: Option<Arc<AnswerLease>>,
}

/// A lane as it was when it was closed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Closed {
    /// When that was.
    pub(super) at: Timestamp,
    /// Requests that it had forwarded until then.
    pub(super) forwarded: u64,
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

    /// Counts what the lane that it leaves has forwarded.
    pub(super) fn forwarded(&self) -> u64 {
        self.lane.gates.forwarded().0
    }

    /// Notes what is about to be cut, the first time that anything is.
    pub(super) fn note_cut(&mut self, cut: Cut) {
        let found = about_to_be_cut(&self.lane.gates);
        let (reads, writes) = match cut {
            Cut::Nothing | Cut::Tunnels => return,
            Cut::Reads => (found.reads, 0),
            Cut::Writes => (0, found.writes),
            Cut::Everything => (found.reads, found.writes),
        };
        self.cut.get_or_insert(CutRecord { reads, writes });
    }
}

impl Running {
    /// Tells whether the old side is to be taken as dead.
    pub(super) fn is_emergency(&self) -> bool {
        site::is_emergency(&self.journalled.skipped)
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
        self.until = None;
        self.awaits_guards = false;
        self.awaited_guards.clear();
        self.timeline.push(PhaseEntry {
            phase: self.flip.phase().into(),
            at: Timestamp::now(),
            after_ms,
            lease_until: None,
        });
        self.lease_until = None;
        after_ms
    }

    /// Notes until when this phase waits for answers that clients may still use.
    pub(super) fn wait_for_lease(&mut self, until: Timestamp) {
        self.lease_until = Some(until);
        if let Some(entry) = self.timeline.last_mut() {
            entry.lease_until = Some(until);
        }
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
            until: self.until,
            timeline: self.timeline.clone(),
            skipped: self.journalled.skipped.clone(),
            lease_until: self.lease_until,
            hook: self.hook.clone(),
            hooks: self.hooks.clone(),
            awaited_guards: self.awaited_guards.clone(),
        }
    }
}
