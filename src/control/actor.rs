//! The actor: one task that owns the ledger, the table and every running flip.
//!
//! Whatever wants to change something sends an event and is dealt with in turn, so that two things
//! never change at once. What takes long runs in tasks, and comes back as an event.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

use crate::certs::Store;
use crate::flip::{Input, Moment};
use crate::site::{FlipId, Generation, SiteName};
use crate::switchboard::Switchboard;
use crate::table::Table;
use crate::telemetry::ControlMetrics;

use super::handle::{CancelError, Command};
use super::ledger::Ledger;
use super::running::Running;
use super::status::{FlipStatus, SiteStatus, Status, ZoneStatus};

/// Ended flips that the status keeps showing; older ones are in the journal.
const RECENT_FLIPS: usize = 32;

/// How long running flips may take to go back, or forward, when the daemon stops.
const STOP_WITHIN: Duration = Duration::from_secs(10);

/// What a task tells the actor.
#[derive(Debug)]
pub(super) enum Event {
    /// Something happened that a flip waits for.
    Flip(FlipId, Input),
    /// The timer of a flip ran out.
    Timer(FlipId),
}

/// All that the control plane knows.
pub(super) struct Actor {
    pub(super) file: PathBuf,
    pub(super) table: Arc<Table>,
    pub(super) generation: Generation,
    pub(super) ledger: Ledger,
    pub(super) board: Arc<Switchboard>,
    pub(super) certs: Arc<Store>,
    pub(super) metrics: Arc<ControlMetrics>,
    pub(super) flips: BTreeMap<FlipId, Running>,
    pub(super) next_flip: FlipId,
    /// No new flip begins any more.
    pub(super) is_stopping: bool,
    /// Why the file on disk is not what is served.
    pub(super) file_problem: Option<String>,
    /// Per site, why its last request was not carried out.
    pub(super) problems: BTreeMap<SiteName, String>,
    pub(super) recent: VecDeque<Arc<FlipStatus>>,
    pub(super) status: watch::Sender<Arc<Status>>,
    pub(super) events: mpsc::Sender<Event>,
    /// Moments are counted from here.
    pub(super) started: Instant,
}

/// Where events come from.
#[derive(Debug)]
pub(super) struct Inbox {
    pub(super) commands: mpsc::Receiver<Command>,
    pub(super) events: mpsc::Receiver<Event>,
    /// The file on disk changed.
    pub(super) edits: mpsc::Receiver<()>,
    /// The files of certificates changed.
    pub(super) certs: mpsc::Receiver<()>,
}

impl Actor {
    /// Runs until it is told to stop, or nobody is left to tell it anything.
    pub(super) async fn run(mut self, mut inbox: Inbox) {
        // What the file asked for while nobody listened.
        self.reload();
        loop {
            // Every arm is a channel receive, which is cancel safe.
            tokio::select! {
                event = inbox.events.recv() => match event {
                    Some(event) => self.take(event),
                    None => return,
                },
                command = inbox.commands.recv() => match command {
                    Some(Command::Stop(reply)) => return self.stop(&mut inbox.events, reply).await,
                    Some(command) => self.obey(command),
                    None => return,
                },
                Some(()) = inbox.edits.recv() => self.reload(),
                Some(()) = inbox.certs.recv() => self.reload_certificates(),
            }
        }
    }

