//! The way to talk to the control actor: commands in, published status out.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot, watch};

use crate::journal::Page;
use crate::site::{FlipId, GroupName, GuardId, HookPhase, SideName, SiteName};

use super::access::{AccessError, AccessRequest, Cleared};
use super::checks::Findings;
use super::copies;
use super::freshness::Readings;
use super::guards::{self, Ask};
use super::invite::{Invitation, InviteError, InviteRequest};
use super::past::{HistoryError, PastFlip};
use super::plan::PlannedFlip;
use super::request::{Expected, FlipRequest};
use super::status::{FlipStatus, Status};

/// A command to the actor.
#[derive(Debug)]
pub(super) enum Command {
    Flip(FlipRequest, oneshot::Sender<Result<FlipId, FlipError>>),
    Cancel(FlipId, Expected, oneshot::Sender<Result<(), CancelError>>),
    Access(AccessRequest, oneshot::Sender<Result<Cleared, AccessError>>),
    Invite(
        InviteRequest,
        oneshot::Sender<Result<Invitation, InviteError>>,
    ),
    History(Page, oneshot::Sender<Result<Vec<PastFlip>, HistoryError>>),
    Past(FlipId, oneshot::Sender<Result<PastFlip, HistoryError>>),
    Plan(FlipRequest, oneshot::Sender<Result<PlannedFlip, FlipError>>),
    Guard(Ask),
    Reload(oneshot::Sender<()>),
    Stop(oneshot::Sender<()>),
    End(oneshot::Sender<()>),
}

/// Where an answer is awaited.
pub(super) type Reply<T, E> = oneshot::Sender<Result<T, E>>;

/// Why a flip was not even begun; the requester is at fault, unless said otherwise.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FlipError {
    /// No site was named.
    #[error("a flip moves at least one site: name it")]
    NoMoves,
    /// More sites than one flip can hold and move at once.
    #[error("a flip moves at most {most} sites at once, and these are {asked}: move them in parts")]
    TooMany {
        /// How many were named.
        asked: usize,
        /// How many there may be.
        most: usize,
    },
    /// The table has no such site.
    #[error("there is no site {site}; the table has: {known}")]
    UnknownSite {
        /// What was asked for.
        site: SiteName,
        /// The sites there are.
        known: String,
    },
    /// The table has no such group.
    #[error("there is no group {group}; the table has: {known}")]
    UnknownGroup {
        /// What was asked for.
        group: GroupName,
        /// The groups there are.
        known: String,
    },
    /// The site is named twice.
    #[error("site {site} is named twice")]
    Twice {
        /// The site.
        site: SiteName,
    },
    /// The site has no such side.
    #[error("site {site} has no side {side}; it has: {known}")]
    UnknownSide {
        /// The site.
        site: SiteName,
        /// What was asked for.
        side: SideName,
        /// The sides there are.
        known: String,
    },
    /// The side was left out, and the site has not exactly two.
    #[error("site {site} has not exactly two sides: say which with --to (one of: {known})")]
    SideNeeded {
        /// The site.
        site: SiteName,
        /// The sides there are.
        known: String,
    },
    /// The site is already there.
    #[error("site {site} is on side {side} already")]
    AlreadyThere {
        /// The site.
        site: SiteName,
        /// Its active side.
        side: SideName,
    },
    /// The side was left out, and the sites of the group would change places.
    #[error(
        "the sites of group {group} are on different sides ({sides}): say with --to where all of \
         them are to be"
    )]
    GroupApart {
        /// The group.
        group: GroupName,
        /// Which site is where.
        sides: String,
    },
    /// All sites of the group are already there.
    #[error("every site of group {group} is on side {side} already")]
    GroupAlreadyThere {
        /// The group.
        group: GroupName,
        /// Their active side.
        side: SideName,
    },
    /// Another flip of this site runs.
    #[error(
        "site {site} is in flip {flip} already: wait for it, or cancel it first with `pointsman \
         flip --cancel {flip}`"
    )]
    Conflict {
        /// The site.
        site: SiteName,
        /// The flip that runs.
        flip: FlipId,
    },
    /// What a flip moved cannot be moved back as it was.
    #[error("flip {flip} is not undone: {why}")]
    NotUndone {
        /// The flip.
        flip: FlipId,
        /// Why not.
        why: String,
    },
    /// The hooks of the flip before still run.
    #[error(
        "the {phase} hooks of flip {flip} still run for site {site}: wait for them, `pointsman \
         status` shows how far they are; only an emergency (`--now`) ends them"
    )]
    HooksRun {
        /// The site.
        site: SiteName,
        /// The flip that has ended.
        flip: FlipId,
        /// Which of its hooks.
        phase: HookPhase,
    },
    /// An emergency without a reason.
    #[error("an emergency flip needs a reason, for those who find its traces later: say why")]
    ReasonNeeded,
    /// An emergency that says what users get while it drains.
    #[error(
        "an emergency flip waits for nothing, so `during` has no meaning with it: leave it out"
    )]
    DuringWithNow,
    /// A planned flip that wants to leave the checks out.
    #[error(
        "only an emergency flip (`now`) may leave all checks of its target out: name those that are \
         to be gone over"
    )]
    ForceWithoutNow,
    /// A check is to be gone over, and nobody says why.
    #[error(
        "to go over a check or a rule needs a reason, for those who find its traces later: say why"
    )]
    ForceWithoutReason,
    /// No site that moves has such a check.
    #[error("no site that moves has a check {check:?}; there are: {known}")]
    UnknownCheck {
        /// What was asked for.
        check: String,
        /// The checks there are.
        known: String,
    },
    /// No site that moves has such a guarded job.
    #[error("no site that moves has a guarded job {guard}: `pointsman guard --list` shows them")]
    UnknownGuard {
        /// What was asked for.
        guard: GuardId,
    },
    /// A planned flip that wants to go over a guarded job.
    #[error(
        "only an emergency flip (`now`) goes over a guarded job: release it first, with `pointsman \
         guard --release`"
    )]
    OverWithoutNow,
    /// What the requester looked at is not what is.
    #[error("the sites have changed since: look again with `pointsman status`, then repeat it")]
    Changed,
    /// The requester gave the name of one request to another.
    #[error("this key belongs to another request, which began flip {flip}: take a new key")]
    KeyReused {
        /// The flip that was begun.
        flip: FlipId,
    },
    /// Nobody knows which side is active; the daemon's journal is at fault.
    #[error("the active side of {site} is in doubt: {why}")]
    InDoubt {
        /// The site.
        site: SiteName,
        /// Why.
        why: String,
    },
    /// The daemon is stopping.
    #[error("the daemon is stopping: ask again when it is back")]
    Stopping,
}

