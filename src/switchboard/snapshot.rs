//! A snapshot: one table, where its sites are, and the zones compiled from both.

use std::iter::Peekable;
use std::sync::Arc;

use crate::site::{Access, Epoch, Generation, Position, Positions, SiteName};
use crate::table::{PathRule, Site, Table};
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
    /// Of a great many sites an edit touches a few: the lists, all in the order of names, are
    /// walked along together, and what is the same is shared.
    pub fn follow(
        before: Option<&Self>,
        generation: Generation,
        table: Arc<Table>,
        positions: &Positions,
        zones: Arc<Zones>,
    ) -> Self {
        let mut old = before
            .map_or(&[][..], |before| &before.sites)
            .iter()
            .peekable();
        let mut words = table.words.iter().peekable();
        let mut positions = positions.0.iter().peekable();
        let mut sites = Vec::with_capacity(table.sites.len());
        for site in &table.sites {
            let old = named(&mut old, &site.name, |view| &view.site.name);
            let words = named(&mut words, &site.name, |(name, _)| name);
            let at = named(&mut positions, &site.name, |(name, _)| name);
            let access = words.map_or(Access::Open, |(_, words)| words.access);
            sites.push(SiteView {
                site: Arc::clone(site),
                parts: parts(site, old),
                lane: lane(site, access, at.map(|(_, at)| at), old),
            });
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

/// Walks a list in the order of names on to a name, and takes what is there.
fn named<I: Iterator>(
    list: &mut Peekable<I>,
    name: &SiteName,
    name_of: impl Fn(&I::Item) -> &SiteName,
) -> Option<I::Item> {
    // Equal is what it nearly always is; and equal names are mostly the very same one, which is
    // seen without a look at their letters.
    let is_here = |one: &I::Item| {
        let other = name_of(one);
        std::ptr::eq(other.as_str(), name.as_str()) || other == name
    };
    list.next_if(is_here).or_else(|| {
        while list.next_if(|one| name_of(one) < name).is_some() {}
        list.next_if(is_here)
    })
}

/// Finds or makes the lane of a site. Whoever publishes another access tells the gates of it.
fn lane(
    site: &Arc<Site>,
    access: Access,
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
        gates: kept.map_or_else(|| new_gates(access, old), |lane| Arc::clone(&lane.gates)),
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
fn new_gates(access: Access, old: Option<&Arc<Lane>>) -> Arc<Gates> {
    old.map_or_else(
        || Gates::with_access(access),
        |lane| Arc::new(lane.gates.next()),
    )
}
