//! The actor's side: leases begun, renewed, ended and released.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::journal::{BookEvent, Journal, WithLease};
use crate::processes::{self, Leader};
use crate::site::{FlipId, GuardId, SiteName, Who};

use super::super::actor::{Actor, Event};
use super::super::background;
use super::super::checks;
use super::super::handle::Reply;
use super::ask::{Ask, Begun, Ended, GuardError, Lessee, Order};
use super::lease::{Lease, Out};
use super::orphans;
use super::shown::{GuardStatus, Shown};

/// How often it is looked whether jobs still show themselves.
const TICK: Duration = Duration::from_millis(500);

/// Every lease that is out.
#[derive(Debug)]
pub(in crate::control) struct Guards {
    pub(super) out: BTreeMap<GuardId, Out>,
    /// When it is looked at them next.
    pub(in crate::control) due: Instant,
    shown: Arc<Shown>,
}

/// What a task says of leases.
#[derive(Debug)]
pub(in crate::control) enum GuardEvent {
    /// Whether nothing is left of the job of an orphan, on this machine.
    Seen(GuardId, bool),
    /// Which sites have nothing at work any more of what was given up before then; the job that
    /// waits for that is to begin.
    Quiet(Begins, Vec<(SiteName, std::time::Instant)>),
    /// A flip has waited for jobs as long as it may.
    WaitOver(FlipId),
}

/// A job that is about to run.
#[derive(Debug)]
pub(in crate::control) struct Begins {
    lessee: Lessee,
    begun: Begun,
    reply: Reply<(), GuardError>,
}

impl Guards {
    /// Takes up what the journal has: the jobs may have gone on, and have as long as ever to show
    /// themselves.
    ///
    /// # Errors
    /// The disk's, or a lease is none: the journal cannot be gone by.
    pub(in crate::control) fn read(journal: &Journal) -> rusqlite::Result<Self> {
        let mut guards = Self::empty();
        for (id, text) in journal.leases()? {
            let lease: Lease = serde_json::from_str(&text).map_err(|error| {
                let kind = rusqlite::types::Type::Text;
                rusqlite::Error::FromSqlConversionFailure(1, kind, Box::new(error))
            })?;
            let job = &lease.job;
            tracing::warn!(guard = %id, job, "a guarded job is taken up from before");
            guards.out.insert(id, Out::new(lease, Instant::now()));
        }
        guards.show();
        Ok(guards)
    }

    /// Begins with nothing.
    pub(in crate::control) fn empty() -> Self {
        Self {
            out: BTreeMap::new(),
            due: Instant::now(),
            shown: Arc::default(),
        }
    }

    /// Shares what is shown of them.
    pub(in crate::control) fn shown(&self) -> Arc<Shown> {
        Arc::clone(&self.shown)
    }

    /// Tells whether there is anything to look at.
    pub(in crate::control) fn has_work(&self) -> bool {
        !self.out.is_empty()
    }

    /// Names the leases that are out.
    pub(in crate::control) fn ids(&self) -> impl Iterator<Item = GuardId> {
        self.out.keys().copied()
    }

    pub(super) fn show(&self) {
        let all = self.out.iter();
        let all = all.map(|(id, out)| GuardStatus::of(*id, out));
        self.shown.show(all.collect());
    }

    fn of(&mut self, lessee: &Lessee) -> Result<&mut Out, GuardError> {
        let out = self.out.get_mut(&lessee.id);
        let out = out.filter(|out| is_same(&out.lease.key, &lessee.key));
        out.ok_or(GuardError::NoLease(lessee.id))
    }
}

impl Actor {
    /// Answers a job.
    pub(in crate::control) fn answer_guard(&mut self, ask: Ask) {
        // A job that went away does not need its answer.
        match ask {
            Ask::Grant(request, reply) => {
                let _ = reply.send(self.grant(request));
            }
            Ask::Begin(lessee, begun, reply) => self.begin_when_quiet(Begins {
                lessee,
                begun,
                reply,
            }),
            Ask::Renew(lessee, reply) => {
                let _ = reply.send(self.renew(&lessee));
            }
            Ask::End(lessee, ended, detail, reply) => {
                let ended = self.end_guarded(&lessee, &ended, &detail);
                let _ = reply.send(ended);
            }
            Ask::Release(id, reason, who, reply) => {
                let _ = reply.send(self.release_orphan(id, &reason, &who));
            }
        }
    }

