//! The tally of an epoch: the writes that its side has taken, until the control plane collects them.
//!
//! The first write after a side was known to be clean waits until the journal says that it is not
//! ([`Tally::count`] refuses it until then); every later one is only counted here. Collecting and
//! closing are one step under the lock, so that no write is ever counted by nobody.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// How many paths are kept apart; the rest give way to those that are busier.
const PATHS_MAX: usize = 16;

/// How long a path is kept, in bytes.
const PATH_BYTES_MAX: usize = 64;

/// Writes that a side has taken.
#[derive(Debug, Default)]
pub struct Tally {
    inner: Mutex<Inner>,
    opened: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    /// The journal says that the side has writes that were not copied.
    is_open: bool,
    /// The control plane has been asked to say so there.
    is_asked: bool,
    batch: Batch,
}

/// Writes that were counted and not collected.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// How many.
    pub writes: u64,
    /// When the first was sent, in milliseconds since the Unix epoch.
    pub first_ms: u64,
    /// When the last was.
    pub last_ms: u64,
    /// Where most of them went, without queries.
    pub paths: Paths,
}

/// What became of a write at the tally.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    /// It is counted, and may be sent.
    Counted,
    /// The journal is to know of it first; the control plane has been asked by another.
    Waits,
    /// The same, and the control plane is to be asked.
    Ask,
}

impl Tally {
    /// Counts a write whose first byte is about to be sent.
    pub fn count(&self, path: &str, now_ms: u64) -> Count {
        let mut inner = self.lock();
        if !inner.is_open {
            let is_asked = std::mem::replace(&mut inner.is_asked, true);
            return if is_asked { Count::Waits } else { Count::Ask };
        }
        let batch = &mut inner.batch;
        if batch.writes == 0 {
            batch.first_ms = now_ms;
        }
        batch.writes += 1;
        batch.last_ms = now_ms;
        batch.paths.add(kept(path), 1);
        Count::Counted
    }

    /// Waits until the tally was opened, if that was asked for; then [`Tally::count`] tells more.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub async fn opened(&self) {
        let notified = self.opened.notified();
        tokio::pin!(notified);
        notified.as_mut().enable();
        if self.lock().is_asked {
            notified.await;
        }
    }

    /// Lets writes be counted: the journal says that there are some.
    pub fn open(&self) {
        let mut inner = self.lock();
        inner.is_open = true;
        inner.is_asked = false;
        drop(inner);
        self.opened.notify_waiters();
    }

    /// Takes what was counted.
    pub fn collect(&self) -> Batch {
        std::mem::take(&mut self.lock().batch)
    }

    /// Takes what was counted, and lets no more be counted until [`Tally::open`].
    pub fn close(&self) -> Batch {
        let mut inner = self.lock();
        inner.is_open = false;
        inner.is_asked = false;
        std::mem::take(&mut inner.batch)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // What is behind it is whole after each statement.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The busiest paths of writes, with how many went there; of more paths than there are places, at
/// most so many, as a path that is new takes over the place of the least busy one (space-saving).
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Paths(BTreeMap<String, u64>);

impl Paths {
    /// Counts writes to a path.
    pub fn add(&mut self, path: &str, writes: u64) {
        if let Some(count) = self.0.get_mut(path) {
            *count += writes;
            return;
        }
        if self.0.len() >= PATHS_MAX {
            let least = self.0.iter().min_by_key(|(_, count)| **count);
            if let Some((least, count)) = least.map(|(path, count)| (path.clone(), *count)) {
                self.0.remove(&least);
                // It may be as busy as the one that it takes the place of.
                self.0.insert(path.to_owned(), count + writes);
                return;
            }
        }
        self.0.insert(path.to_owned(), writes);
    }

    /// Takes in what was counted elsewhere.
    pub fn join(&mut self, other: &Self) {
        for (path, writes) in &other.0 {
            self.add(path, *writes);
        }
    }

    /// Shows them, the busiest first.
    pub fn busiest(&self) -> Vec<(String, u64)> {
        let mut all: Vec<_> = self.0.clone().into_iter().collect();
        all.sort_by(|one, other| other.1.cmp(&one.1).then_with(|| one.0.cmp(&other.0)));
        all
    }
}

/// Cuts a path to what is kept of it: no query, and so much of it.
fn kept(target: &str) -> &str {
    let path = target.split(['?', '#']).next().unwrap_or(target);
    let mut end = path.len().min(PATH_BYTES_MAX);
    while !path.is_char_boundary(end) {
        end -= 1;
    }
    &path[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_is_counted_only_while_the_journal_knows_of_some() {
        let tally = Tally::default();

        assert_eq!(tally.count("/a", 1), Count::Ask);
        assert_eq!(tally.count("/a", 2), Count::Waits);
        tally.open();
        assert_eq!(tally.count("/a?b=c", 3), Count::Counted);
        assert_eq!(tally.count("/a", 5), Count::Counted);

        let batch = tally.close();
        assert_eq!((batch.writes, batch.first_ms, batch.last_ms), (2, 3, 5));
        assert_eq!(batch.paths.busiest(), [("/a".to_owned(), 2)]);
        assert_eq!(tally.count("/a", 6), Count::Ask, "closed again");
    }

    #[test]
    fn no_more_paths_are_kept_than_there_is_place_for() {
        let mut paths = Paths::default();
        for _ in 0..3 {
            paths.add("/busy", 1);
        }
        for path in 0..1_000 {
            paths.add(&format!("/{path}"), 1);
        }

        assert_eq!(paths.0.len(), PATHS_MAX);
        let all: u64 = paths.busiest().iter().map(|(_, count)| count).sum();
        assert_eq!(all, 1_003, "no write is forgotten");
        let long = "/ä".repeat(100);
        assert!(kept(&long).len() <= PATH_BYTES_MAX);
    }
}
