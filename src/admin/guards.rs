//! The part of the API for guarded jobs: their leases asked for, renewed and given back.

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Extension, Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

use crate::control::{Begun, Ended, GuardError, GuardRequest, Leader, Lessee, Order};
use crate::site::{GroupName, GuardId, OnFlip, SideName, SiteName};

use super::Parts;
use super::peer::{Peer, who, writer};
use super::problem::Problem;

/// `POST /api/v1/guards`: a job that is to run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GuardBody {
    /// The site it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site: Option<SiteName>,
    /// The group it is for, in the place of `site`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<GroupName>,
    /// The side that is to be active; whichever is when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<SideName>,
    /// The side that is copied onto; left out for a job that is no copy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<SideName>,
    /// What the job is called.
    pub job: String,
    /// The host that it runs on, as that calls itself.
    pub host: String,
    /// What becomes of it at a planned flip; `wait` when left out.
    #[serde(default)]
    pub on_flip: OnFlip,
    /// It may overwrite writes that only its target has; needs a reason.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub accept_loss: bool,
    /// Why, for the journal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// `POST /api/v1/guards/{id}/begin`: what is about to run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BeginBody {
    /// The key of the lease.
    pub key: String,
    /// Its first process, which leads its group.
    pub child: Leader,
}

/// `POST /api/v1/guards/{id}/renew`: the job is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RenewBody {
    /// The key of the lease.
    pub key: String,
}

/// `POST /api/v1/guards/{id}/end`: nothing of the job is left.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EndBody {
    /// The key of the lease.
    pub key: String,
    /// How it ended.
    pub ended: Ended,
    /// The same in words.
    #[serde(default)]
    pub detail: String,
}

/// `POST /api/v1/guards/{id}/release`: somebody knows that the job is gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReleaseBody {
    /// How that is known, for the journal.
    pub reason: String,
}

/// The answer of what has nothing to tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {}

/// Lists the leases that are out.
pub(super) async fn list(State(parts): State<Parts>) -> Response {
    Json(parts.handle.guards().all()).into_response()
}

/// Grants a lease.
pub(super) async fn grant(
    State(parts): State<Parts>,
    Extension(peer): Extension<Peer>,
    body: Result<Json<GuardBody>, JsonRejection>,
) -> Result<Response, Problem> {
    let writer = writer(peer)?;
    let body = read(body)?;
    let request = GuardRequest {
        site: body.site,
        group: body.group,
        from: body.from,
        to: body.to,
        job: body.job,
        host: body.host,
        on_flip: body.on_flip,
        accept_loss: body.accept_loss,
        reason: body.reason,
        who: who(writer).await,
    };
    let granted = parts.handle.grant(request).await;
    let granted = granted.map_err(|error| Problem::from(&error))?;
    let not_kept = [(header::CACHE_CONTROL, "no-store")];
    Ok((StatusCode::CREATED, not_kept, Json(granted)).into_response())
}

/// Notes what is about to run.
pub(super) async fn begin(
    State(parts): State<Parts>,
    Extension(peer): Extension<Peer>,
    Path(id): Path<String>,
    body: Result<Json<BeginBody>, JsonRejection>,
) -> Result<Json<Done>, Problem> {
    let is_near = matches!(peer, Peer::Socket { .. });
    writer(peer)?;
    let BeginBody { key, child } = read(body)?;
    let lessee = lessee(&id, key)?;
    let begun = parts.handle.begin_guarded(lessee, Begun { child, is_near });
    done(begun.await)
}

/// Renews a lease; the answer says what the job is to do.
pub(super) async fn renew(
    State(parts): State<Parts>,
    Extension(peer): Extension<Peer>,
    Path(id): Path<String>,
    body: Result<Json<RenewBody>, JsonRejection>,
) -> Result<Json<Order>, Problem> {
    writer(peer)?;
    let lessee = lessee(&id, read(body)?.key)?;
    let order = parts.handle.renew_guard(lessee).await;
    order.map(Json).map_err(|error| Problem::from(&error))
}

