//! The actor: one task that owns the ledger, the table and every running flip.
//!
//! Whatever wants to change something sends an event and is dealt with in turn, so that two things
//! never change at once. What takes long runs in tasks, and comes back as an event.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep_until};

use crate::certs::Store;
use crate::flip::{Input, Moment};
use crate::journal::{Place, UnfinishedHook};
use crate::site::{FlipId, Generation, SideName, SiteName};
use crate::switchboard::{Lane, Publication, Snapshot, Switchboard};
use crate::table::{Loader, Table, Words};
use crate::telemetry::ControlMetrics;

use super::background;
use super::checks::Rounds;
use super::copies::Copies;
use super::emergency::Emergencies;
use super::evidence::ClosedLanes;
use super::guards::{GuardEvent, Guards};
use super::handle::{CancelError, Command};
use super::hooks::{HookRun, Said};
use super::ledger::Ledger;
use super::misfit::NotTaken;
use super::repeats::Repeats;
use super::request::Expected;
use super::running::Running;
use super::show::Shown;
use super::standby::{Raised, Said as Contradicted};
use super::status::{FlipStatus, Status};
use super::version::Versions;

/// How long running flips may take to go back, or forward, when the daemon stops.
const STOP_WITHIN: Duration = Duration::from_secs(10);

/// How long hooks that are ended then may take to be gone: they are asked first.
const HOOKS_END_WITHIN: Duration = Duration::from_secs(7);

/// How soon something that failed on the disk is tried again; a full one is seldom emptied sooner.
const RETRY: Duration = Duration::from_secs(5);

/// How soon a replaced snapshot is looked at again; requests look at one for microseconds.
const RETIRE: Duration = Duration::from_millis(20);

/// What a task tells the actor.
#[derive(Debug)]
pub(super) enum Event {
    /// Something happened that a flip waits for.
    Flip(FlipId, Input),
    /// The timer of a flip ran out.
    Timer(FlipId),
    /// The tunnels that a flip ended when its timer ran out are over, or had their time.
    TunnelsOver(FlipId),
    /// A flip waits in this phase until then for DNS answers that clients may still use.
    Lease(FlipId, &'static str, Timestamp),
    /// What became of the hooks of a flip.
    Hooks(FlipId, Said),
    /// A side that does not serve behaves otherwise, or no longer.
    Contradiction(Contradicted),
    /// What was found of guarded jobs.
    Guard(GuardEvent),
}

/// All that the control plane knows.
pub(super) struct Actor {
    pub(super) file: PathBuf,
    pub(super) loader: Loader,
    pub(super) table: Arc<Table>,
    pub(super) generation: Generation,
    pub(super) ledger: Ledger,
    pub(super) board: Arc<Switchboard>,
    pub(super) certs: Arc<Store>,
    pub(super) metrics: Arc<ControlMetrics>,
    /// The checks that are made all the time.
    pub(super) rounds: Rounds,
    pub(super) flips: BTreeMap<FlipId, Running>,
    pub(super) next_flip: FlipId,
    /// The hooks that run, by their flip: one that is running, or one that has ended.
    pub(super) hook_runs: BTreeMap<FlipId, HookRun>,
    /// What is left of the hooks of a daemon before this one, until it is seen to.
    pub(super) survivors: Vec<UnfinishedHook>,
    /// No new flip begins any more.
    pub(super) is_stopping: bool,
    /// Why the file on disk is not what is served.
    pub(super) file_problem: Option<NotTaken>,
    /// Per site, why its last request was not carried out.
    pub(super) problems: BTreeMap<SiteName, String>,
    /// Per site, what its last flip left at risk.
    pub(super) emergencies: Emergencies,
    /// Per site, why the file does not yet say where it is.
    pub(super) unwritten: BTreeMap<SiteName, String>,
    /// Words written into the file since it was last read.
    pub(super) rewritten: BTreeMap<SiteName, SideName>,
    /// The closed lanes of removed sites that have something in flight.
    pub(super) leaving: BTreeMap<SiteName, Arc<Lane>>,
    /// What sees to it that what the access of a place forbids ends.
    pub(super) clearing: BTreeMap<Place, AbortHandle>,
    /// Snapshots that were replaced, and that a request may still look at.
    pub(super) retired: Vec<Arc<Snapshot>>,
    /// The words that the file has been asked for, when that is over.
    pub(super) asked: Option<Arc<BTreeMap<SiteName, Words>>>,
    /// What the status was last made of.
    pub(super) shown: Option<Shown>,
    /// A flip has ended: what waited in the file for that is to be looked at.
    pub(super) look_again: bool,
    pub(super) recent: VecDeque<Arc<FlipStatus>>,
    /// The lanes that the last flips closed.
    pub(super) closed: ClosedLanes,
    /// Requests that may be sent again.
    pub(super) repeats: Repeats,
    /// What each side has taken, and what of it was copied.
    pub(super) copies: Copies,
    /// The leases of guarded jobs.
    pub(super) guards: Guards,
    /// Per site, the sides that do not serve and do not behave so.
    pub(super) contradictions: Raised,
    pub(super) versions: Versions,
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
    /// Runs until it is told to stop, or nobody is left to tell it anything; leaves what is to be
    /// written when the last request has ended.
    pub(super) async fn run(mut self, mut inbox: Inbox) -> (Ledger, Copies) {
        self.go_on(&mut inbox).await;
        (self.ledger, self.copies)
    }

