//! What the book of a site says after copies that succeed, fail, are cut short, or were never made.

use super::*;

fn side(name: &str) -> SideName {
    SideName::new(name)
}

fn batch(writes: u64, at_ms: u64) -> Batch {
    let mut paths = Paths::default();
    paths.add("/observations", writes);
    Batch {
        writes,
        first_ms: at_ms,
        last_ms: at_ms + 1,
        paths,
    }
}

fn torn() -> Torn {
    Torn {
        from: side("live"),
        job: "copy.sh".into(),
        since: Timestamp::UNIX_EPOCH,
    }
}

fn writes(book: &Book, from: &str, to: &str) -> u64 {
    let found = book.uncopied(&side(from), &side(to));
    found.map_or(0, |uncopied| uncopied.writes)
}

fn copy(book: &mut Book, (from, to): (&str, &str), manner: Manner, meanwhile: u64) {
    let by = Copier::Flip(FlipId(7));
    book.begin_copy(
        by,
        (&side(from), &side(to)),
        manner,
        torn(),
        Unsure::default(),
    );
    book.took(&side(from), &batch(meanwhile, 50));
    book.end_copy(by, true, Timestamp::UNIX_EPOCH);
}

#[test]
fn what_came_after_the_beginning_of_a_copy_is_uncopied() {
    let (live, backup) = (side("live"), side("backup"));
    let mut book = Book::default();
    book.took(&live, &batch(5, 10));
    assert_eq!(writes(&book, "live", "backup"), 5);

    copy(&mut book, ("live", "backup"), Manner::Overwrites, 2);

    let left = book.uncopied(&live, &backup).expect("two came meanwhile");
    assert_eq!(
        (left.writes, left.first, left.last),
        (2, moment(50), moment(51))
    );
    assert_eq!(left.paths, [("/observations".to_owned(), 2)]);
    copy(&mut book, ("live", "backup"), Manner::Overwrites, 0);
    assert_eq!(book.uncopied(&live, &backup), None);
}

#[test]
fn a_copy_overwrites_what_its_target_took_unless_it_merges() {
    for (manner, left) in [(Manner::Overwrites, 0), (Manner::Merges, 5)] {
        let mut book = Book::default();
        book.took(&side("live"), &batch(5, 10));
        book.took(&side("backup"), &batch(7, 20));

        copy(&mut book, ("backup", "live"), manner, 0);

        assert_eq!(writes(&book, "backup", "live"), 0);
        assert_eq!(writes(&book, "live", "backup"), left, "{manner:?}");
    }
}

#[test]
fn a_copy_that_does_not_succeed_leaves_its_target_torn_and_brings_nothing() {
    let (live, backup) = (side("live"), side("backup"));
    let mut book = Book::default();
    book.took(&live, &batch(5, 10));
    let by = Copier::Flip(FlipId(7));
    book.begin_copy(
        by,
        (&live, &backup),
        Manner::Overwrites,
        torn(),
        Unsure::default(),
    );
    assert!(book.torn(&backup).is_some(), "from its first moment");

    book.end_copy(by, false, Timestamp::UNIX_EPOCH);

    assert_eq!(book.torn(&backup), Some(&torn()));
    assert_eq!(writes(&book, "live", "backup"), 5);
    copy(&mut book, ("live", "backup"), Manner::Overwrites, 0);
    assert_eq!(book.torn(&backup), None);
}

#[test]
fn after_a_kill_counts_are_at_least_until_the_next_copy() {
    let (live, backup) = (side("live"), side("backup"));
    let mut book = Book::default();
    assert!(book.open(&live));
    book.take_up(&BTreeSet::new());
    let lost = book.uncopied(&live, &backup).expect("one may be lost");
    assert_eq!((lost.writes, lost.at_least), (1, true));

    copy(&mut book, ("live", "backup"), Manner::Overwrites, 0);
    assert_eq!(book.uncopied(&live, &backup), None);

    book.open(&live);
    book.took(&live, &batch(3, 10));
    book.close(&live);
    book.take_up(&BTreeSet::new());
    let all = book.uncopied(&live, &backup).expect("three");
    assert_eq!((all.writes, all.at_least), (3, false), "a clean stop");
}

#[test]
fn a_third_side_has_through_another_what_that_one_had() {
    let mut book = Book::default();
    book.took(&side("c"), &batch(5, 10));
    copy(&mut book, ("c", "a"), Manner::Overwrites, 0);
    copy(&mut book, ("a", "b"), Manner::Overwrites, 0);
    assert_eq!(writes(&book, "c", "b"), 0, "by way of a");

    book.took(&side("d"), &batch(2, 20));
    copy(&mut book, ("d", "b"), Manner::Overwrites, 0);
    assert_eq!(writes(&book, "c", "b"), 5, "d has none of them");
    assert_eq!(writes(&book, "c", "a"), 0);
}

