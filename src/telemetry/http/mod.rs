//! What the proxy counts: a shard per worker, summed when somebody scrapes.
//!
//! Each worker locks its own shard only, and a scrape locks each for as long as it takes to add
//! it up: on the path of a request no memory is written that another worker writes too. The
//! labels are bounded: sites and sides by the table, methods by folding, codes by HTTP.

mod scrape;

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::Method;
use prometheus::{Error, Registry};

use scrape::Scrape;

/// Upper bounds of the duration buckets, in seconds: from a page out of memory to a slow query.
const BUCKETS: [f64; 14] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

/// The methods that have a label value of their own; every other is `other`.
const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

/// Everything the proxy counts, over all its workers.
#[derive(Debug)]
pub struct HttpMetrics {
    shards: Mutex<Vec<Arc<HttpShard>>>,
}

/// The counters of one worker.
#[derive(Debug, Default)]
pub struct HttpShard {
    counts: Mutex<Counts>,
    /// Open client connections.
    connections: AtomicI64,
}

/// One answered request.
#[derive(Clone, Copy, Debug)]
pub struct Answered<'a> {
    /// The site; `none` when no site has that host.
    pub site: &'a str,
    /// The side that answered; `none` when we did.
    pub side: &'a str,
    /// The method, folded here.
    pub method: &'a Method,
    /// The status code; 499 when the client left first.
    pub code: u16,
    /// From the head of the request to the end of the answer.
    pub took: Duration,
}

#[derive(Debug, Default)]
struct Counts {
    sites: HashMap<Box<str>, SiteCounts>,
    /// Counters by family and labels, for what happens seldom.
    events: HashMap<Event, u64>,
}

/// Something that is counted, with its label values in the order of its family's names.
type Event = (Family, Vec<String>);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Family {
    Connects,
    UpstreamErrors,
    HoldEvicted,
    AccessBypass,
    StaleEpoch,
    ClosedTwice,
    ConnectionsRefused,
    Handshakes,
    TunnelsOpened,
    TunnelsClosed,
}

/// How a TLS handshake ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handshake {
    /// The client is in.
    Done,
    /// The two did not agree, or the client left.
    Failed,
    /// It took too long.
    Timeout,
    /// Too many others were in one.
    Refused,
}

impl Handshake {
    fn result(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Timeout => "timeout",
            Self::Refused => "refused",
        }
    }
}

#[derive(Debug, Default)]
struct SiteCounts {
    /// A handful of combinations per site, so a walk is quicker than a hash.
    requests: Vec<(Box<str>, &'static str, u16, u64)>,
    durations: Durations,
}

#[derive(Clone, Debug, Default)]
struct Durations {
    /// Not cumulated; what is above the last bound is in `count` only.
    buckets: [u64; BUCKETS.len()],
    count: u64,
    sum: f64,
}

impl HttpShard {
    /// Counts an answered request.
    pub fn answered(&self, answered: Answered<'_>) {
        let method = fold(answered.method);
        let mut counts = self.lock();
        let site = counts.site(answered.site);
        site.durations.observe(answered.took.as_secs_f64());
        let same = site.requests.iter_mut().find(|(side, other, code, _)| {
            **side == *answered.side && *other == method && *code == answered.code
        });
        match same {
            Some((.., count)) => *count += 1,
            None => site
                .requests
                .push((answered.side.into(), method, answered.code, 1)),
        }
    }

    /// Counts a connection made to an origin.
    pub fn connected(&self, site: &str, side: &str) {
        self.event(Family::Connects, &[site, side]);
    }

    /// Counts an exchange with an origin that failed.
    pub fn upstream_failed(&self, site: &str, side: &str, reason: &'static str) {
        self.event(Family::UpstreamErrors, &[site, side, reason]);
    }

    /// Counts a request that left a hold without going on.
    pub fn evicted(&self, site: &str, reason: &'static str) {
        self.event(Family::HoldEvicted, &[site, reason]);
    }

    /// Counts a write that was let through although `access` forbids it to others.
    pub fn bypassed(&self, site: &str) {
        self.event(Family::AccessBypass, &[site]);
    }

    /// Counts a request that was about to be written to a closed lane.
    pub fn stale_epoch(&self, site: &str) {
        self.event(Family::StaleEpoch, &[site]);
    }

    /// Counts a request that found its lane closed twice.
    pub fn closed_twice(&self, site: &str) {
        self.event(Family::ClosedTwice, &[site]);
    }

