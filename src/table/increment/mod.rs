//! Loading again: what an edit did not touch is taken over from the load before.
//!
//! It is for tables of very many sites, of which an edit touches one or a few: reading all of them
//! anew takes seconds. It is not for telling what is wrong with a text: whatever is not as it
//! should be is left to the load of the whole, whose mistakes and places are the only ones.
//!
//! ```text
//! text ──cut──> before │ block │ block │ block │ … │ after
//!                  │            changed              │
//!                  └──────────────┬──────────────────┘
//!                      a small text ──resolve──> a small table
//! last table ── the other sites, shared ─────────────┴──> Table
//! ```
//!
//! The blocks that changed are put between the beginning and the end of the file, and that small
//! text is loaded as any other is: so there is one way to read a site, and no second meaning. What
//! the small table cannot know is whether a name is claimed by a site that is not in it; that is
//! looked up in what the last load had claimed.
//!
//! A very large text is loaded in the same way at first, part by part.
//!
//! Invariants:
//! - [`Loader::load`] gives just what a load of the whole gives for the same text and files,
//!   mistakes included. A text that is not plainly cut, a change outside of the sites, a mistake anywhere,
//!   or very many changes at once have the whole loaded.
//! - A site whose block is the same is the same `Arc`. One that names files is read each time.
//!
//! Nothing is left behind by a crash. Proved by `tests/it/increment.rs`: random tables and edits.

mod change;
mod cut;
mod edit;
mod parts;
mod text;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::site::{SideName, SiteName};

use super::diagnostic::Diagnostic;
use super::edit::{EditError, splice_active};
use super::matcher::Matcher;
use super::model::{ReadFile, Site, Table};
use super::resolve;
pub use change::{Change, Source};
use cut::Cut;
use edit::{Edit, Small};
pub use text::Text;

/// Blocks that are read one by one; for more, to load the whole is not much slower, and simpler.
const BLOCKS_MAX: usize = 1_000;

/// Blocks of a large table that are read at a time: their tree fits into a cache of the processor.
pub(super) const PART: usize = 200;

/// Loads the texts of one file, each as cheaply as the one before it allows.
#[derive(Debug)]
pub struct Loader {
    path: PathBuf,
    part: usize,
    last: Option<Last>,
}

/// The last text that was loaded without a mistake.
#[derive(Debug)]
pub(super) struct Last {
    text: Text,
    pub(super) table: Arc<Table>,
    /// `None` when it is not plain.
    plain: Option<Plain>,
}

/// What there is to know of a text that is plainly cut.
#[derive(Debug)]
pub(super) struct Plain {
    cut: Cut,
    /// Which site has which name that follows it; the hosts are in the matcher.
    names: HashMap<String, SiteName>,
    /// The sites that name files, which may change by themselves.
    readers: BTreeSet<SiteName>,
}

impl Loader {
    /// Knows nothing yet; `path` is that of [`Table::load`].
    pub fn new(path: &Path) -> Self {
        Self::in_parts_of(path, PART)
    }

    /// Takes so many sites of a large table at a time.
    pub fn in_parts_of(path: &Path, part: usize) -> Self {
        Self {
            path: path.into(),
            part: part.max(1),
            last: None,
        }
    }

    /// Loads a text; what is as it was in the last one is shared with that table.
    ///
    /// # Errors
    /// Those of [`Table::load`].
    pub fn load(
        &mut self,
        text: String,
        files: &dyn ReadFile,
    ) -> Result<Arc<Table>, Vec<Diagnostic>> {
        let change = Change::between(self.text(), &text.as_str());
        // To look at a text in memory cannot fail.
        self.follow(change.unwrap_or_else(|_| Change::to(text)), files)
    }

    /// Loads the text that a change makes of the one that was loaded last.
    ///
    /// # Errors
    /// Those of [`Table::load`]; the last one stays that, and the next change is one of it.
    pub fn follow(
        &mut self,
        change: Change,
        files: &dyn ReadFile,
    ) -> Result<Arc<Table>, Vec<Diagnostic>> {
        let text = match &mut self.last {
            Some(last) => {
                if last.follow(&self.path, &change, files).is_some() {
                    return Ok(Arc::clone(&last.table));
                }
                last.text.written(&change)
            }
            None => change.text,
        };
        let last = load(&self.path, &text, files, self.part)?;
        Ok(Arc::clone(&self.last.insert(last).table))
    }

