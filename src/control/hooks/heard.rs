//! What runners say: journalled, shown, counted, and told to the flips that wait for it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::flip::{Hooks, Input};
use crate::journal::{HookEnd, HookStart};
use crate::site::{FlipId, HookPhase, HookResult, SiteName};

use super::super::actor::Actor;
use super::super::copies::SitesRan;
use super::super::status::FlipStatus;
use super::owner::{HookRun, Stopped};
use super::runner::{self, Said};
use super::show::{self, HookEnded, HookStatus};

impl Actor {
    /// Takes what a runner says.
    pub(crate) fn hear_hook(&mut self, id: FlipId, said: Said) {
        match said {
            Said::Begins(hook, reply) => {
                let written = self.journal_hook(&hook);
                if written.is_ok() {
                    let (site, phase, name) = (&hook.site, hook.phase, &hook.name);
                    tracing::info!(flip = %id, %site, %phase, name, "hook begins");
                    if let Some(run) = self.hook_runs.get_mut(&id) {
                        run.ran.entry(site.clone()).or_default().begun += 1;
                    }
                }
                // A runner that was told to stop meanwhile does not need its answer.
                let _ = reply.send(written);
                self.show_hook(id, |shown, _| {
                    *shown = Some(HookStatus {
                        site: hook.site,
                        phase: hook.phase,
                        name: hook.name,
                        since: hook.began,
                        last_line: None,
                        problem: None,
                    });
                });
            }
            Said::Runs(number, leader) => {
                // Also when it could not be journalled: what it did is to be put right.
                if let Some(running) = self.flips.get_mut(&id) {
                    running.hooked = true;
                }
                if let (Ok(journal), Some(number)) = (&mut self.ledger.journal, number)
                    && let Err(error) = journal.hook_runs(id, number, &leader)
                {
                    tracing::error!(flip = %id, %error, "a hook's process could not be journalled");
                }
            }
            Said::Prints(line) => self.show_hook(id, |shown, _| {
                if let Some(shown) = shown {
                    shown.last_line = Some(line);
                }
            }),
            Said::Stays(why) => {
                tracing::error!(flip = %id, why, "a hook cannot be ended");
                self.show_hook(id, |shown, _| {
                    if let Some(shown) = shown {
                        shown.problem = Some(why);
                    }
                });
            }
            Said::Ended(number, hook, end, took) => self.hook_ended(id, number, hook, &end, took),
            Said::Over(result) => self.hooks_over(id, result),
        }
    }

    fn journal_hook(&mut self, hook: &HookStart) -> Result<u32, String> {
        let journal = self.ledger.journal.as_mut().map_err(|why| why.clone())?;
        let number = journal
            .hook_begins(hook)
            .map_err(|error| format!("it could not be journalled, and was not run: {error}"))?;
        if let Some(running) = self.flips.get_mut(&hook.flip) {
            running.hooked = true;
        }
        Ok(number)
    }

    fn hook_ended(
        &mut self,
        id: FlipId,
        number: Option<u32>,
        hook: HookStart,
        end: &HookEnd,
        took: Duration,
    ) {
        let (site, phase, name) = (&hook.site, hook.phase, &hook.name);
        let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        let (result, detail) = (end.result, &end.detail);
        match result {
            HookResult::Ok | HookResult::Stopped => {
                tracing::info!(flip = %id, %site, %phase, name, took_ms, detail, "hook ended");
            }
            HookResult::Failed | HookResult::TimedOut | HookResult::Lost => {
                tracing::error!(flip = %id, %site, %phase, name, took_ms, detail, "hook failed");
            }
        }
        self.metrics.hook_ended(phase.word(), result.word(), took);
        if let (Ok(journal), Some(number)) = (&mut self.ledger.journal, number)
            && let Err(error) = journal.hook_ended(id, number, end)
        {
            tracing::error!(flip = %id, %error, "the end of a hook could not be journalled");
        }
        if let Some(run) = self.hook_runs.get_mut(&id)
            && result == HookResult::Ok
        {
            run.ran.entry(hook.site.clone()).or_default().succeeded += 1;
        }
        if let Some(run) = self.hook_runs.get_mut(&id)
            && !matches!(result, HookResult::Ok | HookResult::Stopped)
        {
            let why = format!("flip {id}: {} failed: {detail}", runner::called(&hook));
            run.failed.push((hook.site.clone(), why));
        }
        self.show_hook(id, |shown, ended| {
            *shown = None;
            show::add(
                ended,
                HookEnded {
                    site: hook.site,
                    phase,
                    name: hook.name,
                    since: hook.began,
                    took_ms,
                    result,
                    detail: detail.clone(),
                },
            );
        });
    }

