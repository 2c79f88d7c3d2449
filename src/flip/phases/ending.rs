//! The end: what has happened is journalled, announced, and followed by its hooks.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a phase takes only what it asked for; whatever else comes is late, and passed over"
)]

use crate::site::Outcome;

use super::super::{Action, Ending, Flip, Hooks, Input};

/// The end is being journalled: of a flip that moved, or of one that was refused.
///
/// *Data*: the commit, or nothing; soon its end. *Access*: the new side, or the old one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Settling {
    pub(in crate::flip) ending: Ending,
}

impl Settling {
    pub(in crate::flip) fn step(self, input: Input) -> (Flip, Vec<Action>) {
        let Input::EndJournalled(written) = input else {
            return (Flip::Settling(self), Vec::new());
        };
        let mut ending = self.ending;
        if let Err(why) = written {
            // What happened has happened, or has not: only its record is incomplete.
            ending.message = join(&ending.message, &why);
        }
        let mut actions = vec![Action::Announce(ending.clone())];
        if ending.outcome != Outcome::Refused {
            actions.push(Action::RunHooks(Hooks::After));
        }
        (Flip::Ended(Ended { ending }), actions)
    }
}

/// On the way back to the old side.
///
/// *Data*: the intent, which alone means the old side. *Access*: held until no hook runs any more,
/// then the old side.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Restoring {
    pub(in crate::flip) ending: Ending,
    pub(super) hooked: bool,
}

impl Restoring {
    pub(in crate::flip) fn step(self, input: Input) -> (Flip, Vec<Action>) {
        match input {
            Input::HooksStopped => {
                let journal = Action::JournalEnd(self.ending.clone());
                (Flip::Restoring(self), vec![Action::Release, journal])
            }
            Input::EndJournalled(written) => {
                let Self { mut ending, hooked } = self;
                if let Err(why) = written {
                    // An intent without a commit means the old side, with or without this record.
                    ending.message = join(&ending.message, &why);
                }
                let mut actions = vec![Action::Announce(ending.clone())];
                if hooked {
                    actions.push(Action::RunHooks(Hooks::Restore));
                }
                (Flip::Ended(Ended { ending }), actions)
            }
            _ => (Flip::Restoring(self), Vec::new()),
        }
    }
}

/// Over.
///
/// *Data*: how it ended. *Access*: one side, the journal's.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Ended {
    pub(in crate::flip) ending: Ending,
}

pub(super) fn refuse(message: String) -> (Flip, Vec<Action>) {
    let ending = Ending {
        outcome: Outcome::Refused,
        message,
    };
    let journal = Action::JournalEnd(ending.clone());
    (Flip::Settling(Settling { ending }), vec![journal])
}

pub(super) fn restore(outcome: Outcome, message: String, hooked: bool) -> (Flip, Vec<Action>) {
    let ending = Ending { outcome, message };
    (
        Flip::Restoring(Restoring { ending, hooked }),
        vec![Action::StopHooks],
    )
}

fn join(message: &str, more: &str) -> String {
    if message.is_empty() {
        more.into()
    } else {
        format!("{message}; {more}")
    }
}
