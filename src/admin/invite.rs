//! The part of the API that invites operators behind the page of a site.

use std::time::Duration;

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Extension, Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::control::{InviteError, InviteRequest};
use crate::site::SiteName;

use super::Parts;
use super::peer::{Peer, who, writer};
use super::problem::Problem;

/// How long a link is good when nobody says: about as long as one look at the new side takes.
const FOR_S: u64 = 3600;

/// `POST /api/v1/sites/{site}/invites`: a link for an operator.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InviteBody {
    /// How long it is good, in seconds: 60 to 604800; an hour when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub for_s: Option<u64>,
}

/// The answer: the link, which is told this once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invited {
    /// Whoever opens it is invited.
    pub url: String,
    /// From then on it is good for nothing.
    pub expires: Timestamp,
}

/// Writes an invitation.
pub(super) async fn invite(
    State(parts): State<Parts>,
    Extension(peer): Extension<Peer>,
    Path(site): Path<String>,
    body: Result<Json<InviteBody>, JsonRejection>,
) -> Result<Response, Problem> {
    let writer = writer(peer)?;
    let Json(body) =
        body.map_err(|refused| Problem::new(refused.status(), "bad-body", &refused.body_text()))?;
    let request = InviteRequest {
        site: SiteName::new(&site),
        lasting: Duration::from_secs(body.for_s.unwrap_or(FOR_S)),
        who: who(writer).await,
    };
    let invited = parts.handle.invite(request).await;
    let invited = invited.map_err(|error| Problem::from(&error))?;
    let invited = Invited {
        url: invited.url,
        expires: invited.expires,
    };
    let not_kept = [(header::CACHE_CONTROL, "no-store")];
    Ok((StatusCode::CREATED, not_kept, Json(invited)).into_response())
}

impl From<&InviteError> for Problem {
    fn from(error: &InviteError) -> Self {
        let (status, code) = match error {
            InviteError::UnknownSite(_) => (StatusCode::NOT_FOUND, "unknown-site"),
            InviteError::OutOfRange(_) => (StatusCode::UNPROCESSABLE_ENTITY, "out-of-range"),
            InviteError::NoAddress(_) => (StatusCode::UNPROCESSABLE_ENTITY, "no-address"),
            InviteError::Off(_) => (StatusCode::SERVICE_UNAVAILABLE, "invitations-off"),
            InviteError::NotJournalled(..) => (StatusCode::SERVICE_UNAVAILABLE, "not-journalled"),
            InviteError::Stopping => (StatusCode::SERVICE_UNAVAILABLE, "stopping"),
        };
        Self::new(status, code, &error.to_string())
    }
}
