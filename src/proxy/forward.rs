//! The forwarded head: what an intermediary takes away and what it adds, in both directions.

use std::cell::Cell;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;

use bytes::Bytes;
use http::StatusCode;

use super::client::Client;
use super::head::{Headers, RequestHead, ResponseHead, Version};
use super::invite;

/// The name we go by in `Via` (RFC 9110 §7.6.3).
const PSEUDONYM: &str = "pointsman";

/// Makes request identifiers that nobody outside can guess or repeat.
#[derive(Debug, Default)]
pub(super) struct RequestIds {
    keys: (RandomState, RandomState),
    count: Cell<u64>,
}

impl RequestIds {
    /// Makes 128 bits in hexadecimal.
    pub(super) fn make(&self) -> String {
        let count = self.count.get();
        self.count.set(count.wrapping_add(1));
        let high = self.keys.0.hash_one(count);
        let low = self.keys.1.hash_one(count);
        format!("{high:016x}{low:016x}")
    }
}

/// Turns a client's head into what the origin is sent.
pub(super) fn request(head: &mut RequestHead, host: &str, client: &Client, ids: &RequestIds) {
    let protocol = head.version.received_protocol();
    let headers = &mut head.headers;
    let trailers = takes_trailers(headers);
    let upgrade = upgrade(head.version, headers);
    remove_hop_by_hop(headers);
    if let Some(protocol) = upgrade {
        switch(headers, protocol);
    }
    if trailers {
        headers.push("te", "trailers");
    }
    // hyper answers 100 (Continue) when the body is first asked for (RFC 9110 §10.1.1).
    headers.remove("expect");
    invite::take_cookie_out(headers);
    if head.authority.is_some() {
        // RFC 9112 §3.2.2: an absolute target overrides the Host that came with it.
        headers.set("host", host.to_owned());
    }
    let address = client.address.ip().to_canonical();
    let scheme = client.scheme();
    headers.append_to_list("x-forwarded-for", &address.to_string());
    headers.set("x-forwarded-proto", scheme);
    headers.set("x-forwarded-host", host.to_owned());
    headers.append_to_list("forwarded", &forwarded(address, host, scheme));
    headers.append_to_list("via", &format!("{protocol} {PSEUDONYM}"));
    if !headers.contains("x-request-id") {
        headers.push("x-request-id", ids.make());
    }
}

/// Turns an origin's head into what the client is sent.
pub(super) fn response(head: &mut ResponseHead) {
    let switched = (head.status == StatusCode::SWITCHING_PROTOCOLS)
        .then(|| head.headers.first("upgrade").cloned())
        .flatten();
    remove_hop_by_hop(&mut head.headers);
    if let Some(protocol) = switched {
        switch(&mut head.headers, protocol);
    }
    let via = format!("1.1 {PSEUDONYM}");
    head.headers.append_to_list("via", &via);
}

/// Finds the protocol that a client asks to switch to, where that may be passed on.
///
/// HTTP/2 has no such thing (RFC 9113 §8.2.2), and HTTP/1.0 ignores it (RFC 9110 §7.8). What has a
/// body would have two things to send on one connection. And another HTTP, or TLS around one,
/// would be a way around every rule for what an origin is asked.
pub(super) fn upgrade(version: Version, headers: &Headers) -> Option<Bytes> {
    let protocol = headers.first("upgrade")?;
    let is_alone = headers.all("upgrade").count() == 1;
    let mut offered = protocol.split(|&byte| byte == b',');
    let speaks_http = offered.any(|offer| {
        let name = offer.split(|&byte| byte == b'/').next().unwrap_or_default();
        let name = name.trim_ascii();
        ANOTHER_HTTP
            .iter()
            .any(|other| name.eq_ignore_ascii_case(other))
    });
    let is_meant = headers
        .all("connection")
        .any(|value| lists(value, b"upgrade"));
    let is_empty = !headers.contains("transfer-encoding")
        && headers.all("content-length").all(|length| length == "0");
    let passes = version == Version::Http11 && is_alone && !speaks_http && is_meant && is_empty;
    passes.then(|| protocol.clone())
}

/// Protocols under which requests would come that nobody has looked at.
const ANOTHER_HTTP: [&[u8]; 5] = [b"h2", b"h2c", b"h3", b"http", b"tls"];

/// Tells whether what an origin has switched to is among what it was offered (RFC 9110 §7.8).
pub(super) fn was_offered(asked: &Headers, answer: &Headers) -> bool {
    let offered = |protocol: &[u8]| asked.all("upgrade").any(|list| lists(list, protocol));
    answer
        .first("upgrade")
        .is_some_and(|protocol| offered(protocol))
}

/// Says that this connection is to switch, or has switched.
fn switch(headers: &mut Headers, protocol: Bytes) {
    headers.push("connection", "upgrade");
    headers.push("upgrade", protocol);
}

/// Tells whether a comma-separated list has a member, in any case.
fn lists(list: &[u8], wanted: &[u8]) -> bool {
    let mut members = list.split(|&byte| byte == b',');
    members.any(|member| member.trim_ascii().eq_ignore_ascii_case(wanted))
}

/// Removes what is meant for the next hop only (RFC 9110 §7.6.1).
fn remove_hop_by_hop(headers: &mut Headers) {
    let named: Vec<u8> = headers
        .all("connection")
        .flat_map(|value| value.iter().copied().chain([b',']))
        .collect();
    let is_named = |name: &[u8]| {
        named
            .split(|&byte| byte == b',')
            .any(|option| option.trim_ascii().eq_ignore_ascii_case(name))
    };
    headers.retain(|name, _| {
        let fixed = HOP_BY_HOP
            .iter()
            .any(|hop| name.eq_ignore_ascii_case(hop.as_bytes()));
        // `Connection: host` must not rob the origin of what frames and routes the message.
        let needed =
            name.eq_ignore_ascii_case(b"host") || name.eq_ignore_ascii_case(b"content-length");
        !fixed && (needed || !is_named(name))
    });
}

const HOP_BY_HOP: [&str; 9] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authentication-info",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "transfer-encoding",
    "upgrade",
];

/// Tells whether `TE` holds `trailers`, the one member that may be passed on (RFC 9110 §10.1.4).
fn takes_trailers(headers: &Headers) -> bool {
    headers.all("te").any(|value| lists(value, b"trailers"))
}

/// One element of `Forwarded` (RFC 7239 §4); an IPv6 address is bracketed and quoted (§6).
fn forwarded(client: IpAddr, host: &str, scheme: &str) -> String {
    match client {
        IpAddr::V4(v4) => format!("for={v4};host=\"{host}\";proto={scheme}"),
        IpAddr::V6(v6) => format!("for=\"[{v6}]\";host=\"{host}\";proto={scheme}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_connection_names_goes_no_further() {
        let mut headers = Headers::default();
        headers.push("Connection", "close, X-Secret ,host");
        headers.push("x-secret", "1");
        headers.push("Keep-Alive", "timeout=5");
        headers.push("Proxy-Authorization", "x");
        headers.push("Transfer-Encoding", "chunked");
        headers.push("Host", "a.example");
        headers.push("X-Kept", "2");
        remove_hop_by_hop(&mut headers);
        let left: Vec<_> = headers.iter().map(|(name, _)| name.to_vec()).collect();
        assert_eq!(left, [b"Host".to_vec(), b"X-Kept".to_vec()]);
    }

    #[test]
    fn identifiers_differ() {
        let ids = RequestIds::default();
        let (one, two) = (ids.make(), ids.make());
        assert_ne!(one, two);
        assert_eq!(one.len(), 32);
    }
}
