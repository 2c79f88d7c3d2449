//! Access: what users may do with a site or a part of it, apart from any flip.
//!
//! It is as the file says, until an operator says otherwise; that holds until the file says
//! something else than it did then. Whatever is forbidden has ended when an operator is told that
//! it is: it drains for as long as the site drains in a flip, and is cut then.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::oneshot;

use crate::journal::{AccessRecord, Place};
use crate::site::{Access, SiteName, Who};
use crate::switchboard::{Cut, Gates, Snapshot, Switchboard};

use super::actor::Actor;

/// How long what was cut may take to be gone; closing a socket takes microseconds.
const CUT_GRACE: Duration = Duration::from_secs(5);

/// Asks for another access.
#[derive(Clone, Debug)]
pub struct AccessRequest {
    /// Where.
    pub place: Place,
    /// What users may do there from now on.
    pub access: Access,
    /// Why, for the journal.
    pub reason: Option<String>,
    /// When users are told to come back.
    pub back_at: Option<Timestamp>,
    /// Who asks.
    pub who: Who,
}

/// How a change of access ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cleared {
    /// What it forbids has ended by itself, or nothing was in flight.
    Drained,
    /// What was left of it at the deadline was cut.
    WasCut,
}

/// Why an access was not changed, or not all that it forbids is known to have ended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AccessError {
    /// The table has no such site; the asker is at fault.
    #[error("there is no site {0}: `pointsman status` lists them")]
    UnknownSite(SiteName),
    /// The site has no such part; the asker is at fault.
    #[error("site {site} has no part {prefix} under `paths:`; it has: {known}", site = .0.site, prefix = .0.prefix, known = .1)]
    UnknownPart(Place, String),
    /// Nothing can be journalled, and so nothing was changed; the machine is at fault.
    #[error("the access of {0} was not changed, as it could not be journalled: {1}")]
    NotJournalled(Place, String),
    /// Another change of the same place came meanwhile, and holds now.
    #[error("the access of {0} was changed again meanwhile: `pointsman status` shows it")]
    Superseded(Place),
    /// What it forbids is still at work: a worker is stuck.
    #[error("the access of {0} is changed, but what was cut is not gone: see the log")]
    Stuck(Place),
    /// The daemon is stopping.
    #[error("the daemon is stopping")]
    Stopping,
}

/// Where the outcome of a request goes.
pub(super) type Reply = oneshot::Sender<Result<Cleared, AccessError>>;

impl Actor {
    /// Changes an access for an operator, who is told when what it forbids has ended.
    pub(super) fn change_access(&mut self, request: AccessRequest, reply: Reply) {
        let place = request.place.clone();
        match self.journal_access(request) {
            Ok(()) => self.apply_access(&place, Some(reply)),
            Err(why) => {
                // A caller that went away does not need its answer.
                let _ = reply.send(Err(why));
            }
        }
        self.show();
    }

    fn journal_access(&mut self, request: AccessRequest) -> Result<(), AccessError> {
        let place = request.place;
        let word = self.word_of(&place)?;
        let said = AccessRecord {
            word,
            access: request.access,
            reason: request.reason,
            back_at: request.back_at,
            who: request.who,
            at: Timestamp::now(),
        };
        let ledger = &mut self.ledger;
        let failed = |why: String| AccessError::NotJournalled(place.clone(), why);
        let journal = ledger.journal.as_mut().map_err(|why| failed(why.clone()))?;
        let says_the_same = said.access == word && said.back_at.is_none();
        if says_the_same {
            let why = format!("by {}", said.who.name);
            let written = journal.access_unsaid(&place, &why, said.at);
            written.map_err(|error| failed(error.to_string()))?;
            ledger.accesses.remove(&place);
        } else {
            let written = journal.access_said(&place, &said);
            written.map_err(|error| failed(error.to_string()))?;
            ledger.accesses.insert(place.clone(), said);
        }
        Ok(())
    }

    /// What the file says of a place.
    fn word_of(&self, place: &Place) -> Result<Access, AccessError> {
        let unknown = || AccessError::UnknownSite(place.site.clone());
        let site = self.table.site(place.site.as_str()).ok_or_else(unknown)?;
        if place.prefix.is_empty() {
            let words = self.table.words.get(&place.site);
            return Ok(words.map_or(Access::Open, |words| words.access));
        }
        let rule = site.paths.iter().find(|rule| rule.prefix == place.prefix);
        rule.map(|rule| rule.access).ok_or_else(|| {
            let known: Vec<_> = site.paths.iter().map(|rule| rule.prefix.as_str()).collect();
            let known = if known.is_empty() {
                "none".to_owned()
            } else {
                known.join(", ")
            };
            AccessError::UnknownPart(place.clone(), known)
        })
    }

