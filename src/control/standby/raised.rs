//! What is raised: journalled, logged and shown by the actor.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::journal::BookEvent;
use crate::site::{Contradicts, SideName, SiteName};

use super::super::actor::Actor;

/// A side that does not serve and does not behave so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contradiction {
    /// The side.
    pub side: SideName,
    /// What it contradicts.
    pub kind: Contradicts,
    /// When that was found.
    pub since: Timestamp,
    /// How, in words, and what to do.
    pub why: String,
}

/// What a round has found: one is raised, or over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::control) struct Said {
    pub(in crate::control) site: SiteName,
    pub(in crate::control) side: SideName,
    pub(in crate::control) kind: Contradicts,
    /// `None` when it is over.
    pub(in crate::control) why: Option<String>,
}

/// What is raised, by site.
pub(in crate::control) type Raised = BTreeMap<SiteName, Vec<Contradiction>>;

impl Actor {
    /// Takes what the rounds found.
    pub(in crate::control) fn hear_of_contradiction(&mut self, said: Said) {
        let Said {
            site,
            side,
            kind,
            why,
        } = said;
        let of_site = self.contradictions.entry(site.clone()).or_default();
        of_site.retain(|raised| !(raised.side == side && raised.kind == kind));
        match why {
            Some(why) => {
                let event = BookEvent {
                    site,
                    what: "contradiction",
                    detail: format!("{kind}: {why}"),
                };
                of_site.push(Contradiction {
                    side,
                    kind,
                    since: Timestamp::now(),
                    why,
                });
                self.journal_data(&[event]);
            }
            None => {
                if of_site.is_empty() {
                    self.contradictions.remove(&site);
                }
                tracing::info!(%site, %side, %kind, "a contradiction is over");
            }
        }
        self.show();
    }
}
