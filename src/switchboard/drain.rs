//! The drain of the writes: whether the last write that was let in before a hold has ended.
//!
//! The count at a gate does not tell that by itself, for whoever is refused counts for an instant.
//! So it is kept which hold was once seen with nothing in flight: from then on nobody is in, as a
//! held gate lets nobody in. Holds are counted, so that a look that comes late, when its hold has
//! been taken back, says nothing of the next one.

use std::sync::atomic::{AtomicU64, Ordering};

/// Whether what is held may still write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writing {
    /// The gates are open to writes, as far as `access` lets them in.
    Open,
    /// A flip lets no more of them in; those that are in are about to end.
    Draining,
    /// The last of them has ended, or the lane is over.
    Over,
}

/// The holds of an epoch's gates, and which of them have drained.
#[derive(Debug, Default)]
pub(super) struct Drain {
    holds: AtomicU64,
    drained: AtomicU64,
}

/// One hold, by its number.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hold(u64);

impl Drain {
    /// Counts a hold that is about to begin.
    pub(super) fn begin(&self) -> Hold {
        Hold(self.holds.fetch_add(1, Ordering::AcqRel) + 1)
    }

    /// Names the last hold that began.
    pub(super) fn current(&self) -> Hold {
        Hold(self.holds.load(Ordering::Acquire))
    }

    /// Notes that no write was in flight at some instant of a hold.
    pub(super) fn seen_empty(&self, hold: Hold) {
        self.drained.fetch_max(hold.0, Ordering::AcqRel);
    }

    /// Tells whether the last hold that began has drained.
    pub(super) fn has_drained(&self) -> bool {
        let drained = self.drained.load(Ordering::Acquire);
        drained > 0 && drained == self.holds.load(Ordering::Acquire)
    }
}
