//! What `benches/flips/` counts, tried on stories made by hand: a wrong count would flatter us.

#[allow(dead_code, reason = "the bench also prints the names of sides")]
#[path = "../../benches/flips/counts.rs"]
mod counts;

use std::time::{Duration, Instant};

use counts::{Over, Rest, Side, Worked, double, stale, still_in_work};

/// A clock whose zero is where a story begins.
struct Story(Instant);

impl Story {
    fn at(&self, milliseconds: u64) -> Instant {
        self.0 + Duration::from_millis(milliseconds)
    }

    fn worked(&self, side: Side, began: u64, ended: u64) -> Worked {
        Worked {
            side,
            began: self.at(began),
            ended: self.at(ended),
            cut: None,
        }
    }

    fn cut(&self, side: Side, began: u64, cut: u64, ended: u64) -> Worked {
        Worked {
            cut: Some(self.at(cut)),
            ..self.worked(side, began, ended)
        }
    }

    /// A flip from live to backup that was done at 100, and the next asked for at 200.
    fn rest(&self) -> [Rest; 1] {
        [Rest {
            old: Side::Live,
            since: self.at(100),
            until: self.at(200),
        }]
    }
}

fn story() -> Story {
    Story(Instant::now())
}

#[test]
fn only_what_begins_at_the_old_side_between_done_and_the_next_flip_is_stale() {
    let story = story();
    let requests = [
        story.worked(Side::Live, 90, 95),
        story.worked(Side::Live, 99, 150),
        story.worked(Side::Live, 101, 105),
        story.worked(Side::Live, 199, 250),
        story.worked(Side::Live, 201, 205),
        story.worked(Side::Backup, 120, 125),
    ];

    assert_eq!(stale(&requests, &story.rest()), 2);
    assert_eq!(still_in_work(&requests, &story.rest()), 1);
}

#[test]
fn a_request_is_double_if_it_meets_any_of_the_other_side() {
    let story = story();
    let requests = [
        story.worked(Side::Live, 0, 50),
        // Ends before the long one does, and hides it from whoever looks at the last begun only.
        story.worked(Side::Live, 10, 15),
        story.worked(Side::Backup, 40, 45),
        story.worked(Side::Backup, 46, 60),
        story.worked(Side::Backup, 50, 55),
        story.worked(Side::Live, 70, 80),
    ];

    // The long one, and the two that began before it ended.
    assert_eq!(double(&requests, Over::AtItsEnd), 3);
}

#[test]
fn work_that_is_cut_goes_on_unless_it_is_taken_to_end_there() {
    let story = story();
    let requests = [
        story.cut(Side::Live, 0, 10, 30),
        story.worked(Side::Backup, 20, 25),
    ];

    assert_eq!(double(&requests, Over::AtItsEnd), 2);
    assert_eq!(double(&requests, Over::AtTheCut), 0);
}

#[test]
fn one_side_at_a_time_is_never_double() {
    let story = story();
    let requests = [
        story.worked(Side::Live, 0, 10),
        story.worked(Side::Live, 5, 12),
        story.worked(Side::Backup, 12, 20),
        story.worked(Side::Live, 20, 30),
    ];

    assert_eq!(double(&requests, Over::AtItsEnd), 0);
}