/// Why a flip was not cancelled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CancelError {
    /// No such flip runs.
    #[error("no flip {0} is in progress")]
    NotRunning(FlipId),
    /// It is past the point of no return, or on its way back already.
    #[error("flip {0} can no longer be cancelled: it is {1}; wait for its end")]
    TooLate(FlipId, &'static str),
    /// It is not as the requester saw it.
    #[error("flip {0} has gone on since: look at it again, then repeat it")]
    Changed(FlipId),
    /// The daemon is stopping.
    #[error("the daemon is stopping")]
    Stopping,
}

/// A handle to the control actor; clone it freely.
#[derive(Clone, Debug)]
pub struct Handle {
    pub(super) commands: mpsc::Sender<Command>,
    pub(super) status: watch::Receiver<Arc<Status>>,
    pub(super) findings: Arc<Findings>,
    pub(super) copies: Arc<copies::Shown>,
    pub(super) freshness: Arc<Readings>,
    pub(super) guards: Arc<guards::Shown>,
}

impl Handle {
    /// Begins a flip and returns its number as soon as it is accepted; follow it with [`Handle::flip_status`].
    ///
    /// # Errors
    /// See [`FlipError`]; a flip refused by its preflight is no error here but an outcome.
    pub async fn flip(&self, request: FlipRequest) -> Result<FlipId, FlipError> {
        let (reply, answer) = oneshot::channel();
        let sent = self.commands.send(Command::Flip(request, reply)).await;
        sent.map_err(|_| FlipError::Stopping)?;
        answer.await.unwrap_or(Err(FlipError::Stopping))
    }

    /// Cancels a flip that is not committed yet, if its version is as expected.
    ///
    /// # Errors
    /// See [`CancelError`].
    pub async fn cancel(&self, flip: FlipId, expected: Expected) -> Result<(), CancelError> {
        let (reply, answer) = oneshot::channel();
        let sent = self
            .commands
            .send(Command::Cancel(flip, expected, reply))
            .await;
        sent.map_err(|_| CancelError::Stopping)?;
        answer.await.unwrap_or(Err(CancelError::Stopping))
    }

    /// Tells what a flip would do, and whether it would go; nothing happens.
    ///
    /// # Errors
    /// See [`FlipError`]; a flip that its rehearsal would refuse is no error here but a plan.
    pub async fn plan(&self, request: FlipRequest) -> Result<PlannedFlip, FlipError> {
        let (reply, answer) = oneshot::channel();
        let sent = self.commands.send(Command::Plan(request, reply)).await;
        sent.map_err(|_| FlipError::Stopping)?;
        answer.await.unwrap_or(Err(FlipError::Stopping))
    }

