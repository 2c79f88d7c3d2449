//! Walks every reachable state of a flip in a small world, and checks the invariants in each.
//!
//! The world is what the actions act upon: two sites that move together, each with its old and new
//! gates and at most one read and one write in flight; a disk that may keep a commit that was
//! reported as failed; and hooks. Its moves are every answer an action can get, in any order and
//! however late, once an answer that is lost, timers that fire too early, users that come and go,
//! and a cancel at any time. A crash is possible in every state, and what recovery would make of it
//! is part of the invariants.

mod names;
mod site;
mod world;

use std::collections::{HashSet, VecDeque};
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::time::Duration;

use crate::site::{DrainThen, During, Outcome};

use super::{Action, Commit, Flip, Hooks, Input, Moment, Plan, Scope};
use world::{StepFn, World};

/// Visits every state; the number of them and the outcomes seen, or the first broken invariant.
///
/// Of what was seen only a hash of 64 bits is kept: two worlds with the same one would hide a
/// part, which is one chance in a hundred million for a million worlds.
fn walk(plan: Plan, step: StepFn) -> Result<(usize, HashSet<Outcome>), &'static str> {
    let hasher = BuildHasherDefault::<DefaultHasher>::default();
    let first = World::begin(plan, 2);
    let mut seen = HashSet::from([hasher.hash_one(&first)]);
    let mut queue = VecDeque::from([first]);
    let mut outcomes = HashSet::new();
    while let Some(world) = queue.pop_front() {
        if let Some(broken) = world.broken() {
            return Err(broken);
        }
        outcomes.extend(world.announced);
        for mut next in world.next(step) {
            // In whatever order: the actions are under way side by side, and the sites alike.
            next.sites.sort_unstable();
            next.asked
                .sort_by_cached_key(|action| hasher.hash_one(action));
            if seen.insert(hasher.hash_one(&next)) {
                queue.push_back(next);
            }
        }
    }
    Ok((seen.len(), outcomes))
}

/// Every plan that makes a difference: `hold` goes the way of `page`, and an emergency never waits.
fn plans() -> Vec<Plan> {
    let plan = |during, drain_then, now| Plan {
        during,
        drain_for: Duration::from_secs(30),
        drain_then,
        now,
        keeps: false,
    };
    vec![
        plan(During::Page, DrainThen::Restore, false),
        plan(During::Page, DrainThen::Cut, false),
        plan(During::ReadOnly, DrainThen::Restore, false),
        plan(During::ReadOnly, DrainThen::Cut, false),
        plan(During::ReadOnly, DrainThen::Restore, true),
        Plan {
            keeps: true,
            ..plan(During::Page, DrainThen::Restore, false)
        },
    ]
}

/// Goes on from a random next state to another until the flip is over; the first broken invariant.
fn stroll(plan: Plan, sites: usize, mut seed: u64) -> Result<(), &'static str> {
    const STEPS_MAX: usize = 500;
    let mut world = World::begin(plan, sites);
    for _ in 0..STEPS_MAX {
        if let Some(broken) = world.broken() {
            return Err(broken);
        }
        if world.flip_is_over() {
            return Ok(());
        }
        let nexts = world.next(Flip::step);
        // Knuth's multiplier; the high bits are the better ones.
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let at = usize::try_from(seed >> 33).unwrap_or(0) % nexts.len();
        world = nexts.into_iter().nth(at).expect("within their number");
    }
    Ok(())
}

#[test]
fn long_random_walks_of_four_sites_keep_the_invariants() {
    let number = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok();
    let is_soak = number("POINTSMAN_SOAK") == Some(1);
    let seed = number("POINTSMAN_SEED").unwrap_or_else(|| {
        let since = std::time::UNIX_EPOCH.elapsed().unwrap_or_default();
        u64::from(since.subsec_nanos())
    });
    for walk in 0..if is_soak { 20_000 } else { 100 } {
        for plan in plans() {
            let kept = stroll(plan, 4, seed.wrapping_add(walk));
            assert_eq!(kept, Ok(()), "POINTSMAN_SEED={seed}, walk {walk}, {plan:?}");
        }
    }
}

#[test]
fn every_reachable_state_of_a_flip_keeps_the_invariants() {
    for plan in plans() {
        let (states, outcomes) = walk(plan, Flip::step).expect("an invariant is broken");
        assert!(
            states > 10_000,
            "only {states} states were reached: the world is too small"
        );
        for outcome in [
            Outcome::Settled,
            Outcome::Moved,
            Outcome::Refused,
            Outcome::RestoredUnheld,
            Outcome::Restored,
        ] {
            assert!(outcomes.contains(&outcome), "{outcome} was never reached");
        }
    }
}

fn without_restore_hooks(flip: Flip, input: Input, now: Moment) -> (Flip, Vec<Action>) {
    let (flip, mut actions) = flip.step(input, now);
    actions.retain(|action| *action != Action::RunHooks(Hooks::Restore));
    (flip, actions)
}

#[test]
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "a broken variant changes one input only"
)]
fn broken_variants_of_the_flip_are_seen_to_fail() {
    let broken: [(&str, StepFn); 8] = [
        ("the hold is forgotten", |flip, input, now| {
            let (flip, mut actions) = flip.step(input, now);
            let is_hold = |action: &Action| matches!(action, Action::Hold(_));
            if actions.iter().any(is_hold) {
                return flip.step(Input::Held, now);
            }
            actions.retain(|action| !is_hold(action));
            (flip, actions)
        }),
        (
            "the deadline counts as drained",
            |flip, input, now| match (&flip, input) {
                (Flip::Draining(_), Input::Timer { .. }) => flip.step(Input::Drained, now),
                (_, input) => flip.step(input, now),
            },
        ),
        (
            "an unknown commit counts as not written",
            |flip, input, now| match input {
                Input::Committed(Commit::Unknown(why)) => {
                    flip.step(Input::Committed(Commit::NotWritten(why)), now)
                }
                input => flip.step(input, now),
            },
        ),
        (
            "a commit that failed is published",
            |flip, input, now| match input {
                Input::Committed(_) => flip.step(Input::Committed(Commit::Written), now),
                input => flip.step(input, now),
            },
        ),
        (
            "a running hook is left alone on the way back",
            |flip, input, now| {
                let (flip, actions) = flip.step(input, now);
                if actions == [Action::StopHooks] {
                    return flip.step(Input::HooksStopped, now);
                }
                (flip, actions)
            },
        ),
        (
            "no restore hook is run on the way back",
            without_restore_hooks,
        ),
        (
            "reads are not held before the commit",
            |flip, input, now| {
                let (flip, actions) = flip.step(input, now);
                if matches!(flip, Flip::Closing(_)) && actions == [Action::Hold(Scope::All)] {
                    return flip.step(Input::Held, now);
                }
                (flip, actions)
            },
        ),
        ("nobody waits for the workers", |flip, input, now| {
            let (flip, actions) = flip.step(input, now);
            if actions == [Action::AwaitWorkers] {
                return flip.step(Input::WorkersTurned(Ok(())), now);
            }
            (flip, actions)
        }),
    ];
    are_seen_to_fail(&broken);
}

fn are_seen_to_fail(broken: &[(&str, StepFn)]) {
    for (what, step) in broken {
        let found = plans().into_iter().find_map(|plan| walk(plan, *step).err());
        assert!(found.is_some(), "{what}: no invariant noticed");
    }
}
