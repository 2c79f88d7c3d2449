//! The load of a very large text: part by part, so that only a part is held as a tree at a time.
//!
//! A tree of 100,000 sites takes some hundred megabytes that are wanted once; small ones stay in
//! the processor's caches, and their memory is used again.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use super::super::chunks::Chunks;
use super::super::diagnostic::in_order;
use super::super::matcher::Matcher;
use super::super::model::{ReadFile, Site, Table};
use super::cut::Cut;
use super::edit::Small;
use super::text::Text;
use super::{Plain, named_by};

/// Loads a text that is plainly cut, so many blocks at a time; `None` when there is a mistake.
pub(super) fn load(
    path: &Path,
    text: &Text,
    cut: Cut,
    part: usize,
    files: &dyn ReadFile,
) -> Option<(Table, Plain)> {
    let count = cut.blocks.len();
    let (mut sites, mut words) = (Vec::<Arc<Site>>::with_capacity(count), BTreeMap::new());
    let (mut warnings, mut readers) = (Vec::new(), BTreeSet::new());
    let mut followers = HashMap::new();
    let mut hosts = 0;
    let mut rest: Option<Table> = None;
    let names: HashSet<&str> = (0..count).map(|block| cut.name(text, block)).collect();
    let is_there = |name: &str| names.contains(name);
    for first in (0..count).step_by(part) {
        let blocks: Vec<_> = (first..count.min(first + part)).collect();
        let mut small = Small::load(text, &cut, &blocks, path, (files, &is_there))?;
        warnings.extend(small.warnings(&cut)?);
        readers.append(&mut small.readers);
        let mut table = small.table;
        for site in table.sites.iter() {
            hosts += site.hosts.len();
            for (name, site) in named_by(site) {
                if followers.insert(name, site).is_some() {
                    return None;
                }
            }
        }
        sites.extend(table.sites.iter().cloned());
        // Not `append`, which builds all of the map anew.
        words.extend(std::mem::take(Arc::make_mut(&mut table.words)));
        // A file may have been written in between.
        let differs = |rest: &Table| rest.dns != table.dns || rest.fence != table.fence;
        if rest.as_ref().is_some_and(differs) {
            return None;
        }
        rest.get_or_insert(table);
    }
    if words.len() < count {
        return None;
    }
    sites.sort_by(|one, other| one.name.cmp(&other.name));
    let sites = Chunks::from_iter(sites);
    let matcher = Matcher::new(&sites);
    // Whatever two sites claim is the only one in there, or is there twice.
    if matcher.hosts() < hosts || followers.keys().any(|name| matcher.owner(name).is_some()) {
        return None;
    }
    let table = Table {
        matcher: Arc::new(matcher),
        sites,
        words: Arc::new(words),
        warnings: in_order(warnings),
        ..rest?
    };
    let plain = Plain {
        cut,
        names: followers,
        readers,
    };
    Some((table, plain))
}
