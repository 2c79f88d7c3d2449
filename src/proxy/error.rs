//! The one place where what went wrong becomes a status and a reason.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use serde_json::json;

use crate::site::SideName;
use crate::table::Site;

use super::accept::{self, Form};
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
    Page {
        site: Arc<Site>,
        why: Why,
        /// When the client is told to come back; as the site says, when left out.
        retry_after: Option<Duration>,
    },
    /// No origin could be reached, or one broke off before its answer.
    #[error("no answer from {} {side}: {why}", site.name)]
    BadGateway {
        site: Arc<Site>,
        side: SideName,
        why: String,
    },
    /// An origin took too long.
    #[error("{} {side} took too long to {what}", site.name)]
    GatewayTimeout {
        site: Arc<Site>,
        side: SideName,
        what: &'static str,
    },
}

impl Error {
    /// Makes the answer; the text names the site and the side, and nothing from inside.
    pub(super) fn answer(&self, request: &RequestHead) -> (ResponseHead, Body) {
        let (status, text) = match self {
            Self::BadRequest(why) => (StatusCode::BAD_REQUEST, (*why).to_owned()),
            Self::Misdirected => (
                StatusCode::MISDIRECTED_REQUEST,
                "The certificate of this connection is not for this name: connect anew.".into(),
            ),
            Self::UnknownHost => (
                StatusCode::NOT_FOUND,
                "No site is served under this name.".into(),
            ),
            Self::NotImplemented => (
                StatusCode::NOT_IMPLEMENTED,
                "This method is not implemented.".into(),
            ),
            Self::Page {
                site,
                why,
                retry_after,
            } => return page::answer(site, *why, *retry_after, request),
            Self::BadGateway { site, side, .. } => {
                let name = &site.name;
                let text =
                    format!("The site {name} cannot be reached: no answer from its side {side}.");
                return page::without_answer(site, StatusCode::BAD_GATEWAY, &text, request);
            }
            Self::GatewayTimeout { site, side, what } => {
                let name = &site.name;
                let text = format!(
                    "The site {name} took too long: its side {side} did not {what} in time."
                );
                return page::without_answer(site, StatusCode::GATEWAY_TIMEOUT, &text, request);
            }
        };
        short(status, &text, request)
    }
}

/// Makes a short answer of our own, as JSON or in plain text.
fn short(status: StatusCode, text: &str, request: &RequestHead) -> (ResponseHead, Body) {
    let mut headers = Headers::default();
    headers.push("cache-control", "no-store");
    headers.push("vary", "accept");
    let text = match accept::preferred(&request.headers) {
        Form::Json => problem(&mut headers, status, text, &json!({})),
        Form::Html | Form::Text => {
            headers.push("content-type", "text/plain; charset=utf-8");
            format!("{text}\n").into()
        }
    };
    own_answer(status, headers, text)
}

/// Says what is wrong in the way that programs read (RFC 9457), with members of its own.
pub(super) fn problem(
    headers: &mut Headers,
    status: StatusCode,
    detail: &str,
    more: &serde_json::Value,
) -> Bytes {
    headers.push("content-type", "application/problem+json");
    // RFC 9457 §4.2.1: of the type `about:blank` the title is that of the status.
    let mut members = json!({
        "type": "about:blank",
        "title": status.canonical_reason(),
        "status": status.as_u16(),
        "detail": detail,
    });
    if let (Some(members), Some(more)) = (members.as_object_mut(), more.as_object()) {
        members.extend(more.clone());
    }
    format!("{members}\n").into()
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
