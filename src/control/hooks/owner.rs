//! The actor's side: which hooks run for which flip, and when they are ended.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use tokio::sync::watch;

use crate::flip::{Ending, Hooks, Input};
use crate::journal::UnfinishedHook;
use crate::site::{FlipId, HookPhase, Move, Outcome, SiteName};

use super::super::actor::Actor;
use super::super::copies::SitesRan;
use super::super::running::Running;
use super::environment::Occasion;
use super::runner;
use super::work::{self, OnFailure, Work};

/// How long the `before` hooks of an emergency may take, all together: users wait for it, and what
/// they are to stop is likely to be dead.
const EMERGENCY_WITHIN: Duration = Duration::from_secs(5);

/// The hooks of one phase of a flip, while they run.
#[derive(Debug)]
pub(crate) struct HookRun {
    pub(crate) phase: HookPhase,
    pub(super) moves: Vec<Move>,
    /// Tells the runner to end them.
    stop: watch::Sender<bool>,
    /// Why it was told.
    pub(super) stopped: Option<Stopped>,
    /// A failure of theirs changes nothing.
    pub(super) is_emergency: bool,
    /// What of each site was begun, and what of that ended with 0.
    pub(super) ran: SitesRan,
    /// What has failed.
    pub(super) failed: Vec<(SiteName, String)>,
}

/// Why hooks were ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stopped {
    /// Their flip goes back.
    GoesBack,
    /// The daemon stops; they are run again by the next.
    Daemon,
    /// An emergency of the same sites.
    By(FlipId),
}

impl HookRun {
    fn has(&self, site: &SiteName) -> bool {
        self.moves.iter().any(|moved| moved.site == *site)
    }
}

impl Actor {
    /// Runs the hooks of a flip; the answer, when there is nothing to run.
    pub(crate) fn run_hooks(&mut self, id: FlipId, hooks: Hooks) -> Option<Input> {
        let running = self.flips.get(&id)?;
        let phase = phase_of(hooks);
        // A way back on which no hook had begun has nothing to put right again.
        let is_needless = phase == HookPhase::Restore && !running.hooked;
        let work = work_of(running, phase, self.hook_folder());
        let none = work.jobs.is_empty() || is_needless;
        let is_emergency = running.is_emergency();
        let moves = running.journalled.moves.clone();
        let started = match hooks {
            _ if none => Ok(()),
            Hooks::Sync => self
                .begin_copies(id)
                .and_then(|()| self.start_hooks(moves, work))
                .inspect_err(|_| self.drop_copies(id)),
            Hooks::Before | Hooks::After | Hooks::Restore => self.start_hooks(moves, work),
        };
        match hooks {
            Hooks::Before | Hooks::Sync => match started {
                Ok(()) if !none => None,
                // No failure of theirs keeps a site on a dead side.
                Err(why) if is_emergency => {
                    tracing::error!(flip = %id, why, "an emergency goes on without them");
                    Some(Input::HooksDone(hooks, Ok(())))
                }
                result => Some(Input::HooksDone(hooks, result)),
            },
            Hooks::After | Hooks::Restore => {
                if let Err(why) = started {
                    self.hooks_failed(id, &why);
                }
                None
            }
        }
    }

    fn hook_folder(&self) -> PathBuf {
        work::folder_of(&self.file)
    }

    fn start_hooks(&mut self, moves: Vec<Move>, work: Work) -> Result<(), String> {
        let (flip, phase) = (work.occasion.flip, work.occasion.phase);
        let is_emergency = work.within.is_some();
        let events = self.events.clone();
        let stop = runner::start(work, events)
            .map_err(|error| format!("the {phase} hooks could not be run: no thread: {error}"))?;
        let run = HookRun {
            phase,
            moves,
            stop,
            stopped: None,
            is_emergency,
            ran: SitesRan::new(),
            failed: Vec::new(),
        };
        self.hook_runs.insert(flip, run);
        Ok(())
    }

    /// Ends the hook of a flip that runs; the answer, when none does.
    pub(crate) fn stop_hooks(&mut self, id: FlipId) -> Option<Input> {
        let Some(run) = self.hook_runs.get_mut(&id) else {
            return Some(Input::HooksStopped);
        };
        run.stopped = Some(Stopped::GoesBack);
        // The runner says when nothing of it is left.
        run.stop.send_replace(true);
        None
    }

    /// Has the daemon's stop end what runs after the end of flips.
    pub(crate) fn stop_last_hooks(&mut self) {
        for run in self.hook_runs.values_mut() {
            if run.stopped.is_none() {
                run.stopped = Some(Stopped::Daemon);
            }
            run.stop.send_replace(true);
        }
    }

    /// Finds the hooks that run for a site after the end of a flip.
    pub(crate) fn last_hooks_of(&self, site: &SiteName) -> Option<(FlipId, HookPhase)> {
        let runs = self.hook_runs.iter();
        let mut last = runs.filter(|(_, run)| is_last(run.phase) && run.has(site));
        last.next().map(|(id, run)| (*id, run.phase))
    }

