//! What the journal keeps, on a real file.

use jiff::Timestamp;

use crate::processes::Leader;
use crate::site::{
    Access, During, Epoch, FlipId, HookPhase, HookResult, Move, Outcome, SideName, SiteName,
    Skipped, Via, Who,
};

use super::{
    AnswersRecord, CutRecord, EmergencyRecord, FlipEnd, HookEnd, HookStart, Journal, LaneRecord,
    NewFlip, OpenError, SiteAdoption, StateLock, ZoneRecord,
};

fn ispot() -> SiteName {
    SiteName::new("ispot")
}

fn open(directory: &std::path::Path) -> Result<Journal, OpenError> {
    let lock = StateLock::take(directory).expect("the lock is free");
    Ok(Journal::open(&lock)?.journal)
}

fn with_ispot_live(directory: &std::path::Path) -> Journal {
    let mut journal = open(directory).expect("a first start");
    let site = SiteAdoption {
        site: ispot(),
        active: SideName::new("live"),
        access: Access::Open,
    };
    journal
        .adopt(&[site], Timestamp::UNIX_EPOCH)
        .expect("written");
    journal
}

fn to_backup() -> NewFlip {
    NewFlip {
        moves: vec![Move {
            site: ispot(),
            from: SideName::new("live"),
            to: SideName::new("backup"),
        }],
        during: During::Page,
        who: Who {
            name: "ada".into(),
            uid: Some(1000),
            via: Via::Socket,
        },
        reason: Some("disk failure".into()),
        began: Timestamp::UNIX_EPOCH,
        skipped: Vec::new(),
        words: Vec::new(),
    }
}

#[test]
fn a_commit_moves_the_site_its_epoch_its_word_and_its_zones_together() {
    let scratch = tempfile::tempdir().expect("a scratch folder");
    let mut journal = with_ispot_live(scratch.path());
    let epochs = journal.intent(FlipId(1), &to_backup()).expect("written");
    let zone = ZoneRecord {
        name: "ispot.example".into(),
        serial: 8,
        digest: u64::MAX,
    };
    journal
        .commit(
            FlipId(1),
            std::slice::from_ref(&zone),
            &[],
            Timestamp::UNIX_EPOCH,
        )
        .expect("written");
    drop(journal);

    let journal = open(scratch.path()).expect("a journal in use");
    let site = journal.sites().expect("read")[&ispot()].clone();
    assert_eq!(epochs, [Epoch(2)]);
    assert_eq!((site.active.as_str(), site.epoch), ("backup", Epoch(2)));
    assert_eq!(site.word, Some(SideName::new("backup")));
    assert_eq!(
        site.rewrite,
        Some((SideName::new("live"), SideName::new("backup")))
    );
    assert_eq!(journal.zones().expect("read"), [zone]);
    let unfinished = journal.unfinished().expect("read");
    assert!(unfinished[0].is_committed, "{unfinished:?}");
}

#[test]
fn an_intent_alone_leaves_the_site_where_it_is_and_uses_up_its_epoch() {
    let scratch = tempfile::tempdir().expect("a scratch folder");
    let mut journal = with_ispot_live(scratch.path());
    journal.intent(FlipId(1), &to_backup()).expect("written");
    let second = journal.intent(FlipId(2), &to_backup()).expect("written");
    let site = journal.sites().expect("read")[&ispot()].clone();
    assert_eq!((site.active.as_str(), site.epoch), ("live", Epoch(1)));
    assert_eq!(second, [Epoch(3)]);
    assert_eq!(journal.unfinished().expect("read").len(), 2);
}

#[test]
fn an_aborted_commit_is_as_if_it_had_not_been() {
    let scratch = tempfile::tempdir().expect("a scratch folder");
    let mut journal = with_ispot_live(scratch.path());
    let before = journal.sites().expect("read");
    journal.intent(FlipId(1), &to_backup()).expect("written");
    journal
        .commit(FlipId(1), &[], &[], Timestamp::UNIX_EPOCH)
        .expect("written");
    journal.abort(FlipId(1)).expect("written");
    assert_eq!(journal.sites().expect("read"), before);
    assert!(!journal.unfinished().expect("read")[0].is_committed);
}

