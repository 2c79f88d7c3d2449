//! The answer lease: until when a client may still use an address that a direct name gave out.
//!
//! A resolver keeps an answer for its TTL. So who knows when an address was last given out, and
//! with which TTL, knows when nobody who keeps to the TTL may still use it. What is noted here is
//! noted by whoever sends: that it is about to, and afterwards when it had, so that what is read
//! is never shorter than the truth.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::site::{Epoch, SiteName};

/// What is added to each TTL, in milliseconds. Resolvers count in whole seconds, and may serve an
/// answer for up to one second longer than its TTL says (unbound 1.17 does); the rest is the way
/// to the client. Too long a lease makes a flip wait, too short a one makes it wrong.
pub const GRACE_MS: u64 = 1_250;

/// The lease of what the direct names of a site give out in one epoch.
///
/// Times are milliseconds of the caller's monotonic clock, unless it says otherwise. Cache lines
/// of its own: whoever answers writes here.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct AnswerLease {
    /// Answers that were sent.
    given: AtomicU64,
    /// When the last of them was, in milliseconds since the Unix epoch; 0 = never.
    last_unix_ms: AtomicU64,
    /// When the last of them is over; 0 = there was none.
    until_ms: AtomicU64,
    /// Senders that are about to send some, and have not noted it yet.
    sending: AtomicU32,
    /// The longest TTL that any of them had, in seconds.
    longest_s: AtomicU32,
}

impl AnswerLease {
    /// Tells until when a client may use what was given out so far; 0 = nobody may.
    pub fn until_ms(&self, now_ms: u64) -> u64 {
        // In this order: who is not seen to send any more has noted what he sent.
        let is_being_sent = self.sending.load(Ordering::Acquire) > 0;
        let until = self.until_ms.load(Ordering::Acquire);
        if is_being_sent {
            until.max(end(now_ms, self.longest_s.load(Ordering::Relaxed)))
        } else {
            until
        }
    }

    /// Counts an answer that somebody may have given at `now_ms`, unseen.
    pub fn assume(&self, ttl_s: u32, now_ms: u64) {
        self.until_ms
            .fetch_max(end(now_ms, ttl_s), Ordering::AcqRel);
    }

    /// Tells how many answers were sent, and when the last was (ms since the Unix epoch; 0 =
    /// never).
    pub fn given(&self) -> (u64, u64) {
        (
            self.given.load(Ordering::Acquire),
            self.last_unix_ms.load(Ordering::Acquire),
        )
    }
}

fn end(sent_ms: u64, ttl_s: u32) -> u64 {
    sent_ms
        .saturating_add(u64::from(ttl_s) * 1_000)
        .saturating_add(GRACE_MS)
}

/// The leases of every site that has direct names, shared by all zones of a process.
#[derive(Debug, Default)]
pub struct Leases {
    sites: Mutex<BTreeMap<SiteName, Epochs>>,
}

/// The leases of a site: of the epochs that a zone may still answer from, and of the newest.
#[derive(Debug, Default)]
struct Epochs(Vec<(Epoch, Arc<AnswerLease>)>);

impl Leases {
    /// Finds or makes the lease of a site at an epoch.
    pub(super) fn of(&self, site: &SiteName, epoch: Epoch) -> Arc<AnswerLease> {
        let mut sites = self.lock();
        let epochs = sites.entry(site.clone()).or_default();
        epochs.at(epoch).unwrap_or_else(|| epochs.begin(epoch))
    }

    /// Finds the lease of a site at an epoch; `None` when it has no direct names.
    pub fn find(&self, site: &SiteName, epoch: Epoch) -> Option<Arc<AnswerLease>> {
        self.lock().get(site)?.at(epoch)
    }

    /// Tells until when a client may use what the names of a site gave out, in whatever epoch;
    /// 0 = nobody may.
    pub fn until_ms(&self, site: &SiteName, now_ms: u64) -> u64 {
        let sites = self.lock();
        sites.get(site).map_or(0, |epochs| epochs.until_ms(now_ms))
    }

