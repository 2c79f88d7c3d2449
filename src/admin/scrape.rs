//! `/metrics`, and the metrics that are read at scrape from what is published.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{GaugeVec, IntCounterVec, IntGauge, IntGaugeVec, Opts, TextEncoder};

use crate::control::{
    Findings, GuardStatus, Handle, Lag, SideChecks, SideFreshness, SiteCopies, Status,
};
use crate::site::SiteName;
use crate::switchboard::{Snapshot, Switchboard, now_ms};
use crate::telemetry::names;

use super::Parts;
use super::problem::Problem;

/// Answers a scrape, in the text format.
pub(super) async fn metrics(State(parts): State<Parts>) -> Response {
    let families = parts.metrics.registry().gather();
    let encoder = TextEncoder::new();
    match encoder.encode_to_string(&families) {
        Ok(text) => ([(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)], text).into_response(),
        Err(error) => {
            let detail = format!("the metrics could not be written: {error}");
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "bug", &detail).into_response()
        }
    }
}

/// Reads the status and the switchboard whenever the registry is gathered.
#[derive(Debug)]
pub(super) struct Published {
    handle: Handle,
    switchboard: Arc<Switchboard>,
    desc: Vec<Desc>,
}

impl Published {
    /// Makes the collector, to be registered once.
    ///
    /// # Errors
    /// A metric's name or label is not allowed: a bug.
    pub(super) fn new(parts: &Parts) -> Result<Self, prometheus::Error> {
        let gauges = Gauges::new()?;
        Ok(Self {
            handle: parts.handle.clone(),
            switchboard: Arc::clone(&parts.switchboard),
            desc: gauges
                .all()
                .into_iter()
                .flat_map(Collector::desc)
                .cloned()
                .collect(),
        })
    }
}

impl Collector for Published {
    fn desc(&self) -> Vec<&Desc> {
        self.desc.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        // The names were accepted once already, in `new`.
        let Ok(gauges) = Gauges::new() else {
            return Vec::new();
        };
        // Made anew at each scrape, so a site that left the table leaves the metrics too.
        gauges.read_status(&self.handle.status());
        let snapshot = self.switchboard.current();
        gauges.read_gates(&snapshot);
        gauges.read_leases(&snapshot);
        gauges.read_findings(self.handle.findings());
        gauges.copies.read(&self.handle.copies().all());
        gauges.freshness.read(&self.handle.freshness().all());
        gauges.copies.read_guards(&self.handle.guards().all());
        gauges
            .all()
            .into_iter()
            .flat_map(Collector::collect)
            .collect()
    }
}

/// What sides have taken that others lack, who copies it, and who writes where nobody should.
struct CopyGauges {
    uncopied: IntGaugeVec,
    torn: IntGaugeVec,
    guards: IntGaugeVec,
    contradiction: IntGaugeVec,
}

impl CopyGauges {
    fn new() -> Result<Self, prometheus::Error> {
        let uncopied = Opts::new(
            names::SIDE_UNCOPIED_WRITES,
            "Writes that a side has taken and another lacks; after a crash at least as many.",
        );
        let torn = Opts::new(
            names::SIDE_TORN,
            "1 while a copy onto a side was begun and has not succeeded.",
        );
        let guards = Opts::new(
            names::GUARD_LEASES,
            "Leases of guarded jobs that are out, by whether their jobs show themselves.",
        );
        let contradiction = Opts::new(
            names::CONTRADICTION,
            "1 while a side that does not serve does not behave so.",
        );
        Ok(Self {
            guards: IntGaugeVec::new(guards, &["site", "state"])?,
            contradiction: IntGaugeVec::new(contradiction, &["site", "side", "kind"])?,
            uncopied: IntGaugeVec::new(uncopied, &["site", "from", "to"])?,
            torn: IntGaugeVec::new(torn, &["site", "side"])?,
        })
    }

    /// Of a site that was never written to there is nothing to say.
    fn read(&self, sites: &BTreeMap<SiteName, SiteCopies>) {
        for (site, copies) in sites {
            let site = site.as_str();
            for (from, to) in copies.pairs() {
                let labels = &[site, from.as_str(), to.as_str()];
                let lacks = copies.lacks(from, to).map_or(0, |found| found.writes);
                self.uncopied.with_label_values(labels).set(whole(lacks));
            }
            for side in &copies.sides {
                let is_torn = copies.torn.iter().any(|torn| torn.side == *side);
                let labels = &[site, side.as_str()];
                self.torn.with_label_values(labels).set(is_torn.into());
            }
        }
    }