#[test]
fn an_emergency_is_shown_until_the_site_moves_again_as_planned() {
    let scratch = tempfile::tempdir().expect("a scratch folder");
    let mut journal = with_ispot_live(scratch.path());
    let now = NewFlip {
        skipped: vec![Skipped::Drain, Skipped::Sync],
        ..to_backup()
    };
    let cut = Some(CutRecord {
        reads: 1,
        writes: 2,
    });
    let lane = LaneRecord {
        site: ispot(),
        forwarded: 7,
        last_forwarded_ms: 9,
        answers: Some(AnswersRecord {
            count: 3,
            last_ms: 8,
        }),
        cut,
        held: 0,
        shed: 0,
        abandoned: 0,
        closed: None,
        late: None,
    };
    journal.intent(FlipId(1), &now).expect("written");
    assert_eq!(journal.emergencies().expect("read"), [], "not committed");
    let at = Timestamp::UNIX_EPOCH;
    let lanes = std::slice::from_ref(&lane);
    journal.commit(FlipId(1), &[], lanes, at).expect("written");
    drop(journal);

    let mut journal = open(scratch.path()).expect("a journal in use");
    let shown = EmergencyRecord {
        flip: FlipId(1),
        skipped: now.skipped,
        reason: now.reason,
        from: SideName::new("live"),
        epoch: Epoch(1),
        lane,
    };
    assert_eq!(
        journal.emergencies().expect("read"),
        std::slice::from_ref(&shown)
    );
    journal.intent(FlipId(2), &to_backup()).expect("written");
    assert_eq!(journal.emergencies().expect("read"), [shown], "not yet");
    journal.commit(FlipId(2), &[], &[], at).expect("written");
    assert_eq!(journal.emergencies().expect("read"), []);
}

#[test]
fn the_history_says_who_why_and_how_it_ended() {
    let scratch = tempfile::tempdir().expect("a scratch folder");
    let mut journal = with_ispot_live(scratch.path());
    journal.intent(FlipId(1), &to_backup()).expect("written");
    let end = FlipEnd {
        hooks_due: None,
        outcome: Outcome::Restored,
        message: "a write was in flight".into(),
        ended: Timestamp::UNIX_EPOCH,
        timeline: "[]".into(),
        lanes: vec![LaneRecord {
            site: ispot(),
            forwarded: 7,
            last_forwarded_ms: 9,
            answers: None,
            cut: None,
            held: 0,
            shed: 0,
            abandoned: 0,
            closed: None,
            late: None,
        }],
    };
    journal.end(FlipId(1), &end).expect("written");
    let flip = &journal.recent(10).expect("read")[0];
    assert_eq!(
        (flip.who.name.as_str(), flip.reason.as_deref()),
        ("ada", Some("disk failure"))
    );
    assert_eq!(
        (flip.state.as_str(), flip.moves[0].epoch),
        ("restored", Some(Epoch(2)))
    );
    assert_eq!(journal.unfinished().expect("read"), []);
    assert_eq!(journal.next_flip().expect("read"), FlipId(2));
}

#[test]
fn a_missing_journal_in_a_used_directory_is_doubt_and_an_early_death_is_not() {
    let scratch = tempfile::tempdir().expect("a scratch folder");
    std::fs::write(scratch.path().join("lock"), "").expect("written");
    std::fs::write(scratch.path().join("journal.new"), "half").expect("written");
    drop(with_ispot_live(scratch.path()));
    std::fs::remove_file(scratch.path().join("journal.db")).expect("removed");
    let error = open(scratch.path()).expect_err("the journal is gone");
    assert!(matches!(error, OpenError::Missing { .. }), "{error}");
}

#[test]
fn a_journal_put_back_from_a_backup_into_a_new_directory_is_used() {
    let scratch = tempfile::tempdir().expect("a scratch folder");
    let old = scratch.path().join("old");
    drop(with_ispot_live(&old));
    let new = scratch.path().join("new");
    std::fs::create_dir(&new).expect("made");
    std::fs::copy(old.join("journal.db"), new.join("journal.db")).expect("copied");
    let lock = StateLock::take(&new).expect("the lock is free");
    let opened = Journal::open(&lock).expect("a journal in use");
    assert!(!opened.is_first && opened.journal.sites().expect("read").contains_key(&ispot()));
    drop((opened, lock));
    std::fs::remove_file(new.join("journal.db")).expect("removed");
    let error = open(&new).expect_err("it was used: this is no first start");
    assert!(matches!(error, OpenError::Missing { .. }), "{error}");
}

#[test]
fn garbage_in_place_of_the_journal_is_doubt() {
    let scratch = tempfile::tempdir().expect("a scratch folder");
    drop(with_ispot_live(scratch.path()));
    std::fs::write(scratch.path().join("journal.db"), vec![0x5a; 8192]).expect("written");
    let error = open(scratch.path()).expect_err("not a journal");
    assert!(matches!(error, OpenError::Unreadable { .. }), "{error}");
}

#[test]
fn a_second_daemon_does_not_get_the_lock() {
    let scratch = tempfile::tempdir().expect("a scratch folder");
    let _first = StateLock::take(scratch.path()).expect("the lock is free");
    let error = StateLock::take(scratch.path()).expect_err("it is taken");
    assert!(
        error.to_string().contains("in use by another pointsman"),
        "{error}"
    );
}

