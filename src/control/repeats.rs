//! Requests that were named by their askers, so that one sent again does not move a site again.

use std::collections::VecDeque;

use crate::site::{During, FlipId, Skipped, Who};

use super::handle::FlipError;
use super::request::{FlipRequest, RequestKey, What};

/// Requests that are remembered; the oldest is forgotten for a new one, and a repeat of it is then
/// a request like any other. People and their scripts repeat within seconds, not after 256 flips.
const REMEMBERED: usize = 256;

/// The last requests that had a key and began a flip, the newest last.
#[derive(Debug, Default)]
pub(super) struct Repeats(VecDeque<Begun>);

/// A request that began a flip.
#[derive(Debug)]
struct Begun {
    key: RequestKey,
    /// Keys are each user's own.
    who: Who,
    asked: Asked,
    flip: FlipId,
}

/// What makes two requests the same.
#[derive(Debug, PartialEq, Eq)]
struct Asked {
    what: What,
    during: Option<During>,
    reason: Option<String>,
    skipped: Vec<Skipped>,
}

impl Repeats {
    /// Finds the flip that a request has begun before.
    pub(super) fn find(&self, request: &FlipRequest) -> Option<Result<FlipId, FlipError>> {
        let key = request.key.as_ref()?;
        let mut begun = self.0.iter();
        let begun = begun.find(|begun| begun.key == *key && begun.who.is(&request.who))?;
        if begun.asked == Asked::of(request) {
            Some(Ok(begun.flip))
        } else {
            Some(Err(FlipError::KeyReused { flip: begun.flip }))
        }
    }

    /// Remembers a request that began a flip; one that was refused may be made again.
    pub(super) fn keep(&mut self, request: &FlipRequest, flip: FlipId) {
        let Some(key) = request.key.clone() else {
            return;
        };
        if self.0.len() == REMEMBERED {
            self.0.pop_front();
        }
        self.0.push_back(Begun {
            key,
            who: request.who.clone(),
            asked: Asked::of(request),
            flip,
        });
    }
}

impl Asked {
    fn of(request: &FlipRequest) -> Self {
        Self {
            what: request.what.clone(),
            during: request.during,
            reason: request.reason.clone(),
            skipped: request.skipped(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::request::{Expected, Forced};
    use crate::site::{GroupName, Via};

    fn request(key: &str, uid: u32, reason: Option<&str>) -> FlipRequest {
        FlipRequest {
            what: What::Group(GroupName::new("web"), None),
            during: None,
            reason: reason.map(str::to_owned),
            now: false,
            forced: Forced::Nothing,
            force_interval: false,
            accept_loss: false,
            over_guards: Vec::new(),
            who: Who {
                name: "alice".into(),
                uid: Some(uid),
                via: Via::Socket,
            },
            expected: Expected::Anything,
            key: RequestKey::new(key),
        }
    }

    #[test]
    fn a_key_is_for_one_request_of_one_user() {
        let mut repeats = Repeats::default();
        repeats.keep(&request("k", 1, None), FlipId(7));

        let other_body = repeats.find(&request("k", 1, Some("disk")));

        assert_eq!(repeats.find(&request("k", 1, None)), Some(Ok(FlipId(7))));
        let reused = FlipError::KeyReused { flip: FlipId(7) };
        assert_eq!(other_body, Some(Err(reused)));
        assert_eq!(repeats.find(&request("k", 2, None)), None);
        assert_eq!(repeats.find(&request("", 1, None)), None);
    }

    #[test]
    fn the_oldest_key_is_forgotten_and_no_more_are_kept() {
        let mut repeats = Repeats::default();
        for id in 0..=REMEMBERED as u64 {
            repeats.keep(&request(&format!("k{id}"), 1, None), FlipId(id));
        }

        assert_eq!(repeats.0.len(), REMEMBERED);
        assert_eq!(repeats.find(&request("k0", 1, None)), None);
        assert_eq!(repeats.find(&request("k1", 1, None)), Some(Ok(FlipId(1))));
    }
}
