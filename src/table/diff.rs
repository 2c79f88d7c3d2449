//! What a new table changes against the one that is served.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::path::Path;
use std::sync::Arc;

use crate::site::SiteName;

use super::chunks::Chunks;
use super::diagnostic::{Diagnostic, Report};
use super::model::{Site, Table, Words};
use super::tree::{self, Entry, Place, Value};

/// What a new table changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diff {
    /// The new words of sites that both tables have and whose `active` or `access` differ.
    pub words: BTreeMap<SiteName, Words>,
    /// Sites of the new table only.
    pub added: Vec<SiteName>,
    /// Sites of the old table only.
    pub removed: Vec<SiteName>,
    /// Sites of both that differ in something else than their words.
    pub changed: Vec<SiteName>,
    /// Something else that a reload may change differs: sites, zones, policies, pages.
    pub rest: bool,
    /// What a reload must not change, each with "needs a restart"; when there is any, the new
    /// table is to be refused.
    pub restart: Vec<Diagnostic>,
}

impl Diff {
    /// Compares two tables; `path` and `text` are those of the new one, for the places.
    ///
    /// What both share, as [`super::Loader`] has them do, is not looked into.
    pub fn between(old: &Table, new: &Table, path: &Path, text: impl Display) -> Self {
        let mut diff = Self {
            words: BTreeMap::new(),
            added: Vec::new(),
            removed: Vec::new(),
            changed: Vec::new(),
            rest: old.dns != new.dns
                || old.certs != new.certs
                || old.admin != new.admin
                || old.default_site != new.default_site
                || old.fence != new.fence
                || old.groups != new.groups,
            restart: restart(old, new, path, &text),
        };
        if !Arc::ptr_eq(&old.words, &new.words) {
            diff.words(&old.words, &new.words);
        }
        diff.sites(&old.sites, &new.sites);
        diff.rest |= !(diff.added.is_empty() && diff.removed.is_empty() && diff.changed.is_empty());
        diff
    }

    /// Tells whether the new table says just what the old one says.
    pub fn is_empty(&self) -> bool {
        self.words.is_empty() && !self.rest && self.restart.is_empty()
    }

    /// Lists the sites of the new table that are not as they were in the old one.
    pub fn touched(&self) -> BTreeSet<&SiteName> {
        let sites = self.added.iter().chain(&self.changed);
        sites.chain(self.words.keys()).collect()
    }

    fn words(&mut self, old: &BTreeMap<SiteName, Words>, new: &BTreeMap<SiteName, Words>) {
        let mut old = old.iter().peekable();
        for (site, new) in new {
            while old.next_if(|(other, _)| *other < site).is_some() {}
            let Some((_, old)) = old.next_if(|(other, _)| *other == site) else {
                continue;
            };
            if (&old.active, old.access) != (&new.active, new.access) {
                self.words.insert(site.clone(), new.clone());
            }
        }
    }

    /// Walks along both lists, which are in the order of names, but for what they share.
    fn sites(&mut self, old: &Chunks<Arc<Site>>, new: &Chunks<Arc<Site>>) {
        let (before, after) = (old.unshared(new), new.unshared(old));
        let mut old = before.map(|(_, site)| site).peekable();
        let mut new = after.map(|(_, site)| site).peekable();
        while let (Some(before), Some(after)) = (old.peek(), new.peek()) {
            // First, as it spares the look at the names.
            let order = if Arc::ptr_eq(before, after) {
                Ordering::Equal
            } else {
                before.name.cmp(&after.name)
            };
            if order == Ordering::Equal && before != after {
                self.changed.push(after.name.clone());
            }
            if order.is_le() {
                let gone = old.next().filter(|_| order.is_lt());
                self.removed.extend(gone.map(|site| site.name.clone()));
            }
            if order.is_ge() {
                let come = new.next().filter(|_| order.is_gt());
                self.added.extend(come.map(|site| site.name.clone()));
            }
        }
        self.removed.extend(old.map(|site| site.name.clone()));
        self.added.extend(new.map(|site| site.name.clone()));
    }
}

/// Listeners and the journal belong to the process: a reload that moved them could fail halfway.
fn restart(old: &Table, new: &Table, path: &Path, text: &dyn Display) -> Vec<Diagnostic> {
    let changed = [
        ("listen.http", old.listen.http != new.listen.http),
        ("listen.https", old.listen.https != new.listen.https),
        ("listen.dns", old.listen.dns != new.listen.dns),
        ("listen.admin", old.listen.admin != new.listen.admin),
        (
            "listen.admin_tls",
            old.listen.admin_tls != new.listen.admin_tls,
        ),
        ("state", old.state != new.state),
    ];
    if changed.iter().all(|(_, changed)| !changed) {
        return Vec::new();
    }
    let message = "needs a restart: a running daemon keeps what it began with";
    let remedy = "restart the daemon, or write what was there before";
    let keys = changed.iter().filter(|(_, changed)| *changed);
    let found = keys.map(|(key, _)| Misfit::new(*key, message, remedy));
    place(path, &text.to_string(), found.collect())
}

/// What a sound table says that cannot be as things stand; [`place`] finds where it says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misfit {
    key: String,
    message: String,
    remedy: String,
}

impl Misfit {
    /// Names the key, what is wrong with it, and what to write instead.
    pub fn new(
        key: impl Into<String>,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            key: key.into(),
            message: message.into(),
            remedy: remedy.into(),
        }
    }
}

/// Gives misfits their places in the text, in the order of these.
///
/// A key that is left out has the place of the nearest mapping above it.
pub fn place(path: &Path, text: &str, misfits: Vec<Misfit>) -> Vec<Diagnostic> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let root = tree::parse(text, &mut Report::new(path));
    let mut report = Report::new(path);
    for misfit in misfits {
        let place = root
            .as_ref()
            .map_or(Place::START, |root| place_of(root, &misfit.key));
        report.mistake(place, &misfit.key, misfit.message, misfit.remedy);
    }
    report.finish().err().unwrap_or_default()
}

/// Finds where a key is written, or the nearest mapping above it when it is left out.
fn place_of(root: &tree::Node<'_>, key: &str) -> Place {
    let mut node = root;
    let mut place = root.place;
    for step in key.split('.') {
        let Some(entry) = entry(node, step) else {
            return place;
        };
        place = entry.place;
        node = &entry.node;
    }
    place
}

/// Finds one key of a mapping.
pub(super) fn entry<'n, 't>(node: &'n tree::Node<'t>, key: &str) -> Option<&'n Entry<'t>> {
    match &node.value {
        Value::Map(entries) => entries.iter().find(|entry| entry.key == key),
        Value::Empty | Value::Null | Value::Text(_) | Value::List(_) | Value::Refused => None,
    }
}
