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

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;

    use super::*;
    use crate::site::During;
    use crate::switchboard::{Entry, Gates, Kind, Pass, Permit, Way};

    fn write(gates: &Gates) -> Option<Permit> {
        match gates.enter(Kind::Write, Way::Usual, Pass::default()) {
            Entry::Admitted(permit) => Some(permit),
            Entry::Held | Entry::Shut | Entry::Closed => None,
        }
    }

    /// Looks at the drain as a flip does that waits for it; it must be over.
    fn drained(gates: &Gates) {
        let mut wait = std::pin::pin!(gates.writes_drained());
        let waker = std::task::Waker::noop();
        let looked = wait
            .as_mut()
            .poll(&mut std::task::Context::from_waker(waker));
        assert!(looked.is_ready());
    }

    #[test]
    fn writing_is_over_when_the_last_write_of_a_hold_has_ended() {
        let gates = Arc::new(Gates::default());
        let permit = write(&gates);
        assert_eq!(gates.writing(), Writing::Open);

        gates.hold(During::ReadOnly);
        assert_eq!(gates.writing(), Writing::Draining);

        drop(permit);
        drained(&gates);
        assert_eq!(gates.writing(), Writing::Over);
        gates.close();
        assert_eq!(gates.writing(), Writing::Over);
    }

    #[test]
    fn a_hold_with_nothing_in_flight_is_over_at_once() {
        let gates = Gates::default();

        gates.hold(During::Page);

        assert_eq!(gates.writing(), Writing::Over);
    }

    #[test]
    fn a_second_hold_upon_the_first_takes_nothing_back() {
        const HOLDS: usize = 20_000;
        let gates = Arc::new(Gates::default());
        let is_over = AtomicBool::new(false);
        gates.hold(During::Hold);

        std::thread::scope(|scope| {
            // Each counts as in flight while it is refused.
            scope.spawn(|| {
                while !is_over.load(Ordering::Acquire) {
                    assert!(write(&gates).is_none());
                }
            });
            let over = (0..HOLDS).filter(|_| {
                gates.hold(During::Page);
                gates.writing() == Writing::Over
            });
            let over = over.count();
            is_over.store(true, Ordering::Release);
            assert_eq!(over, HOLDS);
        });
    }

    #[test]
    fn the_drain_of_one_hold_says_nothing_of_the_next() {
        let gates = Arc::new(Gates::default());
        gates.hold(During::Hold);
        gates.release();
        assert_eq!(gates.writing(), Writing::Open);
        let permit = write(&gates);
        // Nobody has stood in line, so the gates are open to all.
        assert!(permit.is_some());

        gates.hold(During::Hold);

        assert_eq!(gates.writing(), Writing::Draining);
    }
}
