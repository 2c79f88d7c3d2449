//! Recovering: what a crash left in the journal is brought to its end.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;

use crate::journal::{self, FlipEnd, FlipRecord, Journal, Left, StateLock, UnfinishedFlip};
use crate::site::{FlipId, HookPhase, Outcome, SiteName};
use crate::switchboard::{self, SiteView, Switchboard};

use super::actor::Actor;
use super::emergency::{self, Emergencies};
use super::ledger::Ledger;
use super::status::FlipStatus;

/// What the status shows of the time before the start.
#[derive(Debug)]
pub(super) struct Past {
    pub(super) recent: VecDeque<Arc<FlipStatus>>,
    pub(super) problems: BTreeMap<SiteName, String>,
    pub(super) next_flip: FlipId,
    pub(super) emergencies: Emergencies,
}

impl Actor {
    /// Takes up what the journal has, before anybody is served.
    pub(super) fn take_up(&mut self) {
        self.restore_access();
        self.show();
    }
}

/// Notes that a daemon runs, and takes up what the last one left: origins that may be at work on
/// writes it had in flight, and answers that clients may still use.
pub(super) fn mark_running(lock: &StateLock, board: &Switchboard, ledger: &mut Ledger) {
    let left = lock.mark_running().unwrap_or(Left::Everything);
    let snapshot = board.current();
    let (table, over) = (&snapshot.table, left == Left::Nothing);
    let noted = ledger.note_answer_ttls(table, table.words.keys(), over);
    if let Err(error) = noted {
        tracing::error!(%error, "the TTLs of direct names could not be journalled: make room");
        // The next table is looked through whole.
        ledger.is_behind = true;
    }
    if over {
        return;
    }
    for view in snapshot.sites().iter() {
        let Some(lane) = &view.lane else {
            continue;
        };
        if left == Left::Everything {
            lane.gates.writes.abandon();
        }
        // As late as can be, and for as long: nobody knows when an address was last given out, and
        // the file may say less than it did then.
        let before = ledger.sites.get(&lane.site);
        let longest = before.and_then(|record| record.answer_ttl_s);
        let lease = snapshot.zones.leases().find(&lane.site, lane.epoch);
        if let (Some(longest), Some(lease)) = (longest.max(view.site.answer_ttl_s()), lease) {
            lease.assume(longest, switchboard::sent().ms);
        }
    }
}

/// Notes that the daemon has stopped, unless an origin may still be at work on a write: one that is
/// in flight, or was given up a short while ago.
pub(super) fn mark_stopped(lock: &StateLock, board: &Switchboard) {
    let now = Instant::now();
    let snapshot = board.current();
    let may_be_at_work = |view: &SiteView| {
        let Some(lane) = &view.lane else {
            return false;
        };
        let given_up = lane.gates.last_abandoned();
        // Where it has to be asked, nobody has: what was given up may be of any age.
        let flip = &view.site.flip;
        let lingers = given_up.is_some_and(|at| flip.quiet.is_some() || at + flip.linger > now);
        lingers || lane.gates.writes_in_flight() > 0
    };
    let now_ms = switchboard::now_ms();
    let mut leases = snapshot.zones.leases().all(now_ms).into_iter();
    let left = if snapshot.sites().iter().any(may_be_at_work) {
        Left::Everything
    } else if leases.any(|(_, until_ms)| until_ms > now_ms) {
        Left::Answers
    } else {
        Left::Nothing
    };
    if let Err(error) = lock.mark_stopped(left) {
        tracing::debug!(%error, "the next start will take this daemon as killed");
    }
}

/// Ends the flips that a crash cut short, as the journal says they ended.
///
/// A journal that cannot be read here cannot be gone by, and is doubt from now on.
pub(super) fn past(ledger: &mut Ledger) -> Past {
    let nothing = Past {
        recent: VecDeque::new(),
        problems: BTreeMap::new(),
        next_flip: FlipId(1),
        emergencies: BTreeMap::new(),
    };
    let Ok(journal) = &mut ledger.journal else {
        return nothing;
    };
    match end_unfinished(journal).and_then(|problems| read(journal, problems)) {
        Ok(past) => past,
        Err(error) => {
            ledger.give_up(&error);
            nothing
        }
    }
}

fn end_unfinished(journal: &mut Journal) -> rusqlite::Result<BTreeMap<SiteName, String>> {
    let mut problems = BTreeMap::new();
    for cut_short in journal.unfinished()? {
        let UnfinishedFlip {
            id,
            is_committed,
            moves,
        } = cut_short;
        let (outcome, message) = if is_committed {
            (
                Outcome::Settled,
                "completed at start: the daemon had died after its commit",
            )
        } else {
            (
                Outcome::Restored,
                "the daemon died before its commit: the site is where it was",
            )
        };
        let hooks_due = if is_committed {
            Some(HookPhase::After)
        } else {
            journal.has_hooks(id)?.then_some(HookPhase::Restore)
        };
        tracing::warn!(flip = %id, "{message}");
        let end = FlipEnd {
            outcome,
            message: message.into(),
            ended: Timestamp::now(),
            timeline: "[]".into(),
            lanes: Vec::new(),
            hooks_due,
        };
        if let Err(error) = journal.end(id, &end) {
            // The row says where the sites are with or without its end: the next start writes it.
            tracing::error!(flip = %id, %error, "its end could not be journalled: make room");
        }
        if !is_committed {
            let problem =
                |planned: crate::site::Move| (planned.site, format!("flip {id}: {message}"));
            problems.extend(moves.into_iter().map(problem));
        }
    }
    Ok(problems)
}

fn read(journal: &Journal, problems: BTreeMap<SiteName, String>) -> rusqlite::Result<Past> {
    let recent = journal
        .recent(journal::RECENT)?
        .into_iter()
        .map(|flip| Arc::new(shown(flip)))
        .collect();
    let next_flip = journal.next_flip()?;
    Ok(Past {
        recent,
        problems,
        next_flip,
        emergencies: emergency::read(journal)?,
    })
}

fn shown(flip: FlipRecord) -> FlipStatus {
    let epochs = flip.moves.iter().filter_map(|past| past.epoch).collect();
    let timeline = flip
        .timeline
        .and_then(|json| serde_json::from_str(&json).ok());
    FlipStatus {
        id: flip.id,
        moves: flip.moves.into_iter().map(|past| past.planned).collect(),
        epochs,
        during: flip.during,
        who: flip.who,
        reason: flip.reason,
        began: flip.began,
        outcome: flip.state.parse().ok(),
        phase: flip.state,
        message: flip.message.filter(|text| !text.is_empty()),
        until: None,
        timeline: timeline.unwrap_or_default(),
        skipped: flip.skipped,
        lease_until: None,
        hook: None,
        hooks: Vec::new(),
        awaited_guards: Vec::new(),
    }
}
