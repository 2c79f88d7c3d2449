//! Beginning a flip: from a request to a machine that runs.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::flip::{Flip, Plan};
use crate::journal::NewFlip;
use crate::site::{Answers, DrainThen, During, FlipId, Move, SideName, SiteName, Skipped};
use crate::switchboard::now_ms;
use crate::table::{Freshness, Site};

use super::actor::Actor;
use super::freshness;
use super::handle::FlipError;
use super::request::{FlipRequest, Forced};
use super::running::{Moving, Running};

/// How many sites move at once: all of them are held until the last has drained, and each takes
/// the actor a while. A group has no more.
const MOVES_MAX: usize = 1_000;

impl Actor {
    /// Begins a flip that was asked for over the socket.
    ///
    /// Looking at what the asker saw and beginning are one step of the actor: of two who saw the
    /// same, one begins.
    pub(super) fn begin_flip(&mut self, request: &FlipRequest) -> Result<FlipId, FlipError> {
        // First, as what a repeat has changed is no reason to refuse it.
        if let Some(answered) = self.repeats.find(request) {
            return answered;
        }
        if !request.expected.is_met_by(&self.status.borrow().version) {
            return Err(FlipError::Changed);
        }
        let id = self.begin(request, Vec::new())?;
        self.repeats.keep(request, id);
        Ok(id)
    }

    /// Begins a flip; `words` are those of the file that ask for it.
    pub(super) fn begin(
        &mut self,
        request: &FlipRequest,
        words: Vec<(SiteName, Option<SideName>)>,
    ) -> Result<FlipId, FlipError> {
        if self.is_stopping {
            return Err(FlipError::Stopping);
        }
        request.check()?;
        let moves = self.moves(request)?;
        has_checks(&moves, &request.forced)?;
        self.has_guards(request, &moves)?;
        let rules = self.look_at_rules(request, &moves);
        let id = self.next_flip;
        self.next_flip = id.next();
        for moving in &moves {
            self.problems.remove(&moving.planned.site);
        }
        let plan = plan(&moves, request.now);
        let (flip, actions) = Flip::begin(plan);
        let mut skipped = freshness::with_skipped(request, &moves);
        if request.now && self.lease_runs(&moves) {
            skipped.push(Skipped::Lease);
        }
        let journalled = NewFlip {
            moves: moves.iter().map(|moving| moving.planned.clone()).collect(),
            during: plan.during,
            who: request.who.clone(),
            reason: request.reason().map(on_one_line),
            skipped,
            began: Timestamp::now(),
            words,
        };
        let running = Running {
            id,
            flip,
            journalled,
            moves,
            rules,
            epochs: Vec::new(),
            timeline: Vec::new(),
            phase_began: Instant::now(),
            tasks: JoinSet::new(),
            timer: None,
            until: None,
            prepared: None,
            publication: None,
            is_in_doubt: false,
            answers: Answers::Usual,
            held_new: Vec::new(),
            lease_until: None,
            hooked: false,
            hook: None,
            hooks: Vec::new(),
            awaited_hooks: BTreeSet::new(),
            awaits_guards: false,
            awaited_guards: Vec::new(),
        };
        self.flips.insert(id, running);
        self.entered_phase(id);
        self.carry_out_all(id, actions);
        Ok(id)
    }

    /// Tells whether clients may still use what direct names of these sites gave out.
    fn lease_runs(&self, moves: &[Moving]) -> bool {
        let (snapshot, now_ms) = (self.board.current(), now_ms());
        let leases = snapshot.zones.leases();
        let mut sites = moves.iter().map(|moving| &moving.planned.site);
        sites.any(|site| leases.until_ms(site, now_ms) > now_ms)
    }