    /// Goes on with what waited for hooks.
    fn hooks_over(&mut self, id: FlipId, result: Result<(), String>) {
        let Some(run) = self.hook_runs.remove(&id) else {
            return;
        };
        self.show_hook(id, |shown, _| *shown = None);
        let hooks = match run.phase {
            HookPhase::Before => Hooks::Before,
            HookPhase::Sync => Hooks::Sync,
            HookPhase::After | HookPhase::Restore => return self.last_hooks_over(id, run),
        };
        let answer = match (run.stopped, run.is_emergency) {
            (Some(_), _) => Input::HooksStopped,
            (None, true) => {
                // What they were to stop is likely to be dead: that is no reason to stay with it.
                for (_, why) in run.failed {
                    tracing::error!(flip = %id, why, "the emergency goes on without it");
                }
                Input::HooksDone(hooks, Ok(()))
            }
            (None, false) => Input::HooksDone(hooks, result),
        };
        let answer = if hooks == Hooks::Sync {
            self.copies_over(id, &run.ran, answer)
        } else {
            answer
        };
        self.feed(id, answer);
    }

    /// Notes how the last copies ended; a flip does not go on with what cannot be noted.
    fn copies_over(&mut self, id: FlipId, ran: &SitesRan, answer: Input) -> Input {
        match (self.end_copies(id, ran), &answer) {
            (Err(why), Input::HooksDone(_, Ok(()))) => Input::HooksDone(Hooks::Sync, Err(why)),
            (Err(why), _) => {
                tracing::error!(flip = %id, why, "it is tried again");
                answer
            }
            (Ok(()), _) => answer,
        }
    }

    fn last_hooks_over(&mut self, id: FlipId, run: HookRun) {
        for (site, why) in joined(run.failed) {
            // Why the flip went back is still to be read beside it.
            let before = self.problems.get(&site);
            let before = before.filter(|text| text.starts_with(&format!("flip {id}: ")));
            let all = before.map(|text| format!("{text}\n{why}"));
            self.problems.insert(site, all.unwrap_or(why));
        }
        match run.stopped {
            Some(Stopped::Daemon | Stopped::GoesBack) => {
                let phase = run.phase;
                tracing::warn!(flip = %id, %phase, "its hooks were ended: the next start runs them");
            }
            Some(Stopped::By(flip)) => {
                let phase = run.phase;
                tracing::warn!(flip = %id, %phase, "its hooks were ended by emergency flip {flip}");
                // Also when that flip goes back itself: nobody runs them again.
                for moved in &run.moves {
                    let why = format!(
                        "flip {id}: its {phase} hooks were ended by emergency flip {flip} before \
                         they were through: look whether what they start runs"
                    );
                    self.problems.insert(moved.site.clone(), why);
                }
                self.hooks_through(id);
            }
            None => self.hooks_through(id),
        }
        for waits in self.flips.values_mut() {
            waits.awaited_hooks.remove(&id);
        }
        self.let_waiting_flips_go_on();
        // A word that was edited meanwhile has waited.
        self.look_again = true;
        self.show();
    }

    /// Notes that the last hooks of a flip need not be run any more.
    pub(super) fn hooks_through(&mut self, id: FlipId) {
        if let Ok(journal) = &mut self.ledger.journal
            && let Err(error) = journal.hooks_through(id)
        {
            tracing::error!(flip = %id, %error, "its hooks were run, and will be run again: the \
                journal could not be written");
        }
    }

    /// Shows what runs for a flip, be it over or not.
    fn show_hook(
        &mut self,
        id: FlipId,
        change: impl FnOnce(&mut Option<HookStatus>, &mut Vec<HookEnded>),
    ) {
        if let Some(running) = self.flips.get_mut(&id) {
            change(&mut running.hook, &mut running.hooks);
        } else if let Some(shown) = self.recent.iter_mut().find(|shown| shown.id == id) {
            let shown: &mut FlipStatus = Arc::make_mut(shown);
            change(&mut shown.hook, &mut shown.hooks);
        }
        self.show();
    }
}

/// Joins what failed of each site.
fn joined(failed: Vec<(SiteName, String)>) -> BTreeMap<SiteName, String> {
    let mut joined: BTreeMap<SiteName, String> = BTreeMap::new();
    for (site, why) in failed {
        let said = joined.entry(site).or_default();
        if !said.is_empty() {
            said.push('\n');
        }
        said.push_str(&why);
    }
    joined
}
