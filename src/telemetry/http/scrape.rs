//! The scrape: what the shards have counted, summed and written as Prometheus' families.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use prometheus::Error;
use prometheus::core::{Collector, Desc};
use prometheus::proto::{
    Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType,
};

use crate::telemetry::names;

use super::{BUCKETS, Durations, Event, Family, HttpMetrics};

/// A family's name, what it tells, and its label names.
type Declared = (&'static str, &'static str, &'static [&'static str]);

const REQUESTS: Declared = (
    names::HTTP_REQUESTS_TOTAL,
    "Requests answered.",
    &["site", "side", "method", "code"],
);
const DURATION: Declared = (
    names::HTTP_REQUEST_DURATION_SECONDS,
    "From the head of the request to the end of the answer.",
    &["site"],
);
const CONNECTIONS: Declared = (
    names::HTTP_CONNECTIONS,
    "Client connections that are open.",
    &[],
);

impl Family {
    const ALL: [Self; 10] = [
        Self::Connects,
        Self::UpstreamErrors,
        Self::HoldEvicted,
        Self::AccessBypass,
        Self::StaleEpoch,
        Self::ClosedTwice,
        Self::ConnectionsRefused,
        Self::Handshakes,
        Self::TunnelsOpened,
        Self::TunnelsClosed,
    ];

    fn declared(self) -> Declared {
        match self {
            Self::Connects => (
                names::UPSTREAM_CONNECTS_TOTAL,
                "Connections made to origins.",
                &["site", "side"],
            ),
            Self::UpstreamErrors => (
                names::UPSTREAM_ERRORS_TOTAL,
                "Exchanges with an origin that failed.",
                &["site", "side", "reason"],
            ),
            Self::HoldEvicted => (
                names::HOLD_EVICTED_TOTAL,
                "Requests that left a hold without going on.",
                &["site", "reason"],
            ),
            Self::AccessBypass => (
                names::ACCESS_BYPASS_WRITES_TOTAL,
                "Writes that were let through although access forbids them to others.",
                &["site"],
            ),
            Self::StaleEpoch => (
                names::STALE_EPOCH_REQUESTS_TOTAL,
                "Requests about to be written to a closed lane: must stay 0.",
                &["site"],
            ),
            Self::ClosedTwice => (
                names::LANE_CLOSED_TWICE_TOTAL,
                "Requests that found their lane closed twice: must stay 0.",
                &["site"],
            ),
            Self::ConnectionsRefused => (
                names::HTTP_CONNECTIONS_REFUSED_TOTAL,
                "Client connections refused because the limit was reached.",
                &[],
            ),
            Self::Handshakes => (
                names::TLS_HANDSHAKES_TOTAL,
                "TLS handshakes with clients.",
                &["result"],
            ),
            Self::TunnelsOpened => (
                names::HTTP_TUNNELS_OPENED_TOTAL,
                "Connections that became tunnels.",
                &["site", "side"],
            ),
            Self::TunnelsClosed => (
                names::HTTP_TUNNELS_CLOSED_TOTAL,
                "Tunnels that are over.",
                &["site", "side", "reason"],
            ),
        }
    }
}

/// Sums the shards when the registry asks.
pub(super) struct Scrape {
    metrics: Arc<HttpMetrics>,
    descs: Vec<Desc>,
}