    async fn go_on(&mut self, inbox: &mut Inbox) {
        let survivors = std::mem::take(&mut self.survivors);
        self.begin_due_hooks(survivors);
        let board = Arc::clone(&self.board);
        // What the file asked for while nobody listened.
        self.look_again = true;
        loop {
            // Each round but the first needs a flip that has ended, so the rounds end too.
            while std::mem::take(&mut self.look_again) {
                self.reload();
            }
            // Every arm is a channel receive or a timer, which are cancel safe.
            tokio::select! {
                event = inbox.events.recv() => match event {
                    Some(event) => self.take(event),
                    None => return,
                },
                command = inbox.commands.recv() => match command {
                    Some(Command::Stop(reply)) => {
                        self.stop(&mut inbox.events, reply).await;
                        return self.see_out(inbox).await;
                    }
                    Some(command) => self.obey(command),
                    None => return,
                },
                Some(()) = inbox.edits.recv() => self.reload(),
                lanes = board.asked_for_writes() => self.open_for_writes(lanes),
                () = sleep_until(self.copies.due), if self.copies.has_work() => {
                    self.collect_writes();
                }
                () = sleep_until(self.guards.due), if self.guards.has_work() => {
                    self.look_at_guards();
                }
                () = tokio::time::sleep(RETIRE), if !self.retired.is_empty() => self.bury(),
                () = tokio::time::sleep(RETRY), if self.has_to_try_again() => self.reload(),
                Some(()) = inbox.certs.recv() => self.reload_certificates(),
            }
        }
    }

    /// Tells whether something failed that may work later without anybody's edit.
    fn has_to_try_again(&self) -> bool {
        !self.unwritten.is_empty() || matches!(self.file_problem, Some(NotTaken::Failed(_)))
    }

    /// Replaces what is served, and keeps what was: dropping it takes its time with very many
    /// sites, and the last who looks at it must not be a request.
    pub(super) fn publish_snapshot(&mut self, next: Arc<Snapshot>) -> Publication {
        self.retired.push(self.board.current());
        self.board.publish(next)
    }

    /// Drops the replaced snapshots that nobody looks at any more.
    fn bury(&mut self) {
        // Who still looks when another is stored is given a share of his own (arc-swap), so one
        // share, which is ours, means nobody; and nobody can come to look at it any more.
        let unused = |snapshot: &mut Arc<Snapshot>| Arc::strong_count(snapshot) == 1;
        let dead: Vec<_> = self.retired.extract_if(.., unused).collect();
        if !dead.is_empty() {
            background::discard(dead);
        }
    }

