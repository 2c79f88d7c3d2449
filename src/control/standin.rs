//! A control actor that flips nothing, for the tests of the admin side.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use crate::site::{Access, During, Epoch, FlipId, Generation, Move, Positions};
use crate::switchboard::{Snapshot, Switchboard};
use crate::table::{Chunks, Table};
use crate::zone::Zones;

use super::handle::Command;
use super::{
    CancelError, FlipError, FlipRequest, FlipStatus, Handle, Outcome, PhaseEntry, SiteStatus,
    Status, What, ZoneStatus,
};

/// The status of a table at its first start.
pub(crate) fn status(table: &Table, file: &Path) -> Status {
    Status {
        version: "first".into(),
        generation: Generation(1),
        file: file.display().to_string(),
        file_problem: None,
        sites: table
            .sites
            .iter()
            .map(|site| SiteStatus {
                name: site.name.clone(),
                active: Some(site.sides[0].name.clone()),
                desired: Some(site.sides[0].name.clone()),
                diverged: false,
                problem: None,
                access: Access::Open,
                access_said: None,
                parts: Vec::new(),
                epoch: Epoch(1),
                flip: None,
                host: site.hosts[0].clone(),
                sides: site.sides.iter().map(|side| side.name.clone()).collect(),
                contradictions: Vec::new(),
                emergency: None,
            })
            .map(Arc::new)
            .collect(),
        groups: Arc::clone(&table.groups),
        flips: Vec::new(),
        zones: table
            .dns
            .zones
            .keys()
            .map(|name| ZoneStatus {
                name: name.clone(),
                serial: 7,
            })
            .collect(),
        certs: Vec::new(),
    }
}

/// A switchboard without workers, for a table whose sites are where the positions say.
pub(crate) fn switchboard(table: &Arc<Table>, positions: &Positions) -> Arc<Switchboard> {
    let zones = Arc::new(Zones::default());
    let table = Arc::clone(table);
    let snapshot = Snapshot::follow(None, Generation(1), table, positions, zones);
    Switchboard::new(snapshot)
}

/// Starts an actor that shows a flip's phases, 100 ms each.
pub(crate) fn handle(status: Status) -> Handle {
    let (commands, mut inbox) = mpsc::channel(8);
    let (publish, status) = watch::channel(Arc::new(status));
    tokio::spawn(async move {
        let mut id = 0;
        while let Some(command) = inbox.recv().await {
            match command {
                Command::Flip(request, reply) => {
                    id += 1;
                    let begun = begin(FlipId(id), &request, &publish);
                    let ok = begun.is_ok();
                    let _ = reply.send(begun);
                    if ok {
                        play(FlipId(id), &publish).await;
                    }
                }
                Command::Cancel(id, _, reply) => {
                    let _ = reply.send(Err(CancelError::NotRunning(id)));
                }
                Command::Access(_, reply) => {
                    let _ = reply.send(Ok(super::Cleared::Drained));
                }
                Command::Invite(_, reply) => {
                    let _ = reply.send(Err(super::InviteError::Stopping));
                }
                Command::History(_, reply) => {
                    let _ = reply.send(Err(super::HistoryError::Stopping));
                }
                Command::Past(_, reply) => {
                    let _ = reply.send(Err(super::HistoryError::Stopping));
                }
                Command::Plan(_, reply) => {
                    let _ = reply.send(Err(FlipError::Stopping));
                }
                // Who asked hears that nobody answers.
                Command::Guard(ask) => drop(ask),
                Command::Reload(reply) => {
                    let _ = reply.send(());
                }
                Command::Stop(reply) | Command::End(reply) => {
                    let _ = reply.send(());
                    return;
                }
            }
        }
    });
    Handle {
        copies: Arc::default(),
        freshness: Arc::default(),
        guards: Arc::default(),
        commands,
        status,
        findings: Arc::default(),
    }
}

/// Goes through the sites of a status, to change them.
pub(crate) fn sites(sites: &mut Chunks<Arc<SiteStatus>>) -> impl Iterator<Item = &mut SiteStatus> {
    sites.iter_mut().map(Arc::make_mut)
}

fn begin(
    id: FlipId,
    request: &FlipRequest,
    publish: &watch::Sender<Arc<Status>>,
) -> Result<FlipId, FlipError> {
    let mut status = Status::clone(&publish.borrow());
    let What::Sites(steps) = &request.what else {
        return Err(FlipError::NoMoves);
    };
    let mut moves = Vec::new();
    for (name, to) in steps {
        let site = sites(&mut status.sites).find(|site| site.name == *name);
        let Some(site) = site else {
            return Err(FlipError::UnknownSite {
                site: name.clone(),
                known: "ispot, megalab".into(),
            });
        };
        let to = to.clone().or_else(|| {
            site.sides
                .iter()
                .find(|s| Some(*s) != site.active.as_ref())
                .cloned()
        });
        let (Some(to), Some(from)) = (to, site.active.clone()) else {
            return Err(FlipError::NoMoves);
        };
        if to == from {
            return Err(FlipError::AlreadyThere {
                site: name.clone(),
                side: to,
            });
        }
        site.flip = Some(id);
        moves.push(Move {
            site: name.clone(),
            from,
            to,
        });
    }
    let flip = FlipStatus {
        id,
        moves,
        epochs: Vec::new(),
        during: request.during.unwrap_or(During::Page),
        who: request.who.clone(),
        reason: request.reason.clone(),
        began: jiff::Timestamp::now(),
        phase: String::new(),
        outcome: None,
        message: None,
        until: None,
        timeline: Vec::new(),
        skipped: request.skipped(),
        lease_until: None,
        hook: None,
        hooks: Vec::new(),
        awaited_guards: Vec::new(),
    };
    status.flips.insert(0, Arc::new(flip));
    publish.send_replace(Arc::new(status));
    Ok(id)
}

async fn play(id: FlipId, publish: &watch::Sender<Arc<Status>>) {
    let phases =
        "rehearsing quiescing holding draining checking committing publishing confirming settled";
    for phase in phases.split(' ') {
        let mut status = Status::clone(&publish.borrow());
        let Some(flip) = status.flips.iter_mut().find(|flip| flip.id == id) else {
            return;
        };
        let mut next = FlipStatus::clone(flip);
        next.phase = phase.into();
        next.timeline.push(PhaseEntry {
            phase: phase.into(),
            at: jiff::Timestamp::now(),
            after_ms: 100,
            lease_until: None,
        });
        if phase == "settled" {
            next.outcome = Some(Outcome::Settled);
            for step in &next.moves {
                for site in sites(&mut status.sites).filter(|site| site.name == step.site) {
                    site.active = Some(step.to.clone());
                    site.epoch = site.epoch.next();
                    site.flip = None;
                }
            }
        }
        *flip = Arc::new(next);
        publish.send_replace(Arc::new(status));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