    /// Shows the text that was loaded last, without a mistake.
    pub fn text(&self) -> &Text {
        static NOTHING: Text = Text::NOTHING;
        self.last.as_ref().map_or(&NOTHING, |last| &last.text)
    }

    /// Rewrites the `active` of one site in a text, as [`splice_active`] does for any: in the one
    /// that was loaded last, by a look at the block of that site only.
    ///
    /// # Errors
    /// Those of [`splice_active`].
    pub fn splice_active(
        &self,
        text: &str,
        site: &SiteName,
        new_side: &SideName,
    ) -> Result<String, EditError> {
        let held = self.text();
        let plain = self.last.as_ref().and_then(|last| last.plain.as_ref());
        let Some(Plain { cut, .. }) = plain.filter(|_| held.is(text)) else {
            return splice_active(text, site, new_side);
        };
        let mut all = 0..cut.blocks.len();
        let block = all.find(|block| cut.name(held, *block) == site.as_str());
        let block = block.ok_or_else(|| EditError::NoSite(site.clone()))?;
        let (before, after) = (cut.head(held), cut.tail(held));
        let old = cut.text(held, block);
        let edited = splice_active(&[before, old, after].concat(), site, new_side)?;
        // Nothing but a word of the block differs.
        let new = &edited[before.len()..edited.len() - after.len()];
        let place = cut.place_of(block);
        Ok([&text[..place.start], new, &text[place.end..]].concat())
    }
}

/// Loads all of a text, a large one in parts; tells what it is when it is plain.
pub(super) fn load(
    path: &Path,
    text: &str,
    files: &dyn ReadFile,
    part: usize,
) -> Result<Last, Vec<Diagnostic>> {
    let cut = Cut::of(text);
    if let Some(cut) = cut.clone().filter(|cut| cut.blocks.len() > part) {
        let held = cut.held(text, part);
        if let Some((table, plain)) = parts::load(path, &held, cut, part, files) {
            return Ok(Last {
                text: held,
                table: Arc::new(table),
                plain: Some(plain),
            });
        }
    }
    let (table, readers) = resolve::load(path, text, files, &|_| false)?;
    let held = Text::of(text, []);
    let plain = cut.and_then(|cut| Plain::of(&held, cut, &table, readers));
    Ok(Last {
        text: held,
        table: Arc::new(table),
        plain,
    })
}

impl Last {
    /// Goes over to the text that a change makes of this; `None`, with nothing changed, when the
    /// whole has to be loaded.
    fn follow(&mut self, path: &Path, change: &Change, files: &dyn ReadFile) -> Option<()> {
        let plain = self.plain.as_mut()?;
        let old = (&plain.cut, &self.text);
        if change.is_none(&self.text) && plain.readers.is_empty() && reads_no_file(&self.table) {
            return Some(());
        }
        let edit = Edit::of(old, change, &self.table)?;
        let picked = edit.picked(&plain.readers);
        if picked.len() > BLOCKS_MAX {
            return None;
        }
        let stays = |name: &str| {
            self.table.site(name).is_some() && !edit.gone.contains(&SiteName::new(name))
        };
        let small = Small::load(&edit.text, &edit.cut, &picked, path, (files, &stays))?;
        if !plain.are_free(&self.table, &small.table, &edit.gone) {
            return None;
        }
        let warnings = edit.warnings(old, &self.table, &small)?;
        let next = merged(&self.table, &small.table, &edit.gone, warnings);
        self.text = edit.text.clone();
        plain.take_over(&self.table, small, edit);
        self.table = Arc::new(next);
        Some(())
    }
}

/// Tells whether nothing outside of the sites is in a file of its own.
fn reads_no_file(table: &Table) -> bool {
    let mut zones = table.dns.zones.values();
    table.fence.is_empty() && zones.all(|zone| zone.file.is_none())
}