    pub(super) fn moves(&self, request: &FlipRequest) -> Result<Vec<Moving>, FlipError> {
        let steps = self.steps(&request.what)?;
        if steps.is_empty() {
            return Err(FlipError::NoMoves);
        }
        if steps.len() > MOVES_MAX {
            return Err(FlipError::TooMany {
                asked: steps.len(),
                most: MOVES_MAX,
            });
        }
        let mut named = BTreeSet::new();
        let snapshot = self.board.current();
        let mut moves = Vec::with_capacity(steps.len());
        for (name, to) in &steps {
            let Some(view) = snapshot.site(name) else {
                let known = list(self.table.sites.iter().map(|site| site.name.as_str()));
                return Err(FlipError::UnknownSite {
                    site: name.clone(),
                    known,
                });
            };
            if !named.insert(name) {
                return Err(FlipError::Twice { site: name.clone() });
            }
            if let Some(running) = self.flip_of(name) {
                return Err(FlipError::Conflict {
                    site: name.clone(),
                    flip: running.id,
                });
            }
            // An emergency does not wait: it ends them first.
            if let Some((flip, phase)) = self.last_hooks_of(name)
                && !request.now
            {
                return Err(FlipError::HooksRun {
                    site: name.clone(),
                    flip,
                    phase,
                });
            }
            if let Err(why) = &self.ledger.journal {
                return Err(FlipError::InDoubt {
                    site: name.clone(),
                    why: why.clone(),
                });
            }
            let Some(lane) = &view.lane else {
                let why = "the journal has no active side for it".into();
                return Err(FlipError::InDoubt {
                    site: name.clone(),
                    why,
                });
            };
            let to = target(&view.site, &lane.side, to.as_ref())?;
            moves.push(Moving {
                planned: Move {
                    site: name.clone(),
                    from: lane.side.clone(),
                    to,
                },
                site: Arc::clone(&view.site),
                during: request.during.unwrap_or(view.site.flip.during),
                lane: Arc::clone(lane),
                cut: None,
                before: lane.gates.hold_counts(),
                closed: None,
                lease: snapshot.zones.leases().find(name, lane.epoch),
            });
        }
        Ok(moves)
    }
}

/// Looks whether each check that is to be gone over is one of a site that moves.
pub(super) fn has_checks(moves: &[Moving], forced: &Forced) -> Result<(), FlipError> {
    let Forced::Named(names) = forced else {
        return Ok(());
    };
    let has_marker = |moving: &Moving| moving.site.freshness.is_some();
    let freshness = moves.iter().any(has_marker).then_some(Freshness::CHECK);
    let checks = moves
        .iter()
        .flat_map(|moving| &moving.site.preflight.checks);
    let checks = checks.map(|check| check.name.as_str());
    let known: BTreeSet<_> = checks.chain(freshness).collect();
    match names.iter().find(|name| !known.contains(name.as_str())) {
        None => Ok(()),
        Some(unknown) => Err(FlipError::UnknownCheck {
            check: unknown.clone(),
            known: if known.is_empty() {
                "none".into()
            } else {
                list(known.into_iter())
            },
        }),
    }
}

fn target(site: &Site, active: &SideName, to: Option<&SideName>) -> Result<SideName, FlipError> {
    let known = || list(site.sides.iter().map(|side| side.name.as_str()));
    match to {
        Some(to) if site.side(to).is_none() => Err(FlipError::UnknownSide {
            site: site.name.clone(),
            side: to.clone(),
            known: known(),
        }),
        Some(to) if to == active => Err(FlipError::AlreadyThere {
            site: site.name.clone(),
            side: to.clone(),
        }),
        Some(to) => Ok(to.clone()),
        None => match site.sides.as_slice() {
            [one, other] => Ok(if one.name == *active {
                other.name.clone()
            } else {
                one.name.clone()
            }),
            _ => Err(FlipError::SideNeeded {
                site: site.name.clone(),
                known: known(),
            }),
        },
    }
}

/// Joins the policies of the sites that move together: the longest wait, the gentlest end.
pub(super) fn plan(moves: &[Moving], now: bool) -> Plan {
    let policies = || moves.iter().map(|moving| &moving.site.flip);
    let gentle = policies().any(|policy| policy.drain_then == DrainThen::Restore);
    Plan {
        during: during(moves),
        now,
        keeps: moves.iter().any(Moving::keeps),
        drain_for: policies()
            .map(|policy| policy.drain_for)
            .max()
            .unwrap_or_default(),
        drain_then: if gentle {
            DrainThen::Restore
        } else {
            DrainThen::Cut
        },
    }
}

/// Joins what users get: a flip in which one site's reads go on holds them at its end only.
fn during(moves: &[Moving]) -> During {
    let mut sites = moves.iter().map(|moving| moving.during);
    if sites.clone().any(|during| during == During::ReadOnly) {
        return During::ReadOnly;
    }
    sites.next().unwrap_or(During::Page)
}

pub(super) fn list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.collect::<Vec<_>>().join(", ")
}

/// Takes out of a text what would move the cursor of a terminal on which it is shown.
pub(super) fn on_one_line(text: &str) -> String {
    let each = text.chars();
    let each = each.map(|letter| if letter.is_control() { ' ' } else { letter });
    each.collect()
}
