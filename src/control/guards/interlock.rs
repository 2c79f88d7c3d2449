//! The interlock: a flip and a guarded job of its sites exclude each other (invariant 3).

use std::time::Duration;

use jiff::Timestamp;

use crate::flip::Input;
use crate::site::{FlipId, GuardId, OnFlip, SiteName, Skipped, is_emergency};

use super::super::actor::{Actor, Event};
use super::super::handle::FlipError;
use super::super::request::FlipRequest;
use super::super::running::{Moving, Running};
use super::lease::Out;
use super::owner::GuardEvent;

/// How long what a planned flip ends may take over it.
const GRACE: Duration = Duration::from_secs(10);

/// How long what an emergency ends may take over it.
const EMERGENCY_GRACE: Duration = Duration::from_secs(1);

/// How long an emergency waits for what it ends.
const EMERGENCY_WAIT: Duration = Duration::from_secs(5);

impl Actor {
    /// Looks whether every lease that is to be gone over is one of a site that moves.
    pub(in crate::control) fn has_guards(
        &self,
        request: &FlipRequest,
        moves: &[Moving],
    ) -> Result<(), FlipError> {
        let unknown = |id: &&GuardId| {
            let out = self.guards.out.get(id);
            !out.is_some_and(|out| {
                moves
                    .iter()
                    .any(|moving| out.lease.is_for(&moving.planned.site))
            })
        };
        match request.over_guards.iter().find(unknown) {
            None => Ok(()),
            Some(id) => Err(FlipError::UnknownGuard { guard: *id }),
        }
    }

    /// Looks whether a lease forbids a flip at once, before anything is tried.
    ///
    /// # Errors
    /// Which, and what to do.
    pub(in crate::control) fn look_at_guards_of(
        &self,
        moves: &[Moving],
        skipped: &[Skipped],
    ) -> Result<(), String> {
        let is_planned = !is_emergency(skipped);
        let mut refused = Vec::new();
        let sites = moves.iter().map(|moving| &moving.planned.site);
        for (id, out) in self.in_the_way(sites, skipped) {
            let named = out.lease.named(id);
            if out.is_orphaned && (is_planned || !out.lease.is_near) {
                refused.push(format!(
                    "{named} is orphaned: nobody renews its lease, and it may run still; look at \
                     its host, then {}",
                    remedy(id, is_planned)
                ));
            } else if is_planned && out.lease.on_flip == OnFlip::Refuse {
                refused.push(format!(
                    "{named} runs, and is not to be disturbed: wait for its end"
                ));
            }
        }
        if refused.is_empty() {
            Ok(())
        } else {
            Err(refused.join("\n"))
        }
    }

    /// Waits until no guarded job of a flip's sites runs, nor a last hook of a flip before it; the
    /// answer, when that is so.
    pub(in crate::control) fn await_guards(&mut self, id: FlipId) -> Option<Input> {
        self.stop_last_hooks_for(id);
        let running = self.flips.get(&id)?;
        let (skipped, moves) = (running.journalled.skipped.clone(), sites_of(running));
        self.release_gone_over(id, &skipped);
        let is_planned = !is_emergency(&skipped);
        let mut told = Vec::new();
        for (guard, out) in self.in_the_way(moves.iter(), &skipped) {
            match out.lease.on_flip {
                // It came while the flip was rehearsed.
                OnFlip::Refuse if is_planned => {
                    let named = out.lease.named(guard);
                    return Some(Input::GuardsOut(Err(format!(
                        "{named} has begun meanwhile"
                    ))));
                }
                OnFlip::Wait if is_planned => {}
                OnFlip::Wait | OnFlip::Refuse | OnFlip::Kill => told.push(guard),
            }
        }
        for guard in told {
            self.tell_to_end(guard, is_planned);
        }
        self.flips.get_mut(&id)?.awaits_guards = true;
        if let Some(answer) = self.guards_answer(id) {
            return Some(answer);
        }
        self.wait_for_guards(id, is_planned);
        None
    }

    /// Ends the wait of a flip after a while.
    fn wait_for_guards(&mut self, id: FlipId, is_planned: bool) {
        let events = self.events.clone();
        let Some(running) = self.flips.get_mut(&id) else {
            return;
        };
        let policies = running.moves.iter().map(|moving| &moving.site.flip);
        let within = if is_planned {
            policies
                .map(|policy| policy.guard_wait)
                .max()
                .unwrap_or_default()
        } else {
            EMERGENCY_WAIT
        };
        running.until = Timestamp::now().checked_add(within).ok();
        running.tasks.spawn(async move {
            tokio::time::sleep(within).await;
            // The actor is gone only when the process ends.
            let _ = events.send(Event::Guard(GuardEvent::WaitOver(id))).await;
        });
        self.note_awaited(id);
    }

