//! Paths as origins may read them, so that no spelling of a path slips past its rule.
//!
//! What is forwarded is what the client wrote; only rules are looked up by this. Origins differ:
//! some decode `%2F` before they look at the path, some merge slashes, some take `\\` for one,
//! some know parameters. So every reading counts, and the strictest rule among them holds.

use std::borrow::Cow;

/// One way to read a path; each part is as some origins do it and others do not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Way {
    /// `%2F` is a slash (RFC 3986 §2.2 says it is not).
    decodes_slash: bool,
    /// `\` is a slash.
    backslash: bool,
    /// `;` begins a parameter, which is no part of a segment's name.
    parameters: bool,
    /// Two slashes are one.
    merges: bool,
}

/// Gives each way to read a path: as it is, and where it has what origins read in different ways,
/// with its escapes decoded and dot segments removed (RFC 3986 §5.2.4), in all of them.
pub(super) fn readings(path: &str) -> impl Iterator<Item = Cow<'_, str>> {
    let has = |what: &[&str]| what.iter().any(|what| path.contains(what));
    let is_plain = !has(&["%", "\\", ";", "//", "/."]);
    // Both ways, where there is something to read in two; what an escape hides is there too.
    let both = |what: &[&str]| if has(what) { 2 } else { 1 };
    let slashes = both(&["%2f", "%2F"]);
    let backslashes = both(&["\\", "%5c", "%5C"]);
    let parameters = both(&[";", "%3b", "%3B"]);
    let merges = both(&["//", "%2f", "%2F", "\\", "%5c", "%5C", ";", "%3b", "%3B"]);
    let ways = (0..16).map(|number| Way {
        decodes_slash: number & 1 != 0,
        backslash: number & 2 != 0,
        parameters: number & 4 != 0,
        merges: number & 8 != 0,
    });
    let differs = move |way: &Way| {
        !(is_plain
            || (way.decodes_slash && slashes == 1)
            || (way.backslash && backslashes == 1)
            || (way.parameters && parameters == 1)
            || (way.merges && merges == 1))
    };
    let others = ways.filter(differs).map(|way| Cow::Owned(read(path, way)));
    std::iter::once(Cow::Borrowed(path)).chain(others)
}

fn read(path: &str, way: Way) -> String {
    let decoded = decode(path, way);
    let is_slash = |letter: char| letter == '/' || (way.backslash && letter == '\\');
    let mut segments: Vec<&str> = Vec::new();
    for segment in decoded
        .strip_prefix('/')
        .unwrap_or(&decoded)
        .split(is_slash)
    {
        let name = if way.parameters {
            segment.split(';').next().unwrap_or_default()
        } else {
            segment
        };
        match name {
            "." => {}
            "" if way.merges => {}
            ".." => drop(segments.pop()),
            name => segments.push(name),
        }
    }
    format!("/{}", segments.join("/"))
}

/// Decodes once: what is encoded twice is no path to any origin that keeps to RFC 3986 §2.4.
fn decode(path: &str, way: Way) -> String {
    let bytes = path.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let value = match (byte, bytes.get(at + 1), bytes.get(at + 2)) {
            (b'%', Some(&high), Some(&low)) => hex(high).zip(hex(low)),
            (_, _, _) => None,
        };
        match value.map(|(high, low)| high * 16 + low) {
            Some(b'/') if !way.decodes_slash => decoded.extend_from_slice(b"%2F"),
            Some(value) => decoded.push(value),
            None => decoded.push(byte),
        }
        at += if value.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

fn hex(digit: u8) -> Option<u8> {
    let value = char::from(digit).to_digit(16)?;
    u8::try_from(value).ok()
}

/// Tells whether a path is a prefix or lies below it, at the border of a segment.
pub(super) fn lies_under(path: &str, prefix: &str) -> bool {
    let rest = path.strip_prefix(prefix.trim_end_matches('/'));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
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
            ("/a%5Cb/../quiz", "/quiz"),
            ("/a\\b/../quiz", "/quiz"),
            ("/x/;a/../quiz", "/x/quiz"),
            ("/x//../quiz", "/x/quiz"),
            ("/x/%2F../quiz", "/x/quiz"),
            ("/x//../quiz", "/quiz"),
            ("/%+5quiz", "/%+5quiz"),
        ] {
            assert!(readings(path).any(|read| read == among), "{path}: {among}");
        }
    }
}
