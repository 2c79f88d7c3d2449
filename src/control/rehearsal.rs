//! The rehearsal: all that is looked at before anyone waits, by a flip and by a plan alike.

use std::sync::Arc;

use crate::flip::{Flip, Input};
use crate::site::{FlipId, SideName, Skipped, is_emergency};
use crate::table::Site;

use super::actor::Actor;
use super::checks::{self, Thoroughness};
use super::running::Moving;
use super::{copies, freshness, hooks, rewrite};

impl Actor {
    /// Carries out the preflight of a flip: its rehearsal, or, while users wait, the checks alone.
    pub(super) fn preflight(&mut self, id: FlipId) -> Option<Input> {
        self.collect_writes();
        let running = self.flips.get(&id)?;
        let skipped = &running.journalled.skipped;
        if matches!(running.flip, Flip::Rehearsing(_)) {
            let rehearsal = self.rehearsal(&running.moves, skipped, running.rules.clone());
            let running = self.flips.get_mut(&id)?;
            return running.spawn_answer(
                &self.events,
                async move { Input::Preflight(rehearsal.await) },
            );
        }
        self.close_books(id);
        let running = self.flips.get(&id)?;
        let skipped = &running.journalled.skipped;
        let looked = self.look_at_data(&running.moves, skipped, copies::When::AtLast);
        if looked.is_err() || skipped.contains(&Skipped::Checks) {
            return Some(Input::Preflight(looked));
        }
        let (targets, but) = (targets(&running.moves), checks_gone_over(skipped));
        let compared = freshness::compared(&running.moves, skipped);
        let checks = checks::all(targets, Thoroughness::OneTry, Arc::new(but));
        let running = self.flips.get_mut(&id)?;
        running.spawn_answer(&self.events, async move {
            Input::Preflight(
                checks::apart(async {
                    checks.await?;
                    freshness::compare(compared, freshness::When::AfterCopies).await
                })
                .await,
            )
        })
    }

    /// Looks whether moves may be made: by the rules of their sites, which were looked at before, by
    /// their words, by their hooks, and by the checks of their targets. What takes time is left to
    /// the future.
    pub(super) fn rehearsal(
        &self,
        moves: &[Moving],
        skipped: &[Skipped],
        rules: Result<(), String>,
    ) -> impl Future<Output = Result<(), String>> + Send + use<> {
        let (targets, but) = (targets(moves), checks_gone_over(skipped));
        // What would be put right first in a planned flip is no reason to stay on a dead side: a
        // word that cannot be rewritten is tried again, and shown, until it can be.
        let is_planned = !is_emergency(skipped);
        let tried = match rules {
            Ok(()) if is_planned => self.try_out_words(&targets),
            rules => rules,
        };
        let data = self.look_at_data(moves, skipped, copies::When::Beforehand);
        let guards = self.look_at_guards_of(moves, skipped);
        let tried = tried.and(guards).and(data);
        let of_hooks = targets.iter().filter(|_| is_planned);
        let of_hooks: Vec<_> = of_hooks.map(|(site, _)| Arc::clone(site)).collect();
        let skips_checks = skipped.contains(&Skipped::Checks);
        let compared = freshness::compared(moves, skipped);
        let file = self.file.clone();
        async move {
            tried?;
            hooks::all_found(of_hooks, file).await?;
            if skips_checks {
                return Ok(());
            }
            let checks = checks::all(targets, Thoroughness::AllTries, Arc::new(but));
            checks::apart(async {
                checks.await?;
                freshness::compare(compared, freshness::When::BeforeCopies).await
            })
            .await
        }
    }

    /// Looks whether the words of sites could be rewritten after they have moved.
    fn try_out_words(&self, targets: &[(Arc<Site>, SideName)]) -> Result<(), String> {
        for (site, to) in targets {
            let words = self.table.words.get(&site.name);
            let word = words.and_then(|words| words.active.as_ref());
            if word.is_none_or(|word| word == to) {
                continue;
            }
            rewrite::try_out(&self.file, &self.loader, &site.name, to).map_err(|why| {
                format!(
                    "the word of {} could not be written into the file after it: {why}; put that \
                     right first (see `pointsman check`), let the daemon write there, or leave \
                     `active:` out of the file",
                    site.name
                )
            })?;
        }
        Ok(())
    }
}

fn targets(moves: &[Moving]) -> Vec<(Arc<Site>, SideName)> {
    let target = |moving: &Moving| (Arc::clone(&moving.site), moving.planned.to.clone());
    moves.iter().map(target).collect()
}

/// Names the checks that are gone over.
pub(super) fn checks_gone_over(skipped: &[Skipped]) -> Vec<String> {
    let named = skipped.iter().filter_map(Skipped::check);
    named.map(str::to_owned).collect()
}
