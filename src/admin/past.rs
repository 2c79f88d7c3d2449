//! The part of the API that shows what has happened.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use serde::Deserialize;

use crate::control::{HistoryError, Page, PastFlip};
use crate::site::{FlipId, SiteName};

use super::Parts;
use super::flips::flip_id;
use super::problem::Problem;

/// How many flips a page has when nobody says.
const PAGE: u32 = 20;

/// `GET /api/v1/history`: which flips.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    site: Option<SiteName>,
    before: Option<FlipId>,
    limit: Option<u32>,
    #[serde(default)]
    moved: bool,
}

/// Shows a page of the history, the newest flip first.
pub(super) async fn history(
    State(parts): State<Parts>,
    wanted: Result<Query<Wanted>, QueryRejection>,
) -> Result<Json<Vec<PastFlip>>, Problem> {
    let Query(wanted) = wanted.map_err(|why| Problem::bad_query(&why))?;
    let page = Page {
        site: wanted.site,
        before: wanted.before,
        moved: wanted.moved,
        most: wanted.limit.unwrap_or(PAGE),
    };
    let site = page.site.clone();
    let flips = parts.handle.history(page).await;
    let flips = flips.map_err(|error| Problem::from(&error))?;
    // One that was removed may have a history.
    if let Some(site) = site.filter(|_| flips.is_empty()) {
        let status = parts.handle.status();
        if !status.sites.iter().any(|known| known.name == site) {
            return Err(Problem::no_such_site(&site));
        }
    }
    Ok(Json(flips))
}

/// Shows one flip of the history, with what is known now of the lanes that it closed.
pub(super) async fn one(
    State(parts): State<Parts>,
    Path(id): Path<String>,
) -> Result<Json<PastFlip>, Problem> {
    let flip = parts.handle.past(flip_id(&id)?).await;
    flip.map(Json).map_err(|error| Problem::from(&error))
}

impl From<&HistoryError> for Problem {
    fn from(error: &HistoryError) -> Self {
        let (status, code) = match error {
            HistoryError::Unknown(_) => (StatusCode::NOT_FOUND, "unknown-flip"),
            HistoryError::Journal(_) => (StatusCode::SERVICE_UNAVAILABLE, "no-journal"),
            HistoryError::Stopping => (StatusCode::SERVICE_UNAVAILABLE, "stopping"),
        };
        Self::new(status, code, &error.to_string())
    }
}
