//! Health for load balancers and service managers.

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::get;

use crate::site::SiteName;

use super::Parts;

/// The paths under `/-/`.
pub(super) fn routes() -> Router<Parts> {
    Router::new()
        .route("/-/healthy", get(healthy))
        .route("/-/ready", get(ready))
        .route("/-/ready/{site}", get(site_ready))
}

async fn healthy() -> &'static str {
    "healthy\n"
}

async fn ready(State(parts): State<Parts>) -> (StatusCode, String) {
    let generation = parts.switchboard.load().generation;
    // Generation 0 is what a switchboard has before the first table.
    if generation.0 == 0 {
        let reason = "no table is served yet\n".to_owned();
        return (StatusCode::SERVICE_UNAVAILABLE, reason);
    }
    (StatusCode::OK, format!("ready: table {generation}\n"))
}

async fn site_ready(State(parts): State<Parts>, Path(name): Path<String>) -> (StatusCode, String) {
    let snapshot = parts.switchboard.current();
    let Some(view) = snapshot.site(&SiteName::new(&name)) else {
        let reason = "the table has no such site\n".to_owned();
        return (StatusCode::NOT_FOUND, reason);
    };
    match &view.lane {
        Some(lane) => (
            StatusCode::OK,
            format!(
                "ready: {name} is on {} at epoch {}\n",
                lane.side, lane.epoch
            ),
        ),
        None => (
            StatusCode::SERVICE_UNAVAILABLE,
            format!("the active side of {name} is in doubt: `pointsman status` says why\n"),
        ),
    }
}