    /// Has an emergency end what runs after the end of the flips before it, and wait for that.
    pub(crate) fn stop_last_hooks_for(&mut self, id: FlipId) {
        let Some(running) = self.flips.get_mut(&id) else {
            return;
        };
        for (flip, run) in &mut self.hook_runs {
            let meets = running
                .moves
                .iter()
                .any(|moving| run.has(&moving.planned.site));
            if meets && is_last(run.phase) {
                run.stopped = Some(Stopped::By(id));
                run.stop.send_replace(true);
                running.awaited_hooks.insert(*flip);
            }
        }
    }

    /// Says that the last hooks of a flip were not run.
    fn hooks_failed(&mut self, id: FlipId, why: &str) {
        tracing::error!(flip = %id, why, "the next start runs them");
        let sites = self.flips.get(&id).map(|running| &running.journalled.moves);
        for moved in sites.into_iter().flatten() {
            let problem = format!("flip {id}: {why}");
            self.problems.insert(moved.site.clone(), problem);
        }
    }

    /// Tells which hooks are still to be run when a flip has ended so.
    pub(crate) fn hooks_due(running: &Running, ending: &Ending) -> Option<HookPhase> {
        let phase = match ending.outcome {
            Outcome::Settled | Outcome::Moved => HookPhase::After,
            Outcome::Restored | Outcome::RestoredUnheld if running.hooked => HookPhase::Restore,
            Outcome::Restored | Outcome::RestoredUnheld | Outcome::Refused => return None,
        };
        let mut sites = running.moves.iter().map(|moving| &moving.site);
        sites
            .any(|site| !site.flip.hooks.of(phase).is_empty())
            .then_some(phase)
    }

    /// Runs what a daemon before this one has left to be run, as the table has it by now; what is
    /// left of its hooks is ended first.
    pub(crate) fn begin_due_hooks(&mut self, survivors: Vec<UnfinishedHook>) {
        let Ok(journal) = &mut self.ledger.journal else {
            return;
        };
        let old = journal.forget_hooks_of_old();
        match &old {
            Ok(old) => {
                for flip in old {
                    tracing::error!(%flip, "its last hooks were not run, and are not run any more: \
                        the site has been moved since; look whether what they start runs");
                }
            }
            Err(error) => {
                tracing::error!(%error, "the hooks that are due could not be looked through");
                return;
            }
        }
        let due = match journal.hooks_due() {
            Ok(due) => due,
            Err(error) => {
                tracing::error!(%error, "the hooks that are due could not be read");
                return;
            }
        };
        let mut left: BTreeMap<FlipId, Vec<_>> = BTreeMap::new();
        for survivor in survivors {
            left.entry(survivor.flip).or_default().push(survivor);
        }
        for due in due {
            let (id, phase) = (due.flip, due.phase);
            let occasion = Occasion {
                flip: id,
                phase,
                reason: due.reason,
                skipped: due.skipped,
            };
            let moves = due.moves.iter().filter_map(|(moved, epoch)| {
                let site = self.table.site(moved.site.as_str())?;
                Some((moved, *epoch, &**site))
            });
            let work = Work {
                jobs: work::jobs(&occasion, moves),
                occasion,
                folder: self.hook_folder(),
                on_failure: OnFailure::GoOn,
                within: None,
                survivors: left.remove(&id).unwrap_or_default(),
            };
            if work.jobs.is_empty() && work.survivors.is_empty() {
                self.hooks_through(id);
                continue;
            }
            tracing::warn!(flip = %id, %phase, "its hooks are run: the last daemon did not get to it");
            let moves = due.moves.into_iter().map(|(moved, _)| moved).collect();
            if let Err(why) = self.start_hooks(moves, work) {
                tracing::error!(flip = %id, why, "the next start runs them");
            }
        }
    }
}

/// Names the list that the machine asks for.
pub(in crate::control) fn phase_of(hooks: Hooks) -> HookPhase {
    match hooks {
        Hooks::Before => HookPhase::Before,
        Hooks::Sync => HookPhase::Sync,
        Hooks::After => HookPhase::After,
        Hooks::Restore => HookPhase::Restore,
    }
}

/// Tells whether hooks run when their flip is over.
fn is_last(phase: HookPhase) -> bool {
    match phase {
        HookPhase::Before | HookPhase::Sync => false,
        HookPhase::After | HookPhase::Restore => true,
    }
}

fn work_of(running: &Running, phase: HookPhase, folder: PathBuf) -> Work {
    let occasion = Occasion {
        flip: running.id,
        phase,
        reason: running.journalled.reason.clone(),
        skipped: running.journalled.skipped.clone(),
    };
    let moves = running.moves.iter().zip(&running.epochs);
    let moves = moves.map(|(moving, epoch)| (&moving.planned, *epoch, &*moving.site));
    let is_hurried = running.is_emergency() && phase == HookPhase::Before;
    Work {
        jobs: work::jobs(&occasion, moves),
        occasion,
        folder,
        on_failure: if is_hurried || is_last(phase) {
            OnFailure::GoOn
        } else {
            OnFailure::Stop
        },
        within: is_hurried.then_some(EMERGENCY_WITHIN),
        survivors: Vec::new(),
    }
}