/// Takes a lease back; the answer says what the job was told.
pub(super) async fn end(
    State(parts): State<Parts>,
    Extension(peer): Extension<Peer>,
    Path(id): Path<String>,
    body: Result<Json<EndBody>, JsonRejection>,
) -> Result<Json<Order>, Problem> {
    writer(peer)?;
    let EndBody { key, ended, detail } = read(body)?;
    let lessee = lessee(&id, key)?;
    let order = parts.handle.end_guarded(lessee, ended, detail).await;
    order.map(Json).map_err(|error| Problem::from(&error))
}

/// Ends the lease of an orphan.
pub(super) async fn release(
    State(parts): State<Parts>,
    Extension(peer): Extension<Peer>,
    Path(id): Path<String>,
    body: Result<Json<ReleaseBody>, JsonRejection>,
) -> Result<Json<Done>, Problem> {
    let writer = writer(peer)?;
    let ReleaseBody { reason } = read(body)?;
    let (id, who) = (guard_id(&id)?, who(writer).await);
    done(parts.handle.release_guard(id, reason, who).await)
}

fn done(result: Result<(), GuardError>) -> Result<Json<Done>, Problem> {
    let done = result.map(|()| Json(Done {}));
    done.map_err(|error| Problem::from(&error))
}

fn read<T>(body: Result<Json<T>, JsonRejection>) -> Result<T, Problem> {
    let read = body.map(|Json(body)| body);
    read.map_err(|refused| Problem::new(refused.status(), "bad-body", &refused.body_text()))
}

fn lessee(id: &str, key: String) -> Result<Lessee, Problem> {
    let id = guard_id(id)?;
    Ok(Lessee { id, key })
}

fn guard_id(text: &str) -> Result<GuardId, Problem> {
    let id = text.parse().map(GuardId);
    id.map_err(|_| {
        let detail = format!("{text:?} is no number of a guard");
        Problem::new(StatusCode::NOT_FOUND, "unknown-guard", &detail)
    })
}

impl From<&GuardError> for Problem {
    fn from(error: &GuardError) -> Self {
        let (status, code) = match error {
            GuardError::SiteOrGroup => (StatusCode::UNPROCESSABLE_ENTITY, "site-or-group"),
            GuardError::UnknownSite { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "unknown-site"),
            GuardError::UnknownGroup { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "unknown-group"),
            GuardError::UnknownSide { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "unknown-side"),
            GuardError::SameSide { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "same-side"),
            GuardError::ReasonNeeded => (StatusCode::UNPROCESSABLE_ENTITY, "reason-needed"),
            GuardError::NotActive { .. }
            | GuardError::OntoActive { .. }
            | GuardError::FlipRuns { .. }
            | GuardError::CopyRuns { .. } => (StatusCode::CONFLICT, NOT_ITS_TURN),
            GuardError::WouldLose(_) => (StatusCode::CONFLICT, "would-lose"),
            GuardError::TooMany { .. } => (StatusCode::CONFLICT, "too-many"),
            GuardError::NoLease(_) => (StatusCode::NOT_FOUND, NO_LEASE),
            GuardError::Unknown(_) => (StatusCode::NOT_FOUND, "unknown-guard"),
            GuardError::ToldToEnd(_) => (StatusCode::CONFLICT, NOT_ITS_TURN),
            GuardError::BegunBefore(_) => (StatusCode::CONFLICT, "begun-before"),
            GuardError::NoOrphan(_) => (StatusCode::CONFLICT, "no-orphan"),
            GuardError::InDoubt { .. } => (StatusCode::SERVICE_UNAVAILABLE, "in-doubt"),
            GuardError::NotJournalled(_) => (StatusCode::SERVICE_UNAVAILABLE, "not-journalled"),
            GuardError::Stopping => (StatusCode::SERVICE_UNAVAILABLE, "stopping"),
        };
        Self::new(status, code, &error.to_string())
    }
}

/// The code of a problem that passes by itself: another side is active, a flip or a copy runs.
pub const NOT_ITS_TURN: &str = "not-its-turn";

/// The code of a problem that says that a job is to end: its lease is not out any more.
pub const NO_LEASE: &str = "no-such-lease";
