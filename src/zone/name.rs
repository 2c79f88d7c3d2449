//! Domain names in wire form (RFC 1035 §3.1).

use std::cmp::Ordering;
use std::fmt;

/// Bytes of the longest name, its root label included (RFC 1035 §2.3.4).
pub(super) const NAME_BYTES_MAX: usize = 255;

/// Bytes of the longest label (RFC 1035 §2.3.4).
const LABEL_BYTES_MAX: usize = 63;

/// Labels of the longest name without the root: each takes two bytes at least.
const LABELS_MAX: usize = NAME_BYTES_MAX / 2;

/// A name in wire form; the case is kept for showing and ignored in comparisons (RFC 4343 §3).
///
/// Length bytes are at most 63, below `A`, so a whole wire form can be folded byte by byte.
#[derive(Clone)]
pub(super) struct Name(Box<[u8]>);

/// Why a text is no name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NameError {
    #[error("an empty label")]
    EmptyLabel,
    #[error("a label of more than 63 bytes")]
    LongLabel,
    #[error("a name of more than 255 bytes")]
    LongName,
    #[error("a broken escape: \\X or \\DDD is meant")]
    Escape,
    #[error("a relative name where there is no $ORIGIN")]
    NoOrigin,
}

impl Name {
    /// Reads a name as a master file writes it (RFC 1035 §5.1); `@` is the origin.
    pub(super) fn parse(text: &str, origin: Option<&Self>) -> Result<Self, NameError> {
        match text {
            "@" => return origin.cloned().ok_or(NameError::NoOrigin),
            "." => return Ok(Self([0].into())),
            "" => return Err(NameError::EmptyLabel),
            _ => {}
        }
        let mut wire = Vec::with_capacity(text.len() + 2);
        let mut label = Vec::new();
        let mut rest = text.as_bytes();
        let mut absolute = false;
        while let Some((byte, after)) = rest.split_first() {
            rest = after;
            match byte {
                b'.' => {
                    push_label(&mut wire, &label)?;
                    label.clear();
                    absolute = rest.is_empty();
                }
                b'\\' => {
                    let (byte, after) = unescape(rest).ok_or(NameError::Escape)?;
                    label.push(byte);
                    rest = after;
                }
                byte => label.push(*byte),
            }
        }
        if absolute {
            wire.push(0);
        } else {
            push_label(&mut wire, &label)?;
            wire.extend_from_slice(&origin.ok_or(NameError::NoOrigin)?.0);
        }
        Self::checked(wire)
    }

    /// Reads a name of the table: absolute, without a final dot.
    pub(super) fn of_table(text: &str) -> Result<Self, NameError> {
        Self::parse(text, Some(&Self([0].into())))
    }

    /// Takes a name that is in wire form, not compressed; `None` when it is none.
    pub(super) fn of_wire(wire: &[u8]) -> Option<Self> {
        Sought::read(wire).map(|name| Self(name.wire().into()))
    }

    /// Puts one label in front of a name, whatever bytes it has.
    pub(super) fn under(label: &str, parent: &Self) -> Result<Self, NameError> {
        let mut wire = Vec::with_capacity(label.len() + 1 + parent.0.len());
        push_label(&mut wire, label.as_bytes())?;
        wire.extend_from_slice(&parent.0);
        Self::checked(wire)
    }

    fn checked(wire: Vec<u8>) -> Result<Self, NameError> {
        if wire.len() > NAME_BYTES_MAX {
            return Err(NameError::LongName);
        }
        Ok(Self(wire.into()))
    }

    /// Shows the wire form, in the case it was written.
    pub(super) fn wire(&self) -> &[u8] {
        &self.0
    }

    /// Gives the wire form in lower case, the key of every look-up.
    pub(super) fn folded(&self) -> Box<[u8]> {
        self.0.to_ascii_lowercase().into()
    }

    /// Tells whether this name is `top` or lies below it.
    pub(super) fn is_within(&self, top: &Self) -> bool {
        let mut rest = &self.0[..];
        while rest.len() > top.0.len() {
            rest = &rest[1 + usize::from(rest[0])..];
        }
        rest.eq_ignore_ascii_case(&top.0)
    }

    /// Takes the first label off; `None` for the root.
    pub(super) fn parent(&self) -> Option<Self> {
        let first = usize::from(self.0[0]);
        (first > 0).then(|| Self(self.0[1 + first..].into()))
    }

    fn is_folded(&self) -> bool {
        !self.0.iter().any(u8::is_ascii_uppercase)
    }

    /// Tells whether the first label is `*` (RFC 4592 §2.1.1).
    pub(super) fn is_wildcard(&self) -> bool {
        self.0.starts_with(b"\x01*")
    }

    /// Counts the labels without the root.
    pub(super) fn labels(&self) -> usize {
        let (mut at, mut count) = (0, 0);
        while self.0[at] > 0 {
            at += 1 + usize::from(self.0[at]);
            count += 1;
        }
        count
    }
}

fn push_label(wire: &mut Vec<u8>, label: &[u8]) -> Result<(), NameError> {
    match u8::try_from(label.len()) {
        Ok(0) => Err(NameError::EmptyLabel),
        Ok(bytes) if usize::from(bytes) <= LABEL_BYTES_MAX => {
            wire.push(bytes);
            wire.extend_from_slice(label);
            Ok(())
        }
        _ => Err(NameError::LongLabel),
    }
}

