//! A text in parts, and how another differs from it.
//!
//! Of a text of 30 MB an edit changes some bytes. The text that follows has the parts of the one
//! before it but for those; and of a new file only what differs is kept, when it is compared piece
//! by piece while it is read.

use std::fmt;
use std::io;
use std::ops::Range;
use std::sync::Arc;

/// Bytes that are compared at a time: those that were read stay in the processor's caches, and
/// none of the calls that read them keeps a core for long.
const PIECE_BYTES: usize = 128 * 1024;

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
    fn is_boundary(&self, at: usize) -> bool {
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

    fn pieces(&self) -> impl DoubleEndedIterator<Item = &[u8]> {
        let parts = self.parts.iter();
        parts.flat_map(|part| part.as_bytes().chunks(PIECE_BYTES))
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.parts.iter().try_for_each(|part| f.write_str(part))
    }
}

/// Bytes that can be looked at anywhere, such as those of a file.
pub trait Source {
    /// Counts them.
    fn length(&self) -> usize;

    /// Reads as many as there is room for, from a place on.
    ///
    /// # Errors
    /// What the operating system said, or that there are not so many.
    fn read_at(&self, at: usize, room: &mut [u8]) -> io::Result<()>;
}

impl Source for &str {
    fn length(&self) -> usize {
        self.len()
    }

    fn read_at(&self, at: usize, room: &mut [u8]) -> io::Result<()> {
        let bytes = self.as_bytes().get(at..at + room.len());
        room.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

/// How a text differs from another, of which it is said: between what is the same at the
/// beginning and what is the same at the end.
#[derive(Clone, Debug)]
pub struct Change {
    /// Bytes at the beginning.
    pub(super) before: usize,
    /// Bytes at the end.
    pub(super) after: usize,
    /// What is between them now.
    pub(super) text: String,
}

impl Change {
    /// Tells whether it changes nothing of a text.
    pub(super) fn is_none(&self, old: &Text) -> bool {
        self.text.is_empty() && self.before + self.after == old.len()
    }

    /// Makes all of a text anew.
    pub(super) fn to(text: String) -> Self {
        Self {
            before: 0,
            after: 0,
            text,
        }
    }

    /// Tells how a source differs from a text.
    ///
    /// # Errors
    /// Those of the source, and `InvalidData` when it is no text.
    pub fn between(old: &Text, new: &dyn Source) -> io::Result<Self> {
        let mut room = vec![0; PIECE_BYTES];
        let most = old.len().min(new.length());
        let mut before = 0;
        for piece in old.pieces() {
            let piece = &piece[..piece.len().min(most - before)];
            let room = &mut room[..piece.len()];
            new.read_at(before, room)?;
            if piece.is_empty() || *piece != *room {
                let pairs = piece.iter().zip(room.iter());
                before += pairs.take_while(|(old, new)| old == new).count();
                break;
            }
            before += piece.len();
        }
        let most = most - before;
        let mut after = 0;
        for piece in old.pieces().rev() {
            let piece = &piece[piece.len() - piece.len().min(most - after)..];
            let room = &mut room[..piece.len()];
            new.read_at(new.length() - after - piece.len(), room)?;
            if piece.is_empty() || *piece != *room {
                let pairs = piece.iter().zip(room.iter()).rev();
                after += pairs.take_while(|(old, new)| old == new).count();
                break;
            }
            after += piece.len();
        }
        while !old.is_boundary(before) {
            before -= 1;
        }
        while !old.is_boundary(old.len() - after) {
            after -= 1;
        }
        let mut bytes = vec![0; new.length() - before - after];
        for (at, piece) in (before..)
            .step_by(PIECE_BYTES)
            .zip(bytes.chunks_mut(PIECE_BYTES))
        {
            new.read_at(at, piece)?;
        }
        let not_text = |_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8 text");
        let text = String::from_utf8(bytes).map_err(not_text)?;
        Ok(Self {
            before,
            after,
            text,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Bytes that are no text in the place of one.
    struct Bytes(Vec<u8>);

    impl Source for Bytes {
        fn length(&self) -> usize {
            self.0.len()
        }

        fn read_at(&self, at: usize, room: &mut [u8]) -> io::Result<()> {
            room.copy_from_slice(&self.0[at..at + room.len()]);
            Ok(())
        }
    }

    /// Holds a text in parts of about so many bytes.
    fn held(text: &str, part: usize) -> Text {
        let places = (0..text.len()).step_by(part);
        Text::of(text, places.filter(|&at| text.is_char_boundary(at)))
    }

    proptest! {
        #[test]
        fn a_change_makes_the_other_text_of_one(
            old in "[ab\nüé€]{0,40}", new in "[ab\nüé€]{0,40}", part in 1..9_usize,
            before in 0..9_usize, after in 0..9_usize
        ) {
            // Half of them have much in common.
            let same = |text: &str| format!("{}{text}{}", "ü€b".repeat(before), "aé".repeat(after));
            let (old, new) = (same(&old), same(&new));
            let text = held(&old, part);
            let change = Change::between(&text, &new.as_str()).expect("UTF-8");
            prop_assert_eq!(text.written(&change), new.as_str());
            prop_assert_eq!(change.is_none(&text), old == new);

            let around = change.before..text.len() - change.after;
            let changed = text.changed(&change, around);
            prop_assert_eq!(changed.to_string(), new.as_str());
            prop_assert_eq!(changed.len(), new.len());
            prop_assert!(changed.is(&new) && changed.is(&old) == (old == new));
            let middle = change.before..change.before + change.text.len();
            prop_assert_eq!(changed.within(middle), change.text);
        }
    }

    #[test]
    fn what_is_the_same_stays_where_it_is_and_is_not_in_the_change() {
        let text = "0123456789".repeat(3 * PIECE_BYTES / 10);
        let edited = text.replacen("99", "9", 1) + "0";
        let edited = edited.replacen("12345", "12x345", 1);
        let old = held(&text, PIECE_BYTES);
        let change = Change::between(&old, &edited.as_str()).expect("UTF-8");
        assert_eq!((change.before, change.after), (3, 0));

        let at = text.len() / 2;
        let edited = format!("{}€{}", &text[..at], &text[at + 1..]);
        let change = Change::between(&old, &edited.as_str()).expect("UTF-8");
        assert_eq!((change.before, change.text.as_str()), (at, "€"));
        let new = old.changed(&change, at..at + 1);
        let shared = new
            .parts
            .iter()
            .filter(|part| old.parts.iter().any(|one| Arc::ptr_eq(one, part)));
        assert_eq!(shared.count(), old.parts.len() - 1);
    }

    #[test]
    fn bytes_that_are_no_text_are_refused_wherever_they_differ() {
        let old = held("a€b", 2);
        for bytes in [
            &b"a\xe2\x82b"[..],
            b"a\xe2\x82\xadb\x80",
            b"\xaca\xe2\x82\xacb",
            b"\xff",
        ] {
            let refused = Change::between(&old, &Bytes(bytes.into())).expect_err("not UTF-8");
            assert_eq!(refused.kind(), io::ErrorKind::InvalidData, "{bytes:?}");
        }
        let change = Change::between(&old, &Bytes("a\u{20ad}b".into())).expect("UTF-8");
        assert_eq!(change.text, "\u{20ad}");
    }
}
