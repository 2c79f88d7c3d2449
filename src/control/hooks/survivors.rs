//! What a daemon that was killed left running, and what a later one does about it.

use std::thread;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use nix::sys::signal::Signal;

use crate::journal::{HookEnd, Journal, UnfinishedHook};
use crate::processes::{self, Family};
use crate::site::{HookPhase, HookResult};

use super::super::ledger::Ledger;
use super::environment::MARK;

/// How long survivors may take to end before somebody is served: the first half when asked, the
/// second when not. What is left then is seen to while users are served.
const WITHIN: Duration = Duration::from_secs(2);

const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Ends the hooks that the daemon before this one left running, and journals that they are lost;
/// those that could not be ended yet are given back.
pub(crate) fn end_survivors(ledger: &mut Ledger) -> Vec<UnfinishedHook> {
    let Ok(journal) = &mut ledger.journal else {
        return Vec::new();
    };
    match journal.unfinished_hooks() {
        Ok(hooks) if hooks.is_empty() => Vec::new(),
        Ok(hooks) => {
            let left = end(&hooks);
            for hook in &hooks {
                note(journal, hook);
            }
            left
        }
        Err(error) => {
            ledger.give_up(&error);
            Vec::new()
        }
    }
}

fn end(hooks: &[UnfinishedHook]) -> Vec<UnfinishedHook> {
    let began = Instant::now();
    let mut asked = false;
    // A group keeps its number while anything is in it, so it is looked up once.
    let mut left: Vec<_> = hooks.iter().map(|hook| (hook, family(hook))).collect();
    loop {
        left.retain(|(hook, family)| {
            let members = family.members();
            if members.is_empty() {
                return false;
            }
            if !asked {
                let (flip, name, processes) = (hook.flip, &hook.name, processes::named(&members));
                tracing::warn!(%flip, name, processes, "a hook outlived the daemon: it is ended");
                family.signal(&members, Signal::SIGTERM);
            } else if began.elapsed() >= WITHIN / 2 {
                family.signal(&members, Signal::SIGKILL);
            }
            true
        });
        asked = true;
        if left.is_empty() || began.elapsed() >= WITHIN {
            return left.into_iter().map(|(hook, _)| hook.clone()).collect();
        }
        thread::sleep(LOOK_EVERY);
    }
}

/// What is looked for of a hook whose daemon has died.
pub(super) fn family(hook: &UnfinishedHook) -> Family {
    let leader = hook.leader.as_ref();
    Family {
        mark: (MARK, hook.mark.clone()),
        group: leader
            .filter(|leader| processes::still_leads(leader))
            .map(|leader| leader.process),
        with_strays: hook.phase == HookPhase::Sync,
    }
}

fn note(journal: &mut Journal, hook: &UnfinishedHook) {
    let end = HookEnd {
        result: HookResult::Lost,
        detail: "the daemon died while it ran".into(),
        output: String::new(),
        ended: Timestamp::now(),
    };
    if let Err(error) = journal.hook_ended(hook.flip, hook.number, &end) {
        tracing::error!(flip = %hook.flip, %error, "the end of a hook could not be journalled");
    }
}