fn a_sync_hook(flip: FlipId) -> HookStart {
    HookStart {
        flip,
        site: ispot(),
        phase: HookPhase::Sync,
        name: "files".into(),
        mark: "1-abc".into(),
        began: Timestamp::UNIX_EPOCH,
    }
}

fn copied() -> HookEnd {
    HookEnd {
        result: HookResult::Ok,
        detail: "exit status 0".into(),
        output: "copied".into(),
        ended: Timestamp::UNIX_EPOCH,
    }
}

#[test]
fn a_hook_is_unfinished_from_its_start_to_its_end_and_its_output_is_kept_for_a_while() {
    let scratch = tempfile::tempdir().expect("a scratch folder");
    let mut journal = with_ispot_live(scratch.path());
    let first = FlipId(1);
    journal.intent(first, &to_backup()).expect("written");
    assert!(!journal.has_hooks(first).expect("read"));

    let number = journal.hook_begins(&a_sync_hook(first)).expect("written");
    let second = journal.hook_begins(&a_sync_hook(first)).expect("written");
    assert_eq!((number, second), (1, 2));
    let leader = Leader {
        process: 4711,
        started: u64::from(u32::MAX) + 1,
        boot: "b".into(),
    };
    journal.hook_runs(first, 1, &leader).expect("written");
    journal.hook_ended(first, 2, &copied()).expect("written");

    let left = journal.unfinished_hooks().expect("read");
    assert_eq!(left.len(), 1);
    assert_eq!(
        (left[0].mark.as_str(), &left[0].leader),
        ("1-abc", &Some(leader))
    );
    assert!(journal.has_hooks(first).expect("read"));
    journal.hook_ended(first, 1, &copied()).expect("written");
    assert_eq!(journal.unfinished_hooks().expect("read"), []);
    let output = |journal: &Journal| journal.hooks_of(first).expect("read")[0].output.clone();
    assert_eq!(output(&journal).as_deref(), Some("copied"));

    let late = FlipId(first.0 + 257);
    journal.intent(late, &to_backup()).expect("written");
    journal.hook_begins(&a_sync_hook(late)).expect("written");
    journal.hook_ended(late, 1, &copied()).expect("written");
    assert_eq!(output(&journal), None, "256 flips later");
    let kept = &journal.hooks_of(first).expect("read")[0];
    assert_eq!(kept.result, Some(HookResult::Ok));
}

#[test]
fn hooks_are_due_from_the_end_of_their_flip_until_they_are_through() {
    let scratch = tempfile::tempdir().expect("a scratch folder");
    let mut journal = with_ispot_live(scratch.path());
    journal.intent(FlipId(1), &to_backup()).expect("written");
    assert_eq!(journal.hooks_due().expect("read"), []);
    let end = FlipEnd {
        hooks_due: Some(HookPhase::Restore),
        outcome: Outcome::Restored,
        message: String::new(),
        ended: Timestamp::UNIX_EPOCH,
        timeline: "[]".into(),
        lanes: Vec::new(),
    };

    journal.end(FlipId(1), &end).expect("written");

    let due = journal.hooks_due().expect("read");
    assert_eq!(due.len(), 1);
    assert_eq!((due[0].flip, due[0].phase), (FlipId(1), HookPhase::Restore));
    assert_eq!(due[0].moves[0].1, Epoch(2));
    assert_eq!(due[0].reason.as_deref(), Some("disk failure"));
    journal.hooks_through(FlipId(1)).expect("written");
    assert_eq!(journal.hooks_due().expect("read"), []);
}

#[test]
fn hooks_that_are_due_are_forgotten_once_their_site_has_been_in_a_later_flip() {
    let scratch = tempfile::tempdir().expect("a scratch folder");
    let mut journal = with_ispot_live(scratch.path());
    let end = |hooks_due| FlipEnd {
        hooks_due,
        outcome: Outcome::Restored,
        message: String::new(),
        ended: Timestamp::UNIX_EPOCH,
        timeline: "[]".into(),
        lanes: Vec::new(),
    };
    let (first, second) = (FlipId(1), FlipId(2));
    journal.intent(first, &to_backup()).expect("written");
    let due = end(Some(HookPhase::Restore));
    journal.end(first, &due).expect("written");
    assert_eq!(journal.forget_hooks_of_old().expect("written"), []);
    assert_eq!(journal.hooks_due().expect("read").len(), 1);
    journal.intent(second, &to_backup()).expect("written");
    assert_eq!(journal.forget_hooks_of_old().expect("written"), [first]);
    assert_eq!(journal.hooks_due().expect("read"), []);
}
