//! Our own request and response heads: what every codec gives us and takes from us.
//!
//! Fields keep the order and the bytes in which they came, because an intermediary has no
//! business changing either (RFC 9110 §5.3).

use bytes::Bytes;
use http::{Method, StatusCode};

use super::fence;

/// The fields of a head, in order; a name may occur more than once.
#[derive(Clone, Debug, Default)]
pub(super) struct Headers(Vec<(Bytes, Bytes)>);

impl Headers {
    pub(super) fn with_capacity(fields: usize) -> Self {
        Self(Vec::with_capacity(fields))
    }

    /// Adds a field at the end.
    pub(super) fn push(&mut self, name: impl Into<Bytes>, value: impl Into<Bytes>) {
        self.0.push((name.into(), value.into()));
    }

    /// Puts one field in the place of all that have its name.
    pub(super) fn set(&mut self, name: &'static str, value: impl Into<Bytes>) {
        self.remove(name);
        self.push(name, value);
    }

    pub(super) fn remove(&mut self, name: &str) {
        self.0.retain(|(other, _)| !is(other, name));
    }

    pub(super) fn retain(&mut self, mut keep: impl FnMut(&[u8], &[u8]) -> bool) {
        self.0.retain(|(name, value)| keep(name, value));
    }

    /// Changes the values of all fields of that name; a field that is left without one goes.
    pub(super) fn change(&mut self, name: &str, mut change: impl FnMut(&Bytes) -> Option<Bytes>) {
        self.0.retain_mut(|(other, value)| {
            if !is(other, name) {
                return true;
            }
            let changed = change(value);
            changed.map(|changed| *value = changed).is_some()
        });
    }

    /// Shows the value of the first field of that name.
    pub(super) fn first(&self, name: &str) -> Option<&Bytes> {
        let found = self.0.iter().find(|(other, _)| is(other, name));
        found.map(|(_, value)| value)
    }

    /// Shows the values of all fields of that name, in order.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Bytes> {
        let same = self.0.iter().filter(move |(other, _)| is(other, name));
        same.map(|(_, value)| value)
    }

    pub(super) fn contains(&self, name: &str) -> bool {
        self.first(name).is_some()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &(Bytes, Bytes)> {
        self.0.iter()
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Keeps what may stand after a body: nothing that frames, routes or guards the message
    /// (RFC 9110 §6.5.1), and nothing that only we may say of it.
    pub(super) fn into_trailers(mut self) -> Self {
        self.retain(|name, _| {
            let forbidden = NO_TRAILERS.iter().any(|other| is(name, other));
            let starts = |with: &str| name.len() > with.len() && is(&name[..with.len()], with);
            !forbidden && !starts(FORWARDED) && !fence::is_ours(name)
        });
        self
    }

    /// Adds a member to a comma-separated list field, after those that are there.
    pub(super) fn append_to_list(&mut self, name: &'static str, member: &str) {
        let mut list: Vec<u8> = Vec::new();
        for value in self.all(name) {
            list.extend_from_slice(value);
            list.extend_from_slice(b", ");
        }
        list.extend_from_slice(member.as_bytes());
        self.set(name, list);
    }
}

/// Fields that mean nothing, or mischief, once the body is through.
const NO_TRAILERS: [&str; 21] = [
    "authorization",
    "cache-control",
    "connection",
    "content-encoding",
    "content-length",
    "content-range",
    "content-type",
    "expect",
    "forwarded",
    "host",
    "keep-alive",
    "max-forwards",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "set-cookie",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
];

/// How the fields begin by which origins know who asks.
const FORWARDED: &str = "x-forwarded-";

fn is(name: &[u8], wanted: &str) -> bool {
    name.eq_ignore_ascii_case(wanted.as_bytes())
}

/// The version a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    Http10,
    Http11,
    Http2,
}

impl Version {
    /// The version as `Via` names it (RFC 9110 §7.6.3).
    pub(super) fn received_protocol(self) -> &'static str {
        match self {
            Self::Http10 => "1.0",
            Self::Http11 => "1.1",
            Self::Http2 => "2.0",
        }
    }
}

/// The head of a request.
#[derive(Clone, Debug)]
pub(super) struct RequestHead {
    pub(super) method: Method,
    /// Path and query, or `*` (RFC 9112 §3.2).
    pub(super) target: Box<str>,
    /// Host and port of a target in absolute form (RFC 9112 §3.2.2).
    pub(super) authority: Option<Box<str>>,
    pub(super) version: Version,
    pub(super) headers: Headers,
}

impl RequestHead {
    /// Shows the target without its query.
    pub(super) fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or(&self.target)
    }
}

/// The head of a response.
#[derive(Clone, Debug)]
pub(super) struct ResponseHead {
    pub(super) status: StatusCode,
    pub(super) headers: Headers,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_found_in_any_case_and_in_order() {
        let mut headers = Headers::default();
        headers.push("X-A", "1");
        headers.push("Other", "x");
        headers.push("x-a", "2");
        let values: Vec<_> = headers.all("X-a").map(|value| value.to_vec()).collect();
        assert_eq!(values, [b"1".to_vec(), b"2".to_vec()]);
    }

    #[test]
    fn trailers_neither_frame_nor_route_nor_speak_for_us() {
        let mut headers = Headers::default();
        for name in [
            "Grpc-Status",
            "Content-Length",
            "HOST",
            "Pointsman-Side",
            "Digest",
        ] {
            headers.push(name, "1");
        }
        let kept = headers.into_trailers();
        let names: Vec<_> = kept.iter().map(|(name, _)| name.to_vec()).collect();
        assert_eq!(names, [b"Grpc-Status".to_vec(), b"Digest".to_vec()]);
    }

    #[test]
    fn a_list_grows_at_its_end() {
        let mut headers = Headers::default();
        headers.push("Via", "1.0 a");
        headers.push("via", "1.1 b");
        headers.append_to_list("via", "1.1 c");
        assert_eq!(
            headers.first("via").map(|v| &v[..]),
            Some(&b"1.0 a, 1.1 b, 1.1 c"[..])
        );
        assert_eq!(headers.len(), 1);
    }
}
