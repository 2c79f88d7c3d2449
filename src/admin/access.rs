//! The part of the API that changes what users may do with a site, or with a part of it.

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Extension, Path, State};
use axum::http::StatusCode;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::control::{AccessError, AccessRequest, Cleared, Place};
use crate::site::{Access, SiteName};

use super::Parts;
use super::peer::{Peer, who, writer};
use super::problem::Problem;

/// `PUT /api/v1/sites/{site}/access`: what users may do from now on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccessBody {
    /// What users may do.
    pub access: Access,
    /// The prefix of a part under `paths:`; the whole site when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Why, for the journal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When users are told to come back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub back_at: Option<Timestamp>,
}

/// The answer: the change is in force, and what it forbids has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessChanged {
    /// What users may do now.
    pub access: Access,
    /// Something of what is forbidden now was in flight until the deadline, and was cut.
    pub cut: bool,
}

/// Changes an access, and answers when what that forbids has drained or been cut.
pub(super) async fn change(
    State(parts): State<Parts>,
    Extension(peer): Extension<Peer>,
    Path(site): Path<String>,
    body: Result<Json<AccessBody>, JsonRejection>,
) -> Result<Json<AccessChanged>, Problem> {
    let writer = writer(peer)?;
    let Json(body) =
        body.map_err(|refused| Problem::new(refused.status(), "bad-body", &refused.body_text()))?;
    let access = body.access;
    let request = AccessRequest {
        place: Place {
            site: SiteName::new(&site),
            prefix: body.path.unwrap_or_default(),
        },
        access,
        reason: body.reason,
        back_at: body.back_at,
        who: who(writer).await,
    };
    let cleared = parts.handle.access(request).await;
    let cleared = cleared.map_err(|error| Problem::from(&error))?;
    Ok(Json(AccessChanged {
        access,
        cut: cleared == Cleared::WasCut,
    }))
}

impl From<&AccessError> for Problem {
    fn from(error: &AccessError) -> Self {
        let (status, code) = match error {
            AccessError::UnknownSite(_) => (StatusCode::NOT_FOUND, "unknown-site"),
            AccessError::UnknownPart(..) => (StatusCode::UNPROCESSABLE_ENTITY, "unknown-part"),
            AccessError::NotJournalled(..) => (StatusCode::SERVICE_UNAVAILABLE, "not-journalled"),
            AccessError::Superseded(_) => (StatusCode::CONFLICT, "superseded"),
            AccessError::Stuck(_) => (StatusCode::INTERNAL_SERVER_ERROR, "stuck"),
            AccessError::Stopping => (StatusCode::SERVICE_UNAVAILABLE, "stopping"),
        };
        Self::new(status, code, &error.to_string())
    }
}