impl Plain {
    fn of(text: &Text, cut: Cut, table: &Table, readers: BTreeSet<SiteName>) -> Option<Self> {
        // The parser has the last word on what is a site.
        let names = (0..cut.blocks.len()).map(|block| cut.name(text, block));
        let is_so = cut.blocks.len() == table.sites.len()
            && names.collect::<HashSet<_>>().len() == table.sites.len()
            && (0..cut.blocks.len()).all(|block| table.site(cut.name(text, block)).is_some());
        if !is_so {
            return None;
        }
        Some(Self {
            cut,
            names: table.sites.iter().flat_map(|site| named_by(site)).collect(),
            readers,
        })
    }

    /// Tells whether what some sites claim is not claimed by any other site of a table that stays.
    fn are_free(&self, table: &Table, small: &Table, gone: &BTreeSet<SiteName>) -> bool {
        let of_host = |name| Some(&table.sites[table.matcher.owner(name)?].name);
        let owner = |name| self.names.get(name).or_else(|| of_host(name));
        let claims = small.sites.iter().flat_map(|site| claimed_by(site));
        let mut owners = claims.filter_map(owner);
        owners.all(|owner| gone.contains(owner) || small.site(owner.as_str()).is_some())
    }

    /// Goes over to the next text; `before` is the table of the last one.
    fn take_over(&mut self, before: &Table, small: Small, edit: Edit) {
        let read = small.table.sites.iter().map(|site| &site.name);
        for name in read.chain(&edit.gone) {
            for following in before
                .site(name.as_str())
                .into_iter()
                .flat_map(|site| &site.names)
            {
                self.names.remove(&following.owner);
            }
            self.readers.remove(name);
        }
        let sites = small.table.sites.iter();
        self.names.extend(sites.flat_map(|site| named_by(site)));
        self.readers.extend(small.readers);
        self.cut = edit.cut;
    }
}

/// Lists what no other site may have: every name that `resolve` has a site claim.
fn claimed_by(site: &Site) -> impl Iterator<Item = &str> {
    let following = site.names.iter().map(|name| &name.owner);
    site.hosts.iter().chain(following).map(String::as_str)
}

/// Lists the names that follow a site.
fn named_by(site: &Site) -> impl Iterator<Item = (String, SiteName)> {
    let owners = site.names.iter().map(|name| name.owner.clone());
    owners.map(|owner| (owner, site.name.clone()))
}

/// Puts the sites of a small table in the place of those that a table has of the same names.
fn merged(
    table: &Table,
    small: &Table,
    gone: &BTreeSet<SiteName>,
    warnings: Vec<Diagnostic>,
) -> Table {
    let mut words = Arc::clone(&table.words);
    let (mut sites, mut come) = (table.sites.clone(), Vec::new());
    let mut hosts_stay = true;
    for site in small.sites.iter() {
        match sites.binary_search_by(|other| other.name.cmp(&site.name)) {
            // What is equal stays the very same, which is how it is known later on to be equal.
            Ok(at) if sites[at] == *site => {}
            Ok(at) => {
                hosts_stay &= sites[at].hosts == site.hosts;
                sites[at] = Arc::clone(site);
            }
            Err(_) => come.push(Arc::clone(site)),
        }
        let said = &small.words[&site.name];
        if words.get(&site.name) != Some(said) {
            Arc::make_mut(&mut words).insert(site.name.clone(), said.clone());
        }
    }
    if !(come.is_empty() && gone.is_empty()) {
        hosts_stay = false;
        gone.iter().for_each(|name| {
            Arc::make_mut(&mut words).remove(name);
        });
        let stay = sites.iter().filter(|site| !gone.contains(&site.name));
        let mut all: Vec<_> = stay.cloned().chain(come).collect();
        all.sort_by(|one, other| one.name.cmp(&other.name));
        sites = all.into_iter().collect();
    }
    // What changes it lies outside of the sites, and has the whole loaded.
    let default_site = table.default_site.clone();
    let default = default_site.as_ref().and_then(|name| {
        let found = sites.binary_search_by(|site| site.name.cmp(name));
        found.ok()
    });
    Table {
        listen: table.listen.clone(),
        state: table.state.clone(),
        certs: table.certs.clone(),
        admin: Arc::clone(&table.admin),
        dns: small.dns.clone(),
        matcher: if hosts_stay {
            Arc::clone(&table.matcher)
        } else {
            Arc::new(Matcher::new(&sites).with_default(default))
        },
        groups: Arc::clone(&table.groups),
        default_site,
        fence: small.fence.clone(),
        sites,
        words,
        warnings,
    }
}
