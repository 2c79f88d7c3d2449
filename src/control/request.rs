//! What a flip is asked for with: what is to move, and what has to be as the asker saw it.

use crate::site::{During, FlipId, GroupName, GuardId, SideName, SiteName, Skipped, Who};

use super::handle::FlipError;

/// Asks for a flip.
#[derive(Clone, Debug)]
pub struct FlipRequest {
    /// What is to move.
    pub what: What,
    /// What users get meanwhile; the site's own word when left out.
    pub during: Option<During>,
    /// Why, for the journal; blanks alone are no reason.
    pub reason: Option<String>,
    /// An emergency: the active side is dead, or is to be taken as dead.
    pub now: bool,
    /// Which checks of the target are gone over.
    pub forced: Forced,
    /// Does not wait until a site has stayed as long as it is to, with a reason.
    pub force_interval: bool,
    /// Leaves writes behind, overwrites some, or goes to a torn side, with a reason.
    pub accept_loss: bool,
    /// Guarded jobs that an emergency goes over, though they are not proved gone.
    pub over_guards: Vec<GuardId>,
    /// Who asks.
    pub who: Who,
    /// What the asker has looked at.
    pub expected: Expected,
    /// Names the request, so that it can be sent again by one who did not hear the answer.
    pub key: Option<RequestKey>,
}

impl FlipRequest {
    /// Shows the reason, if there is one in it.
    pub(super) fn reason(&self) -> Option<&str> {
        let reason = self.reason.as_deref().map(str::trim);
        reason.filter(|reason| !reason.is_empty())
    }

    /// Lists what the flip leaves out; nothing, when it is planned and every check counts.
    pub(super) fn skipped(&self) -> Vec<Skipped> {
        let emergency = [Skipped::Drain, Skipped::Sync];
        let mut skipped = Vec::from_iter(emergency.into_iter().filter(|_| self.now));
        match &self.forced {
            Forced::Nothing => {}
            Forced::All => skipped.push(Skipped::Checks),
            Forced::Named(names) => {
                let each = names
                    .iter()
                    .map(|name| Skipped::Check(name.as_str().into()));
                skipped.extend(each);
            }
        }
        skipped.extend(self.force_interval.then_some(Skipped::Interval));
        skipped.extend(self.accept_loss.then_some(Skipped::Loss));
        skipped.extend(self.over_guards.iter().copied().map(Skipped::Guard));
        skipped
    }

    /// Looks whether the request makes sense, whatever the sites are like.
    pub(super) fn check(&self) -> Result<(), FlipError> {
        let has_reason = self.reason().is_some();
        if (self.force_interval || self.accept_loss) && !has_reason {
            return Err(FlipError::ForceWithoutReason);
        }
        if !self.now && !self.over_guards.is_empty() {
            return Err(FlipError::OverWithoutNow);
        }
        match (self.now, &self.forced) {
            (false, Forced::All) => Err(FlipError::ForceWithoutNow),
            (false, Forced::Named(_)) if !has_reason => Err(FlipError::ForceWithoutReason),
            (true, _) if self.during.is_some() => Err(FlipError::DuringWithNow),
            (true, _) if !has_reason => Err(FlipError::ReasonNeeded),
            (true, _) | (false, Forced::Nothing | Forced::Named(_)) => Ok(()),
        }
    }
}

/// Which checks of the target a flip goes over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Forced {
    /// None: all must pass.
    #[default]
    Nothing,
    /// All: the target is taken as it is; in an emergency only.
    All,
    /// Those of these names; every other must pass.
    Named(Vec<String>),
}

/// What is to move.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// These sites, and where to; without a side: to the other one of exactly two.
    Sites(Vec<(SiteName, Option<SideName>)>),
    /// All sites of a group that are not there yet; without a side: to the other one of two.
    Group(GroupName, Option<SideName>),
    /// All that this flip has moved, back to where it came from.
    Undo(FlipId),
}

/// What a request was made in view of: it is not carried out when that has changed since.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Expected {
    /// Whatever there is.
    #[default]
    Anything,
    /// One of these versions.
    OneOf(Vec<String>),
}

impl Expected {
    /// Tells whether a version is one that was looked at.
    pub(super) fn is_met_by(&self, version: &str) -> bool {
        match self {
            Self::Anything => true,
            Self::OneOf(versions) => versions.iter().any(|seen| seen == version),
        }
    }
}

/// The name that a client gives to a request: 1 to 64 visible ASCII characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestKey(String);

impl RequestKey {
    /// The longest key; the usual UUIDs have 36.
    pub const LETTERS_MAX: usize = 64;

    /// Takes a text as a key; `None` when it is none.
    pub fn new(text: &str) -> Option<Self> {
        let is_key = (1..=Self::LETTERS_MAX).contains(&text.len())
            && text.bytes().all(|letter| letter.is_ascii_graphic());
        is_key.then(|| Self(text.to_owned()))
    }
}