    fn obey(&mut self, command: Command) {
        // A caller that went away does not need its answer.
        match command {
            Command::Flip(request, reply) => {
                let _ = reply.send(self.begin_flip(&request));
            }
            Command::Cancel(flip, expected, reply) => {
                let _ = reply.send(self.cancel_as_seen(flip, &expected));
            }
            Command::Access(request, reply) => self.change_access(request, reply),
            Command::Invite(request, reply) => {
                let _ = reply.send(self.invite(&request));
            }
            Command::History(page, reply) => {
                let _ = reply.send(self.history(&page));
            }
            Command::Past(flip, reply) => {
                let _ = reply.send(self.past(flip));
            }
            Command::Plan(request, reply) => self.plan_flip(&request, reply),
            Command::Guard(ask) => self.answer_guard(ask),
            Command::Reload(reply) => {
                self.reload();
                self.reload_certificates();
                let _ = reply.send(());
            }
            Command::Stop(reply) | Command::End(reply) => {
                let _ = reply.send(());
            }
        }
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Flip(flip, input) => self.feed(flip, input),
            Event::Lease(flip, phase, until) => self.lease_known(flip, phase, until),
            Event::Hooks(flip, said) => self.hear_hook(flip, said),
            Event::Guard(event) => self.hear_of_guards(event),
            Event::Contradiction(said) => self.hear_of_contradiction(said),
            Event::Timer(flip) if self.end_tunnels(flip) => {}
            Event::Timer(flip) | Event::TunnelsOver(flip) => {
                let writes_in_flight = self.flips.get(&flip).is_some_and(|running| {
                    running
                        .moves
                        .iter()
                        .any(|moving| moving.lane.gates.has_writes())
                });
                self.feed(flip, Input::Timer { writes_in_flight });
            }
        }
    }

    /// Calls a flip off for an operator, if it is as he saw it.
    fn cancel_as_seen(&mut self, flip: FlipId, expected: &Expected) -> Result<(), CancelError> {
        if let Some(running) = self.flips.get(&flip)
            // One that cannot be cancelled at all says so instead (RFC 9110 §13.2.1).
            && running.flip.is_cancellable()
            && !expected.is_met_by(&running.status().version())
        {
            return Err(CancelError::Changed(flip));
        }
        self.cancel(flip, "cancelled by an operator")
    }

    /// Calls a flip off.
    pub(super) fn cancel(&mut self, flip: FlipId, why: &str) -> Result<(), CancelError> {
        let running = self.flips.get(&flip).ok_or(CancelError::NotRunning(flip))?;
        if !running.flip.is_cancellable() {
            return Err(CancelError::TooLate(flip, running.flip.phase()));
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
        let mut deadline = Instant::now() + STOP_WITHIN;
        let mut are_hooks_told = false;
        while !(self.flips.is_empty() && self.hook_runs.is_empty()) {
            let board = Arc::clone(&self.board);
            let event = tokio::time::timeout_at(deadline, events.recv());
            // Both are channels, and cancel safe.
            let event = tokio::select! {
                lanes = board.asked_for_writes() => {
                    self.open_for_writes(lanes);
                    continue;
                }
                event = event => event,
            };
            match event {
                Ok(Some(event)) => self.take(event),
                Err(_) if !are_hooks_told && !self.hook_runs.is_empty() => {
                    are_hooks_told = true;
                    deadline += HOOKS_END_WITHIN;
                    self.stop_last_hooks();
                }
                Ok(None) | Err(_) => break,
            }
        }
        let seen = self.closed.seen();
        self.journal_late(&seen);
        let _ = reply.send(());
    }

    /// Does what the last requests need, and nothing else, until the last of them has ended: first
    /// writes are journalled, and jobs give their leases back.
    async fn see_out(&mut self, inbox: &mut Inbox) {
        let board = Arc::clone(&self.board);
        loop {
            // Every arm is a channel receive or a timer, which are cancel safe.
            tokio::select! {
                lanes = board.asked_for_writes() => self.open_for_writes(lanes),
                () = sleep_until(self.copies.due), if self.copies.has_work() => {
                    self.collect_writes();
                }
                command = inbox.commands.recv() => match command {
                    Some(Command::Guard(ask)) => self.answer_guard(ask),
                    // Whoever asked hears that the daemon is stopping.
                    Some(Command::End(reply)) => {
                        let _ = reply.send(());
                        return;
                    }
                    Some(_) => {}
                    None => return,
                },
            }
        }
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
}
