//! Granting: whether it is the turn of a job, and whether its copy would overwrite anything.

use jiff::Timestamp;
use tokio::time::Instant;

use crate::flip::Flip;
use crate::journal::{BookEvent, WithLease};
use crate::site::{SideName, SiteName};
use crate::switchboard::Snapshot;

use super::super::actor::Actor;
use super::super::begin::{list, on_one_line};
use super::ask::{Granted, GrantedMove, GuardError, GuardRequest};
use super::lease::{Lease, Out};
use super::owner::random_key;

/// How many leases are out at once, over all sites: each costs a row, and a request per second.
const OUT_MAX: usize = 256;

/// The longest name of a job or a host that is kept, in characters: it is for people.
const NAME_CHARS_MAX: usize = 100;

impl Actor {
    /// Grants a lease, once it is on disk.
    pub(super) fn grant(&mut self, request: GuardRequest) -> Result<Granted, GuardError> {
        if self.is_stopping {
            return Err(GuardError::Stopping);
        }
        let reason = request.reason.as_deref().map_or("", str::trim);
        if request.accept_loss && reason.is_empty() {
            return Err(GuardError::ReasonNeeded);
        }
        let sites = self.sites_of(&request)?;
        // Whether something would be overwritten is to be known of every write until now.
        self.collect_writes();
        let mut moves = Vec::with_capacity(sites.len());
        for site in sites {
            moves.push(self.its_turn(&site, &request)?);
        }
        let overwritten = self.overwritten(&moves);
        if let Some(first) = overwritten.first()
            && !request.accept_loss
        {
            return Err(GuardError::WouldLose(first.detail.clone()));
        }
        if self.guards.out.len() >= OUT_MAX {
            return Err(GuardError::TooMany { most: OUT_MAX });
        }
        let lease = Lease {
            sites: moves,
            job: shortened(&request.job),
            who: request.who,
            host: shortened(&request.host),
            key: random_key().map_err(GuardError::NotJournalled)?,
            on_flip: request.on_flip,
            granted: Timestamp::now(),
            child: None,
            is_near: false,
        };
        self.keep(lease, overwritten, reason)
    }

    fn keep(
        &mut self,
        lease: Lease,
        overwritten: Vec<BookEvent>,
        reason: &str,
    ) -> Result<Granted, GuardError> {
        let accepted = overwritten.into_iter().map(|event| BookEvent {
            what: "loss accepted",
            detail: format!(
                "{} by {}: {}: {reason}",
                lease.job, lease.who.name, event.detail
            ),
            site: event.site,
        });
        let with = WithLease {
            books: Vec::new(),
            events: accepted.collect(),
        };
        let unwritten =
            |error: &dyn std::fmt::Display| GuardError::NotJournalled(error.to_string());
        let text = serde_json::to_string(&lease).map_err(|error| unwritten(&error))?;
        let journal = self.ledger.journal.as_mut();
        let journal = journal.map_err(|why| unwritten(why))?;
        let id = journal
            .lease_granted(&text, &with)
            .map_err(|error| unwritten(&error))?;
        tracing::info!(guard = %id, job = lease.job, who = %lease.who.name,
            host = lease.host, "guard granted");
        for BookEvent { site, detail, .. } in &with.events {
            tracing::warn!(guard = %id, %site, detail, "loss accepted");
        }
        let granted = Granted {
            id,
            key: lease.key.clone(),
            sites: lease.sites.clone(),
        };
        self.guards.out.insert(id, Out::new(lease, Instant::now()));
        self.guards.show();
        Ok(granted)
    }

    fn sites_of(&self, request: &GuardRequest) -> Result<Vec<SiteName>, GuardError> {
        match (&request.site, &request.group) {
            (Some(site), None) => Ok(vec![site.clone()]),
            (None, Some(group)) => {
                let members = self.table.groups.get(group);
                members.cloned().ok_or_else(|| GuardError::UnknownGroup {
                    group: group.clone(),
                    known: list(self.table.groups.keys().map(|group| group.as_str())),
                })
            }
            (None, None) | (Some(_), Some(_)) => Err(GuardError::SiteOrGroup),
        }
    }