    /// Counts a client connection refused because the limit was reached.
    pub fn connection_refused(&self) {
        self.event(Family::ConnectionsRefused, &[]);
    }

    /// Counts a TLS handshake with a client.
    pub fn handshake(&self, ended: Handshake) {
        self.event(Family::Handshakes, &[ended.result()]);
    }

    /// Counts a connection that became a tunnel.
    pub fn tunnel_opened(&self, site: &str, side: &str) {
        self.event(Family::TunnelsOpened, &[site, side]);
    }

    /// Counts a tunnel that is over.
    pub fn tunnel_closed(&self, site: &str, side: &str, reason: &'static str) {
        self.event(Family::TunnelsClosed, &[site, side, reason]);
    }

    /// Notes how many client connections are open.
    pub fn connections(&self, open: usize) {
        // Only this worker writes it, so a store is enough.
        let open = i64::try_from(open).unwrap_or(i64::MAX);
        self.connections.store(open, Ordering::Relaxed);
    }

    fn event(&self, family: Family, labels: &[&str]) {
        let labels = labels.iter().map(|&label| label.to_owned()).collect();
        *self.lock().events.entry((family, labels)).or_default() += 1;
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counts {
    fn site(&mut self, name: &str) -> &mut SiteCounts {
        if !self.sites.contains_key(name) {
            self.sites.insert(name.into(), SiteCounts::default());
        }
        // An entry by reference: the name is copied only for a site not seen before.
        self.sites
            .get_mut(name)
            .expect("it was inserted just above")
    }
}

impl Durations {
    fn observe(&mut self, seconds: f64) {
        if let Some(bucket) = BUCKETS.iter().position(|&bound| seconds <= bound) {
            self.buckets[bucket] += 1;
        }
        self.count += 1;
        self.sum += seconds;
    }

    fn add(&mut self, other: &Self) {
        for (sum, more) in self.buckets.iter_mut().zip(other.buckets) {
            *sum += more;
        }
        self.count += other.count;
        self.sum += other.sum;
    }
}

fn fold(method: &Method) -> &'static str {
    let known = METHODS.iter().find(|&&name| name == method.as_str());
    known.copied().unwrap_or("other")
}

impl HttpMetrics {
    /// Makes the counters and registers them for scraping.
    ///
    /// # Errors
    /// A name was registered twice: a bug.
    pub fn register(registry: &Registry) -> Result<Arc<Self>, Error> {
        let metrics = Arc::new(Self {
            shards: Mutex::new(Vec::new()),
        });
        registry.register(Box::new(Scrape::new(Arc::clone(&metrics))?))?;
        Ok(metrics)
    }

    /// Makes the shard of one more worker.
    pub fn shard(&self) -> Arc<HttpShard> {
        let shard = Arc::new(HttpShard::default());
        self.lock().push(Arc::clone(&shard));
        shard
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<HttpShard>>> {
        self.shards.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_are_summed_and_methods_folded() -> Result<(), Error> {
        let registry = Registry::new();
        let metrics = HttpMetrics::register(&registry)?;
        let (one, two) = (metrics.shard(), metrics.shard());
        for (shard, method) in [(&one, "BREW"), (&two, "STIR"), (&two, "GET")] {
            shard.answered(Answered {
                site: "ispot",
                side: "live",
                method: &Method::from_bytes(method.as_bytes()).unwrap_or_default(),
                code: 200,
                took: Duration::from_millis(3),
            });
        }
        two.evicted("ispot", "full");
        one.connections(2);
        two.connections(3);
        let text = prometheus::TextEncoder::new().encode_to_string(&registry.gather())?;
        let has = |line: &str| assert!(text.lines().any(|other| other == line), "{line}\n{text}");
        has(
            "pointsman_http_requests_total{code=\"200\",method=\"other\",side=\"live\",site=\"ispot\"} 2",
        );
        has(
            "pointsman_http_requests_total{code=\"200\",method=\"GET\",side=\"live\",site=\"ispot\"} 1",
        );
        has("pointsman_http_connections 5");
        has("pointsman_hold_evicted_total{reason=\"full\",site=\"ispot\"} 1");
        has("pointsman_http_request_duration_seconds_bucket{site=\"ispot\",le=\"0.0025\"} 0");
        has("pointsman_http_request_duration_seconds_bucket{site=\"ispot\",le=\"0.005\"} 3");
        Ok(())
    }
}
