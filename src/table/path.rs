//! Paths as origins may read them, so that no spelling of a path slips past its rule.
//!
//! What is forwarded is what the client wrote; only rules are looked up by this. Origins differ:
//! some decode `%2F` before they look at the path, some after, some never. So every reading
//! counts, and the strictest rule among them holds.

use std::borrow::Cow;

/// Which percent-encoded characters a reading decodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Decoded {
    /// All but those of `/` (RFC 3986 §2.2).
    AllButSlash,
    /// All.
    All,
}

/// Gives each way to read a path: as it is, and where that differs, with its escapes decoded,
/// slashes merged and dot segments removed (RFC 3986 §5.2.4).
pub(super) fn readings(path: &str) -> impl Iterator<Item = Cow<'_, str>> {
    let is_plain = !path.contains(['%', '\\', ';']) && !path.contains("//") && !path.contains("/.");
    let others = [Decoded::AllButSlash, Decoded::All]
        .into_iter()
        .filter(move |_| !is_plain)
        .map(move |decoded| Cow::Owned(read(path, decoded)));
    std::iter::once(Cow::Borrowed(path)).chain(others)
}

fn read(path: &str, which: Decoded) -> String {
    let decoded = decode(path, which);
    let mut segments: Vec<&str> = Vec::new();
    for segment in decoded.split(['/', '\\']) {
        // A parameter (`/quiz;v=1`) is none of a segment's name to the origins that know them.
        match segment.split(';').next().unwrap_or_default() {
            "" | "." => {}
            ".." => drop(segments.pop()),
            name => segments.push(name),
        }
    }
    format!("/{}", segments.join("/"))
}

/// Decodes once: what is encoded twice is no path to any origin that keeps to RFC 3986 §2.4.
fn decode(path: &str, which: Decoded) -> String {
    let bytes = path.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let escape = (byte == b'%').then(|| bytes.get(at + 1..at + 3)).flatten();
        let value = escape
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match value {
            Some(b'/') if which == Decoded::AllButSlash => decoded.extend_from_slice(b"%2F"),
            Some(value) => decoded.push(value),
            None => decoded.push(byte),
        }
        at += if value.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_path_has_one_reading_and_is_not_copied() {
        let all: Vec<_> = readings("/quiz/1").collect();
        assert!(matches!(all.as_slice(), [Cow::Borrowed("/quiz/1")]));
    }

    #[test]
    fn every_spelling_is_read_as_origins_may_read_it() {
        for (path, among) in [
            ("/%71uiz", "/quiz"),
            ("//quiz", "/quiz"),
            ("/./quiz", "/quiz"),
            ("/a/../quiz", "/quiz"),
            ("/a/%2e%2E/quiz", "/quiz"),
            ("/a%2f..%2fquiz", "/quiz"),
            ("/a\\..\\quiz", "/quiz"),
            ("/quiz;v=1/2", "/quiz/2"),
            ("/../../quiz", "/quiz"),
            ("/quiz/..%2Fother", "/other"),
            ("/quiz%", "/quiz%"),
            ("/%zz%4", "/%zz%4"),
            ("/%2571uiz", "/%71uiz"),
        ] {
            assert!(readings(path).any(|read| read == among), "{path}: {among}");
        }
    }
}
