//! What data forbid a flip: writes that it would leave behind or overwrite, and a torn side.

use crate::journal::BookEvent;
use crate::site::{FlipId, Skipped, Storage, is_emergency};

use super::super::actor::Actor;
use super::super::running::Moving;
use super::book::{Book, Manner, Torn};
use super::{owner, shown};

/// When a flip looks at data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::control) enum When {
    /// Before anyone waits: the last copies are still to come.
    Beforehand,
    /// When nobody writes and the last copies were made.
    AtLast,
}

impl Actor {
    /// Looks whether data allow some moves.
    ///
    /// # Errors
    /// What would be lost, and what to do.
    pub(in crate::control) fn look_at_data(
        &self,
        moves: &[Moving],
        skipped: &[Skipped],
        when: When,
    ) -> Result<(), String> {
        if skipped.contains(&Skipped::Loss) {
            return Ok(());
        }
        let all = self.objections(moves, skipped, when);
        if all.is_empty() {
            return Ok(());
        }
        let all: Vec<_> = all.into_iter().map(|objection| objection.detail).collect();
        Err(all.join("\n"))
    }

    /// Journals what a flip goes over, when it is asked to.
    pub(in crate::control) fn journal_accepted(&mut self, id: FlipId) {
        self.collect_writes();
        let Some(running) = self.flips.get(&id) else {
            return;
        };
        let skipped = &running.journalled.skipped;
        if !skipped.contains(&Skipped::Loss) {
            return;
        }
        let over = self.objections(&running.moves, skipped, When::Beforehand);
        let events = over.into_iter().map(|event| BookEvent {
            what: "loss accepted",
            detail: format!("flip {id}: {}", event.detail),
            site: event.site,
        });
        self.journal_data(&events.collect::<Vec<_>>());
    }

    /// Journals what the sides that a flip leaves have taken, and the new ones lack.
    pub(in crate::control) fn journal_left(&mut self, id: FlipId) {
        let running = self.flips.get(&id).into_iter();
        let left = running.flat_map(|running| &running.moves);
        let left = left.filter_map(|moving| {
            let (planned, book) = (&moving.planned, self.book_of(moving)?);
            let at_risk = book.uncopied(&planned.from, &planned.to)?;
            Some(BookEvent {
                site: planned.site.clone(),
                what: "at risk",
                detail: format!("flip {id}: {}", at_risk),
            })
        });
        let events: Vec<_> = left.collect();
        self.journal_data(&events);
    }

    fn book_of(&self, moving: &Moving) -> Option<&Book> {
        let book = self.copies.book(&moving.planned.site);
        book.filter(|_| moving.site.storage == Storage::Separate)
    }

    fn objections(&self, moves: &[Moving], skipped: &[Skipped], when: When) -> Vec<BookEvent> {
        let mut all = Vec::new();
        for moving in moves {
            let Some(book) = self.book_of(moving) else {
                continue;
            };
            let to = &moving.planned.to;
            // A copy that runs is waited for; an emergency would cut it.
            let why = match when {
                When::Beforehand if !is_emergency(skipped) => book.torn_before_jobs(to),
                When::Beforehand | When::AtLast => book.torn(to),
            };
            let details = [torn(moving, why), lost(moving, book, skipped, when)];
            all.extend(details.into_iter().flatten().map(|detail| BookEvent {
                site: moving.planned.site.clone(),
                what: "refused",
                detail,
            }));
        }
        all
    }
}

const OVER: &str = "or go over this with --accept-loss and a --reason";

/// Says that the target of a move is torn.
pub(super) fn torn(moving: &Moving, torn: Option<&Torn>) -> Option<String> {
    let (site, to) = (&moving.planned.site, &moving.planned.to);
    let torn = torn?;
    let (job, source, since) = (&torn.job, &torn.from, shown::clock(Some(torn.since)));
    Some(format!(
        "{to} of {site} is torn: {job} began to copy {source} onto it at {since}, and that has not \
         come to its end; have a copy onto {to} succeed first, {OVER}"
    ))
}

/// Says which writes a move would leave behind, or its hooks overwrite; an emergency leaves what it
/// must.
fn lost(moving: &Moving, book: &Book, skipped: &[Skipped], when: When) -> Option<String> {
    if is_emergency(skipped) {
        return None;
    }
    let planned = &moving.planned;
    let (site, from, to) = (&planned.site, &planned.from, &planned.to);
    if when == When::AtLast || !owner::copies(moving) {
        let left = book.uncopied(from, to)?;
        return Some(format!(
            "it would leave writes of {site} behind: {left}; copy them first, by a `sync` hook of \
             the flip (`flip.hooks.sync`), {OVER}; where both sides use the same storage, say \
             `storage: shared`"
        ));
    }
    let lost = book.uncopied(to, from)?;
    (owner::manner(moving) == Manner::Overwrites).then(|| {
        format!(
            "its sync hooks would overwrite writes of {site}: {lost}; bring these to {from} first, \
             say `merges: true` of hooks that add to what {to} has, {OVER}"
        )
    })
}
