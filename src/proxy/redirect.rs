//! The answer that sends a client to the same place over TLS.

use http::StatusCode;

use super::body::Body;
use super::error::own_answer;
use super::head::{Headers, RequestHead, ResponseHead};

/// The port of `https` that is not written (RFC 9110 §4.2.2).
const HTTPS_PORT: u16 = 443;

/// Says where the same thing is over TLS: path and query are kept, and by 308 the method too
/// (RFC 9110 §15.4.9).
///
/// Who named no port came by the default one and is sent to the default one, whatever carries it
/// here; who named one is sent to `https_port`, that of the first `https` listener.
pub(super) fn to_https(
    host: &str,
    head: &RequestHead,
    https_port: Option<u16>,
) -> (ResponseHead, Body) {
    let (name, named_port) = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => (name, true),
        Some(_) | None => (host, false),
    };
    let port = match https_port {
        Some(port) if named_port && port != HTTPS_PORT => format!(":{port}"),
        Some(_) | None => String::new(),
    };
    // `*` is the whole server (RFC 9112 §3.2.4), which has no path.
    let target = if head.target.starts_with('/') {
        &*head.target
    } else {
        "/"
    };
    let location = format!("https://{name}{port}{target}");
    let mut headers = Headers::default();
    headers.push("content-type", "text/plain; charset=utf-8");
    let text = format!("This site is at {location}\n");
    headers.push("location", location);
    own_answer(StatusCode::PERMANENT_REDIRECT, headers, text.into())
}
