//! A text in parts: of 30 MB an edit changes some bytes, and the text that follows has the parts of
//! the one before it but for those.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use super::change::Change;

/// A text that others may share parts of.
#[derive(Clone, Debug, Default)]
pub struct Text {
    parts: Vec<Arc<str>>,
    /// Where each part ends.
    ends: Vec<usize>,
}

impl Text {
    /// Says nothing.
    pub(super) const NOTHING: Self = Self {
        parts: Vec::new(),
        ends: Vec::new(),
    };

    /// Holds a text, in parts that begin at some places, which are in order.
    pub(super) fn of(text: &str, places: impl IntoIterator<Item = usize>) -> Self {
        let mut held = Self::default();
        let mut from = 0;
        for at in places.into_iter().chain([text.len()]) {
            held.push(text[from..at].into());
            from = at;
        }
        held
    }

    fn push(&mut self, part: Arc<str>) {
        if !part.is_empty() {
            self.ends.push(self.len() + part.len());
            self.parts.push(part);
        }
    }

    /// Counts the bytes.
    pub fn len(&self) -> usize {
        self.ends.last().copied().unwrap_or(0)
    }

    /// Tells whether it says nothing.
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// Tells whether this is what another text says.
    pub(super) fn is(&self, other: &str) -> bool {
        let mut rest = other;
        let mut parts = self.parts.iter();
        parts.all(|part| {
            let next = rest.strip_prefix(&**part);
            rest = next.unwrap_or(rest);
            next.is_some()
        }) && rest.is_empty()
    }

    /// Shows a stretch that lies within one part; nothing, if it does not.
    pub(super) fn within(&self, stretch: Range<usize>) -> &str {
        let which = self.part_at(stretch.start);
        let begin = self.begin_of(which);
        let part = self.parts.get(which);
        let found = part.and_then(|part| part.get(stretch.start - begin..stretch.end - begin));
        found.unwrap_or_default()
    }

    /// Gives the text that a change makes of this; `around` is the stretch of this that is to lie
    /// within one part then.
    pub(super) fn changed(&self, change: &Change, around: Range<usize>) -> Self {
        let (first, last) = (
            self.part_at(around.start),
            self.part_at(around.end.max(1) - 1),
        );
        let (begin, behind) = (self.begin_of(first), self.parts.len().min(last + 1));
        let end = self.begin_of(behind);
        let mut part = String::with_capacity(end - begin + change.text.len());
        self.write_to(&mut part, begin..change.before);
        part.push_str(&change.text);
        self.write_to(&mut part, self.len() - change.after..end);
        let mut next = Self::default();
        let before = self.parts[..first].iter().cloned();
        let after = self.parts[behind..].iter().cloned();
        before
            .chain([part.into()])
            .chain(after)
            .for_each(|part| next.push(part));
        next
    }

    /// Writes out the text that a change makes of this.
    pub(super) fn written(&self, change: &Change) -> String {
        let same = change.before + change.after;
        let mut text = String::with_capacity(same + change.text.len());
        self.write_to(&mut text, 0..change.before);
        text.push_str(&change.text);
        self.write_to(&mut text, self.len() - change.after..self.len());
        text
    }

    fn write_to(&self, text: &mut String, stretch: Range<usize>) {
        let first = self.part_at(stretch.start);
        let mut begin = self.begin_of(first);
        for part in &self.parts[first.min(self.parts.len())..] {
            let from = stretch.start.clamp(begin, begin + part.len()) - begin;
            let to = stretch.end.clamp(begin, begin + part.len()) - begin;
            text.push_str(&part[from..to.max(from)]);
            begin += part.len();
            if begin >= stretch.end {
                return;
            }
        }
    }

    /// Tells whether its last line has an end.
    pub(super) fn ends_its_line(&self) -> bool {
        self.parts.last().is_some_and(|part| part.ends_with('\n'))
    }

    /// Tells whether no letter lies across a place.
    pub(super) fn is_boundary(&self, at: usize) -> bool {
        let which = self.part_at(at);
        let part = self.parts.get(which);
        part.is_none_or(|part| part.is_char_boundary(at - self.begin_of(which)))
    }

    /// Finds the part that a byte lies in.
    fn part_at(&self, at: usize) -> usize {
        self.ends.partition_point(|&end| end <= at)
    }

    fn begin_of(&self, part: usize) -> usize {
        part.checked_sub(1).map_or(0, |before| self.ends[before])
    }

    /// Shows its bytes, so many at a time at most.
    pub(super) fn pieces(&self, most: usize) -> impl DoubleEndedIterator<Item = &[u8]> {
        let parts = self.parts.iter();
        parts.flat_map(move |part| part.as_bytes().chunks(most))
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.parts.iter().try_for_each(|part| f.write_str(part))
    }
}