    /// Lets those flips go on for which nothing is out any more.
    pub(in crate::control) fn let_waiting_flips_go_on(&mut self) {
        let waiting = self.flips.values().filter(|running| running.awaits_guards);
        let waiting: Vec<_> = waiting.map(|running| running.id).collect();
        for id in waiting {
            if let Some(answer) = self.guards_answer(id) {
                self.feed(id, answer);
            } else {
                self.note_awaited(id);
            }
        }
    }

    /// The answer to the wait of a flip, when it is over.
    fn guards_answer(&mut self, id: FlipId) -> Option<Input> {
        let running = self
            .flips
            .get(&id)
            .filter(|running| running.awaits_guards)?;
        let (sites, skipped) = (sites_of(running), &running.journalled.skipped);
        let is_out = self.in_the_way(sites.iter(), skipped).next().is_some();
        if is_out || !running.awaited_hooks.is_empty() {
            return None;
        }
        // What was ended in the middle has left a side torn.
        let data = self.look_at_what_guards_left(&running.moves, skipped);
        let running = self.flips.get_mut(&id)?;
        running.awaits_guards = false;
        running.awaited_guards.clear();
        Some(Input::GuardsOut(data))
    }

    /// Refuses a flip that has waited as long as it may.
    pub(super) fn waited_too_long(&mut self, id: FlipId) {
        let Some(running) = self.flips.get(&id).filter(|running| running.awaits_guards) else {
            return;
        };
        let (sites, is_planned) = (sites_of(running), !running.is_emergency());
        let skipped = &running.journalled.skipped;
        let out = self.in_the_way(sites.iter(), skipped).map(|(guard, out)| {
            let named = out.lease.named(guard);
            let remedy = if out.is_orphaned || !is_planned {
                format!("; look at its host, then {}", remedy(guard, is_planned))
            } else {
                ": wait for its end, or end it; `flip.guard_wait` says how long a flip waits".into()
            };
            format!("{named} is not gone{remedy}")
        });
        let out: Vec<_> = out.collect();
        // Only hooks that are ended are waited for: these are always seen to their end.
        if !out.is_empty() {
            self.feed(id, Input::GuardsOut(Err(out.join("\n"))));
        }
    }

    fn tell_to_end(&mut self, guard: GuardId, is_planned: bool) {
        let grace = if is_planned { GRACE } else { EMERGENCY_GRACE };
        let Some(out) = self.guards.out.get_mut(&guard) else {
            return;
        };
        out.tell_to_end(grace);
        let lease = out.lease.clone();
        tracing::warn!(guard = %guard, "{} is told to end: a flip goes before it", lease.named(guard));
        let is_orphaned = out.is_orphaned;
        self.guards.show();
        // Its guard ends it, and says why; in an emergency nobody waits for that.
        if is_orphaned || !is_planned {
            self.end_near(&lease, grace);
        }
    }

    /// Takes the leases off the list that an emergency goes over.
    fn release_gone_over(&mut self, id: FlipId, skipped: &[Skipped]) {
        for guard in skipped.iter().filter_map(Skipped::guard) {
            self.tell_to_end(guard, false);
            let what = format!("emergency flip {id} goes over it");
            if let Err(why) = self.release_guard(guard, &what) {
                tracing::error!(guard = %guard, why, "its lease is out still");
            }
        }
    }

    /// Shows for what a flip waits.
    fn note_awaited(&mut self, id: FlipId) {
        let Some(running) = self.flips.get(&id) else {
            return;
        };
        let (sites, skipped) = (sites_of(running), &running.journalled.skipped);
        let out = self.in_the_way(sites.iter(), skipped);
        let awaited: Vec<_> = out.map(|(guard, out)| out.lease.named(guard)).collect();
        if let Some(running) = self.flips.get_mut(&id) {
            for named in &awaited {
                tracing::info!(flip = %id, "flip waits for {named}");
            }
            running.awaited_guards = awaited;
        }
        self.show();
    }

    /// Lists the leases of some sites, but those that are gone over.
    fn in_the_way<'a>(
        &'a self,
        sites: impl Iterator<Item = &'a SiteName> + Clone,
        skipped: &'a [Skipped],
    ) -> impl Iterator<Item = (GuardId, &'a Out)> {
        let out = self.guards.out.iter().map(|(id, out)| (*id, out));
        out.filter(move |(id, out)| {
            let mut sites = sites.clone();
            !skipped.contains(&Skipped::Guard(*id)) && sites.any(|site| out.lease.is_for(site))
        })
    }
}

fn sites_of(running: &Running) -> Vec<SiteName> {
    let moves = running.moves.iter();
    moves.map(|moving| moving.planned.site.clone()).collect()
}

fn remedy(id: GuardId, is_planned: bool) -> String {
    let release = format!("`pointsman guard --release {id} --reason …`");
    if is_planned {
        release
    } else {
        format!("{release}, or name it with --over-guard {id}")
    }
}
