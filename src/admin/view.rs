//! What the API says of sites and flips: the published status, and the counts at the gates.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::control::{
    CertStatus, FlipStatus, GuardStatus, SideChecks, SideFreshness, SiteCopies, SiteStatus, Status,
    ZoneStatus,
};
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
    /// What sides have taken that others lack, and sides that are torn.
    #[serde(flatten)]
    pub copies: SiteCopies,
    /// How new the data of each side are; empty without a marker.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub freshness: Vec<SideFreshness>,
    /// Guarded jobs of the site that run, or may.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub guards: Vec<GuardStatus>,
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
    /// Of what is in flight, the writes; WebSockets and other tunnels are among them.
    #[serde(default)]
    pub writes: u64,
    /// Of the writes, the tunnels.
    #[serde(default)]
    pub tunnels: usize,
}

/// Everything that goes on, as `pointsman watch` shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WatchView {
    /// Counts the loaded tables.
    pub generation: Generation,
    /// Where the table was read from.
    pub file: String,
    /// Why the file as it is on disk is not what is served; `None` when it is.
    pub file_problem: Option<String>,
    /// The sites in the order of their names; of very many, those with something to say, and no
    /// more than [`WATCHED_MAX`].
    pub sites: Vec<SiteView>,
    /// Sites that are not among them.
    pub more_sites: usize,
    /// Flips, the newest first: all that run, and the last that ended.
    pub flips: Vec<FlipView>,
}

/// How many sites and ended flips are watched at once; a person sees no more.
pub const WATCHED_MAX: usize = 200;

/// How many flips that have ended are watched: who looks away for a moment misses none.
const ENDED_MAX: usize = 8;

impl WatchView {
    /// Looks at everything, or at one site and its flips.
    pub(super) fn of(status: &Status, switchboard: &Switchboard, only: Option<&SiteName>) -> Self {
        let snapshot = switchboard.current();
        let is_crowd = status.sites.len() > WATCHED_MAX;
        let sites: Vec<_> = match only {
            Some(name) => status
                .sites
                .iter()
                .filter(|site| site.name == *name)
                .collect(),
            None if is_crowd => status
                .sites
                .iter()
                .filter(|site| has_something(site))
                .collect(),
            None => status.sites.iter().collect(),
        };
        let concerns = |flip: &&Arc<FlipStatus>| {
            only.is_none_or(|name| flip.moves.iter().any(|step| step.site == *name))
        };
        let (ended, running): (Vec<_>, Vec<_>) = status
            .flips
            .iter()
            .filter(concerns)
            .partition(|flip| flip.outcome.is_some());
        let flips = running.into_iter().chain(ended.into_iter().take(ENDED_MAX));
        let sites = sites.into_iter().take(WATCHED_MAX);
        let sites: Vec<_> = sites
            .map(|site| SiteView::join(site, &snapshot, FoundOfSite::default()))
            .collect();
        Self {
            generation: status.generation,
            file: status.file.clone(),
            file_problem: status.file_problem.clone(),
            more_sites: status.sites.len() - sites.len(),
            sites,
            flips: flips.map(|flip| FlipView::of(flip, switchboard)).collect(),
        }
    }
}

/// Tells whether there is more to say of a site than that it is well.
fn has_something(site: &SiteStatus) -> bool {
    let is_well = site.active.is_some() && !site.diverged && site.problem.is_none();
    let is_well = is_well && site.contradictions.is_empty();
    !is_well || site.flip.is_some() || site.emergency.is_some() || site.access_said.is_some()
}

/// What was found of sites apart from the status: by their checks, of their copies and markers.
struct Found {
    checks: BTreeMap<SiteName, Vec<SideChecks>>,
    copies: BTreeMap<SiteName, SiteCopies>,
    freshness: BTreeMap<SiteName, Vec<SideFreshness>>,
    guards: Vec<GuardStatus>,
}

/// What was found of one site.
#[derive(Default)]
struct FoundOfSite {
    checks: Vec<SideChecks>,
    copies: SiteCopies,
    freshness: Vec<SideFreshness>,
    guards: Vec<GuardStatus>,
}

impl Found {
    fn take(&mut self, site: &SiteName) -> FoundOfSite {
        FoundOfSite {
            checks: self.checks.remove(site).unwrap_or_default(),
            copies: self.copies.remove(site).unwrap_or_default(),
            freshness: self.freshness.remove(site).unwrap_or_default(),
            guards: self
                .guards
                .iter()
                .filter(|guard| guard.is_for(site))
                .cloned()
                .collect(),
        }
    }
}

impl StatusView {
    /// Joins a published status with the counts of this instant.
    pub(super) fn of(status: &Status, parts: &Parts) -> Self {
        let found = Found {
            checks: parts.handle.findings().all(),
            copies: parts.handle.copies().all(),
            freshness: parts.handle.freshness().all(),
            guards: parts.handle.guards().all(),
        };
        Self::join(status, &parts.switchboard.current(), found)
    }

    fn join(status: &Status, snapshot: &Snapshot, mut found: Found) -> Self {
        let sites = status.sites.iter();
        Self {
            generation: status.generation,
            file: status.file.clone(),
            file_problem: status.file_problem.clone(),
            sites: sites
                .map(|site| SiteView::join(site, snapshot, found.take(&site.name)))
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

    fn join(status: &SiteStatus, snapshot: &Snapshot, found: FoundOfSite) -> Self {
        let counts = Counts::at(snapshot, [&status.name]);
        Self {
            status: status.clone(),
            in_flight: counts.in_flight,
            waiting: counts.waiting,
            forwarded: counts.forwarded,
            down_since: down_since(snapshot, &status.name),
            checks: found.checks,
            copies: found.copies,
            freshness: found.freshness,
            guards: found.guards,
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
            writes: counts.writes,
            tunnels: counts.tunnels,
        }
    }
}

/// What is counted at the gates of some sites.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    in_flight: u64,
    writes: u64,
    tunnels: usize,
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
            writes: sum.writes + lane.gates.writes_in_flight(),
            tunnels: sum.tunnels + lane.gates.tunnels(),
            waiting: sum.waiting + lane.gates.waiting(),
            forwarded: sum.forwarded + lane.gates.forwarded().0,
        })
    }
}
