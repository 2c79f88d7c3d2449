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

    /// Has them answer so, or, where they are to keep the old address, as close to it as that goes.
    pub(super) fn answer(&mut self, answers: Answers, keep: bool) {
        let keep = keep && answers == Answers::Withheld;
        self.answers = if keep { Answers::Short } else { answers };
    }

    /// Lets what was given out of the old side before run out; somebody always asks.
    pub(super) fn wait(&mut self, has_moved: bool) {
        self.usable = match self.answers {
            Answers::Usual if !has_moved => Usable::Long,
            Answers::Short => Usable::Short,
            Answers::Usual | Answers::Withheld => Usable::Nothing,
        };
    }

    pub(super) fn may_be_used_for_long(self) -> bool {
        self.usable == Usable::Long
    }

    /// The invariants; the sentence of the one that does not hold.
    pub(super) fn broken(self, syncs: bool, is_let_in: bool) -> Option<&'static str> {
        if is_let_in && self.usable != Usable::Nothing {
            return Some("users are let in while clients may use what the names gave out");
        }
        if syncs && self.usable != Usable::Nothing {
            return Some("data is copied while clients may use what the names gave out");
        }
        let early = "users are held before old answers have run out";
        self.held_too_early.then_some(early)
    }
}

#[test]
fn broken_waits_for_answers_are_seen_to_fail() {
    let broken: [(&str, StepFn); 4] = [
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
        ("nobody waits for what was kept", |flip, input, now| {
            let (flip, actions) = flip.step(input, now);
            if matches!(flip, Flip::Publishing(_)) && actions == [Action::AwaitLease] {
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