    fn obey(&mut self, command: Command) {
        // A caller that went away does not need its answer.
        match command {
            Command::Flip(request, reply) => {
                let _ = reply.send(self.begin_flip(&request));
            }
            Command::Cancel(flip, reply) => {
                let _ = reply.send(self.cancel(flip, "cancelled by an operator"));
            }
            Command::Reload => {
                self.reload();
                self.reload_certificates();
            }
            Command::Stop(reply) => {
                let _ = reply.send(());
            }
        }
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Flip(flip, input) => self.feed(flip, input),
            Event::Timer(flip) => {
                let writes_in_flight = self.flips.get(&flip).is_some_and(|running| {
                    running
                        .moves
                        .iter()
                        .any(|moving| moving.lane.gates.writes.in_flight() > 0)
                });
                self.feed(flip, Input::Timer { writes_in_flight });
            }
        }
    }

    /// Calls a flip off.
    pub(super) fn cancel(&mut self, flip: FlipId, why: &str) -> Result<(), CancelError> {
        let running = self.flips.get(&flip).ok_or(CancelError::NotRunning(flip))?;
        if !running.flip.is_cancellable() {
            return Err(CancelError::Committed(flip));
        }
        self.feed(flip, Input::Cancel(why.into()));
        Ok(())
    }

    /// Takes back what can be taken back, and sees the rest through.
    async fn stop(&mut self, events: &mut mpsc::Receiver<Event>, reply: oneshot::Sender<()>) {
        self.is_stopping = true;
        let running: Vec<FlipId> = self.flips.keys().copied().collect();
        for flip in running {
            // One that is past its commit is seen through below.
            let _ = self.cancel(flip, "the daemon is stopping");
        }
        let deadline = Instant::now() + STOP_WITHIN;
        while !self.flips.is_empty() {
            match tokio::time::timeout_at(deadline, events.recv()).await {
                Ok(Some(event)) => self.take(event),
                Ok(None) | Err(_) => break,
            }
        }
        let _ = reply.send(());
    }

    /// Tells the time as flips count it.
    pub(super) fn now(&self) -> Moment {
        let ms = self.started.elapsed().as_millis();
        Moment {
            ms: u64::try_from(ms).unwrap_or(u64::MAX),
        }
    }

    /// Finds the flip that a site is in.
    pub(super) fn flip_of(&self, site: &SiteName) -> Option<&Running> {
        self.flips
            .values()
            .find(|running| running.target_of(site).is_some())
    }

    /// Keeps showing a flip that has ended.
    pub(super) fn remember(&mut self, ended: FlipStatus) {
        self.recent.push_front(Arc::new(ended));
        self.recent.truncate(RECENT_FLIPS);
    }

    /// Publishes what is shown of all this.
    pub(super) fn show(&self) {
        let running = self
            .flips
            .values()
            .rev()
            .map(|flip| Arc::new(flip.status()));
        let status = Status {
            generation: self.generation,
            file: self.file.display().to_string(),
            file_problem: self.file_problem.clone(),
            sites: self
                .table
                .sites
                .iter()
                .map(|site| self.site_status(&site.name))
                .collect(),
            flips: running.chain(self.recent.iter().cloned()).collect(),
            zones: self
                .ledger
                .serials()
                .filter(|(name, _)| self.table.dns.zones.contains_key(*name))
                .map(|(name, serial)| ZoneStatus {
                    name: name.into(),
                    serial,
                })
                .collect(),
            certs: self.certificates(),
        };
        self.status.send_replace(Arc::new(status));
    }

    fn site_status(&self, name: &SiteName) -> SiteStatus {
        let snapshot = self.board.current();
        let view = snapshot.site(name);
        let lane = view.and_then(|view| view.lane.as_ref());
        let words = self.table.words.get(name).cloned().unwrap_or_default();
        let flip = self.flip_of(name);
        // The journal moves a site at the commit; users of the status hear of it when it is
        // acknowledged, that is, when its flip has ended.
        let leaving = flip.and_then(|running| {
            let moving = running
                .moves
                .iter()
                .find(|moving| moving.planned.site == *name)?;
            Some((moving.planned.from.clone(), moving.lane.epoch))
        });
        let (active, epoch) = match (leaving, lane) {
            (Some((from, epoch)), _) => (Some(from), epoch),
            (None, Some(lane)) => (Some(lane.side.clone()), lane.epoch),
            (None, None) => (None, crate::site::Epoch(0)),
        };
        let doubt = self.ledger.journal.as_ref().err().cloned();
        SiteStatus {
            name: name.clone(),
            diverged: flip.is_none() && words.active.is_some() && words.active != active,
            desired: words.active,
            active,
            problem: doubt.or_else(|| self.problems.get(name).cloned()),
            access: view.map_or(words.access, |view| view.access),
            epoch,
            flip: flip.map(|running| running.id),
            host: view.map_or_else(String::new, |view| view.site.hosts[0].clone()),
            sides: view
                .map(|view| {
                    view.site
                        .sides
                        .iter()
                        .map(|side| side.name.clone())
                        .collect()
                })
                .unwrap_or_default(),
        }
    }
}
