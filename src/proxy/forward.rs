//! The forwarded head: what an intermediary takes away and what it adds, in both directions.

use std::cell::Cell;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;

use crate::switchboard::Lane;

use super::client::Client;
use super::head::{Headers, RequestHead, ResponseHead};

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
pub(super) fn request(
    head: &mut RequestHead,
    host: &str,
    client: &Client,
    lane: &Lane,
    ids: &RequestIds,
) {
    let protocol = head.version.received_protocol();
    let headers = &mut head.headers;
    let trailers = takes_trailers(headers);
    remove_hop_by_hop(headers);
    if trailers {
        headers.push("te", "trailers");
    }
    // hyper answers 100 (Continue) when the body is first asked for (RFC 9110 §10.1.1).
    headers.remove("expect");
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
    headers.set("x-pointsman-site", lane.site.as_str().to_owned());
    headers.set("x-pointsman-side", lane.side.as_str().to_owned());
    headers.set("x-pointsman-epoch", lane.epoch.to_string());
}

/// Turns an origin's head into what the client is sent.
pub(super) fn response(head: &mut ResponseHead) {
    remove_hop_by_hop(&mut head.headers);
    let via = format!("1.1 {PSEUDONYM}");
    head.headers.append_to_list("via", &via);
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
    headers.all("te").any(|value| {
        value
            .split(|&byte| byte == b',')
            .any(|member| member.trim_ascii().eq_ignore_ascii_case(b"trailers"))
    })
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
