//! The one place where what went wrong becomes a status and a reason.

use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;

use crate::site::{SideName, SiteName};
use crate::table::Site;

use super::body::Body;
use super::head::{Headers, RequestHead, ResponseHead};
use super::page::{self, Why};

/// Why a request is answered by ourselves; who is at fault decides the status.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// The client is at fault.
    #[error("{0}")]
    BadRequest(&'static str),
    /// The certificate shown to the client is not for this host (RFC 9110 §15.5.20).
    #[error("misdirected")]
    Misdirected,
    /// No site has this host.
    #[error("unknown host")]
    UnknownHost,
    /// CONNECT, which a reverse proxy has no use for (RFC 9110 §9.3.6).
    #[error("method not implemented")]
    NotImplemented,
    /// The site cannot be served for a while.
    #[error("page: {why:?}")]
    Page { site: Arc<Site>, why: Why },
    /// No origin could be reached, or one broke off before its answer.
    #[error("no answer from {site} {side}: {why}")]
    BadGateway {
        site: SiteName,
        side: SideName,
        why: String,
    },
    /// An origin took too long.
    #[error("{site} {side} took too long to {what}")]
    GatewayTimeout {
        site: SiteName,
        side: SideName,
        what: &'static str,
    },
}

impl Error {
    /// Makes the answer; the text names the site and the side, and nothing from inside.
    pub(super) fn answer(&self, request: &RequestHead) -> (ResponseHead, Body) {
        match self {
            Self::BadRequest(why) => plain(StatusCode::BAD_REQUEST, format!("{why}\n")),
            Self::Misdirected => plain(
                StatusCode::MISDIRECTED_REQUEST,
                "The certificate of this connection is not for this name: connect anew.\n".into(),
            ),
            Self::UnknownHost => plain(
                StatusCode::NOT_FOUND,
                "No site is served under this name.\n".into(),
            ),
            Self::NotImplemented => plain(
                StatusCode::NOT_IMPLEMENTED,
                "This method is not implemented.\n".into(),
            ),
            Self::Page { site, why } => page::answer(site, *why, request),
            Self::BadGateway { site, side, .. } => plain(
                StatusCode::BAD_GATEWAY,
                format!("The site {site} cannot be reached: no answer from its side {side}.\n"),
            ),
            Self::GatewayTimeout { site, side, what } => plain(
                StatusCode::GATEWAY_TIMEOUT,
                format!("The site {site} took too long: its side {side} did not {what} in time.\n"),
            ),
        }
    }
}

/// Makes a short answer of our own, in plain text.
fn plain(status: StatusCode, text: String) -> (ResponseHead, Body) {
    let mut headers = Headers::default();
    headers.push("content-type", "text/plain; charset=utf-8");
    headers.push("cache-control", "no-store");
    own_answer(status, headers, text.into())
}

/// Completes an answer of our own.
pub(super) fn own_answer(
    status: StatusCode,
    mut headers: Headers,
    text: Bytes,
) -> (ResponseHead, Body) {
    headers.push("server", "pointsman");
    headers.push("content-length", text.len().to_string());
    (ResponseHead { status, headers }, Body::Full(text))
}