    /// Begins a job, when it is known whether origins are still at work on writes that were given up.
    fn begin_when_quiet(&mut self, begins: Begins) {
        let asked = self.guards.of(&begins.lessee);
        let copied = asked
            .map(|out| out.lease.copied_sites())
            .unwrap_or_default();
        let unsure = self.not_known_to_be_quiet(&copied);
        if unsure.is_empty() {
            return self.begin_job(begins);
        }
        let events = self.events.clone();
        tokio::spawn(async move {
            // Where no thread can be had, nothing is known.
            let asked = background::apart("quiet", checks::now_quiet(unsure)).await;
            let quiet = asked.unwrap_or_default();
            // The actor is gone only when the process ends.
            let _ = events
                .send(Event::Guard(GuardEvent::Quiet(begins, quiet)))
                .await;
        });
    }

    /// Goes on when the origins were asked.
    pub(super) fn quiet_asked(
        &mut self,
        begins: Begins,
        quiet: Vec<(SiteName, std::time::Instant)>,
    ) {
        self.copies.note_quiet(quiet);
        self.begin_job(begins);
    }

    fn begin_job(&mut self, begins: Begins) {
        let Begins {
            lessee,
            begun,
            reply,
        } = begins;
        // A job that went away does not need its answer.
        let _ = reply.send(self.begin_guarded(&lessee, begun));
    }

    /// Notes on disk what a job is, before it runs; from then on the target of a copy is torn.
    fn begin_guarded(&mut self, lessee: &Lessee, begun: Begun) -> Result<(), GuardError> {
        let id = lessee.id;
        let out = self.guards.of(lessee)?;
        out.renew(Instant::now());
        if let Some(before) = &out.lease.child {
            // Asked again by one that did not hear the answer.
            let is_same = *before == begun.child;
            return is_same.then_some(()).ok_or(GuardError::BegunBefore(id));
        }
        if out.is_told_to_end() {
            return Err(GuardError::ToldToEnd(id));
        }
        let mut lease = out.lease.clone();
        lease.is_near = begun.is_near && can_be_seen(&lease, &begun.child);
        lease.child = Some(begun.child);
        self.begin_guarded_copies(id, &lease);
        if let Err(why) = self.write_lease(id, &lease) {
            self.copies.drop_guarded(id);
            return Err(GuardError::NotJournalled(why));
        }
        self.show_copies_of(&lease);
        if let Some(out) = self.guards.out.get_mut(&id) {
            out.lease = lease;
        }
        self.guards.show();
        Ok(())
    }

    fn begin_guarded_copies(&mut self, id: GuardId, lease: &Lease) {
        let job = lease.named(id);
        for bound in &lease.sites {
            if let Some(to) = &bound.to {
                self.begin_guarded_copy(id, &bound.site, (&bound.from, to), &job);
            }
        }
    }

    fn write_lease(&mut self, id: GuardId, lease: &Lease) -> Result<(), String> {
        let text = serde_json::to_string(lease).map_err(|error| error.to_string())?;
        let with = WithLease {
            books: self.copies.unwritten_books(),
            events: Vec::new(),
        };
        let journal = self.ledger.journal.as_mut().map_err(|why| why.clone())?;
        let written = journal.lease_changed(id, &text, &with);
        written.map_err(|error| error.to_string())?;
        self.copies.books_are_written();
        Ok(())
    }

    fn renew(&mut self, lessee: &Lessee) -> Result<Order, GuardError> {
        let out = self.guards.of(lessee)?;
        let order = out.order();
        if out.renew(Instant::now()) {
            tracing::info!(guard = %lessee.id, "an orphaned guard is heard of again");
            self.guards.show();
        }
        Ok(order)
    }

    fn end_guarded(
        &mut self,
        lessee: &Lessee,
        ended: &Ended,
        detail: &str,
    ) -> Result<Order, GuardError> {
        let out = self.guards.of(lessee)?;
        out.renew(Instant::now());
        let order = out.order();
        // One that was told to end may have caught the signal, and left its work half done.
        let succeeded = *ended == Ended::Succeeded && !out.is_told_to_end();
        let was_run = *ended != Ended::NotRun && out.lease.child.is_some();
        let named = out.lease.named(lessee.id);
        if succeeded || !was_run {
            tracing::info!(guard = %lessee.id, detail, "{named} has ended");
        } else {
            tracing::warn!(guard = %lessee.id, detail, "{named} has failed");
        }
        let end = if was_run { Some(succeeded) } else { None };
        let given_back = self.give_back(lessee.id, end, None);
        given_back.map_err(GuardError::NotJournalled)?;
        Ok(order)
    }

