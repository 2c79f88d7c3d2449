//! The switchboard: the one place where the control plane and the data plane meet.
//!
//! For: what is served right now, and the gates through which it is served. Not for: deciding
//! anything; only `control` publishes.
//!
//! ```text
//! control ──publish──> ArcSwap<Snapshot> ──load──> proxy and dns workers
//!         <──all_at──  Crew              <─confirm─
//!         ──issue──>   Invites           <─admits──
//!         ──open───>   Tally             <─count───
//!                      Claim             ──sign───> origins
//! ```
//!
//! Invariants: a snapshot is never changed, only replaced; the gates of an epoch are the same in
//! every snapshot; a worker that confirmed a publication holds nothing older. A crash leaves
//! nothing behind. Tests: `gate_loom`, `load` and `flips` in `tests/it`.

mod clock;
mod crew;
mod drain;
mod fence;
mod gate;
mod gates;
mod invite;
mod lane;
mod line;
mod outage;
mod snapshot;
mod sync;
mod tally;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::{ArcSwap, Guard};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::site::{Epoch, SideName, SiteName};

pub use clock::{now_ms, sent};
use crew::Crew;
pub use crew::{Confirms, Publication, Turns};
pub use drain::Writing;
pub use fence::{Claim, SIGNED_FOR_S};
pub use gate::{Drained, Entry, Gate, Pass, Permit};
pub use gates::{Gates, HoldCounts, TunnelPlace};
pub use invite::Invites;
pub use lane::{Cut, Kind, Lane, Way};
pub use line::{Joined, LineBounds, Place, Turn};
pub use outage::Outage;
pub use snapshot::{Part, Route, SiteView, Snapshot};
pub use tally::{Batch, Count, Paths, Tally};

/// The current snapshot, and the workers that serve from it.
#[derive(Debug)]
pub struct Switchboard {
    current: ArcSwap<Snapshot>,
    crew: Crew,
    invites: Option<Invites>,
    /// Lanes of which the journal is to know that they take writes; each at most once.
    first_writes: Mutex<Vec<Arc<Lane>>>,
    /// Told when there is one more.
    first_write: Notify,
}

impl Switchboard {
    /// Starts with a first snapshot and no workers; nobody is invited.
    pub fn new(first: Snapshot) -> Arc<Self> {
        Self::inviting(first, None)
    }

    /// Starts with a first snapshot, no workers, and what tells who is invited.
    pub fn inviting(first: Snapshot, invites: Option<Invites>) -> Arc<Self> {
        Arc::new(Self {
            current: ArcSwap::from_pointee(first),
            crew: Crew::default(),
            invites,
            first_writes: Mutex::default(),
            first_write: Notify::new(),
        })
    }

    /// Shows what writes invitations and tells them; `None` when invitations are off.
    pub fn invites(&self) -> Option<&Invites> {
        self.invites.as_ref()
    }

    /// Shows the current snapshot; cheap, and to be held for one request only.
    pub fn load(&self) -> Guard<Arc<Snapshot>> {
        self.current.load()
    }

    /// Shares the current snapshot, for the control plane's longer looks.
    pub fn current(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }

    /// Shows the active side of a site, and its epoch; `None` while it is in doubt.
    pub fn active(&self, site: &SiteName) -> Option<(SideName, Epoch)> {
        let snapshot = self.current();
        let lane = snapshot.site(site)?.lane.as_ref()?;
        Some((lane.side.clone(), lane.epoch))
    }

    /// Replaces the snapshot in one store and tells every worker. Only `control` may call this.
    pub fn publish(&self, snapshot: Arc<Snapshot>) -> Publication {
        self.current.store(snapshot);
        self.crew.tell()
    }

    /// Makes every worker look at its lanes again: an order to cut was given.
    pub fn nudge(&self) -> Publication {
        self.crew.tell()
    }

    /// Asks the control plane to journal that the side of a lane takes writes.
    pub fn ask_for_writes(&self, lane: &Arc<Lane>) {
        self.first_writes().push(Arc::clone(lane));
        self.first_write.notify_one();
    }

    /// Waits until the journal is to know of writes; shows of which lanes.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub async fn asked_for_writes(&self) -> Vec<Arc<Lane>> {
        loop {
            let asking = std::mem::take(&mut *self.first_writes());
            if !asking.is_empty() {
                return asking;
            }
            self.first_write.notified().await;
        }
    }

    fn first_writes(&self) -> MutexGuard<'_, Vec<Arc<Lane>>> {
        // A list of lanes is whole after each statement.
        self.first_writes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Enlists a worker that confirms each publication.
    pub fn confirms(&self, name: &str) -> Confirms {
        self.crew.confirms(name)
    }

    /// Enlists a worker that marks its turns.
    pub fn turns(&self, name: &str) -> Turns {
        self.crew.turns(name)
    }

    /// Waits until every worker serves nothing older than `publication`.
    ///
    /// # Errors
    /// The names of the workers that have not turned by the deadline.
    pub async fn all_at(
        &self,
        publication: Publication,
        deadline: Instant,
    ) -> Result<(), Vec<String>> {
        self.crew.all_at(publication, deadline).await
    }
}
