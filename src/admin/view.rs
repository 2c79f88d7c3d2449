//! What the API says of sites and flips: the published status, and the counts at the gates.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::control::{CertStatus, FlipStatus, SideChecks, SiteStatus, Status, ZoneStatus};
use crate::site::{Generation, GroupName, SiteName};
use crate::switchboard::{Snapshot, Switchboard};

use super::Parts;

/// Everything that `pointsman status` shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusView {
    /// Counts the loaded tables.
    pub generation: Generation,
    /// Where the table was read from.
    pub file: String,
    /// Why the file as it is on disk is not what is served; `None` when it is.
    pub file_problem: Option<String>,
    /// The sites in the order of their names.
    pub sites: Vec<SiteView>,
    /// The sites that are flipped together.
    #[serde(default)]
    pub groups: Arc<BTreeMap<GroupName, Vec<SiteName>>>,
    /// Flips, the newest first: all that run, and the last that ended.
    pub flips: Vec<Arc<FlipStatus>>,
    /// Serials by zone name.
    pub zones: Vec<ZoneStatus>,
    /// Certificates, and files that should be some.
    #[serde(default)]
    pub certs: Vec<CertStatus>,
}

/// One site, with what is counted at its gates; the counts are 0 while it is in doubt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SiteView {
    /// What the control plane says of it.
    #[serde(flatten)]
    pub status: SiteStatus,
    /// Permits that are out, reads and writes together.
    pub in_flight: u64,
    /// Requests on hold.
    pub waiting: usize,
    /// Requests of this epoch of which a first byte went to an origin.
    pub forwarded: u64,
    /// Since when no origin of the active side accepts connections, as the requests that went
    /// there found.
    #[serde(default)]
    pub down_since: Option<Timestamp>,
    /// What its checks found last, side by side; empty without checks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<SideChecks>,
}

/// One flip, with what its sites have in flight.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlipView {
    /// What the control plane says of it.
    #[serde(flatten)]
    pub status: FlipStatus,
    /// Permits that are out at the sites it moves.
    pub in_flight: u64,
    /// Requests on hold at the sites it moves.
    pub waiting: usize,
}

/// What the checks of each site found.
type Found = BTreeMap<SiteName, Vec<SideChecks>>;

impl StatusView {
    /// Joins a published status with the counts of this instant.
    pub(super) fn of(status: &Status, parts: &Parts) -> Self {
        let found = parts.handle.findings().all();
        Self::join(status, &parts.switchboard.current(), found)
    }

    fn join(status: &Status, snapshot: &Snapshot, mut found: Found) -> Self {
        let sites = status.sites.iter();
        Self {
            generation: status.generation,
            file: status.file.clone(),
            file_problem: status.file_problem.clone(),
            sites: sites
                .map(|site| {
                    let checks = found.remove(&site.name).unwrap_or_default();
                    SiteView::join(site, snapshot, checks)
                })
                .collect(),
            groups: Arc::clone(&status.groups),
            flips: status.flips.clone(),
            zones: status.zones.clone(),
            certs: status.certs.clone(),
        }
    }
}

impl SiteView {
    /// Tells whether a check of any of its sides fails.
    #[must_use]
    pub fn has_failing_check(&self) -> bool {
        let mut checks = self.checks.iter().flat_map(|side| &side.checks);
        checks.any(|check| check.ok == Some(false))
    }

    fn join(status: &SiteStatus, snapshot: &Snapshot, checks: Vec<SideChecks>) -> Self {
        let counts = Counts::at(snapshot, [&status.name]);
        Self {
            status: status.clone(),
            in_flight: counts.in_flight,
            waiting: counts.waiting,
            forwarded: counts.forwarded,
            down_since: down_since(snapshot, &status.name),
            checks,
        }
    }
}

fn down_since(snapshot: &Snapshot, site: &SiteName) -> Option<Timestamp> {
    let lane = snapshot.site(site)?.lane.as_ref()?;
    let since_ms = i64::try_from(lane.gates.outage.since_ms()?).ok()?;
    Timestamp::from_millisecond(since_ms).ok()
}

impl FlipView {
    /// Joins a flip with the counts of this instant.
    pub(super) fn of(status: &FlipStatus, switchboard: &Switchboard) -> Self {
        let sites = status.moves.iter().map(|step| &step.site);
        let counts = Counts::at(&switchboard.current(), sites);
        Self {
            status: status.clone(),
            in_flight: counts.in_flight,
            waiting: counts.waiting,
        }
    }
}

/// What is counted at the gates of some sites.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    in_flight: u64,
    waiting: usize,
    forwarded: u64,
}

impl Counts {
    fn at<'a>(snapshot: &Snapshot, sites: impl IntoIterator<Item = &'a SiteName>) -> Self {
        let lanes = sites
            .into_iter()
            .filter_map(|name| snapshot.site(name)?.lane.as_deref());
        lanes.fold(Self::default(), |sum, lane| Self {
            in_flight: sum.in_flight + lane.gates.in_flight(),
            waiting: sum.waiting + lane.gates.waiting(),
            forwarded: sum.forwarded + lane.gates.forwarded().0,
        })
    }
}
