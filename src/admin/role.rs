//! The role of a side: "may I write?", for scripts, and for an origin's web server at each request.
//!
//! The answer is read off the current snapshot and its gates, with no way through the actor, so it
//! changes at the very instants of a flip: the old side's yes ends when the last write that was let
//! in has ended, and the new side's begins with the publication. Between the two it is no for both.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

use crate::site::{Access, Epoch, SideName, SiteName};
use crate::switchboard::{Claim, Gates, Kind, Lane, Writing};
use crate::table::FenceKey;

use super::Parts;
use super::problem::Problem;

/// By these a web server asks on behalf of a request that came to it.
const EPOCH: HeaderName = HeaderName::from_static("pointsman-epoch");
const SIGNATURE: HeaderName = HeaderName::from_static("pointsman-signature");

/// Which side asks; the active one when it is left out.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    side: Option<SideName>,
}

/// The answer.
#[derive(Debug, Serialize)]
struct RoleView<'a> {
    site: &'a SiteName,
    side: Option<&'a SideName>,
    role: Role,
    may_write: bool,
    why: Why,
    epoch: Option<Epoch>,
    access: Option<Access>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Role {
    Active,
    Standby,
    Unknown,
}

/// Why a side may write, or may not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Why {
    /// It is the active one.
    Active,
    /// A flip waits for the writes that were let in before it.
    Draining,
    /// A flip lets nobody write, on any side.
    Held,
    /// `access` forbids it.
    Access,
    /// The request that is asked for is of another epoch.
    Stale,
    /// It is not signed, or not by a key of the table, or too long ago.
    Unsigned,
    /// Another side is the active one.
    Standby,
    /// Nobody knows which one is.
    Doubt,
}

impl Why {
    fn may_write(self) -> bool {
        match self {
            Self::Active | Self::Draining => true,
            Self::Held
            | Self::Access
            | Self::Stale
            | Self::Unsigned
            | Self::Standby
            | Self::Doubt => false,
        }
    }
}

/// Tells whether a side may be written to.
pub(super) async fn role(
    State(parts): State<Parts>,
    Path(site): Path<String>,
    asked: Result<Query<Asked>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let Query(Asked { side }) = asked.map_err(|why| Problem::bad_query(&why))?;
    let site = SiteName::new(&site);
    let snapshot = parts.switchboard.load();
    let view = snapshot
        .site(&site)
        .ok_or_else(|| Problem::no_such_site(&site))?;
    if let Some(side) = side.as_ref().filter(|side| view.site.side(side).is_none()) {
        return Err(no_such_side(&site, side));
    }
    let Some(lane) = &view.lane else {
        return Ok(in_doubt(&site, side.as_ref()));
    };
    let keys = &snapshot.table.fence;
    let why = match (&side, headers.get(&EPOCH)) {
        (Some(side), _) if *side != lane.side => Why::Standby,
        (_, Some(epoch)) => on_behalf(epoch, lane, keys, &headers),
        (_, None) => by_itself(&lane.gates),
    };
    let may_write = why.may_write();
    let status = if may_write || side.is_none() {
        StatusCode::OK
    } else {
        StatusCode::FORBIDDEN
    };
    let shown = RoleView {
        site: &site,
        side: Some(side.as_ref().unwrap_or(&lane.side)),
        role: if why == Why::Standby {
            Role::Standby
        } else {
            Role::Active
        },
        may_write,
        why,
        epoch: Some(lane.epoch),
        access: Some(lane.gates.access()),
    };
    let epoch = HeaderValue::from(lane.epoch.0);
    Ok((status, [(EPOCH, epoch)], fresh(&shown)).into_response())
}

/// Looks at the active side for whoever asks by himself: no gate counts what he writes, so nothing
/// would wait for the end of it.
fn by_itself(gates: &Gates) -> Why {
    match gates.writing() {
        Writing::Draining | Writing::Over => Why::Held,
        Writing::Open if gates.forbids(Kind::Write) => Why::Access,
        Writing::Open => Why::Active,
    }
}

/// Looks at the active side on behalf of a request of some epoch, which says that it was let in.
///
/// What `access` forbids was looked at then, and some get past it.
fn on_behalf(epoch: &HeaderValue, lane: &Lane, keys: &[FenceKey], headers: &HeaderMap) -> Why {
    if epoch.as_bytes() != lane.epoch.to_string().as_bytes() {
        return Why::Stale;
    }
    let claim = Claim {
        site: &lane.site,
        side: &lane.side,
        epoch: lane.epoch,
    };
    let signature = headers.get(&SIGNATURE).map(HeaderValue::as_bytes);
    if !keys.is_empty() && !claim.is_signed(keys, signature.unwrap_or_default(), now_s()) {
        return Why::Unsigned;
    }
    match lane.gates.writing() {
        Writing::Open => Why::Active,
        Writing::Draining => Why::Draining,
        Writing::Over => Why::Held,
    }
}

fn in_doubt(site: &SiteName, side: Option<&SideName>) -> Response {
    let shown = RoleView {
        site,
        side,
        role: Role::Unknown,
        may_write: false,
        why: Why::Doubt,
        epoch: None,
        access: None,
    };
    (StatusCode::SERVICE_UNAVAILABLE, fresh(&shown)).into_response()
}

/// An answer that is good for this instant only.
fn fresh(shown: &RoleView<'_>) -> impl IntoResponse {
    ([(header::CACHE_CONTROL, "no-store")], Json(shown)).into_response()
}

fn no_such_side(site: &SiteName, side: &SideName) -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "unknown-side",
        &format!("site {site} has no side {side}: `pointsman status {site}` shows them"),
    )
}

fn now_s() -> u64 {
    // With a clock before the epoch nothing is signed in time.
    std::time::UNIX_EPOCH
        .elapsed()
        .map_or(0, |now| now.as_secs())
}
