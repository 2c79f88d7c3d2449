//! The road of a flip on which all goes well: what a plan shows beforehand.
//!
//! It is the machine's own: each of its actions is answered with success, so a plan cannot say
//! anything else than what the flip does.

use super::{Action, Commit, Flip, Hooks, Input, Moment, Plan};

/// What a flip does in one of its phases.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// The phase, in the words of the protocol.
    pub phase: &'static str,
    /// What is done there, in this order.
    pub actions: Vec<Action>,
}

/// Goes through a flip in thought.
pub fn road(plan: Plan) -> Vec<Stretch> {
    // Time stands still: nothing on this road waits for a deadline.
    let now = Moment { ms: 0 };
    let (mut flip, actions) = Flip::begin(plan);
    let mut road = vec![Stretch {
        phase: flip.phase(),
        actions: actions.clone(),
    }];
    let mut asked: Vec<Action> = actions;
    while flip.ending().is_none() && !asked.is_empty() {
        let Some(input) = success(&asked.remove(0)) else {
            continue;
        };
        let (next, actions) = flip.step(input, now);
        flip = next;
        match road.last_mut() {
            Some(last) if last.phase == flip.phase() => last.actions.extend(actions.clone()),
            _ => road.push(Stretch {
                phase: flip.phase(),
                actions: actions.clone(),
            }),
        }
        asked.extend(actions);
    }
    road
}

/// The answer of an action that succeeded; `None` for one that has none.
fn success(action: &Action) -> Option<Input> {
    Some(match action {
        Action::Preflight => Input::Preflight(Ok(())),
        Action::JournalIntent => Input::IntentJournalled(Ok(())),
        Action::AwaitGuards => Input::GuardsOut(Ok(())),
        Action::Answer(_) => Input::Answering(Ok(())),
        Action::AwaitLease => Input::LeaseOver(Ok(())),
        Action::RunHooks(hooks @ (Hooks::Before | Hooks::Sync)) => Input::HooksDone(*hooks, Ok(())),
        Action::StopHooks => Input::HooksStopped,
        Action::Hold(_) => Input::Held,
        Action::AwaitDrained(_) => Input::Drained,
        Action::AwaitLinger => Input::Lingered(Ok(())),
        Action::Commit => Input::Committed(Commit::Written),
        Action::JournalAborted => Input::AbortJournalled(Ok(())),
        Action::Publish => Input::Published,
        Action::AwaitWorkers => Input::WorkersTurned(Ok(())),
        Action::Confirm => Input::Confirmed(Ok(())),
        Action::JournalEnd(_) => Input::EndJournalled(Ok(())),
        Action::RunHooks(Hooks::After | Hooks::Restore)
        | Action::SetTimer(_)
        | Action::Cut(_)
        | Action::LetIn
        | Action::Release
        | Action::Announce(_) => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::site::{DrainThen, During};

    use super::*;

    #[test]
    fn the_road_leads_from_the_rehearsal_to_the_end() {
        for (during, now) in [
            (During::Page, false),
            (During::ReadOnly, false),
            (During::Page, true),
        ] {
            let road = road(Plan {
                during,
                drain_for: Duration::from_secs(30),
                drain_then: DrainThen::Restore,
                now,
                keeps: false,
            });
            let phases: Vec<_> = road.iter().map(|stretch| stretch.phase).collect();
            assert_eq!(
                (phases.first(), phases.last()),
                (Some(&"rehearsing"), Some(&"settled")),
                "{phases:?}"
            );
            assert_eq!(phases.contains(&"syncing"), !now, "{phases:?}");
        }
    }
}
