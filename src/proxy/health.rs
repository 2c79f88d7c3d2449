//! The answer at `/.well-known/pointsman`: which side and epoch this listener serves.
//!
//! It is given even while a site is held or in maintenance: it is how a flip is confirmed end to
//! end, and how anybody can ask a proxy where it points without reaching an origin.

use http::StatusCode;

use crate::site::{Epoch, Generation, SideName, SiteName};
use crate::switchboard::Lane;

use super::body::Body;
use super::error::own_answer;
use super::head::{Headers, ResponseHead};

/// The path, reserved on every site (RFC 8615).
pub(super) const PATH: &str = "/.well-known/pointsman";

#[derive(serde::Serialize)]
struct Shown<'a> {
    site: &'a SiteName,
    /// `null` while the active side is in doubt.
    side: Option<&'a SideName>,
    epoch: Option<Epoch>,
    generation: Generation,
}

/// Says where a site is served from.
pub(super) fn answer(
    site: &SiteName,
    lane: Option<&Lane>,
    generation: Generation,
) -> (ResponseHead, Body) {
    let shown = Shown {
        site,
        side: lane.map(|lane| &lane.side),
        epoch: lane.map(|lane| lane.epoch),
        generation,
    };
    let mut headers = Headers::default();
    headers.push("content-type", "application/json");
    headers.push("cache-control", "no-store");
    // Names and numbers always have a JSON form; an empty object would fail any confirmation.
    let text = serde_json::to_string(&shown).unwrap_or_else(|_| "{}".into());
    own_answer(StatusCode::OK, headers, (text + "\n").into())
}
