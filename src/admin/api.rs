//! The API under `/api/v1`: status, sites and flips.

use axum::extract::rejection::JsonRejection;
use axum::extract::{DefaultBodyLimit, Extension, Path, State};
use axum::http::{Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::control::FlipRequest;
use crate::site::{During, FlipId, SideName, SiteName};

use super::peer::{Peer, who};
use super::problem::Problem;
use super::view::{FlipView, SiteView, StatusView};
use super::{Parts, events, health, page, scrape};

/// The largest request body: a flip of every site of a big table is far below.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// `POST /api/v1/flips`: what to move.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FlipBody {
    /// The sites to move.
    pub moves: Vec<MoveBody>,
    /// What users get meanwhile; the site's own word when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub during: Option<During>,
    /// Why, for the journal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// One site to move.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MoveBody {
    /// The site.
    pub site: SiteName,
    /// Where to; may be left out when the site has exactly two sides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<SideName>,
}

/// The answer to `POST /api/v1/flips`: the flip has begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlipAsked {
    /// Its number.
    pub id: FlipId,
}

/// Every path of the admin side.
pub(super) fn router(parts: Parts, stopping: watch::Receiver<bool>) -> Router {
    Router::new()
        .route("/", get(page::status_page))
        .route("/metrics", get(scrape::metrics))
        .merge(health::routes())
        .route("/api/v1/status", get(status))
        .route("/api/v1/sites", get(sites))
        .route("/api/v1/flips", get(flips).post(flip))
        .route("/api/v1/flips/{id}", get(one_flip).delete(cancel))
        .route("/api/v1/flips/{id}/events", get(flip_events))
        .fallback(unknown_path)
        .method_not_allowed_fallback(wrong_method)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(Extension(Stopping(stopping)))
        .with_state(parts)
}

/// Becomes true when the server stops.
#[derive(Clone, Debug)]
struct Stopping(watch::Receiver<bool>);

async fn status(State(parts): State<Parts>) -> Json<StatusView> {
    Json(StatusView::of(&parts))
}

async fn sites(State(parts): State<Parts>) -> Json<Vec<SiteView>> {
    Json(StatusView::of(&parts).sites)
}

async fn flips(State(parts): State<Parts>) -> Response {
    Json(&parts.handle.status().flips).into_response()
}

async fn one_flip(
    State(parts): State<Parts>,
    Path(id): Path<String>,
) -> Result<Json<FlipView>, Problem> {
    let id = flip_id(&id)?;
    let flip = parts.handle.flip_status(id);
    let flip = flip.ok_or_else(|| Problem::no_such_flip(id))?;
    Ok(Json(FlipView::of(&flip, &parts.switchboard)))
}

async fn flip_events(
    State(parts): State<Parts>,
    Extension(Stopping(stopping)): Extension<Stopping>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let id = flip_id(&id)?;
    let known = parts.handle.flip_status(id).is_some();
    if !known {
        return Err(Problem::no_such_flip(id));
    }
    Ok(events::of_flip(id, &parts, stopping))
}

async fn flip(
    State(parts): State<Parts>,
    Extension(peer): Extension<Peer>,
    body: Result<Json<FlipBody>, JsonRejection>,
) -> Result<Response, Problem> {
    let uid = writer(peer)?;
    let Json(body) =
        body.map_err(|refused| Problem::new(refused.status(), "bad-body", &refused.body_text()))?;
    let request = FlipRequest {
        moves: body
            .moves
            .into_iter()
            .map(|step| (step.site, step.to))
            .collect(),
        during: body.during,
        reason: body.reason,
        who: who(uid).await,
    };
    let id = parts
        .handle
        .flip(request)
        .await
        .map_err(|error| Problem::from(&error))?;
    let location = [(header::LOCATION, format!("/api/v1/flips/{id}"))];
    Ok((StatusCode::ACCEPTED, location, Json(FlipAsked { id })).into_response())
}

async fn cancel(
    State(parts): State<Parts>,
    Extension(peer): Extension<Peer>,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    writer(peer)?;
    let id = flip_id(&id)?;
    let cancelled = parts.handle.cancel(id).await;
    cancelled.map_err(|error| Problem::from(&error))?;
    Ok(StatusCode::ACCEPTED)
}

/// Tells who may write: those whom the kernel vouches for.
fn writer(peer: Peer) -> Result<u32, Problem> {
    match peer {
        Peer::Socket { uid } => Ok(uid),
        Peer::Tcp => Err(Problem::new(
            StatusCode::FORBIDDEN,
            "read-only-listener",
            "this listener is read-only: ask over the unix socket, as `pointsman flip` does on the \
             machine of the daemon",
        )),
    }
}

fn flip_id(text: &str) -> Result<FlipId, Problem> {
    text.parse().map(FlipId).map_err(|_| {
        let detail = "a flip is named by its number, as `pointsman status` shows it";
        Problem::new(StatusCode::NOT_FOUND, "unknown-flip", detail)
    })
}

async fn unknown_path(uri: Uri) -> Problem {
    let detail = format!("there is nothing at {}", uri.path());
    Problem::new(StatusCode::NOT_FOUND, "unknown-path", &detail)
}

async fn wrong_method(method: Method, uri: Uri) -> Problem {
    let detail = format!("{method} means nothing at {}", uri.path());
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "wrong-method", &detail)
}
