//! Telling the actor what begins and what is over, and nothing in between.

use std::collections::BTreeSet;

use tokio::sync::mpsc;

use crate::site::{Contradicts, SideName, SiteName};

use super::super::actor::Event;
use super::raised::Said;

/// The way to the actor, for one kind of contradiction.
#[derive(Debug)]
pub(in crate::control) struct Teller {
    kind: Contradicts,
    events: mpsc::Sender<Event>,
    raised: BTreeSet<(SiteName, SideName)>,
}

impl Teller {
    /// Begins with nothing raised.
    pub(in crate::control) fn new(kind: Contradicts, events: mpsc::Sender<Event>) -> Self {
        Self {
            kind,
            events,
            raised: BTreeSet::new(),
        }
    }

    /// Says how it is with a side, if that has changed.
    pub(in crate::control) async fn say(
        &mut self,
        site: &SiteName,
        side: &SideName,
        why: Option<String>,
    ) {
        let key = (site.clone(), side.clone());
        let has_changed = if why.is_some() {
            self.raised.insert(key)
        } else {
            self.raised.remove(&key)
        };
        if has_changed {
            let said = Said {
                site: site.clone(),
                side: side.clone(),
                kind: self.kind,
                why,
            };
            // The actor is gone only when the process ends.
            let _ = self.events.send(Event::Contradiction(said)).await;
        }
    }

    /// Says that all is over but for some sides of a site: that the others serve, or are gone.
    pub(in crate::control) async fn keep(&mut self, site: &SiteName, sides: &[SideName]) {
        let is_over = |(of, side): &&(SiteName, SideName)| of == site && !sides.contains(side);
        let over: Vec<_> = self.raised.iter().filter(is_over).cloned().collect();
        for (site, side) in over {
            self.say(&site, &side, None).await;
        }
    }
}