    fn read_guards(&self, guards: &[GuardStatus]) {
        for guard in guards {
            for bound in &guard.sites {
                let labels = &[bound.site.as_str(), guard.state.word()];
                self.guards.with_label_values(labels).inc();
            }
        }
    }
}

/// How new the data of sides are.
struct FreshnessGauges {
    lag: IntGaugeVec,
    lag_seconds: IntGaugeVec,
    went_backwards: IntCounterVec,
}

impl FreshnessGauges {
    fn new() -> Result<Self, prometheus::Error> {
        let gauge =
            |name: &str, help: &str| IntGaugeVec::new(Opts::new(name, help), &["site", "side"]);
        let went_backwards = Opts::new(
            names::FRESHNESS_WENT_BACKWARDS_TOTAL,
            "How often the data of a side went backwards while it was active.",
        );
        Ok(Self {
            lag: gauge(
                names::FRESHNESS_LAG,
                "By how much the number of a side is less than that of the active one.",
            )?,
            lag_seconds: gauge(
                names::FRESHNESS_LAG_SECONDS,
                "By how much the time of a side is earlier than that of the active one.",
            )?,
            went_backwards: IntCounterVec::new(went_backwards, &["site", "side"])?,
        })
    }

    /// What cannot be read, or not be compared, is not shown.
    fn read(&self, sites: &BTreeMap<SiteName, Vec<SideFreshness>>) {
        let sides = sites
            .iter()
            .flat_map(|(site, sides)| sides.iter().map(move |side| (site, side)));
        for (site, found) in sides {
            let labels = &[site.as_str(), found.side.as_str()];
            match found.lag {
                Some(Lag::Count(count)) => self.lag.with_label_values(labels).set(whole(count)),
                Some(Lag::Seconds(seconds)) => {
                    self.lag_seconds
                        .with_label_values(labels)
                        .set(whole(seconds));
                }
                None => {}
            }
            if let Some(count) = found.went_backwards {
                self.went_backwards.with_label_values(labels).inc_by(count);
            }
        }
    }
}

struct Gauges {
    epoch: IntGaugeVec,
    active: IntGaugeVec,
    diverged: IntGaugeVec,
    down: IntGaugeVec,
    check: IntGaugeVec,
    copies: CopyGauges,
    freshness: FreshnessGauges,
    checks_in_flight: IntGauge,
    in_flight: IntGaugeVec,
    hold: IntGaugeVec,
    serial: IntGaugeVec,
    lease: GaugeVec,
    expiry: IntGaugeVec,
    cert_reload: IntGaugeVec,
    build: IntGaugeVec,
    reload: IntGauge,
    generation: IntGauge,
}

impl Gauges {
    fn new() -> Result<Self, prometheus::Error> {
        let gauge = |name: &str, help: &str| IntGauge::new(name, help);
        let labelled = |name: &str, help: &str, labels: &[&str]| {
            IntGaugeVec::new(Opts::new(name, help), labels)
        };
        Ok(Self {
            epoch: labelled(
                names::SITE_EPOCH,
                "Epoch of the lane that serves.",
                &["site"],
            )?,
            active: labelled(
                names::SITE_ACTIVE,
                "1 for the active side, 0 for the others; all 0 in doubt.",
                &["site", "side"],
            )?,
            diverged: labelled(
                names::SITE_DIVERGED,
                "1 when the file asks for another side and no flip is on its way there.",
                &["site"],
            )?,
            down: labelled(
                names::SIDE_DOWN,
                "1 while no origin of the active side accepts connections, 0 for the others.",
                &["site", "side"],
            )?,
            copies: CopyGauges::new()?,
            freshness: FreshnessGauges::new()?,
            check: labelled(
                names::CHECK_OK,
                "1 when a check of a side passed the last time.",
                &["site", "side", "check"],
            )?,
            checks_in_flight: gauge(names::CHECKS_IN_FLIGHT, "Checks that are being made.")?,
            in_flight: labelled(
                names::HTTP_REQUESTS_IN_FLIGHT,
                "Requests at the origins of the lane that serves.",
                &["site"],
            )?,
            hold: labelled(names::HOLD_REQUESTS, "Requests on hold.", &["site"])?,
            serial: labelled(names::DNS_ZONE_SERIAL, "Published SOA serial.", &["zone"])?,
            lease: GaugeVec::new(
                Opts::new(
                    names::DNS_ANSWER_LEASE_EXPIRY_SECONDS,
                    "Until no client may use an address that direct names gave out, in seconds.",
                ),
                &["site"],
            )?,
            expiry: labelled(
                names::CERT_EXPIRY_TIMESTAMP_SECONDS,
                "Last second of the validity of the certificate that answers.",
                &["cert"],
            )?,
            cert_reload: labelled(
                names::CERT_LAST_RELOAD_SUCCESSFUL,
                "1 when the certificate on disk is good and is what answers.",
                &["cert"],
            )?,
            build: labelled(names::BUILD_INFO, "Always 1.", &["version"])?,
            reload: gauge(
                names::TABLE_LAST_RELOAD_SUCCESSFUL,
                "1 when the file on disk is what is served.",
            )?,
            generation: gauge(names::TABLE_GENERATION, "Counts the loaded tables.")?,
        })
    }

