//! Whether the active side is down, as those who try to reach it find; nobody else looks.

use std::sync::atomic::{AtomicU64, Ordering};

/// How often the end of one outage may be followed by word of another: a side at its limit accepts
/// one connection and refuses the next, and the log is not to have a line for each.
const TOLD_EVERY_MS: u64 = 10_000;

/// The outage of a lane's side, if there is one.
///
/// Times are milliseconds since the Unix epoch.
#[derive(Debug, Default)]
pub struct Outage {
    /// 0 = none.
    since_ms: AtomicU64,
    /// When somebody was last told of one; 0 = never.
    told_ms: AtomicU64,
}

impl Outage {
    /// Notes that no origin accepts connections; since when, if that is to be told.
    pub fn found_down(&self, now_ms: u64) -> Option<u64> {
        let since = match self.since_ms.load(Ordering::Relaxed) {
            0 => replace(&self.since_ms, 0, now_ms)?,
            since => since,
        };
        let told = self.told_ms.load(Ordering::Acquire);
        let is_due = told == 0 || now_ms.saturating_sub(told) >= TOLD_EVERY_MS;
        if told >= since || !is_due {
            return None;
        }
        replace(&self.told_ms, told, now_ms).map(|_| since)
    }

    /// Notes that an origin is reached; since when none was, if that was told.
    pub fn found_up(&self) -> Option<u64> {
        // Where all is well this is one load of what nobody writes.
        if self.since_ms.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let since = self.since_ms.swap(0, Ordering::AcqRel);
        let was_told = since > 0 && self.told_ms.load(Ordering::Acquire) >= since;
        was_told.then_some(since)
    }

    /// Tells since when no origin accepts connections.
    pub fn since_ms(&self) -> Option<u64> {
        let since = self.since_ms.load(Ordering::Relaxed);
        (since > 0).then_some(since)
    }
}

/// Puts a value in the place of another; `None` when somebody else was first.
fn replace(word: &AtomicU64, old: u64, new: u64) -> Option<u64> {
    let replaced = word.compare_exchange(old, new, Ordering::AcqRel, Ordering::Relaxed);
    replaced.ok().map(|_| new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_is_told_once_and_so_is_its_end() {
        let outage = Outage::default();

        assert_eq!(outage.found_up(), None);
        assert_eq!(outage.found_down(5), Some(5));
        assert_eq!(outage.found_down(6), None);
        assert_eq!(outage.since_ms(), Some(5));
        assert_eq!(outage.found_up(), Some(5));
        assert_eq!((outage.found_up(), outage.since_ms()), (None, None));
    }

    #[test]
    fn one_that_comes_and_goes_is_told_now_and_then_and_one_that_stays_is_told() {
        let outage = Outage::default();
        assert_eq!(outage.found_down(5), Some(5));
        assert_eq!(outage.found_up(), Some(5));

        for at in 6..1_000 {
            assert_eq!((outage.found_down(at), outage.found_up()), (None, None));
        }
        assert_eq!(outage.found_down(1_000), None);
        assert_eq!(outage.found_down(5 + TOLD_EVERY_MS), Some(1_000));
        assert_eq!(outage.found_up(), Some(1_000));
    }
}
