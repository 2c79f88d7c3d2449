//! What the clients saw, all together.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::ws::Tunnel;

/// What a read-only flip says to who writes.
const PAUSED: &str = "Writing is paused";

/// Answers of every kind, counted.
#[derive(Debug, Default)]
pub(super) struct Tally {
    served: AtomicU64,
    pages: AtomicU64,
    /// Those of the pages that answered a read.
    pub(super) pages_for_reads: AtomicU64,
    /// Those of the pages that answered a write, and did not say that only writing is paused.
    pub(super) pages_without_the_words: AtomicU64,
    /// Anything else, in words.
    failed: Mutex<Vec<String>>,
    /// Ids of the writes that were answered with 200.
    pub(super) written: Mutex<BTreeSet<String>>,
    /// Ids of the writes that were answered with the page.
    pub(super) refused: Mutex<BTreeSet<String>>,
    pub(super) tunnels: Mutex<Vec<Tunnel>>,
    /// When each request was sent that a side answered, and how long that took.
    pub(super) waits: Mutex<Vec<(Instant, Duration)>>,
}

/// A request, as long as it has no answer.
#[derive(Debug)]
pub(super) struct Asked {
    at: Instant,
    what: What,
}

#[derive(Debug)]
enum What {
    Read,
    /// With its id.
    Write(String),
    /// A tunnel is a write, and nobody reads the body of what refuses it.
    Tunnel,
}

impl Asked {
    fn new(what: What) -> Self {
        let at = Instant::now();
        Self { at, what }
    }

    /// A write when there is an id, else a read.
    pub(super) fn for_id(id: Option<&String>) -> Self {
        Self::new(id.map_or(What::Read, |id| What::Write(id.clone())))
    }

    pub(super) fn tunnel() -> Self {
        Self::new(What::Tunnel)
    }
}

impl Tally {
    pub(super) fn failed(&self, what: String) {
        self.failed.lock().unwrap().push(what);
    }

    /// Notes the answer to a request.
    pub(super) fn answered(&self, asked: Asked, status: u16, retry_after: bool, body: &[u8]) {
        match status {
            200 => self.a_side(asked),
            503 if retry_after => self.the_page(asked, body),
            _ => self.failed(format!("{asked:?}: status {status}")),
        }
    }

    fn a_side(&self, asked: Asked) {
        self.served.fetch_add(1, Ordering::Relaxed);
        let wait = (asked.at, asked.at.elapsed());
        self.waits.lock().unwrap().push(wait);
        if let What::Write(id) = asked.what {
            self.written.lock().unwrap().insert(id);
        }
    }

    fn the_page(&self, asked: Asked, body: &[u8]) {
        self.pages.fetch_add(1, Ordering::Relaxed);
        match asked.what {
            What::Read => {
                self.pages_for_reads.fetch_add(1, Ordering::Relaxed);
            }
            What::Write(id) => {
                let says_it = String::from_utf8_lossy(body).contains(PAUSED);
                let without = u64::from(!says_it);
                self.pages_without_the_words
                    .fetch_add(without, Ordering::Relaxed);
                self.refused.lock().unwrap().insert(id);
            }
            What::Tunnel => {}
        }
    }

    pub(super) fn served(&self) -> u64 {
        self.served.load(Ordering::Relaxed)
    }

    pub(super) fn pages(&self) -> u64 {
        self.pages.load(Ordering::Relaxed)
    }

    #[track_caller]
    pub(super) fn assert_none_failed(&self) {
        assert_eq!(*self.failed.lock().unwrap(), Vec::<String>::new());
    }
}
