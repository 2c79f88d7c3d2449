//! Planning: all that a rehearsal does, with nobody held and nothing journalled, and what would
//! follow from it.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use crate::flip::{self, Action, Hooks, Scope};
use crate::journal::Page;
use crate::site::{Answers, DrainThen, During, Move, Skipped, Tunnels};
use crate::switchboard::now_ms;
use crate::zone;

use super::actor::Actor;
use super::begin::{has_checks, list, plan};
use super::freshness;
use super::handle::FlipError;
use super::hooks::phase_of;
use super::past::held_ms;
use super::rehearsal::checks_gone_over;
use super::request::FlipRequest;
use super::running::Moving;

/// How many earlier flips of a site the expected hold is made from.
const FLIPS_LOOKED_AT: u32 = 20;

/// How many of the sites are looked at for that.
const SITES_LOOKED_AT: usize = 4;

/// What a flip would do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedFlip {
    /// What it would move.
    pub moves: Vec<Move>,
    /// What users would get meanwhile.
    pub during: During,
    /// What it would leave out or go over.
    pub skipped: Vec<Skipped>,
    /// Why it would be refused now; `None`: it would go.
    pub refused: Option<String>,
    /// What it would do, phase by phase.
    pub steps: Vec<PlannedStep>,
    /// What is in flight now at the sites that it moves.
    pub in_flight: u64,
    /// Of that, what writes; WebSockets and other tunnels are among them.
    pub writes: u64,
    /// Of those, the tunnels.
    pub tunnels: u64,
    /// How long clients may still use addresses that direct names of these sites gave out, in ms.
    pub lease_ms: u64,
    /// How long earlier flips of these sites held anybody, in ms: each that did, the newest first.
    pub held_before_ms: Vec<u64>,
}

/// One phase of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedStep {
    /// The phase.
    pub phase: String,
    /// What is done there, a sentence each.
    pub does: Vec<String>,
}

impl Actor {
    /// Plans a flip: its checks run, and whoever asked is told when they are over.
    pub(super) fn plan_flip(
        &mut self,
        request: &FlipRequest,
        reply: oneshot::Sender<Result<PlannedFlip, FlipError>>,
    ) {
        let planned = request.check().and_then(|()| self.moves(request));
        let planned = planned.and_then(|moves| {
            has_checks(&moves, &request.forced)?;
            Ok(moves)
        });
        let moves = match planned {
            Ok(moves) => moves,
            Err(why) => {
                // A caller that went away does not need its answer.
                let _ = reply.send(Err(why));
                return;
            }
        };
        self.collect_writes();
        let mut planned = self.planned(request, &moves);
        let rules = self.look_at_rules(request, &moves);
        let rehearsal = self.rehearsal(&moves, &planned.skipped, rules);
        tokio::spawn(async move {
            planned.refused = rehearsal.await.err();
            let _ = reply.send(Ok(planned));
        });
    }

    fn planned(&self, request: &FlipRequest, moves: &[Moving]) -> PlannedFlip {
        let plan = plan(moves, request.now);
        let mut counts = [0, 0, 0];
        for moving in moves {
            let gates = &moving.lane.gates;
            let here = [
                gates.in_flight(),
                gates.writes_in_flight(),
                u64::try_from(gates.tunnels()).unwrap_or(u64::MAX),
            ];
            for (sum, count) in counts.iter_mut().zip(here) {
                *sum += count;
            }
        }
        let [in_flight, writes, tunnels] = counts;
        let mut planned = PlannedFlip {
            moves: moves.iter().map(|moving| moving.planned.clone()).collect(),
            during: plan.during,
            skipped: freshness::with_skipped(request, moves),
            refused: None,
            steps: Vec::new(),
            in_flight,
            writes,
            tunnels,
            lease_ms: self.lease_ms(moves),
            held_before_ms: self.held_before(moves),
        };
        let steps = flip::road(plan).into_iter().map(|stretch| PlannedStep {
            phase: stretch.phase.into(),
            does: stretch
                .actions
                .iter()
                .flat_map(|action| self.says(action, &planned, moves))
                .collect(),
        });
        planned.steps = steps.collect();
        planned
    }

