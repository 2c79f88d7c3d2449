//! What the DNS workers count: per thread, summed when somebody scrapes.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use prometheus::Registry;
use prometheus::core::{Collector, Desc};
use prometheus::proto::{Counter, Gauge, LabelPair, Metric, MetricFamily, MetricType};

use super::names;

/// How a query came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DnsTransport {
    /// By datagram.
    Udp,
    /// On a connection.
    Tcp,
}

/// Answer codes with a counter of their own, by number on the wire; the empty ones are not sent.
const RCODES: [&str; 17] = [
    "NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED", "YXDOMAIN", "", "", "", "",
    "", "", "", "", "", "BADVERS",
];

/// Why a query was not answered, or a connection not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DnsDrop {
    /// No whole header.
    Short,
    /// A response, not a query.
    Response,
    /// Longer than any query.
    TooLong,
    /// From port 0, where nobody can be.
    PortZero,
    /// The kernel did not take the answer.
    Send,
    /// The limit of connections was reached.
    ConnectionLimit,
    /// The client took its answer too slowly, or not before the next snapshot.
    Slow,
}

impl DnsDrop {
    const ALL: [(Self, &'static str); 7] = [
        (Self::Short, "short"),
        (Self::Response, "response"),
        (Self::TooLong, "too_long"),
        (Self::PortZero, "port_zero"),
        (Self::Send, "send"),
        (Self::ConnectionLimit, "connection_limit"),
        (Self::Slow, "slow"),
    ];
}

/// The counters of one worker thread; only that thread may count.
#[derive(Debug)]
pub struct DnsCounters {
    transport: DnsTransport,
    requests: AtomicU64,
    responses: [AtomicU64; RCODES.len()],
    dropped: [AtomicU64; DnsDrop::ALL.len()],
    connections: AtomicU64,
}

impl DnsCounters {
    /// Counts a query.
    pub fn request(&self) {
        add_one(&self.requests);
    }

    /// Counts an answer by the number of its code.
    pub fn response(&self, rcode: u16) {
        if let Some(counter) = self.responses.get(usize::from(rcode)) {
            add_one(counter);
        }
    }

    /// Counts what was not answered.
    pub fn dropped(&self, why: DnsDrop) {
        add_one(&self.dropped[why as usize]);
    }