    /// Shows every site that has, or had, direct names, and until when a client may use an address
    /// that they gave out.
    pub fn all(&self, now_ms: u64) -> Vec<(SiteName, u64)> {
        let sites = self.lock();
        let all = sites.iter();
        all.map(|(site, epochs)| (site.clone(), epochs.until_ms(now_ms)))
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<SiteName, Epochs>> {
        self.sites.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Epochs {
    fn at(&self, epoch: Epoch) -> Option<Arc<AnswerLease>> {
        let (_, lease) = self.0.iter().find(|(at, _)| *at == epoch)?;
        Some(Arc::clone(lease))
    }

    fn begin(&mut self, epoch: Epoch) -> Arc<AnswerLease> {
        let lease = Arc::<AnswerLease>::default();
        // What no zone answers from any more grows no longer: what is left of it goes on here.
        let over = |(_, lease): &mut (Epoch, Arc<AnswerLease>)| Arc::strong_count(lease) == 1;
        for (_, over) in self.0.extract_if(.., over) {
            let left = over.until_ms.load(Ordering::Acquire);
            lease.until_ms.fetch_max(left, Ordering::AcqRel);
        }
        self.0.push((epoch, Arc::clone(&lease)));
        lease
    }

    fn until_ms(&self, now_ms: u64) -> u64 {
        let ends = self.0.iter().map(|(_, lease)| lease.until_ms(now_ms));
        ends.max().unwrap_or(0)
    }
}

/// What answers that are about to be sent together give out of direct names.
///
/// Nearly always that is nothing, or the address of one site: only more than one takes memory.
#[derive(Debug, Default)]
pub struct Given<'z> {
    first: Option<Note<'z>>,
    more: Vec<Note<'z>>,
}

#[derive(Debug)]
struct Note<'z> {
    lease: &'z Arc<AnswerLease>,
    /// The longest of them, in seconds.
    ttl_s: u32,
    answers: u64,
}

/// A moment by two clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Milliseconds of the caller's monotonic clock.
    pub ms: u64,
    /// Milliseconds since the Unix epoch.
    pub unix_ms: u64,
}

impl<'z> Given<'z> {
    /// Notes an address in an answer.
    pub(super) fn note(&mut self, lease: &'z Arc<AnswerLease>, ttl_s: u32) {
        let same = |note: &&mut Note<'z>| Arc::ptr_eq(note.lease, lease);
        if let Some(note) = self.first.iter_mut().chain(&mut self.more).find(same) {
            note.ttl_s = note.ttl_s.max(ttl_s);
            note.answers += 1;
            return;
        }
        let note = Note {
            lease,
            ttl_s,
            answers: 1,
        };
        if self.first.is_none() {
            self.first = Some(note);
        } else {
            self.more.push(note);
        }
    }

    /// Tells whether there is nothing to note.
    pub fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    /// Says that the answers are about to be sent.
    pub fn sending(self) -> Sending<'z> {
        for note in self.notes() {
            note.lease
                .longest_s
                .fetch_max(note.ttl_s, Ordering::Relaxed);
            note.lease.sending.fetch_add(1, Ordering::AcqRel);
        }
        Sending(self)
    }

    fn notes(&self) -> impl Iterator<Item = &Note<'z>> {
        self.first.iter().chain(&self.more)
    }
}

/// Answers that are being sent: [`Sending::sent`] is to be called when they were.
#[derive(Debug)]
#[must_use]
pub struct Sending<'z>(Given<'z>);

impl<'z> Sending<'z> {
    /// Notes when they had been handed over. The clock is read only if there is anything to note.
    pub fn sent(&self, now: impl FnOnce() -> Sent) {
        if self.0.is_empty() {
            return;
        }
        let now = now();
        for note in self.0.notes() {
            let lease = note.lease;
            lease.assume(note.ttl_s, now.ms);
            lease.given.fetch_add(note.answers, Ordering::AcqRel);
            lease.last_unix_ms.fetch_max(now.unix_ms, Ordering::AcqRel);
            lease.sending.fetch_sub(1, Ordering::AcqRel);
        }
    }

    /// Keeps what was given out beyond the zones, for what is left to be sent.
    pub fn kept(&self) -> Vec<(Arc<AnswerLease>, u32)> {
        let notes = self.0.notes();
        notes
            .map(|note| (Arc::clone(note.lease), note.ttl_s))
            .collect()
    }
}