/// Reads what follows a backslash: three decimal digits or any one byte (RFC 1035 §5.1).
pub(super) fn unescape(text: &[u8]) -> Option<(u8, &[u8])> {
    match text {
        [a, b, c, rest @ ..] if [a, b, c].iter().all(|digit| digit.is_ascii_digit()) => {
            let value = [a, b, c]
                .iter()
                .fold(0_u16, |sum, digit| sum * 10 + u16::from(*digit - b'0'));
            Some((u8::try_from(value).ok()?, rest))
        }
        [first, ..] if first.is_ascii_digit() => None,
        [first, rest @ ..] => Some((*first, rest)),
        [] => None,
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

impl Eq for Name {}

impl PartialOrd for Name {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Name {
    fn cmp(&self, other: &Self) -> Ordering {
        let fold = |name: &'_ Self| name.0.to_ascii_lowercase();
        // Nearly every name is in lower case already: compared as they are, without a copy.
        if self.is_folded() && other.is_folded() {
            return self.0.cmp(&other.0);
        }
        fold(self).cmp(&fold(other))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = &self.0[..];
        if rest == [0] {
            return f.write_str(".");
        }
        while rest[0] > 0 {
            let (label, after) = rest[1..].split_at(usize::from(rest[0]));
            for byte in label {
                match byte {
                    b'.' | b'\\' | b'"' | b';' | b'(' | b')' => {
                        write!(f, "\\{}", char::from(*byte))?
                    }
                    0x21..=0x7e => write!(f, "{}", char::from(*byte))?,
                    byte => write!(f, "\\{byte:03}")?,
                }
            }
            f.write_str(".")?;
            rest = after;
        }
        Ok(())
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A name being looked up: no allocation, with its folded form and where each label begins.
#[derive(Clone)]
pub(super) struct Sought {
    wire: [u8; NAME_BYTES_MAX],
    folded: [u8; NAME_BYTES_MAX],
    len: usize,
    starts: [u8; LABELS_MAX],
    labels: usize,
}

impl Sought {
    /// Reads an uncompressed name at the front of `bytes`; `None` when it is none.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let mut sought = Self {
            wire: [0; NAME_BYTES_MAX],
            folded: [0; NAME_BYTES_MAX],
            len: 0,
            starts: [0; LABELS_MAX],
            labels: 0,
        };
        let mut at = 0;
        loop {
            let label = usize::from(*bytes.get(at)?);
            if label == 0 {
                break;
            }
            // Compression pointers and the other label types have the upper bits set.
            if label > LABEL_BYTES_MAX || at + 1 + label >= NAME_BYTES_MAX {
                return None;
            }
            *sought.starts.get_mut(sought.labels)? = u8::try_from(at).ok()?;
            sought.labels += 1;
            at += 1 + label;
        }
        sought.len = at + 1;
        let wire = bytes.get(..sought.len)?;
        sought.wire[..sought.len].copy_from_slice(wire);
        sought.folded[..sought.len].copy_from_slice(wire);
        sought.folded[..sought.len].make_ascii_lowercase();
        Some(sought)
    }

    /// Replaces the last `labels_from..` labels by `target` (RFC 6672 §2.2); `None` if too long.
    pub(super) fn redirected(&self, kept: usize, target: &[u8]) -> Option<Self> {
        let front = self.start(kept);
        let mut wire = [0; NAME_BYTES_MAX];
        let whole = wire.get_mut(..front + target.len())?;
        whole[..front].copy_from_slice(&self.wire[..front]);
        whole[front..].copy_from_slice(target);
        Self::read(whole)
    }

    /// Shows the wire form in the case it was asked.
    pub(super) fn wire(&self) -> &[u8] {
        &self.wire[..self.len]
    }

    /// Counts the labels without the root.
    pub(super) fn labels(&self) -> usize {
        self.labels
    }

    /// Shows the folded name made of the last `labels` labels and the root.
    pub(super) fn last(&self, labels: usize) -> &[u8] {
        let skipped = self.labels.saturating_sub(labels);
        &self.folded[self.start(skipped)..self.len]
    }

    fn start(&self, label: usize) -> usize {
        if label < self.labels {
            usize::from(self.starts[label])
        } else {
            self.len - 1
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name::parse(text, None).expect("a name of the test")
    }

    #[test]
    fn a_name_is_shown_as_it_was_written() {
        for text in [
            "ispot.example.",
            "WWW.Example.",
            ".",
            "a\\.b.example.",
            "\\007x.org.",
            "*.x.",
        ] {
            assert_eq!(name(text).to_string(), text);
        }
    }

    #[test]
    fn limits_of_length_are_kept() {
        let label = "a".repeat(63);
        assert!(Name::parse(&format!("{label}."), None).is_ok());
        assert_eq!(
            Name::parse(&format!("{label}a."), None),
            Err(NameError::LongLabel)
        );
        assert!(Name::parse(&format!("{label}.{label}.{label}.{}.", &label[2..]), None).is_ok());
        let long = format!("{label}.{label}.{label}.{}.", &label[1..]);
        assert_eq!(Name::parse(&long, None), Err(NameError::LongName));
        assert_eq!(Name::parse("a..b.", None), Err(NameError::EmptyLabel));
        assert_eq!(Name::parse("a\\25.", None), Err(NameError::Escape));
        assert_eq!(Name::parse("a", None), Err(NameError::NoOrigin));
    }

    #[test]
    fn within_counts_whole_labels_in_any_case() {
        assert!(name("www.ISPOT.example.").is_within(&name("ispot.example.")));
        assert!(name("ispot.example.").is_within(&name("ispot.example.")));
        assert!(!name("notispot.example.").is_within(&name("ispot.example.")));
        assert!(name("x.").is_within(&name(".")));
    }

    #[test]
    fn a_redirected_name_keeps_its_front() {
        let sought = Sought::read(name("A.b.old.example.").wire()).expect("a name");
        let moved = sought.redirected(2, name("new.").wire()).expect("short");
        assert_eq!(moved.wire(), name("A.b.new.").wire());
        assert_eq!(moved.last(2), b"\x01b\x03new\x00");
    }
}