    fn lease_ms(&self, moves: &[Moving]) -> u64 {
        let (snapshot, now_ms) = (self.board.current(), now_ms());
        let leases = snapshot.zones.leases();
        let ends = moves
            .iter()
            .map(|moving| leases.until_ms(&moving.planned.site, now_ms));
        ends.max().unwrap_or(0).saturating_sub(now_ms)
    }

    /// How long the last flips of these sites held anybody.
    fn held_before(&self, moves: &[Moving]) -> Vec<u64> {
        let mut flips = Vec::new();
        // Of very many sites, those of a few say enough.
        for moving in moves.iter().take(SITES_LOOKED_AT) {
            let page = Page {
                site: Some(moving.planned.site.clone()),
                before: None,
                moved: true,
                most: FLIPS_LOOKED_AT,
            };
            // A plan without a history is still a plan.
            flips.extend(self.history(&page).unwrap_or_default());
        }
        flips.sort_by_key(|flip| std::cmp::Reverse(flip.id));
        flips.dedup_by_key(|flip| flip.id);
        let held = flips.iter().filter_map(|flip| held_ms(&flip.timeline));
        held.take(FLIPS_LOOKED_AT as usize).collect()
    }

    /// What an action comes to for these sites, in words.
    fn says(&self, action: &Action, planned: &PlannedFlip, moves: &[Moving]) -> Vec<String> {
        let sides = distinct(moves.iter().map(|moving| moving.planned.to.as_str()));
        let said = match action {
            Action::Preflight if planned.skipped.contains(&Skipped::Checks) => {
                format!("{sides} is taken without a check")
            }
            Action::Preflight => checked(moves, &sides, &planned.skipped),
            Action::Answer(answers) => return self.answer_words(*answers, moves),
            Action::AwaitLease => return lease(planned, moves),
            Action::LetIn => "users are let in to the new side".into(),
            Action::JournalIntent => "the intent is journalled, with the next epoch".into(),
            Action::Hold(scope) => return vec![hold(*scope, planned.during)],
            Action::AwaitDrained(_) => return drain(planned, moves),
            Action::AwaitLinger => linger(moves),
            Action::Cut(_) => format!(
                "{} in flight are cut, in the middle of what they do",
                planned.in_flight
            ),
            Action::Commit => "the commit is journalled: the point of no return".into(),
            Action::Publish => return self.publish_words(moves),
            Action::AwaitWorkers => "every worker turns, and drops its old connections".into(),
            Action::Confirm => {
                let listen = &self.table.listen;
                let count = listen.http.len() + listen.https.len() + listen.dns.len();
                format!("each of {count} listeners is asked for the new epoch")
            }
            Action::JournalEnd(_) => "the end is journalled".into(),
            Action::RunHooks(hooks) => return hook_words(*hooks, moves),
            // What has nothing to do in this table, or is part of something else above.
            Action::AwaitGuards
            | Action::StopHooks
            | Action::SetTimer(_)
            | Action::JournalAborted
            | Action::Release
            | Action::Announce(_) => return Vec::new(),
        };
        vec![said]
    }

    /// How direct names answer meanwhile; nothing where there are none.
    fn answer_words(&self, answers: Answers, moves: &[Moving]) -> Vec<String> {
        let direct = moves.iter().flat_map(|moving| &moving.site.names);
        let names = list(direct.map(|name| name.owner.as_str()));
        if names.is_empty() {
            return Vec::new();
        }
        let how = match answers {
            Answers::Usual => "answer as usual",
            Answers::Short => "answer for a second only",
            Answers::Withheld if moves.iter().any(Moving::keeps) => "go on with the old address",
            Answers::Withheld => "have no address",
        };
        vec![format!("{names} {how}")]
    }

    fn publish_words(&self, moves: &[Moving]) -> Vec<String> {
        let sites = list(moves.iter().map(|moving| moving.planned.site.as_str()));
        let mut said = vec![format!("one swap for {sites}; the old lanes are closed")];
        for moving in moves {
            let names = moving.site.names.iter().map(|name| name.owner.as_str());
            let names = list(names);
            if !names.is_empty() {
                said.push(format!("{names} answer with {}", moving.planned.to));
            }
            let zones = list(zone::zones_of(&self.table, &moving.site).into_iter());
            if !zones.is_empty() {
                said.push(format!("the serial of {zones} goes up"));
            }
        }
        said
    }
}

