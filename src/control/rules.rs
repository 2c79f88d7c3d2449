//! The rules of a site: what a planned flip must respect, whatever its target is like.

use jiff::{SignedDuration, Timestamp};

use crate::site::{Skipped, is_emergency};
use crate::table::FlipPolicy;

use super::actor::Actor;
use super::request::{FlipRequest, What};
use super::running::Moving;

impl Actor {
    /// Looks whether the rules of the sites allow a flip now.
    ///
    /// An emergency is above them. The way back of a flip need not wait: whoever finds that
    /// something is broken at the new side is to be let back at once.
    ///
    /// # Errors
    /// The first rule that forbids it, and what to do.
    pub(super) fn look_at_rules(
        &self,
        request: &FlipRequest,
        moves: &[Moving],
    ) -> Result<(), String> {
        let skipped = request.skipped();
        if is_emergency(&skipped) {
            return Ok(());
        }
        let has_reason = request.reason().is_some();
        let may_be_soon =
            skipped.contains(&Skipped::Interval) || matches!(request.what, What::Undo(_));
        for moving in moves {
            let FlipPolicy {
                require_reason,
                min_interval,
                ..
            } = moving.site.flip;
            let site = &moving.planned.site;
            if require_reason && !has_reason {
                return Err(format!(
                    "{site} wants to know why it is moved (`flip.require_reason`): add --reason, \
                     or `reason:` beside `active:` in the file"
                ));
            }
            if !min_interval.is_zero() && !may_be_soon {
                self.is_long_since(moving)?;
            }
        }
        Ok(())
    }

    fn is_long_since(&self, moving: &Moving) -> Result<(), String> {
        let site = &moving.planned.site;
        let journal = self.ledger.journal.as_ref().map_err(Clone::clone)?;
        let last = journal.last_move(site).map_err(|error| error.to_string())?;
        let Some((flip, ended)) = last else {
            return Ok(());
        };
        let interval = moving.site.flip.min_interval;
        let wanted = SignedDuration::try_from(interval).unwrap_or(SignedDuration::MAX);
        let left = wanted - Timestamp::now().duration_since(ended);
        if left <= SignedDuration::ZERO {
            return Ok(());
        }
        // Whole seconds, and never none.
        let left = left.as_secs() + 1;
        Err(format!(
            "{site} has moved in flip {flip}, and stays for {interval:?} after that \
             (`flip.min_interval`): wait {left} s more, take that flip back with `pointsman undo {site}`, \
             or go over the rule with --force-interval and a --reason"
        ))
    }
}