    fn all(&self) -> [&dyn Collector; 22] {
        [
            &self.epoch,
            &self.active,
            &self.diverged,
            &self.down,
            &self.check,
            &self.copies.uncopied,
            &self.copies.torn,
            &self.freshness.lag,
            &self.freshness.lag_seconds,
            &self.freshness.went_backwards,
            &self.copies.guards,
            &self.copies.contradiction,
            &self.checks_in_flight,
            &self.in_flight,
            &self.hold,
            &self.serial,
            &self.lease,
            &self.expiry,
            &self.cert_reload,
            &self.build,
            &self.reload,
            &self.generation,
        ]
    }

    fn read_status(&self, status: &Status) {
        for site in status.sites.iter() {
            let name = site.name.as_str();
            self.epoch
                .with_label_values(&[name])
                .set(whole(site.epoch.0));
            self.diverged
                .with_label_values(&[name])
                .set(site.diverged.into());
            for raised in &site.contradictions {
                let labels = &[name, raised.side.as_str(), raised.kind.word()];
                self.copies.contradiction.with_label_values(labels).set(1);
            }
            for side in &site.sides {
                let active = site.active.as_ref() == Some(side);
                self.active
                    .with_label_values(&[name, side.as_str()])
                    .set(active.into());
            }
        }
        for zone in &status.zones {
            self.serial
                .with_label_values(&[zone.name.as_str()])
                .set(zone.serial.into());
        }
        for cert in &status.certs {
            let name = &[cert.name.as_str()];
            if let Some(expires) = cert.expires {
                self.expiry.with_label_values(name).set(expires.as_second());
            }
            self.cert_reload
                .with_label_values(name)
                .set(cert.problem.is_none().into());
        }
        self.build
            .with_label_values(&[env!("CARGO_PKG_VERSION")])
            .set(1);
        self.reload.set(status.file_problem.is_none().into());
        self.generation.set(whole(status.generation.0));
    }

    fn read_leases(&self, snapshot: &Snapshot) {
        let now_ms = now_ms();
        let leases = snapshot.zones.leases().all(now_ms).into_iter();
        // A site that was removed leaves the metrics, and what it gave out is no flip's any more.
        for (site, until_ms) in leases.filter(|(site, _)| snapshot.site(site).is_some()) {
            let left = Duration::from_millis(until_ms.saturating_sub(now_ms));
            let gauge = self.lease.with_label_values(&[site.as_str()]);
            gauge.set(left.as_secs_f64());
        }
    }

    /// A check that was not made yet, or not for long, is not shown: it says nothing of now.
    fn read_findings(&self, findings: &Findings) {
        for (site, sides) in findings.all() {
            for SideChecks { side, checks } in &sides {
                let known = checks.iter().filter(|check| !check.stale);
                for (check, ok) in known.filter_map(|check| Some((check, check.ok?))) {
                    let labels = &[site.as_str(), side.as_str(), check.name.as_str()];
                    self.check.with_label_values(labels).set(ok.into());
                }
            }
        }
        let in_flight = findings.in_flight();
        self.checks_in_flight.set(whole(in_flight as u64));
    }

    fn read_gates(&self, snapshot: &Snapshot) {
        for view in snapshot.sites().iter() {
            let name = view.site.name.as_str();
            let gates = view.lane.as_ref().map(|lane| &lane.gates);
            let in_flight = gates.map_or(0, |gates| gates.in_flight());
            let waiting = gates.map_or(0, |gates| gates.waiting());
            self.in_flight
                .with_label_values(&[name])
                .set(whole(in_flight));
            self.hold
                .with_label_values(&[name])
                .set(whole(waiting as u64));
            let lane = view.lane.as_ref();
            let down = lane.filter(|lane| lane.gates.outage.since_ms().is_some());
            for side in &view.site.sides {
                let is_down = down.is_some_and(|lane| lane.side == side.name);
                self.down
                    .with_label_values(&[name, side.name.as_str()])
                    .set(is_down.into());
            }
        }
    }
}

/// A gauge's number; what is too big for it would be wrong anyway, so it stops at the end.
fn whole(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
