//! The part of the API that changes something: a flip begun, or cancelled.

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Extension, Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

use crate::control::{FlipRequest, Forced, What};
use crate::site::{During, FlipId, GroupName, GuardId, SideName, SiteName};

use super::Parts;
use super::conditional;
use super::peer::{Peer, who, writer};
use super::problem::Problem;

/// `POST /api/v1/flips`: what to move, some sites or a group.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FlipBody {
    /// The sites to move.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub moves: Vec<MoveBody>,
    /// The group to move, in the place of `moves`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<GroupName>,
    /// Where the group is to be; may be left out when all of it is on the same one of two sides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<SideName>,
    /// What users get meanwhile; the site's own word when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub during: Option<During>,
    /// Why, for the journal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// An emergency: what is in flight is cut, nothing is copied; needs a reason.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub now: bool,
    /// The names of checks of the target that are gone over, with a reason; or `true` for all of
    /// them, in an emergency.
    #[serde(default, skip_serializing_if = "ForceBody::is_nothing")]
    pub force_check: ForceBody,
    /// Does not wait until a site has stayed as long as its `flip.min_interval` says; needs a
    /// reason.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub force_interval: bool,
    /// Leaves writes behind, overwrites some, or goes to a torn side; needs a reason.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub accept_loss: bool,
    /// The numbers of guarded jobs that an emergency goes over, though they are not proved gone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub over_guards: Vec<GuardId>,
    /// Takes the moves of this flip back, in the place of `moves` and `group`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undo: Option<FlipId>,
    /// Only tells what would happen: 200 with the plan.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
}

/// Which checks are gone over, as it is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    untagged,
    expecting = "`force_check` is a list of names of checks, or true for all"
)]
pub enum ForceBody {
    /// All of them, or none.
    All(bool),
    /// Those of these names.
    Named(Vec<String>),
}

impl Default for ForceBody {
    fn default() -> Self {
        Self::All(false)
    }
}

impl ForceBody {
    fn is_nothing(&self) -> bool {
        *self == Self::default()
    }

    fn forced(self) -> Forced {
        match self {
            Self::All(true) => Forced::All,
            Self::All(false) => Forced::Nothing,
            Self::Named(names) if names.is_empty() => Forced::Nothing,
            Self::Named(names) => Forced::Named(names),
        }
    }
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

impl FlipBody {
    fn what(&mut self) -> Result<What, Problem> {
        let moves = std::mem::take(&mut self.moves);
        let wrong = |detail| {
            let status = StatusCode::UNPROCESSABLE_ENTITY;
            Err(Problem::new(status, "moves-or-group", detail))
        };
        if let Some(flip) = self.undo {
            if moves.is_empty() && self.group.is_none() && self.to.is_none() {
                return Ok(What::Undo(flip));
            }
            return wrong("`undo` says what moves: leave `moves`, `group` and `to` out");
        }
        match (self.group.take(), self.to.take()) {
            (Some(group), to) if moves.is_empty() => Ok(What::Group(group, to)),
            (Some(_), _) => wrong("name the sites in `moves` or a `group`, not both"),
            (None, Some(_)) => wrong("`to` belongs beside a `group`, or into each of the `moves`"),
            (None, None) if moves.is_empty() => wrong("name the sites in `moves`, or a `group`"),
            (None, None) => {
                let steps = moves.into_iter().map(|step| (step.site, step.to));
                Ok(What::Sites(steps.collect()))
            }
        }
    }
}

/// Begins a flip.
pub(super) async fn begin(
    State(parts): State<Parts>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
    body: Result<Json<FlipBody>, JsonRejection>,
) -> Result<Response, Problem> {
    let writer = writer(peer)?;
    let Json(mut body) =
        body.map_err(|refused| Problem::new(refused.status(), "bad-body", &refused.body_text()))?;
    let request = FlipRequest {
        what: body.what()?,
        during: body.during,
        reason: body.reason,
        now: body.now,
        forced: body.force_check.forced(),
        force_interval: body.force_interval,
        accept_loss: body.accept_loss,
        over_guards: body.over_guards,
        expected: conditional::expected(&headers)?,
        key: conditional::request_key(&headers)?,
        who: who(writer).await,
    };
    if body.dry_run {
        let planned = parts.handle.plan(request).await;
        let planned = planned.map_err(|error| Problem::from(&error))?;
        return Ok(Json(planned).into_response());
    }
    let begun = parts.handle.flip(request).await;
    let id = begun.map_err(|error| Problem::from(&error))?;
    let location = [(header::LOCATION, format!("/api/v1/flips/{id}"))];
    Ok((StatusCode::ACCEPTED, location, Json(FlipAsked { id })).into_response())
}

/// Cancels a flip.
pub(super) async fn cancel(
    State(parts): State<Parts>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    writer(peer)?;
    let id = flip_id(&id)?;
    let expected = conditional::expected(&headers)?;
    let cancelled = parts.handle.cancel(id, expected).await;
    cancelled.map_err(|error| Problem::from(&error))?;
    Ok(StatusCode::ACCEPTED)
}

/// Reads the number of a flip in a path.
pub(super) fn flip_id(text: &str) -> Result<FlipId, Problem> {
    text.parse().map(FlipId).map_err(|_| {
        let detail = "a flip is named by its number, as `pointsman status` shows it";
        Problem::new(StatusCode::NOT_FOUND, "unknown-flip", detail)
    })
}
