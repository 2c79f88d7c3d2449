//! Emergencies: what is counted when an active side is taken as dead, and shown afterwards.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::journal::{AnswersRecord, CutRecord, EmergencyRecord, Journal, LaneRecord};
use crate::site::{FlipId, SiteName};
use crate::switchboard::Gates;

use super::actor::Actor;
use super::running::{Moving, Running};
use super::status::Emergency;

/// What the last flip of each site left at risk, where that was an emergency.
pub(super) type Emergencies = BTreeMap<SiteName, Emergency>;

impl Actor {
    /// Shows what an emergency has left, or no longer shows what one before it had.
    pub(super) fn look_for_emergencies(&mut self, id: FlipId) {
        let Some(running) = self.flips.get(&id) else {
            return;
        };
        let has_one = |moving: &Moving| self.emergencies.contains_key(&moving.planned.site);
        if !running.is_emergency() && !running.moves.iter().any(has_one) {
            return;
        }
        let Ok(journal) = &self.ledger.journal else {
            return;
        };
        match read(journal) {
            Ok(emergencies) => self.emergencies = emergencies,
            Err(error) => tracing::error!(%error, "the journal's emergencies could not be read"),
        }
    }
}

/// Reads what is to be shown of emergencies.
pub(super) fn read(journal: &Journal) -> rusqlite::Result<Emergencies> {
    let records = journal.emergencies()?.into_iter();
    Ok(records
        .map(|record| (record.lane.site.clone(), shown(record)))
        .collect())
}

fn shown(record: EmergencyRecord) -> Emergency {
    let EmergencyRecord {
        flip,
        skipped,
        reason,
        from,
        epoch,
        lane,
    } = record;
    let cut = lane.cut.unwrap_or_default();
    let last_ms = i64::try_from(lane.last_forwarded_ms).ok();
    let last = last_ms.filter(|ms| *ms > 0);
    Emergency {
        flip,
        reason,
        skipped,
        from,
        epoch,
        cut_reads: cut.reads,
        cut_writes: cut.writes,
        forwarded: lane.forwarded,
        last_forwarded: last.and_then(|ms| Timestamp::from_millisecond(ms).ok()),
    }
}

/// Counts what is in flight at gates that are held, and is about to be cut.
pub(super) fn about_to_be_cut(gates: &Gates) -> CutRecord {
    let (reads, writes) = gates.held_in_flight();
    CutRecord { reads, writes }
}

/// Shows what the lanes that a flip leaves have recorded so far.
pub(super) fn lanes(running: &Running) -> Vec<LaneRecord> {
    let record = |moving: &Moving| {
        let (forwarded, last_forwarded_ms) = moving.lane.gates.forwarded();
        let counts = moving.lane.gates.hold_counts();
        LaneRecord {
            site: moving.planned.site.clone(),
            forwarded,
            last_forwarded_ms,
            answers: moving.lease.as_ref().map(|lease| {
                let (count, last_ms) = lease.given();
                AnswersRecord { count, last_ms }
            }),
            cut: moving.cut,
            held: counts.waited - moving.before.waited,
            shed: counts.shed - moving.before.shed,
            abandoned: counts.abandoned - moving.before.abandoned,
            closed: moving.closed.map(|closed| closed.at),
            late: moving.closed.map(|closed| forwarded - closed.forwarded),
        }
    };
    running.moves.iter().map(record).collect()
}
