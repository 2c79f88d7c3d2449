//! How a new text differs from one that is held: found piece by piece while the new one is read, so
//! that only what differs is kept of it.

use std::io;

use super::text::Text;

/// Bytes that are compared at a time: those that were read stay in the processor's caches, and
/// none of the calls that read them keeps a core for long.
const PIECE_BYTES: usize = 128 * 1024;

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
        let mut before = same(old.pieces(PIECE_BYTES), |same, piece| {
            let piece = &piece[..piece.len().min(most - same)];
            let room = &mut room[..piece.len()];
            new.read_at(same, room)?;
            Ok(match *piece == *room {
                true => piece.len(),
                false => alike(piece.iter().zip(room.iter())),
            })
        })?;
        let most = most - before;
        let mut after = same(old.pieces(PIECE_BYTES).rev(), |same, piece| {
            let piece = &piece[piece.len() - piece.len().min(most - same)..];
            let room = &mut room[..piece.len()];
            new.read_at(new.length() - same - piece.len(), room)?;
            Ok(match *piece == *room {
                true => piece.len(),
                false => alike(piece.iter().zip(room.iter()).rev()),
            })
        })?;
        while !old.is_boundary(before) {
            before -= 1;
        }
        while !old.is_boundary(old.len() - after) {
            after -= 1;
        }
        let mut bytes = vec![0; new.length() - before - after];
        let places = (before..).step_by(PIECE_BYTES);
        for (at, piece) in places.zip(bytes.chunks_mut(PIECE_BYTES)) {
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

/// Counts the bytes that are the same, up to the first piece that is not; a piece is looked at with
/// the count so far.
fn same<'t>(
    pieces: impl Iterator<Item = &'t [u8]>,
    mut look: impl FnMut(usize, &[u8]) -> io::Result<usize>,
) -> io::Result<usize> {
    let mut same = 0;
    for piece in pieces {
        let more = look(same, piece)?;
        same += more;
        if more < piece.len() {
            break;
        }
    }
    Ok(same)
}

fn alike<'t>(pairs: impl Iterator<Item = (&'t u8, &'t u8)>) -> usize {
    pairs.take_while(|(old, new)| old == new).count()
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
            let change = Change::between(&text, &new.as_str()).expect("text");
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
        let change = Change::between(&old, &edited.as_str()).expect("text");
        assert_eq!((change.before, change.after), (3, 0));

        let at = text.len() / 2;
        let edited = format!("{}€{}", &text[..at], &text[at + 1..]);
        let change = Change::between(&old, &edited.as_str()).expect("text");
        assert_eq!((change.before, change.text.as_str()), (at, "€"));
        let new = old.changed(&change, at..at + 1);
        let places = |text: &Text| Vec::from_iter(text.pieces(PIECE_BYTES).map(<[u8]>::as_ptr));
        let (held, new) = (places(&old), places(&new));
        let shared = new.iter().filter(|place| held.contains(place));
        assert_eq!(shared.count(), held.len() - 1);
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
            let refused = Change::between(&old, &Bytes(bytes.into())).expect_err("no text");
            assert_eq!(refused.kind(), io::ErrorKind::InvalidData, "{bytes:?}");
        }
        let change = Change::between(&old, &Bytes("a\u{20ad}b".into())).expect("text");
        assert_eq!(change.text, "\u{20ad}");
    }
}
