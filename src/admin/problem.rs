//! Errors of the API as problem documents (RFC 9457): the one place that picks their status.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

use crate::control::{CancelError, FlipError};
use crate::site::{FlipId, SiteName};

/// A problem document (RFC 9457 §3.1), with a `code` for programs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// Always `about:blank`: the status and the code say what kind it is (RFC 9457 §4.2.1).
    #[serde(rename = "type")]
    pub kind: String,
    /// The reason phrase of the status (RFC 9457 §4.2.1).
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What is wrong with this request, and what to do.
    pub detail: String,
    /// A word that stays the same when the sentences are improved.
    pub code: String,
}

impl Problem {
    /// Describes what is wrong with a request.
    pub(super) fn new(status: StatusCode, code: &str, detail: &str) -> Self {
        Self {
            kind: "about:blank".into(),
            title: status.canonical_reason().unwrap_or("Error").into(),
            status: status.as_u16(),
            detail: detail.into(),
            code: code.into(),
        }
    }

    /// Says that the journal and the memory of this daemon have no such flip.
    pub(super) fn no_such_flip(id: FlipId) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "unknown-flip",
            &format!("no flip {id} runs or has lately ended"),
        )
    }
}

impl Problem {
    /// Says what is wrong with the part of an address after the question mark.
    pub(super) fn bad_query(why: &QueryRejection) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad-query", &why.body_text())
    }

    /// Says that the table has no such site.
    pub(super) fn no_such_site(site: &SiteName) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "unknown-site",
            &format!("there is no site {site}: `pointsman status` lists them"),
        )
    }
}

impl From<&FlipError> for Problem {
    fn from(error: &FlipError) -> Self {
        let (status, code) = match error {
            FlipError::NoMoves => (StatusCode::UNPROCESSABLE_ENTITY, "no-moves"),
            FlipError::TooMany { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "too-many"),
            FlipError::UnknownSite { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "unknown-site"),
            FlipError::UnknownGroup { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "unknown-group"),
            FlipError::GroupApart { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "side-needed"),
            FlipError::GroupAlreadyThere { .. } => (StatusCode::CONFLICT, "already-there"),
            // RFC 9110 §15.5.13.
            FlipError::Changed => (StatusCode::PRECONDITION_FAILED, "state-changed"),
            FlipError::KeyReused { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "key-reused"),
            FlipError::ReasonNeeded => (StatusCode::UNPROCESSABLE_ENTITY, "reason-needed"),
            FlipError::DuringWithNow => (StatusCode::UNPROCESSABLE_ENTITY, "during-with-now"),
            FlipError::ForceWithoutNow => (StatusCode::UNPROCESSABLE_ENTITY, "force-without-now"),
            FlipError::ForceWithoutReason => (StatusCode::UNPROCESSABLE_ENTITY, "reason-needed"),
            FlipError::UnknownCheck { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "unknown-check"),
            FlipError::UnknownGuard { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "unknown-guard"),
            FlipError::OverWithoutNow => (StatusCode::UNPROCESSABLE_ENTITY, "over-without-now"),
            FlipError::Twice { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "site-named-twice"),
            FlipError::UnknownSide { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "unknown-side"),
            FlipError::SideNeeded { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "side-needed"),
            FlipError::AlreadyThere { .. } => (StatusCode::CONFLICT, "already-there"),
            FlipError::NotUndone { .. } => (StatusCode::CONFLICT, "not-undone"),
            FlipError::Conflict { .. } => (StatusCode::CONFLICT, "flip-in-progress"),
            FlipError::HooksRun { .. } => (StatusCode::CONFLICT, "hooks-run"),
            FlipError::InDoubt { .. } => (StatusCode::SERVICE_UNAVAILABLE, "in-doubt"),
            FlipError::Stopping => (StatusCode::SERVICE_UNAVAILABLE, "stopping"),
        };
        Self::new(status, code, &error.to_string())
    }
}

impl From<&CancelError> for Problem {
    fn from(error: &CancelError) -> Self {
        let (status, code) = match error {
            CancelError::NotRunning(_) => (StatusCode::NOT_FOUND, "unknown-flip"),
            CancelError::Changed(_) => (StatusCode::PRECONDITION_FAILED, "state-changed"),
            CancelError::TooLate(..) => (StatusCode::CONFLICT, "too-late"),
            CancelError::Stopping => (StatusCode::SERVICE_UNAVAILABLE, "stopping"),
        };
        Self::new(status, code, &error.to_string())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, Json(self)).into_response();
        // RFC 9457 §3: the media type of a problem document.
        response.headers_mut().insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::site::SiteName;

    #[test]
    fn a_flip_that_meets_another_is_a_conflict_that_names_it() {
        let error = FlipError::Conflict {
            site: SiteName::new("ispot"),
            flip: FlipId(7),
        };

        let problem = Problem::from(&error);

        assert_eq!(problem.status, 409);
        assert_eq!(problem.code, "flip-in-progress");
        assert!(problem.detail.contains("flip 7"), "{}", problem.detail);
    }

    #[test]
    fn a_problem_is_sent_with_its_status_and_media_type() {
        let response = Problem::from(&CancelError::NotRunning(FlipId(3))).into_response();

        assert_eq!(response.status(), StatusCode::NOT_FOUND);
        let media_type = &response.headers()[header::CONTENT_TYPE];
        assert_eq!(media_type, "application/problem+json");
    }

    #[test]
    fn a_stopping_daemon_is_unavailable_for_flips_and_cancels_alike() {
        assert_eq!(Problem::from(&FlipError::Stopping).status, 503);
        assert_eq!(Problem::from(&CancelError::Stopping).status, 503);
    }
}
