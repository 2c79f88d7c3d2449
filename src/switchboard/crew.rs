//! The crew: every worker, and how a flip knows that each has turned to the new snapshot.
//!
//! An HTTP worker is told of a publication, drops the upstream connections of closed lanes, and
//! confirms it. A DNS worker blocks in the kernel and holds nothing between packets, so it only
//! marks its turns: odd while it may be using a snapshot, even between two batches. A turn that
//! was seen even, or that has changed since, began after the publication and saw it.

use std::sync::atomic::{AtomicU64, Ordering, fence};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

/// Counts what the workers are told of: new snapshots and orders to cut.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Publication(u64);

/// Every worker that serves from the switchboard.
#[derive(Debug)]
pub(super) struct Crew {
    told: watch::Sender<Publication>,
    members: Mutex<Vec<Member>>,
    /// Woken at each confirmation.
    confirmed: Arc<tokio::sync::Notify>,
}

#[derive(Debug)]
struct Member {
    name: String,
    mark: Mark,
}

#[derive(Debug)]
enum Mark {
    Confirms(Arc<AtomicU64>),
    Turns(Arc<AtomicU64>),
}

/// How often the turns of blocking workers are looked at; their turns last microseconds.
const TURN_POLL: Duration = Duration::from_micros(200);

impl Default for Crew {
    fn default() -> Self {
        Self {
            told: watch::Sender::new(Publication::default()),
            members: Mutex::new(Vec::new()),
            confirmed: Arc::new(tokio::sync::Notify::new()),
        }
    }
}

impl Crew {
    /// Tells every worker to look at the switchboard.
    pub(super) fn tell(&self) -> Publication {
        // Pairs with the fence in `Turns::begin`: either that worker sees what was stored before
        // this, or we see its turn as begun.
        fence(Ordering::SeqCst);
        let mut told = Publication::default();
        self.told.send_modify(|publication| {
            publication.0 += 1;
            told = *publication;
        });
        told
    }

    pub(super) fn confirms(&self, name: &str) -> Confirms {
        let confirmed = Arc::new(AtomicU64::new(self.told.borrow().0));
        self.enlist(name, Mark::Confirms(Arc::clone(&confirmed)));
        Confirms {
            told: self.told.subscribe(),
            confirmed,
            wake: Arc::clone(&self.confirmed),
        }
    }

    pub(super) fn turns(&self, name: &str) -> Turns {
        let turn = Arc::new(AtomicU64::new(0));
        self.enlist(name, Mark::Turns(Arc::clone(&turn)));
        Turns { turn }
    }

    fn enlist(&self, name: &str, mark: Mark) {
        let mut members = self.members.lock().unwrap_or_else(PoisonError::into_inner);
        members.push(Member {
            name: name.into(),
            mark,
        });
    }

    /// Waits until every worker serves nothing older than `publication`.
    ///
    /// # Errors
    /// The names of the workers that have not turned by the deadline.
    pub(super) async fn all_at(
        &self,
        publication: Publication,
        deadline: Instant,
    ) -> Result<(), Vec<String>> {
        let first_look: Vec<u64> = self.look(|member| match &member.mark {
            Mark::Confirms(_) => 0,
            Mark::Turns(turn) => turn.load(Ordering::SeqCst),
        });
        loop {
            let heard = self.confirmed.notified();
            let late = self.late(publication, &first_look);
            if late.is_empty() {
                return Ok(());
            }
            if Instant::now() >= deadline {
                return Err(late);
            }
            // Nobody announces the end of a turn, so this looks again by itself.
            let _ = tokio::time::timeout(TURN_POLL, heard).await;
        }
    }

    fn late(&self, publication: Publication, first_look: &[u64]) -> Vec<String> {
        let mut index = 0;
        let late = self.look(|member| {
            let seen_first = first_look.get(index).copied();
            index += 1;
            let done = match &member.mark {
                Mark::Confirms(confirmed) => confirmed.load(Ordering::Acquire) >= publication.0,
                Mark::Turns(turn) => {
                    let turn = turn.load(Ordering::SeqCst);
                    // Who enlisted after the first look never saw the snapshot before.
                    turn.is_multiple_of(2) || seen_first.is_none_or(|first| first != turn)
                }
            };
            (!done).then(|| member.name.clone())
        });
        late.into_iter().flatten().collect()
    }

    fn look<T>(&self, mut what: impl FnMut(&Member) -> T) -> Vec<T> {
        let members = self.members.lock().unwrap_or_else(PoisonError::into_inner);
        members.iter().map(&mut what).collect()
    }
}

/// The mark of a worker that confirms each publication.
#[derive(Debug)]
pub struct Confirms {
    told: watch::Receiver<Publication>,
    confirmed: Arc<AtomicU64>,
    wake: Arc<tokio::sync::Notify>,
}

impl Confirms {
    /// Waits for the next publication; `None` when the switchboard is gone.
    ///
    /// # Cancel safety
    /// Safe: a publication not returned is returned by the next call.
    pub async fn told(&mut self) -> Option<Publication> {
        self.told.changed().await.ok()?;
        Some(*self.told.borrow_and_update())
    }

    /// Says that this worker holds nothing older than the publication.
    pub fn confirm(&self, publication: Publication) {
        self.confirmed.fetch_max(publication.0, Ordering::AcqRel);
        self.wake.notify_one();
    }
}

/// The mark of a worker that takes turns.
#[derive(Debug)]
pub struct Turns {
    turn: Arc<AtomicU64>,
}

impl Turns {
    /// Marks the worker busy; call it before the snapshot is loaded.
    pub fn begin(&self) {
        self.turn.fetch_add(1, Ordering::SeqCst);
        fence(Ordering::SeqCst);
    }

    /// Marks the worker idle; call it after the last answer was handed to the kernel.
    pub fn end(&self) {
        self.turn.fetch_add(1, Ordering::SeqCst);
    }
}
