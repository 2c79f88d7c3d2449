//! The cut: where the block of each site begins in a text that is plainly laid out.
//!
//! Plain is what nearly every table is: `sites:` at the margin, below it one block to a site, each
//! beginning with `name:` at the same indent, and no other line that shallow but comments. A line
//! like that is the key of a site or lies within a quoted scalar, which only a parser can tell; so
//! a cut is a guess until a load has found just these sites.

use std::ops::Range;

use super::change::Change;
use super::text::Text;

/// A text as it was cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cut {
    /// Blanks before the name of a site, at least one.
    indent: usize,
    /// The blocks in the order of the file, one following upon the other.
    pub(super) blocks: Vec<Block>,
    /// Where the last block ends.
    pub(super) end: usize,
}

/// Where a block begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Block {
    /// In bytes; the first of the line.
    pub(super) at: usize,
    /// Counted from 1.
    pub(super) line: usize,
}

/// What of a new text is as before.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    /// So many blocks at the beginning are where they were.
    pub(super) front: usize,
    /// The last blocks, from this one of before on, are the same, if shifted.
    pub(super) back: usize,
}

impl Cut {
    /// Cuts a whole text; `None` when it is not plain.
    pub(super) fn of(text: &str) -> Option<Self> {
        // A last line without an end would run into whatever is put after it.
        if !text.ends_with('\n') || text.starts_with('\u{feff}') {
            return None;
        }
        let (first, line) = below_the_heading(text)?;
        let indent = text[first..].lines().find_map(indent_of)?;
        let mut cut = Self {
            indent,
            blocks: Vec::new(),
            end: first,
        };
        cut.append(&text[first..], line)?;
        let is_plain = indent > 0 && !cut.blocks.is_empty() && !text[..first].contains('\r');
        is_plain.then_some(cut)
    }

    /// Cuts the text that a change makes of the one of this cut; `None` when it is not plain, or
    /// the change reaches out of the sites.
    pub(super) fn follow(&self, old: &Text, change: &Change) -> Option<(Self, Text, Kept)> {
        if change.is_none(old) {
            let all = self.blocks.len();
            let kept = Kept {
                front: all,
                back: all,
            };
            return Some((self.clone(), old.clone(), kept));
        }
        let changed_to = old.len() - change.after;
        // The block in which the texts part is cut again; the blanks before its name are the same.
        let begun = self
            .blocks
            .partition_point(|block| block.at < change.before);
        let front = begun.checked_sub(1)?;
        // The end of the line before a block that is kept must be the same too.
        let back = self.blocks.partition_point(|block| block.at <= changed_to);
        let tail = old.len() - self.end;
        if tail > 0 && self.end <= changed_to {
            return None;
        }
        let end = self.blocks.get(back).map_or(self.end, |block| block.at);
        let from = self.blocks[front];
        let new = old.changed(change, from.at..end);
        if !new.ends_its_line() {
            return None;
        }
        let shifted = |at: usize| at + new.len() - old.len();
        let mut cut = Self {
            indent: self.indent,
            blocks: self.blocks[..front].to_vec(),
            end: from.at,
        };
        let line = cut.append(new.within(from.at..shifted(end)), from.line)?;
        if cut.end != shifted(end) || cut.blocks.get(front) != Some(&from) {
            return None;
        }
        let moved = |block: &Block| Block {
            at: shifted(block.at),
            line: line + block.line - self.blocks[back].line,
        };
        cut.blocks.extend(self.blocks[back..].iter().map(moved));
        cut.end = new.len() - tail;
        Some((cut, new, Kept { front, back }))
    }

    /// Cuts what follows, up to its end or to the first line at the margin, and gives the number of
    /// the line there.
    fn append(&mut self, text: &str, mut line: usize) -> Option<usize> {
        let mut at = self.end;
        for row in text.split_inclusive('\n') {
            match indent_of(row) {
                Some(0) => break,
                Some(indent) if indent < self.indent => return None,
                Some(indent) if indent == self.indent => {
                    name_in(row.trim_start_matches(' '))?;
                    self.blocks.push(Block { at, line });
                }
                Some(_) | None => {}
            }
            // YAML takes it for the end of a line, wherever it stands.
            if row.contains('\r') {
                return None;
            }
            at += row.len();
            line += 1;
        }
        self.end = at;
        Some(line)
    }

    /// Holds the text that was cut, in parts of so many blocks.
    pub(super) fn held(&self, text: &str, part: usize) -> Text {
        Text::of(
            text,
            self.blocks
                .iter()
                .step_by(part)
                .skip(1)
                .map(|block| block.at),
        )
    }

    /// Shows what is before the first block.
    pub(super) fn head<'t>(&self, text: &'t Text) -> &'t str {
        text.within(0..self.blocks.first().map_or(0, |block| block.at))
    }

    /// Shows the text of a block.
    pub(super) fn text<'t>(&self, text: &'t Text, block: usize) -> &'t str {
        text.within(self.place_of(block))
    }

    /// Tells where a block is.
    pub(super) fn place_of(&self, block: usize) -> Range<usize> {
        let end = self.blocks.get(block + 1).map_or(self.end, |next| next.at);
        self.blocks[block].at..end
    }

    /// Shows what is behind the last block.
    pub(super) fn tail<'t>(&self, text: &'t Text) -> &'t str {
        text.within(self.end..text.len())
    }

    /// Shows the name of a block's site.
    pub(super) fn name<'t>(&self, text: &'t Text, block: usize) -> &'t str {
        let name = self.text(text, block).get(self.indent..).and_then(name_in);
        name.unwrap_or_default()
    }

    /// Finds the block that a line lies in.
    pub(super) fn block_of(&self, line: usize) -> Option<usize> {
        self.blocks
            .partition_point(|block| block.line <= line)
            .checked_sub(1)
    }
}

/// Finds the line below `sites:`, in bytes and as a number.
fn below_the_heading(text: &str) -> Option<(usize, usize)> {
    let (mut at, mut line) = (0, 1);
    for row in text.split_inclusive('\n') {
        at += row.len();
        line += 1;
        if let Some(rest) = row.strip_prefix("sites:") {
            let rest = rest.trim();
            return (rest.is_empty() || rest.starts_with('#')).then_some((at, line));
        }
    }
    None
}

/// Counts the blanks before what a line says; `None` when it says nothing.
fn indent_of(line: &str) -> Option<usize> {
    let said = line.trim_start_matches(' ');
    let is_silent = said.trim_end().is_empty() || said.starts_with('#');
    (!is_silent).then_some(line.len() - said.len())
}

/// Takes the plain key at the beginning of a text.
fn name_in(text: &str) -> Option<&str> {
    let is_plain = |letter: u8| letter.is_ascii_alphanumeric() || b"-_".contains(&letter);
    let length = text.bytes().position(|letter| !is_plain(letter))?;
    let (name, rest) = text.split_at(length);
    let rest = rest.strip_prefix(':')?;
    (length > 0 && rest.starts_with([' ', '\n'])).then_some(name)
}
