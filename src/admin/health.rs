//! Health for load balancers and service managers.

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::get;

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

/// There is a table from the first moment that anybody can ask.
async fn ready(State(parts): State<Parts>) -> String {
    format!("ready: table {}\n", parts.handle.status().generation)
}

/// Says what is acknowledged, as `status` does: the new side only when its flip has ended.
async fn site_ready(State(parts): State<Parts>, Path(name): Path<String>) -> (StatusCode, String) {
    let status = parts.handle.status();
    let Some(site) = status.sites.iter().find(|site| site.name.as_str() == name) else {
        let reason = "the table has no such site\n".to_owned();
        return (StatusCode::NOT_FOUND, reason);
    };
    match &site.active {
        Some(side) => {
            let epoch = site.epoch;
            (
                StatusCode::OK,
                format!("ready: {name} is on {side} at epoch {epoch}\n"),
            )
        }
        None => (
            StatusCode::SERVICE_UNAVAILABLE,
            format!("the active side of {name} is in doubt: `pointsman status` says why\n"),
        ),
    }
}