fn checked(moves: &[Moving], sides: &str, skipped: &[Skipped]) -> String {
    let but = checks_gone_over(skipped);
    let names = moves
        .iter()
        .flat_map(|moving| &moving.site.preflight.checks);
    let names = names.filter(|check| !but.contains(&check.name));
    let names = distinct(names.map(|check| check.name.as_str()));
    let has_marker = |moving: &Moving| moving.site.freshness.is_some();
    let is_compared = moves.iter().any(has_marker) && !but.iter().any(|name| name == "freshness");
    if is_compared {
        let checks = if names.is_empty() { "none" } else { &names };
        return format!("the checks of {sides}: {checks}; and whether its data are fresh");
    }
    if names.is_empty() {
        format!("there are no checks of {sides}")
    } else {
        format!("the checks of {sides}: {names}")
    }
}

/// The hooks of a phase, in the order in which they run.
fn hook_words(of: Hooks, moves: &[Moving]) -> Vec<String> {
    let phase = phase_of(of);
    let each = moves.iter().flat_map(|moving| {
        let site = &moving.planned.site;
        let each = moving.site.flip.hooks.of(phase).iter();
        each.map(move |hook| {
            let most = shown(hook.timeout);
            format!("the {phase} hook {} of {site}, {most} at most", hook.name)
        })
    });
    each.collect()
}

fn hold(scope: Scope, during: During) -> String {
    match (scope, during) {
        (_, During::Page) => "nobody is let in; users get the maintenance page".into(),
        (_, During::Hold) => "nobody is let in; users wait on hold".into(),
        (Scope::Writes, During::ReadOnly) => "nobody may write; users may read".into(),
        (Scope::All, During::ReadOnly) => "nobody is let in any more, to read neither".into(),
    }
}

fn drain(planned: &PlannedFlip, moves: &[Moving]) -> Vec<String> {
    if planned.skipped.contains(&Skipped::Drain) {
        return Vec::new();
    }
    let plan = plan(moves, false);
    let then = match plan.drain_then {
        DrainThen::Restore => "a write that is left takes the site back, reads are cut",
        DrainThen::Cut => "what is left is cut",
    };
    let reads = planned.in_flight.saturating_sub(planned.writes);
    let writes = planned.writes.saturating_sub(planned.tunnels);
    let mut said = vec![format!(
        "up to {} for what is in flight (now {reads} to read, {writes} to write); then {then}",
        shown(plan.drain_for)
    )];
    let closes = |moving: &Moving| moving.site.flip.websockets == Tunnels::Close;
    if planned.tunnels > 0 {
        let when = if moves.iter().all(closes) {
            "at once"
        } else {
            "at the end of the drain at the latest"
        };
        said.push(format!("{} WebSockets are closed {when}", planned.tunnels));
    }
    said
}

fn linger(moves: &[Moving]) -> String {
    let asks = |moving: &Moving| moving.site.flip.quiet.is_some();
    if moves.iter().any(asks) {
        return "after a write that was given up unfinished: until the old side is quiet".into();
    }
    let linger = moves.iter().map(|moving| moving.site.flip.linger).max();
    format!(
        "up to {} after a write that was given up unfinished",
        shown(linger.unwrap_or_default())
    )
}

/// How long old DNS answers are waited for, as things are now.
fn lease(planned: &PlannedFlip, moves: &[Moving]) -> Vec<String> {
    if planned.lease_ms == 0 && moves.iter().all(|moving| moving.lease.is_none()) {
        return Vec::new();
    }
    let now = match planned.lease_ms {
        0 => "now none may".to_owned(),
        left => format!("now some may for {}", shown(Duration::from_millis(left))),
    };
    vec![format!("until no client may use an old DNS answer ({now})")]
}

fn shown(time: Duration) -> String {
    format!("{time:?}")
}

fn distinct<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let mut names: Vec<_> = names.collect();
    names.sort_unstable();
    names.dedup();
    names.join(", ")
}
