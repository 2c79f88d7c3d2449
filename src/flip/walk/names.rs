//! The direct names of the small world, and who may still use what they gave out.

use crate::site::Answers;

use super::super::{Action, Flip, Input};
use super::are_seen_to_fail;
use super::world::StepFn;

/// The names of both sites.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Names {
    /// How they answer.
    pub(super) answers: Answers,
    /// The longest-lived address of the old side that a client may still use.
    usable: Usable,
    /// Users were held while a client may have had one from before the flip.
    pub(super) held_too_early: bool,
}

/// An address that a name gave out, by how long it may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Usable {
    Nothing,
    /// Given out around the flip.
    Short,
    /// Given out before it.
    Long,
}

impl Names {
    /// Somebody has just asked.
    pub(super) const ASKED: Self = Self {
        answers: Answers::Usual,
        usable: Usable::Long,
        held_too_early: false,
    };

    /// Lets what was given out before run out; somebody always asks.
    pub(super) fn wait(&mut self) {
        self.usable = match self.answers {
            Answers::Usual => Usable::Long,
            Answers::Short => Usable::Short,
            Answers::Withheld => Usable::Nothing,
        };
    }

    pub(super) fn may_be_used_for_long(self) -> bool {
        self.usable == Usable::Long
    }

    /// The invariants; the sentence of the one that does not hold.
    pub(super) fn broken(self, syncs: bool) -> Option<&'static str> {
        if syncs && self.usable != Usable::Nothing {
            return Some("data is copied while clients may use what the names gave out");
        }
        let early = "users are held before old answers have run out";
        self.held_too_early.then_some(early)
    }
}

#[test]
fn broken_waits_for_answers_are_seen_to_fail() {
    let broken: [(&str, StepFn); 3] = [
        ("nobody waits for old answers", |flip, input, now| {
            let (flip, actions) = flip.step(input, now);
            if matches!(flip, Flip::Quiescing(_)) && actions == [Action::AwaitLease] {
                return flip.step(Input::LeaseOver(Ok(())), now);
            }
            (flip, actions)
        }),
        ("nobody waits for the last answers", |flip, input, now| {
            let (flip, actions) = flip.step(input, now);
            if matches!(flip, Flip::Draining(_)) && actions == [Action::AwaitLease] {
                return flip.step(Input::LeaseOver(Ok(())), now);
            }
            (flip, actions)
        }),
        (
            "a cancel overtakes what the names are to answer",
            |flip, input, now| match (&flip, input) {
                (Flip::Quiescing(_), Input::Cancel(why)) => {
                    flip.step(Input::Answering(Err(why)), now)
                }
                (_, input) => flip.step(input, now),
            },
        ),
    ];
    are_seen_to_fail(&broken);
}
