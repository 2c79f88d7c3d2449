//! The copies that guarded jobs make while users write on.

use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;

use crate::site::{GuardId, SideName, SiteName, Skipped, Storage, is_emergency};

use crate::switchboard::SiteView;
use crate::table::Site;

use super::super::actor::Actor;
use super::super::running::Moving;
use super::book::{Copier, Manner, Torn, Uncopied, Unsure};
use super::owner::{self, Copies};
use super::rules;

impl Copies {
    /// Ends the copies of a job: one that did not succeed leaves its target torn.
    pub(in crate::control) fn end_guarded(&mut self, id: GuardId, succeeded: bool) {
        let now = Timestamp::now();
        self.change_guarded(id, |book, by| book.end_copy(by, succeeded, now));
    }

    /// Takes back that a job began copies: nothing of it was done.
    pub(in crate::control) fn drop_guarded(&mut self, id: GuardId) {
        self.change_guarded(id, super::book::Book::drop_copy);
    }

    /// Notes that nothing is at work any more of what was given up before then.
    pub(in crate::control) fn note_quiet(&mut self, sites: Vec<(SiteName, Instant)>) {
        self.quiet.extend(sites);
    }

    fn change_guarded(&mut self, id: GuardId, change: impl Fn(&mut super::book::Book, Copier)) {
        let by = Copier::Guard(id);
        for (site, book) in &mut self.books {
            if book.copies_by(by) {
                change(book, by);
                self.unwritten.insert(site.clone());
            }
        }
    }
}

impl Actor {
    /// Shows what one side of a site has taken that another lacks; nothing of a site whose sides
    /// share their storage.
    pub(in crate::control) fn uncopied_of(
        &self,
        site: &SiteName,
        from: &SideName,
        to: &SideName,
    ) -> Option<Uncopied> {
        self.has_books(site)?;
        self.copies.book(site)?.uncopied(from, to)
    }

    /// Begins a copy of a job: what the active side has taken until now is in it, apart from what
    /// an origin may still be at work on. It is to be written to disk before the job runs.
    pub(in crate::control) fn begin_guarded_copy(
        &mut self,
        id: GuardId,
        site: &SiteName,
        sides: (&SideName, &SideName),
        job: &str,
    ) {
        if self.has_books(site).is_none() {
            return;
        }
        // First: what is counted after this is after the beginning, and what ends after it is not
        // said to be in the copy.
        self.collect_writes();
        let snapshot = self.board.current();
        let view = snapshot.site(site);
        let lane = view.and_then(|view| view.lane.as_ref());
        let unsure = Unsure {
            writes: lane.map_or(0, |lane| lane.gates.writes_in_flight()),
            more: view.is_some_and(|view| self.may_be_at_work(view)),
        };
        let torn = Torn {
            from: sides.0.clone(),
            job: job.to_owned(),
            since: Timestamp::now(),
        };
        let book = self.copies.books.entry(site.clone()).or_default();
        book.begin_copy(Copier::Guard(id), sides, Manner::Overwrites, torn, unsure);
        self.copies.unwritten.insert(site.clone());
    }

    /// Tells whether an origin may be at work on a write that was given up.
    fn may_be_at_work(&self, view: &SiteView) -> bool {
        let lane = view.lane.as_ref();
        let Some(given_up) = lane.and_then(|lane| lane.gates.last_abandoned()) else {
            return false;
        };
        let flip = &view.site.flip;
        match (&flip.quiet, self.copies.quiet.get(&view.site.name)) {
            (None, _) => given_up + flip.linger > Instant::now(),
            (Some(_), Some(asked)) => given_up >= *asked,
            (Some(_), None) => true,
        }
    }

    /// Lists those of some sites whose origins are to be asked whether they are still at work on
    /// writes that were given up, with their active sides.
    pub(in crate::control) fn not_known_to_be_quiet(
        &self,
        sites: &[SiteName],
    ) -> Vec<(Arc<Site>, SideName)> {
        let snapshot = self.board.current();
        let views = sites.iter().filter_map(|site| snapshot.site(site));
        let unsure =
            views.filter(|view| view.site.flip.quiet.is_some() && self.may_be_at_work(view));
        let unsure = unsure.filter_map(|view| {
            let side = view.lane.as_ref()?.side.clone();
            Some((Arc::clone(&view.site), side))
        });
        unsure.collect()
    }

    /// Looks whether guarded jobs that have ended, or were ended, have left data that forbid a flip
    /// and that its own copies will not mend.
    ///
    /// # Errors
    /// What would be lost, and what to do.
    pub(in crate::control) fn look_at_what_guards_left(
        &self,
        moves: &[Moving],
        skipped: &[Skipped],
    ) -> Result<(), String> {
        if skipped.contains(&Skipped::Loss) {
            return Ok(());
        }
        let torn = moves.iter().filter_map(|moving| {
            let mends = !is_emergency(skipped) && owner::copies(moving);
            let book = self.copies.book(&moving.planned.site)?;
            let book = Some(book).filter(|_| !mends && moving.site.storage == Storage::Separate)?;
            rules::torn(moving, book.torn(&moving.planned.to))
        });
        let torn: Vec<_> = torn.collect();
        if torn.is_empty() {
            return Ok(());
        }
        Err(torn.join("\n"))
    }

    fn has_books(&self, site: &SiteName) -> Option<()> {
        let site = self.table.site(site.as_str())?;
        (site.storage == Storage::Separate).then_some(())
    }
}