    /// Shows how many connections are open.
    pub fn connections(&self, open: usize) {
        self.connections
            .store(u64::try_from(open).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

/// One writer, so no locked addition is needed.
fn add_one(counter: &AtomicU64) {
    counter.store(
        counter.load(Ordering::Relaxed).wrapping_add(1),
        Ordering::Relaxed,
    );
}

/// The DNS metrics of the process.
#[derive(Debug, Default)]
pub struct DnsMetrics {
    workers: Mutex<Vec<Arc<DnsCounters>>>,
}

impl DnsMetrics {
    /// Makes them and registers them.
    ///
    /// # Errors
    /// They were registered before: a bug.
    pub fn register(registry: &Registry) -> Result<Arc<Self>, prometheus::Error> {
        let metrics = Arc::new(Self::default());
        let describe = |name: &str, help: &str, label: Option<&str>| {
            let labels = label.map(str::to_owned).into_iter().collect();
            Desc::new(name.into(), help.into(), labels, HashMap::new())
        };
        let requests = describe(names::DNS_REQUESTS_TOTAL, REQUESTS_HELP, Some("transport"))?;
        let responses = describe(names::DNS_RESPONSES_TOTAL, RESPONSES_HELP, Some("rcode"))?;
        let dropped = describe(names::DNS_DROPPED_TOTAL, DROPPED_HELP, Some("reason"))?;
        let connections = describe(names::DNS_TCP_CONNECTIONS, CONNECTIONS_HELP, None)?;
        registry.register(Box::new(DnsCollector {
            metrics: Arc::clone(&metrics),
            descriptions: [requests, responses, dropped, connections],
        }))?;
        Ok(metrics)
    }

    /// Enlists a worker thread.
    pub fn worker(&self, transport: DnsTransport) -> Arc<DnsCounters> {
        let counters = Arc::new(DnsCounters {
            transport,
            requests: AtomicU64::new(0),
            responses: std::array::from_fn(|_| AtomicU64::new(0)),
            dropped: std::array::from_fn(|_| AtomicU64::new(0)),
            connections: AtomicU64::new(0),
        });
        let mut workers = self.workers.lock().unwrap_or_else(PoisonError::into_inner);
        workers.push(Arc::clone(&counters));
        counters
    }

    fn sum<'a>(
        workers: &'a [Arc<DnsCounters>],
        of: impl Fn(&'a DnsCounters) -> &'a AtomicU64,
    ) -> u64 {
        workers
            .iter()
            .map(|worker| of(worker).load(Ordering::Relaxed))
            .sum()
    }
}

const REQUESTS_HELP: &str = "DNS queries received.";
const RESPONSES_HELP: &str = "DNS answers sent, by code.";
const DROPPED_HELP: &str = "DNS queries dropped unanswered and connections not served, by reason.";
const CONNECTIONS_HELP: &str = "DNS connections that are open.";

struct DnsCollector {
    metrics: Arc<DnsMetrics>,
    descriptions: [Desc; 4],
}

impl Collector for DnsCollector {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let workers = self
            .metrics
            .workers
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let requests =
            [(DnsTransport::Udp, "udp"), (DnsTransport::Tcp, "tcp")].map(|(by, word)| {
                let of = workers.iter().filter(|worker| worker.transport == by);
                counted(
                    "transport",
                    word,
                    of.map(|worker| worker.requests.load(Ordering::Relaxed))
                        .sum(),
                )
            });
        let known = RCODES
            .iter()
            .enumerate()
            .filter(|(_, word)| !word.is_empty());
        let responses = known.map(|(number, word)| {
            counted(
                "rcode",
                word,
                DnsMetrics::sum(&workers, |worker| &worker.responses[number]),
            )
        });
        let dropped = DnsDrop::ALL.map(|(why, word)| {
            let sum = DnsMetrics::sum(&workers, |worker| &worker.dropped[why as usize]);
            counted("reason", word, sum)
        });
        let open = DnsMetrics::sum(&workers, |worker| &worker.connections);
        let mut gauge = Gauge::default();
        gauge.set_value(number(open));
        let counter = MetricType::COUNTER;
        vec![
            family(
                names::DNS_REQUESTS_TOTAL,
                REQUESTS_HELP,
                counter,
                requests.into(),
            ),
            family(
                names::DNS_RESPONSES_TOTAL,
                RESPONSES_HELP,
                counter,
                responses.collect(),
            ),
            family(
                names::DNS_DROPPED_TOTAL,
                DROPPED_HELP,
                counter,
                dropped.into(),
            ),
            family(
                names::DNS_TCP_CONNECTIONS,
                CONNECTIONS_HELP,
                MetricType::GAUGE,
                vec![Metric::from_gauge(gauge)],
            ),
        ]
    }
}

fn family(name: &str, help: &str, kind: MetricType, metrics: Vec<Metric>) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(name.into());
    family.set_help(help.into());
    family.set_field_type(kind);
    family.set_metric(metrics);
    family
}

fn counted(label: &str, word: &str, sum: u64) -> Metric {
    let mut pair = LabelPair::default();
    pair.set_name(label.into());
    pair.set_value(word.into());
    let mut counter = Counter::default();
    counter.set_value(number(sum));
    let mut metric = Metric::from_label(vec![pair]);
    metric.set_counter(counter);
    metric
}

/// Prometheus has floating-point numbers only; exact up to 2^53.
#[expect(
    clippy::cast_precision_loss,
    reason = "the exposition format has nothing wider"
)]
fn number(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_are_summed_at_scrape() {
        let registry = Registry::new();
        let metrics = DnsMetrics::register(&registry).expect("registered once");
        for worker in [
            metrics.worker(DnsTransport::Udp),
            metrics.worker(DnsTransport::Udp),
        ] {
            worker.request();
            worker.response(3);
            worker.dropped(DnsDrop::Slow);
        }
        let text = prometheus::TextEncoder::new()
            .encode_to_string(&registry.gather())
            .expect("text");
        for line in [
            "pointsman_dns_requests_total{transport=\"udp\"} 2",
            "pointsman_dns_requests_total{transport=\"tcp\"} 0",
            "pointsman_dns_responses_total{rcode=\"NXDOMAIN\"} 2",
            "pointsman_dns_dropped_total{reason=\"slow\"} 2",
        ] {
            assert!(
                text.lines().any(|shown| shown == line),
                "{line} is not in\n{text}"
            );
        }
    }
}
