//! A snapshot: one table, where its sites are, and the zones compiled from both.

use std::sync::Arc;

use crate::site::{Access, Epoch, Generation, Position, Positions, SiteName};
use crate::table::{Chunks, PathRule, Site, Table};
use crate::zone::Zones;

use super::gates::Gates;
use super::lane::Lane;

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
    sites: Chunks<SiteView>,
}

/// One site as a worker sees it.
#[derive(Clone, Debug)]
pub struct SiteView {
    /// What the table says of it.
    pub site: Arc<Site>,
    /// Its parts with an access of their own, in the order of the site's `paths`; shared by every
    /// snapshot that has the same prefix. Most sites have none, and a snapshot very many sites.
    parts: Option<Arc<Vec<Part>>>,
    /// Where its requests go; `None` when the active side is in doubt: then nobody is served.
    pub lane: Option<Arc<Lane>>,
}

/// A part of a site that users may do other things with than with the rest.
#[derive(Clone, Debug)]
pub struct Part {
    /// The prefix of its paths.
    pub prefix: String,
    /// They are never held or closed: what users may do is all they say.
    pub gates: Arc<Gates>,
}

/// What [`Snapshot::route`] found for a request.
#[derive(Clone, Copy, Debug)]
pub struct Route<'a> {
    /// The site of the host.
    pub view: &'a SiteView,
    /// The part of the site that the path lies in; the strictest, if it can be read in several
    /// ways.
    pub part: Option<&'a Part>,
}

impl Snapshot {
    /// Builds the snapshot that follows `before`.
    ///
    /// A site that `positions` names is there, and any other is where it was. A site that is at
    /// the same epoch as before keeps its gates, whatever the table changed of it; a site at
    /// another epoch gets new ones. A site without a position, or whose active side the table does
    /// not have, is in doubt.
    ///
    /// Of a great many sites an edit touches a few: what the tables share of their lists, the
    /// snapshots share of theirs.
    pub fn follow(
        before: Option<&Self>,
        generation: Generation,
        table: Arc<Table>,
        positions: &Positions,
        zones: Arc<Zones>,
    ) -> Self {
        let mut next = 0;
        let mut view = |at: usize, site: &Arc<Site>| {
            let old = before.and_then(|before| {
                let found = before.place_of(&site.name, [next, at])?;
                next = found + 1;
                Some(&before.sites[found])
            });
            SiteView {
                site: Arc::clone(site),
                parts: parts(site, old),
                lane: lane(site, &table, positions.of(&site.name), old),
            }
        };
        let old = before.map(|before| (&before.table.sites, &before.sites));
        let mut sites = table.sites.derive(old, &mut view);
        // Where nothing was shared, all positions have been looked at.
        let named = before.into_iter().flat_map(|_| positions.0.keys());
        for at in named.filter_map(|name| table.place_of(name)) {
            sites[at] = view(at, &table.sites[at]);
        }
        Self {
            generation,
            table,
            zones,
            sites,
        }
    }

    /// Tells where a site is served; `None` when there is no such site.
    pub fn position(&self, name: &SiteName) -> Option<Position> {
        let lane = self.site(name)?.lane.as_ref();
        Some(Position {
            active: lane.map(|lane| lane.side.clone()),
            epoch: lane.map_or(Epoch(0), |lane| lane.epoch),
        })
    }

    /// Finds the site of a host and the rule of a path; see [`Table::route`].
    pub fn route(&self, host: &str, path: &str) -> Option<Route<'_>> {
        let view = &self.sites[self.table.route(host)?];
        let rules = view.site.rules_at(path).into_iter();
        let parts = rules.filter_map(|at| view.parts().get(at));
        Some(Route {
            view,
            part: parts.max_by_key(|part| part.gates.access()),
        })
    }

    /// Looks up a site by name.
    pub fn site(&self, name: &SiteName) -> Option<&SiteView> {
        let at = self.table.place_of(name)?;
        Some(&self.sites[at])
    }

    /// Shows every site, in the order of their names.
    pub fn sites(&self) -> &Chunks<SiteView> {
        &self.sites
    }

    /// Finds the place of a site, at the likely ones first.
    fn place_of(&self, name: &SiteName, likely: [usize; 2]) -> Option<usize> {
        // Equal names are mostly the very same one, and an `Arc` looks at that first.
        let is_it = |view: &SiteView| view.site.name == *name;
        let found = likely
            .iter()
            .find(|&&at| self.sites.get(at).is_some_and(is_it));
        found.copied().or_else(|| self.table.place_of(name))
    }
}

/// Finds or makes the lane of a site. Whoever publishes another access tells the gates of it.
fn lane(
    site: &Arc<Site>,
    table: &Table,
    at: Option<&Position>,
    before: Option<&SiteView>,
) -> Option<Arc<Lane>> {
    let old = before.and_then(|view| view.lane.as_ref());
    let (active, epoch) = match at {
        Some(at) => (at.active.as_ref()?, at.epoch),
        None => old.map(|lane| (&lane.side, lane.epoch))?,
    };
    let kept = old.filter(|lane| lane.epoch == epoch && lane.side == *active);
    if let (Some(lane), Some(before)) = (kept, before)
        && Arc::ptr_eq(&before.site, site)
    {
        return Some(Arc::clone(lane));
    }
    let side = site.side(active)?;
    Some(Arc::new(Lane {
        site: site.name.clone(),
        side: side.name.clone(),
        epoch,
        origins: side.web.clone(),
        gates: kept.map_or_else(
            || new_gates(site, table, old),
            |lane| Arc::clone(&lane.gates),
        ),
    }))
}

impl SiteView {
    /// Shows the parts with an access of their own, in the order of the site's `paths`.
    pub fn parts(&self) -> &[Part] {
        self.parts.as_deref().map_or(&[], Vec::as_slice)
    }
}

/// Makes the parts of a site; one that was there before keeps its gates.
fn parts(site: &Arc<Site>, before: Option<&SiteView>) -> Option<Arc<Vec<Part>>> {
    if site.paths.is_empty() {
        return None;
    }
    if let Some(before) = before
        && Arc::ptr_eq(&before.site, site)
    {
        return before.parts.clone();
    }
    let old = |prefix: &str| before?.parts().iter().find(|part| part.prefix == prefix);
    let part = |rule: &PathRule| Part {
        prefix: rule.prefix.clone(),
        gates: old(&rule.prefix).map_or_else(
            || Gates::with_access(rule.access),
            |part| Arc::clone(&part.gates),
        ),
    };
    Some(Arc::new(site.paths.iter().map(part).collect()))
}

/// Makes the gates of an epoch; of a site that was not served before, with the access of its word.
fn new_gates(site: &Site, table: &Table, old: Option<&Arc<Lane>>) -> Arc<Gates> {
    if let Some(lane) = old {
        return Arc::new(lane.gates.next());
    }
    let words = table.words.get(&site.name);
    Gates::with_access(words.map_or(Access::Open, |words| words.access))
}
