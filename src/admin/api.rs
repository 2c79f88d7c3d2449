//! The API under `/api/v1`: status, sites and flips.

use axum::extract::rejection::QueryRejection;
use axum::extract::{DefaultBodyLimit, Extension, Path, Query, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use serde::Deserialize;
use tokio::sync::watch;

use crate::site::SiteName;

use super::conditional::document;
use super::flips::flip_id;
use super::problem::Problem;
use super::view::{FlipView, StatusView};
use super::{
    Parts, access, events, flips as changing, guards, health, invite, page, past, role, scrape,
};

/// The largest request body: a flip of every site of a big table is far below.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// Every path of the admin side.
pub(super) fn router(parts: Parts, stopping: watch::Receiver<bool>) -> Router {
    Router::new()
        .route("/", get(page::status_page))
        .route("/metrics", get(scrape::metrics))
        .merge(health::routes())
        .route("/api/v1/status", get(status))
        .route("/api/v1/sites", get(sites))
        .route("/api/v1/sites/{site}/access", put(access::change))
        .route("/api/v1/sites/{site}/role", get(role::role))
        .route("/api/v1/sites/{site}/invites", post(invite::invite))
        .route("/api/v1/events", get(all_events))
        .route("/api/v1/guards", get(guards::list).post(guards::grant))
        .route("/api/v1/guards/{id}/begin", post(guards::begin))
        .route("/api/v1/guards/{id}/renew", post(guards::renew))
        .route("/api/v1/guards/{id}/end", post(guards::end))
        .route("/api/v1/guards/{id}/release", post(guards::release))
        .route("/api/v1/flips", get(flips).post(changing::begin))
        .route("/api/v1/flips/{id}", get(one_flip).delete(changing::cancel))
        .route("/api/v1/history", get(past::history))
        .route("/api/v1/history/{id}", get(past::one))
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

async fn status(State(parts): State<Parts>, headers: HeaderMap) -> Response {
    let status = parts.handle.status();
    document(&headers, &status.version, || {
        StatusView::of(&status, &parts)
    })
}

async fn sites(State(parts): State<Parts>, headers: HeaderMap) -> Response {
    let status = parts.handle.status();
    document(&headers, &status.version, || {
        StatusView::of(&status, &parts).sites
    })
}

async fn flips(State(parts): State<Parts>) -> Response {
    Json(&parts.handle.status().flips).into_response()
}

async fn one_flip(
    State(parts): State<Parts>,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let id = flip_id(&id)?;
    let flip = parts.handle.flip_status(id);
    let flip = flip.ok_or_else(|| Problem::no_such_flip(id))?;
    let make = || FlipView::of(&flip, &parts.switchboard);
    Ok(document(&headers, &flip.version(), make))
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

/// Which site a stream is about; all when it is left out.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct About {
    site: Option<SiteName>,
}

async fn all_events(
    State(parts): State<Parts>,
    Extension(Stopping(stopping)): Extension<Stopping>,
    about: Result<Query<About>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(About { site }) = about.map_err(|why| Problem::bad_query(&why))?;
    if let Some(site) = &site
        && !parts
            .handle
            .status()
            .sites
            .iter()
            .any(|known| known.name == *site)
    {
        return Err(Problem::no_such_site(site));
    }
    Ok(events::of_everything(site, &parts, stopping))
}

async fn unknown_path(uri: Uri) -> Problem {
    let detail = format!("there is nothing at {}", uri.path());
    Problem::new(StatusCode::NOT_FOUND, "unknown-path", &detail)
}

async fn wrong_method(method: Method, uri: Uri) -> Problem {
    let detail = format!("{method} means nothing at {}", uri.path());
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "wrong-method", &detail)
}
