//! What an edit changed, and the small text made of it.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::Path;

use crate::site::SiteName;

use super::super::diagnostic::{Diagnostic, in_order};
use super::super::model::{ReadFile, Table};
use super::super::resolve::{self, Elsewhere};
use super::change::Change;
use super::cut::{Cut, Kept};
use super::text::Text;

/// The difference of two texts, block by block.
pub(super) struct Edit {
    /// The new text.
    pub(super) text: Text,
    /// As it is cut.
    pub(super) cut: Cut,
    /// Sites that the new text has no more.
    pub(super) gone: BTreeSet<SiteName>,
    kept: Kept,
    /// Between those that were not looked at: where blocks that are the same went, by block.
    same: HashMap<usize, usize>,
    /// The blocks that are not the same, or new.
    changed: BTreeSet<usize>,
}

impl Edit {
    /// Compares two texts; `None` when the new one is not plain, or has a site twice.
    pub(super) fn of((cut, old): (&Cut, &Text), change: &Change, table: &Table) -> Option<Self> {
        let (new_cut, new, kept) = cut.follow(old, change)?;
        let mut before: HashMap<&str, usize> = (kept.front..kept.back)
            .map(|block| (cut.name(old, block), block))
            .collect();
        let mut seen = HashSet::new();
        let (mut same, mut changed) = (HashMap::new(), BTreeSet::new());
        let end = new_cut.blocks.len() - (cut.blocks.len() - kept.back);
        for block in kept.front..end {
            let name = new_cut.name(&new, block);
            match before.remove(name) {
                Some(was) if cut.text(old, was) == new_cut.text(&new, block) => {
                    same.insert(was, block);
                }
                Some(_) => {
                    changed.insert(block);
                }
                // A site of elsewhere in the file, a second time.
                None if table.site(name).is_some() => return None,
                None => {
                    changed.insert(block);
                }
            }
            if !seen.insert(name) {
                return None;
            }
        }
        Some(Self {
            gone: before.into_keys().map(SiteName::new).collect(),
            text: new,
            cut: new_cut,
            kept,
            same,
            changed,
        })
    }

    /// Picks the blocks that have to be read: changed ones and those of `readers`, at least one.
    pub(super) fn picked(&self, readers: &BTreeSet<SiteName>) -> Vec<usize> {
        let mut picked = self.changed.clone();
        if !readers.is_empty() {
            let readers: HashSet<&str> = readers.iter().map(SiteName::as_str).collect();
            let all = 0..self.cut.blocks.len();
            picked.extend(all.filter(|block| readers.contains(self.cut.name(&self.text, *block))));
        }
        // A table without a site would be a mistake of its own.
        if picked.is_empty() && !self.cut.blocks.is_empty() {
            picked.insert(0);
        }
        picked.into_iter().collect()
    }

    /// Gives the warnings of the new text; `None` when one of before cannot be placed.
    pub(super) fn warnings(
        &self,
        (cut, old): (&Cut, &Text),
        table: &Table,
        small: &Small,
    ) -> Option<Vec<Diagnostic>> {
        let mut warnings = Vec::new();
        for warning in &table.warnings {
            let was = cut.block_of(warning.line)?;
            let name = cut.name(old, was);
            let below = warning.key.strip_prefix("sites.")?.strip_prefix(name)?;
            if !below.starts_with('.') {
                return None;
            }
            if self.gone.contains(&SiteName::new(name)) || small.table.site(name).is_some() {
                continue;
            }
            let line = self.cut.blocks[self.block_after(cut, was)?].line;
            warnings.push(Diagnostic {
                line: warning.line - cut.blocks[was].line + line,
                ..warning.clone()
            });
        }
        warnings.extend(small.warnings(&self.cut)?);
        Some(in_order(warnings))
    }

    /// Tells where a block of before is in the new text.
    fn block_after(&self, before: &Cut, block: usize) -> Option<usize> {
        if block < self.kept.front {
            Some(block)
        } else if block < self.kept.back {
            self.same.get(&block).copied()
        } else {
            Some(block + self.cut.blocks.len() - before.blocks.len())
        }
    }
}

/// The table of a small text: some blocks of a file between its beginning and its end.
pub(super) struct Small {
    pub(super) table: Table,
    /// The sites in it that name files.
    pub(super) readers: BTreeSet<SiteName>,
    /// The line of each block here, and which block it is.
    lines: BTreeMap<usize, usize>,
}

impl Small {
    /// Loads some blocks of a text, with what is there besides: files, and the sites of the other
    /// blocks. `None` for a mistake, or when they are not these sites.
    pub(super) fn load(
        text: &Text,
        cut: &Cut,
        picked: &[usize],
        path: &Path,
        (files, elsewhere): (&dyn ReadFile, Elsewhere<'_>),
    ) -> Option<Self> {
        let first = cut.blocks.first()?;
        let mut small = cut.head(text).to_owned();
        let (mut line, mut lines) = (first.line, BTreeMap::new());
        for block in picked {
            let block_text = cut.text(text, *block);
            small.push_str(block_text);
            lines.insert(line, *block);
            line += block_text.matches('\n').count();
        }
        small.push_str(cut.tail(text));
        let (table, readers) = resolve::load(path, &small, files, elsewhere).ok()?;
        let has = |block: &usize| table.site(cut.name(text, *block)).is_some();
        let is_so = table.sites.len() == picked.len() && picked.iter().all(has);
        is_so.then_some(Self {
            table,
            readers,
            lines,
        })
    }

    /// Gives its warnings, each at its place in the text that was cut.
    pub(super) fn warnings(&self, cut: &Cut) -> Option<Vec<Diagnostic>> {
        let placed = self.table.warnings.iter().map(|warning| {
            let (line, block) = self.lines.range(..=warning.line).next_back()?;
            Some(Diagnostic {
                line: warning.line - line + cut.blocks[*block].line,
                ..warning.clone()
            })
        });
        placed.collect()
    }
}