    /// Reads a page of the history, the newest flip first.
    ///
    /// # Errors
    /// See [`HistoryError`].
    pub async fn history(&self, page: Page) -> Result<Vec<PastFlip>, HistoryError> {
        let (reply, answer) = oneshot::channel();
        let sent = self.commands.send(Command::History(page, reply)).await;
        sent.map_err(|_| HistoryError::Stopping)?;
        answer.await.unwrap_or(Err(HistoryError::Stopping))
    }

    /// Reads one flip of the history, with what is known now of the lanes that it closed.
    ///
    /// # Errors
    /// See [`HistoryError`].
    pub async fn past(&self, flip: FlipId) -> Result<PastFlip, HistoryError> {
        let (reply, answer) = oneshot::channel();
        let sent = self.commands.send(Command::Past(flip, reply)).await;
        sent.map_err(|_| HistoryError::Stopping)?;
        answer.await.unwrap_or(Err(HistoryError::Stopping))
    }

    /// Changes what users may do with a site or a part of it; returns when what that forbids has
    /// ended.
    ///
    /// # Errors
    /// See [`AccessError`].
    pub async fn access(&self, request: AccessRequest) -> Result<Cleared, AccessError> {
        let place = request.place.clone();
        let (reply, answer) = oneshot::channel();
        let sent = self.commands.send(Command::Access(request, reply)).await;
        sent.map_err(|_| AccessError::Stopping)?;
        answer.await.unwrap_or_else(|_| {
            // Whoever was to answer is gone with the actor, or has given way to a later change.
            Err(if self.commands.is_closed() {
                AccessError::Stopping
            } else {
                AccessError::Superseded(place)
            })
        })
    }

    /// Writes a link by which an operator gets behind the page of a site.
    ///
    /// # Errors
    /// See [`InviteError`].
    pub async fn invite(&self, request: InviteRequest) -> Result<Invitation, InviteError> {
        let (reply, answer) = oneshot::channel();
        let sent = self.commands.send(Command::Invite(request, reply)).await;
        sent.map_err(|_| InviteError::Stopping)?;
        answer.await.unwrap_or(Err(InviteError::Stopping))
    }

    /// Reads the file again, as SIGHUP does, and returns when it is served or refused.
    pub async fn reload(&self) {
        let (reply, answer) = oneshot::channel();
        // An actor that is gone has nothing left to reload.
        if self.commands.send(Command::Reload(reply)).await.is_ok() {
            let _ = answer.await;
        }
    }

    /// Stops what the actor does by itself: running flips that are not committed are restored first.
    /// It goes on for the requests that are still to end, until [`Handle::end`].
    pub async fn stop(&self) {
        self.have_stopped(Command::Stop).await;
    }

    /// Ends the actor: the last request has ended.
    pub async fn end(&self) {
        self.have_stopped(Command::End).await;
    }

    async fn have_stopped(&self, command: impl FnOnce(oneshot::Sender<()>) -> Command) {
        let (reply, answer) = oneshot::channel();
        // An actor that is gone has stopped.
        if self.commands.send(command(reply)).await.is_ok() {
            let _ = answer.await;
        }
    }

    /// Shows the status as last published.
    pub fn status(&self) -> Arc<Status> {
        Arc::clone(&self.status.borrow())
    }

    /// Shows what the checks found last; unlike the status it changes all the time.
    pub fn findings(&self) -> &Findings {
        &self.findings
    }

    /// Shows what sides have taken that others lack; it too changes all the time.
    pub fn copies(&self) -> &copies::Shown {
        &self.copies
    }

    /// Shows how new the data of sides are, as they were read last.
    pub fn freshness(&self) -> &Readings {
        &self.freshness
    }

    /// Shows the leases of guarded jobs.
    pub fn guards(&self) -> &guards::Shown {
        &self.guards
    }

    /// Passes a question of a guarded job on.
    pub(super) async fn guard(&self, ask: Ask) -> Result<(), ()> {
        let sent = self.commands.send(Command::Guard(ask)).await;
        sent.map_err(|_| ())
    }

    /// Watches the status; each change is a whole new value.
    pub fn watch(&self) -> watch::Receiver<Arc<Status>> {
        self.status.clone()
    }

    /// Shows one flip, running or recently ended.
    pub fn flip_status(&self, flip: FlipId) -> Option<Arc<FlipStatus>> {
        self.status
            .borrow()
            .flips
            .iter()
            .find(|shown| shown.id == flip)
            .cloned()
    }
}