    /// Has the gates of some sites let in what holds there, after a table was published: what an
    /// operator said of a place no longer holds when the file says something else than then.
    pub(super) fn follow_access(&mut self, sites: &BTreeSet<&SiteName>) {
        let said = self.ledger.accesses.keys();
        for place in said.cloned().collect::<Vec<_>>() {
            self.forget_outdated(&place);
        }
        for &site in sites {
            let found = self.table.site(site.as_str());
            let parts = found.into_iter().flat_map(|site| &site.paths);
            let prefixes = parts.map(|rule| rule.prefix.clone()).chain([String::new()]);
            for prefix in prefixes.collect::<Vec<_>>() {
                let site = site.clone();
                let place = Place { site, prefix };
                if self.access_differs_at_gates(&place) {
                    self.apply_access(&place, None);
                }
            }
        }
    }

    fn forget_outdated(&mut self, place: &Place) {
        let Some(said) = self.ledger.accesses.get(place) else {
            return;
        };
        if self.word_of(place) == Ok(said.word) {
            return;
        }
        self.ledger.accesses.remove(place);
        if let Ok(journal) = &mut self.ledger.journal
            && let Err(error) = journal.access_unsaid(place, "by an edit", Timestamp::now())
        {
            tracing::error!(%place, %error, "an edit of access could not be journalled");
        }
    }

    /// Has the gates let in what operators have said, before anybody is served.
    pub(super) fn restore_access(&mut self) {
        let places: Vec<_> = self.ledger.accesses.keys().cloned().collect();
        for place in places {
            self.forget_outdated(&place);
            self.set_gates(&place);
        }
    }

    fn access_differs_at_gates(&self, place: &Place) -> bool {
        let gates = gates_of(&self.board.current(), place);
        gates.is_some_and(|gates| {
            Ok(gates.access()) != self.access_of(place).map(|(access, _)| access)
        })
    }

    /// What holds at a place, and when users are told to come back.
    fn access_of(&self, place: &Place) -> Result<(Access, Option<Timestamp>), AccessError> {
        let word = self.word_of(place)?;
        let said = self.ledger.accesses.get(place);
        Ok(said.map_or((word, None), |said| (said.access, said.back_at)))
    }

    /// Sets the gates of a place, and sees to it that what is forbidden there ends.
    fn apply_access(&mut self, place: &Place, reply: Option<Reply>) {
        let Some((gates, access)) = self.set_gates(place) else {
            // In doubt there are no gates: nobody is served, and nothing is in flight.
            if let Some(reply) = reply {
                let _ = reply.send(Ok(Cleared::Drained));
            }
            return;
        };
        if let Some(earlier) = self.clearing.remove(place) {
            earlier.abort();
        }
        gates.order_access_cut(Cut::Nothing);
        let site = self.table.site(place.site.as_str());
        let within = site.map_or(Duration::ZERO, |site| site.flip.drain_for);
        let (board, of_task) = (Arc::clone(&self.board), place.clone());
        let task = tokio::spawn(async move {
            let cleared = clear(&gates, access, within, &board).await;
            let cleared = cleared.ok_or(AccessError::Stuck(of_task));
            if let Some(reply) = reply {
                let _ = reply.send(cleared);
            }
        });
        self.clearing.retain(|_, task| !task.is_finished());
        self.clearing.insert(place.clone(), task.abort_handle());
    }

    /// Has the gates of a place let in what holds there, from this instant; `None` when there are
    /// none.
    fn set_gates(&self, place: &Place) -> Option<(Arc<Gates>, Access)> {
        let gates = gates_of(&self.board.current(), place)?;
        let (access, back_at) = self.access_of(place).ok()?;
        gates.set_back_at(back_at.map(Timestamp::as_second));
        gates.set_access(access);
        tracing::info!(%place, %access, "access");
        Some((gates, access))
    }
}

/// Waits until what an access forbids has ended, and cuts it at the deadline; `None` when that did
/// not help either.
///
/// # Cancel safety
/// The order to cut is left standing; who cancels this takes it back.
async fn clear(
    gates: &Arc<Gates>,
    access: Access,
    within: Duration,
    board: &Switchboard,
) -> Option<Cleared> {
    let everything = match access {
        Access::Open => return Some(Cleared::Drained),
        Access::ReadOnly => Cut::Writes,
        Access::Maintenance => Cut::Everything,
    };
    // A tunnel has no end of its own.
    gates.order_access_cut(Cut::Tunnels);
    board.nudge();
    let gone = tokio::time::timeout(within, gates.forbidden_drained()).await;
    let mut cleared = Some(Cleared::Drained);
    if gone.is_err() {
        gates.order_access_cut(everything);
        board.nudge();
        let cut = tokio::time::timeout(CUT_GRACE, gates.forbidden_drained()).await;
        cleared = cut.ok().map(|()| Cleared::WasCut);
    }
    gates.order_access_cut(Cut::Nothing);
    cleared
}

/// Finds the gates that say what users may do at a place.
fn gates_of(snapshot: &Snapshot, place: &Place) -> Option<Arc<Gates>> {
    let view = snapshot.site(&place.site)?;
    if place.prefix.is_empty() {
        return view.lane.as_ref().map(|lane| Arc::clone(&lane.gates));
    }
    let part = view
        .parts()
        .iter()
        .find(|part| part.prefix == place.prefix)?;
    Some(Arc::clone(&part.gates))
}