#[test]
fn a_copy_that_was_not_made_leaves_its_target_as_it_was() {
    let (live, backup) = (side("live"), side("backup"));
    let mut book = Book::default();
    let by = Copier::Flip(FlipId(7));
    book.begin_copy(
        by,
        (&live, &backup),
        Manner::Overwrites,
        torn(),
        Unsure::default(),
    );

    book.drop_copy(by);

    assert_eq!(book.torn(&backup), None);
}

#[test]
fn copies_that_all_fail_do_not_make_the_book_grow() {
    let mut book = Book::default();
    for turn in 0..1_000 {
        let by = Copier::Flip(FlipId(turn));
        let sides = (&side("live"), &side("backup"));
        book.took(&side("live"), &batch(1, 10 + turn));
        book.begin_copy(by, sides, Manner::Overwrites, torn(), Unsure::default());
        book.end_copy(by, false, Timestamp::UNIX_EPOCH);
    }

    let all = book.uncopied(&side("live"), &side("backup"));
    let all = all.expect("nothing was copied");
    let times = (moment(10), moment(1_010));
    assert_eq!((all.writes, (all.first, all.last)), (1_000, times));
    assert!(serde_json::to_string(&book).expect("it is text").len() < 64 * 1024);
}

#[test]
fn writes_that_are_at_the_origin_when_a_copy_begins_are_not_said_to_be_in_it() {
    let (live, backup) = (side("live"), side("backup"));
    let by = Copier::Guard(GuardId(3));
    let mut book = Book::default();
    book.took(&live, &batch(5, 10));
    let unsure = Unsure {
        writes: 2,
        more: false,
    };

    book.begin_copy(by, (&live, &backup), Manner::Overwrites, torn(), unsure);
    book.end_copy(by, true, Timestamp::UNIX_EPOCH);

    let left = book.uncopied(&live, &backup).expect("two were in flight");
    assert_eq!((left.writes, left.at_least), (2, false));
}

#[test]
fn what_was_given_up_when_a_copy_begins_makes_its_count_the_least_there_is() {
    let (live, backup) = (side("live"), side("backup"));
    let by = Copier::Guard(GuardId(3));
    let mut book = Book::default();
    book.took(&live, &batch(5, 10));
    let unsure = Unsure {
        writes: 0,
        more: true,
    };

    book.begin_copy(by, (&live, &backup), Manner::Overwrites, torn(), unsure);
    book.end_copy(by, true, Timestamp::UNIX_EPOCH);

    let left = book.uncopied(&live, &backup).expect("some may be lost");
    assert_eq!((left.writes, left.at_least), (1, true));
}

#[test]
fn a_job_whose_lease_is_held_goes_on_after_a_start_and_others_have_torn_their_target() {
    let (live, backup) = (side("live"), side("backup"));
    for (held, is_torn) in [(true, false), (false, true)] {
        let by = Copier::Guard(GuardId(3));
        let mut book = Book::default();
        book.took(&live, &batch(5, 10));
        book.begin_copy(
            by,
            (&live, &backup),
            Manner::Overwrites,
            torn(),
            Unsure::default(),
        );

        book.take_up(&BTreeSet::from_iter(held.then_some(GuardId(3))));
        book.end_copy(by, true, Timestamp::UNIX_EPOCH);

        assert_eq!(book.torn(&backup).is_some(), is_torn);
        assert_eq!(writes(&book, "live", "backup") == 0, held);
    }
}

#[test]
fn a_job_that_runs_is_no_reason_to_refuse_a_flip_that_waits_for_it() {
    let (live, backup) = (side("live"), side("backup"));
    let sides = (&live, &backup);
    let mut book = Book::default();
    let first = Copier::Guard(GuardId(3));
    book.begin_copy(first, sides, Manner::Overwrites, torn(), Unsure::default());
    assert!(book.torn(&backup).is_some());
    assert_eq!(book.torn_before_jobs(&backup), None);

    book.end_copy(first, false, Timestamp::UNIX_EPOCH);
    assert!(book.torn_before_jobs(&backup).is_some());

    let second = Copier::Guard(GuardId(4));
    book.begin_copy(second, sides, Manner::Overwrites, torn(), Unsure::default());
    let before = book.torn_before_jobs(&backup);
    assert!(
        before.is_some(),
        "the first has torn it, and not the second"
    );
}