    /// Looks whether it is the turn of a job for a site, and binds it to the active side.
    fn its_turn(&self, site: &SiteName, request: &GuardRequest) -> Result<GrantedMove, GuardError> {
        let snapshot = self.board.current();
        let bound = bind(&snapshot, site, request, || {
            list(self.table.sites.iter().map(|site| site.name.as_str()))
        })?;
        if let Err(why) = &self.ledger.journal {
            let (site, why) = (site.clone(), why.clone());
            return Err(GuardError::InDoubt { site, why });
        }
        // One that is being rehearsed may be refused yet, and looks at the leases after that.
        if let Some(running) = self.flip_of(site)
            && !matches!(running.flip, Flip::Rehearsing(_))
        {
            let (site, flip) = (site.clone(), running.id);
            return Err(GuardError::FlipRuns { site, flip });
        }
        let Some(to) = &bound.to else {
            return Ok(bound);
        };
        let mut others = self.guards.out.iter();
        let copies_there =
            |other: &&GrantedMove| other.site == *site && other.to.as_ref() == Some(to);
        match others.find(|(_, out)| out.lease.sites.iter().any(|other| copies_there(&other))) {
            None => Ok(bound),
            Some((guard, out)) => Err(GuardError::CopyRuns {
                site: site.clone(),
                to: to.clone(),
                guard: *guard,
                job: out.lease.job.clone(),
            }),
        }
    }

    /// Lists what copies would overwrite: writes that only their target has.
    fn overwritten(&self, moves: &[GrantedMove]) -> Vec<BookEvent> {
        let copies = moves
            .iter()
            .filter_map(|bound| Some((bound, bound.to.as_ref()?)));
        let lost = copies.filter_map(|(GrantedMove { site, from, .. }, to)| {
            let lost = self.uncopied_of(site, to, from)?;
            Some(BookEvent {
                site: site.clone(),
                what: "refused",
                detail: format!(
                    "a copy onto {to} would overwrite writes of {site}: {lost}; bring these to \
                     {from} first, or go over this with --accept-loss and a --reason"
                ),
            })
        });
        lost.collect()
    }
}

fn shortened(name: &str) -> String {
    on_one_line(name).chars().take(NAME_CHARS_MAX).collect()
}

/// Binds a job to the active side of a site, if that is the one it is for.
fn bind(
    snapshot: &Snapshot,
    name: &SiteName,
    request: &GuardRequest,
    known: impl FnOnce() -> String,
) -> Result<GrantedMove, GuardError> {
    let Some(view) = snapshot.site(name) else {
        return Err(GuardError::UnknownSite {
            site: name.clone(),
            known: known(),
        });
    };
    for side in [&request.from, &request.to].into_iter().flatten() {
        if view.site.side(side).is_none() {
            return Err(GuardError::UnknownSide {
                site: name.clone(),
                side: side.clone(),
                known: list(view.site.sides.iter().map(|side| side.name.as_str())),
            });
        }
    }
    let Some(lane) = &view.lane else {
        let why = "the journal has no active side for it".into();
        let site = name.clone();
        return Err(GuardError::InDoubt { site, why });
    };
    let from: &SideName = request.from.as_ref().unwrap_or(&lane.side);
    if request.to.is_some() && request.from == request.to {
        let side = from.clone();
        return Err(GuardError::SameSide { side });
    }
    if *from != lane.side {
        return Err(GuardError::NotActive {
            site: name.clone(),
            from: from.clone(),
            active: lane.side.clone(),
        });
    }
    if request.to.as_ref() == Some(from) {
        let (site, side) = (name.clone(), from.clone());
        return Err(GuardError::OntoActive { site, side });
    }
    Ok(GrantedMove {
        site: name.clone(),
        from: from.clone(),
        to: request.to.clone(),
        epoch: lane.epoch,
    })
}