    /// Ends the lease of an orphan, by the word of somebody who knows that its job is gone.
    fn release_orphan(&mut self, id: GuardId, reason: &str, who: &Who) -> Result<(), GuardError> {
        if reason.trim().is_empty() {
            return Err(GuardError::ReasonNeeded);
        }
        let out = self.guards.out.get(&id).ok_or(GuardError::Unknown(id))?;
        if !out.has_expired(Instant::now()) {
            return Err(GuardError::NoOrphan(id));
        }
        let what = format!("by {}: {}", who.name, reason.trim());
        self.release_guard(id, &what)
            .map_err(GuardError::NotJournalled)
    }

    /// Ends a lease without knowing that its job is gone.
    pub(super) fn release_guard(&mut self, id: GuardId, what: &str) -> Result<(), String> {
        let Some(out) = self.guards.out.get(&id) else {
            return Ok(());
        };
        let was_run = out.lease.child.is_some();
        let end = was_run.then_some(false);
        self.give_back(id, end, Some(("guard released", what)))
    }

    /// Takes a lease off the list, on disk first, and lets those go on who waited for that.
    ///
    /// `succeeded` says how the copies of its job ended, `None` when nothing of it was done; `what`
    /// is for the journal.
    pub(super) fn give_back(
        &mut self,
        id: GuardId,
        succeeded: Option<bool>,
        what: Option<(&'static str, &str)>,
    ) -> Result<(), String> {
        let Some(out) = self.guards.out.get(&id) else {
            return Ok(());
        };
        let lease = out.lease.clone();
        match succeeded {
            Some(succeeded) => self.copies.end_guarded(id, succeeded),
            None => self.copies.drop_guarded(id),
        }
        let named = lease.named(id);
        let event = |(what, detail): (&'static str, &str)| {
            let detail = format!("{named}: {detail}");
            tracing::warn!(guard = %id, detail, "{what}");
            let sites = lease.sites.iter();
            let events = sites.map(move |bound| BookEvent {
                site: bound.site.clone(),
                what,
                detail: detail.clone(),
            });
            events.collect::<Vec<_>>()
        };
        let with = WithLease {
            books: self.copies.unwritten_books(),
            events: what.map(event).unwrap_or_default(),
        };
        let journal = self.ledger.journal.as_mut().map_err(|why| why.clone())?;
        let written = journal.leases_over(&[id], &with);
        written.map_err(|error| error.to_string())?;
        self.copies.books_are_written();
        self.guards.out.remove(&id);
        self.guards.show();
        self.show_copies_of(&lease);
        self.let_waiting_flips_go_on();
        Ok(())
    }

    pub(super) fn show_copies_of(&self, lease: &Lease) {
        for bound in &lease.sites {
            self.copies.show(&self.table, &bound.site);
        }
    }

    /// Looks at the leases again, a while from now.
    pub(super) fn look_at_guards_later(&mut self) {
        self.guards.due = Instant::now() + TICK;
    }
}

/// Tells whether what is seen here of a job tells all: only then can it be seen to be gone.
///
/// What left the group of a copy is known by its mark alone, which of another user's processes only
/// root can read.
fn can_be_seen(lease: &Lease, child: &Leader) -> bool {
    let is_seen = processes::leader(child.process).as_ref() == Some(child);
    let family = orphans::to_look_for(lease, child);
    is_seen && (!family.with_strays || family.shows_its_mark(child.process))
}

/// Makes what nobody else can guess.
pub(super) fn random_key() -> Result<String, String> {
    let mut random = [0; 16];
    aws_lc_rs::rand::fill(&mut random).map_err(|_| "no random bytes are to be had")?;
    Ok(format!("{:032x}", u128::from_be_bytes(random)))
}

/// Compares without telling by its time how much is the same.
fn is_same(key: &str, given: &str) -> bool {
    aws_lc_rs::constant_time::verify_slices_are_equal(key.as_bytes(), given.as_bytes()).is_ok()
}
