//! A snapshot: one table, where its sites are, and the zones compiled from both.

use std::sync::Arc;

use crate::site::{Access, Generation, Position, Positions, SiteName};
use crate::table::{Site, Table};
use crate::zone::Zones;

use super::lane::{Gates, Lane};

/// Everything a worker needs to serve, immutable, replaced whole.
#[derive(Debug)]
pub struct Snapshot {
    /// Counts the loaded tables.
    pub generation: Generation,
    /// The table.
    pub table: Arc<Table>,
    /// The compiled zones.
    pub zones: Arc<Zones>,
    /// In the order of `table.sites`.
    sites: Vec<SiteView>,
}

/// One site as a worker sees it.
#[derive(Debug)]
pub struct SiteView {
    /// What the table says of it.
    pub site: Arc<Site>,
    /// What users may do with all of it.
    pub access: Access,
    /// Where its requests go; `None` when the active side is in doubt: then nobody is served.
    pub lane: Option<Arc<Lane>>,
}

/// What [`Snapshot::route`] found for a request.
#[derive(Clone, Copy, Debug)]
pub struct Route<'a> {
    /// The site of the host.
    pub view: &'a SiteView,
    /// What users may do at the path, apart from the rest of the site.
    pub here: Access,
}

impl Route<'_> {
    /// Tells what users may do here: the stricter of the site's and the path's word.
    pub fn access(&self) -> Access {
        self.view.access.max(self.here)
    }
}

impl Snapshot {
    /// Builds the snapshot that follows `before`.
    ///
    /// A site that is at the same epoch as before keeps its gates, whatever the table changed of
    /// it; a site at another epoch gets new ones. A site without a position, or whose active side
    /// the table does not have, is in doubt.
    pub fn follow(
        before: Option<&Self>,
        generation: Generation,
        table: Arc<Table>,
        positions: &Positions,
        zones: Arc<Zones>,
    ) -> Self {
        let sites = table
            .sites
            .iter()
            .map(|site| {
                let old = before.and_then(|before| before.site(&site.name));
                let lane = positions.of(&site.name).and_then(|at| lane(site, at, old));
                let access = table
                    .words
                    .get(&site.name)
                    .map_or(Access::Open, |word| word.access);
                SiteView {
                    site: Arc::clone(site),
                    access,
                    lane: lane.map(Arc::new),
                }
            })
            .collect();
        Self {
            generation,
            table,
            zones,
            sites,
        }
    }

    /// Finds the site of a host and the rule of a path; see [`Table::route`].
    pub fn route(&self, host: &str, path: &str) -> Option<Route<'_>> {
        let view = &self.sites[self.table.route(host)?];
        Some(Route {
            view,
            here: view.site.access_at(path),
        })
    }

    /// Looks up a site by name.
    pub fn site(&self, name: &SiteName) -> Option<&SiteView> {
        let at = self
            .sites
            .binary_search_by(|view| view.site.name.cmp(name))
            .ok()?;
        Some(&self.sites[at])
    }

    /// Shows every site, in the order of their names.
    pub fn sites(&self) -> &[SiteView] {
        &self.sites
    }
}

fn lane(site: &Site, at: &Position, before: Option<&SiteView>) -> Option<Lane> {
    let side = site.side(at.active.as_ref()?)?;
    let kept = before
        .and_then(|view| view.lane.as_ref())
        .filter(|lane| lane.epoch == at.epoch && lane.side == side.name);
    Some(Lane {
        site: site.name.clone(),
        side: side.name.clone(),
        epoch: at.epoch,
        origins: side.web.clone(),
        gates: kept.map_or_else(
            || Arc::new(Gates::default()),
            |lane| Arc::clone(&lane.gates),
        ),
    })
}