impl Scrape {
    pub(super) fn new(metrics: Arc<HttpMetrics>) -> Result<Self, Error> {
        let families = Family::ALL.map(Family::declared);
        let descs = [REQUESTS, DURATION, CONNECTIONS]
            .into_iter()
            .chain(families)
            .map(|(name, help, labels)| {
                let labels = labels.iter().map(|&label| label.to_owned()).collect();
                Desc::new(name.into(), help.into(), labels, Default::default())
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { metrics, descs })
    }
}

impl Collector for Scrape {
    fn desc(&self) -> Vec<&Desc> {
        self.descs.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let mut requests: BTreeMap<[String; 4], u64> = BTreeMap::new();
        let mut durations: BTreeMap<String, Durations> = BTreeMap::new();
        let mut events: BTreeMap<Event, u64> = BTreeMap::new();
        let mut connections = 0;
        for shard in self.metrics.lock().iter() {
            connections += shard.connections.load(Ordering::Relaxed);
            let counts = shard.lock();
            for (site, counts) in &counts.sites {
                durations
                    .entry(site.to_string())
                    .or_default()
                    .add(&counts.durations);
                for (side, method, code, count) in &counts.requests {
                    let labels = [site, side, *method, &code.to_string()].map(str::to_owned);
                    *requests.entry(labels).or_default() += count;
                }
            }
            for (event, count) in &counts.events {
                *events.entry(event.clone()).or_default() += count;
            }
        }
        // What must stay 0 is shown as 0: an increase from nothing at all is none to Prometheus.
        for site in durations.keys().filter(|site| *site != "none") {
            for family in [Family::StaleEpoch, Family::ClosedTwice] {
                events.entry((family, vec![site.clone()])).or_default();
            }
        }
        render(&requests, &durations, &events, connections)
    }
}

fn render(
    requests: &BTreeMap<[String; 4], u64>,
    durations: &BTreeMap<String, Durations>,
    events: &BTreeMap<Event, u64>,
    connections: i64,
) -> Vec<MetricFamily> {
    let counters = requests
        .iter()
        .map(|(labels, &count)| counter(REQUESTS, labels, count));
    let histograms = durations.iter().map(|(site, sum)| histogram(site, sum));
    let mut open = Metric::default();
    let mut gauge = Gauge::default();
    gauge.set_value(connections as f64);
    open.set_gauge(gauge);
    let mut families = vec![
        family(REQUESTS, MetricType::COUNTER, counters.collect()),
        family(DURATION, MetricType::HISTOGRAM, histograms.collect()),
        family(CONNECTIONS, MetricType::GAUGE, vec![open]),
    ];
    for kind in Family::ALL {
        let of_kind = events.iter().filter(|((other, _), _)| *other == kind);
        let metrics = of_kind.map(|((_, labels), &count)| counter(kind.declared(), labels, count));
        let mut metrics: Vec<Metric> = metrics.collect();
        if metrics.is_empty() && kind.declared().2.is_empty() {
            metrics.push(counter(kind.declared(), &[], 0));
        }
        families.push(family(kind.declared(), MetricType::COUNTER, metrics));
    }
    // The text format has no place for a family without members.
    families.retain(|family| !family.get_metric().is_empty());
    families
}

fn family((name, help, _): Declared, kind: MetricType, metrics: Vec<Metric>) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(name.into());
    family.set_help(help.into());
    family.set_field_type(kind);
    family.set_metric(metrics);
    family
}

fn counter((_, _, names): Declared, values: &[String], count: u64) -> Metric {
    let mut metric = Metric::default();
    metric.set_label(labels(names, values));
    let mut counter = Counter::default();
    counter.set_value(count as f64);
    metric.set_counter(counter);
    metric
}

fn histogram(site: &str, durations: &Durations) -> Metric {
    let mut histogram = Histogram::default();
    let mut cumulative = 0;
    let buckets = BUCKETS
        .iter()
        .zip(durations.buckets)
        .map(|(&bound, count)| {
            cumulative += count;
            let mut bucket = Bucket::default();
            bucket.set_upper_bound(bound);
            bucket.set_cumulative_count(cumulative);
            bucket
        });
    histogram.set_bucket(buckets.collect());
    histogram.set_sample_count(durations.count);
    histogram.set_sample_sum(durations.sum);
    let mut metric = Metric::default();
    metric.set_label(labels(DURATION.2, &[site.to_owned()]));
    metric.set_histogram(histogram);
    metric
}

fn labels(names: &[&str], values: &[String]) -> Vec<LabelPair> {
    let pairs = names.iter().zip(values).map(|(&name, value)| {
        let mut pair = LabelPair::default();
        pair.set_name(name.into());
        pair.set_value(value.clone());
        pair
    });
    let mut pairs: Vec<LabelPair> = pairs.collect();
    // As the crate's own metrics show them.
    pairs.sort_by(|one, other| one.name().cmp(other.name()));
    pairs
}
