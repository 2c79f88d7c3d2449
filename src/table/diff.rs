//! What a new table changes against the one that is served.

use std::collections::BTreeMap;
use std::path::Path;

use crate::site::SiteName;

use super::diagnostic::{Diagnostic, Report};
use super::model::{Table, Words};
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
    /// Something else that a reload may change differs: sites, zones, policies, pages.
    pub rest: bool,
    /// What a reload must not change, each with "needs a restart"; when there is any, the new
    /// table is to be refused.
    pub restart: Vec<Diagnostic>,
}

impl Diff {
    /// Compares two tables; `path` and `text` are those of the new one, for the places.
    pub fn between(old: &Table, new: &Table, path: &Path, text: &str) -> Self {
        let mut words = BTreeMap::new();
        for (site, new) in &new.words {
            let Some(old) = old.words.get(site) else {
                continue;
            };
            if (&old.active, old.access) != (&new.active, new.access) {
                words.insert(site.clone(), new.clone());
            }
        }
        let added = only_in(new, old);
        let removed = only_in(old, new);
        Self {
            words,
            rest: old.dns != new.dns
                || old.sites != new.sites
                || old.certs != new.certs
                || old.default_site != new.default_site,
            added,
            removed,
            restart: restart(old, new, path, text),
        }
    }

    /// Tells whether the new table says just what the old one says.
    pub fn is_empty(&self) -> bool {
        self.words.is_empty() && !self.rest && self.restart.is_empty()
    }
}

fn only_in(one: &Table, other: &Table) -> Vec<SiteName> {
    let names = one.words.keys();
    let missing = names.filter(|name| !other.words.contains_key(*name));
    missing.cloned().collect()
}

/// Listeners and the journal belong to the process: a reload that moved them could fail halfway.
fn restart(old: &Table, new: &Table, path: &Path, text: &str) -> Vec<Diagnostic> {
    let changed = [
        ("listen.http", old.listen.http != new.listen.http),
        ("listen.https", old.listen.https != new.listen.https),
        ("listen.dns", old.listen.dns != new.listen.dns),
        ("listen.admin", old.listen.admin != new.listen.admin),
        ("state", old.state != new.state),
    ];
    if changed.iter().all(|(_, changed)| !changed) {
        return Vec::new();
    }
    let message = "needs a restart: a running daemon keeps what it began with";
    let remedy = "restart the daemon, or write what was there before";
    let keys = changed.iter().filter(|(_, changed)| *changed);
    let found = keys.map(|(key, _)| Misfit::new(*key, message, remedy));
    place(path, text, found.collect())
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
