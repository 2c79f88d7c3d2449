//! What the jobs ask, and what they are answered.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use crate::processes::Leader;
use crate::site::{Epoch, FlipId, GroupName, GuardId, OnFlip, SideName, SiteName, Who};

use super::super::handle::{Handle, Reply};

/// Asks for a lease.
#[derive(Clone, Debug)]
pub struct GuardRequest {
    /// The site; `None` with a group.
    pub site: Option<SiteName>,
    /// The sites of this group, all of them.
    pub group: Option<GroupName>,
    /// The side that is to be active; whichever is when left out.
    pub from: Option<SideName>,
    /// The side that is copied onto; `None` for a job that is no copy.
    pub to: Option<SideName>,
    /// What the job is called.
    pub job: String,
    /// The host that it runs on, as that calls itself.
    pub host: String,
    /// What becomes of it at a planned flip.
    pub on_flip: OnFlip,
    /// It may overwrite writes that only its target has; needs a reason.
    pub accept_loss: bool,
    /// Why, for the journal; blanks alone are no reason.
    pub reason: Option<String>,
    /// Who asks.
    pub who: Who,
}

/// A lease that was granted; the job may be started when [`Begun`] was answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Granted {
    /// Its number.
    pub id: GuardId,
    /// What only its job knows, and has in the environment of all its processes.
    pub key: String,
    /// Each site that it is for.
    pub sites: Vec<GrantedMove>,
}

/// One site of a lease.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrantedMove {
    /// The site.
    pub site: SiteName,
    /// Its active side.
    pub from: SideName,
    /// The side that is copied onto.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<SideName>,
    /// The epoch of the active side.
    pub epoch: Epoch,
}

/// The holder of a lease, as it shows itself.
#[derive(Clone, Debug)]
pub struct Lessee {
    /// The lease.
    pub id: GuardId,
    /// What it was given with it.
    pub key: String,
}

/// What the first process of a job is, before it becomes the job.
#[derive(Clone, Debug)]
pub struct Begun {
    /// The process, on the host of the job.
    pub child: Leader,
    /// It was said over the socket of this machine, so that it may be one of those seen here.
    pub is_near: bool,
}

/// How a job ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ended {
    /// With exit status 0, and not because it was told to.
    Succeeded,
    /// In any other way.
    Failed,
    /// It was never started: nothing of it was done.
    NotRun,
}

/// What a job is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "order")]
pub enum Order {
    /// Go on.
    GoOn,
    /// End: what is asked to end may take so long over it.
    End {
        /// In milliseconds.
        grace_ms: u64,
    },
}

impl Order {
    /// How long what is asked to end may take; `None` when it is to go on.
    pub fn grace(self) -> Option<Duration> {
        match self {
            Self::GoOn => None,
            Self::End { grace_ms } => Some(Duration::from_millis(grace_ms)),
        }
    }
}

/// Why a job has no lease; the requester is at fault, unless said otherwise.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GuardError {
    /// Neither a site nor a group was named, or both.
    #[error("name one site with --site, or one group with --group")]
    SiteOrGroup,
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
    /// A copy of a side onto itself.
    #[error("a copy goes from one side to another: --from and --to are both {side}")]
    SameSide {
        /// The side.
        side: SideName,
    },
    /// Loss is accepted, and nobody says why.
    #[error("to overwrite writes needs a reason, for those who miss them later: say why")]
    ReasonNeeded,
    /// Another side is active: this is not its turn.
    #[error("{active} is the active side of {site}, and this is for when {from} is")]
    NotActive {
        /// The site.
        site: SiteName,
        /// What was asked for.
        from: SideName,
        /// The side that is.
        active: SideName,
    },
    /// The side that is copied onto is the active one: this is not its turn.
    #[error("{side} is the active side of {site}, and nothing is copied onto that")]
    OntoActive {
        /// The site.
        site: SiteName,
        /// The side.
        side: SideName,
    },
    /// A flip is in progress: this is not its turn.
    #[error("flip {flip} of {site} is in progress")]
    FlipRuns {
        /// The site.
        site: SiteName,
        /// The flip.
        flip: FlipId,
    },
    /// Another copy onto the same side runs: this is not its turn.
    #[error("guard {guard} copies onto {to} of {site} already: {job}")]
    CopyRuns {
        /// The site.
        site: SiteName,
        /// The side that is copied onto.
        to: SideName,
        /// The lease of the other.
        guard: GuardId,
        /// What its job is called.
        job: String,
    },
    /// The copy would overwrite what only its target has.
    #[error("{0}")]
    WouldLose(String),
    /// The host has too many jobs, or forgets to end them.
    #[error("{most} guarded jobs are out already: end some, or look with `pointsman guard --list`")]
    TooMany {
        /// How many there may be.
        most: usize,
    },
    /// There is no such lease: it is over, was released, or the key is another's.
    #[error("there is no lease {0} with this key: it has ended, or was released")]
    NoLease(GuardId),
    /// There is no lease of this number to be released.
    #[error("there is no guard {0}: `pointsman guard --list` shows those that are out")]
    Unknown(GuardId),
    /// The job was told to end before it began.
    #[error("guard {0} was told to end: a flip goes before it")]
    ToldToEnd(GuardId),
    /// The lease has been begun with another process.
    #[error("guard {0} has begun already")]
    BegunBefore(GuardId),
    /// A lease whose job is there is not released.
    #[error("guard {0} is no orphan, as its job renews it: end the job instead")]
    NoOrphan(GuardId),
    /// Nobody knows which side is active; the daemon's journal is at fault.
    #[error("the active side of {site} is in doubt: {why}")]
    InDoubt {
        /// The site.
        site: SiteName,
        /// Why.
        why: String,
    },
    /// It could not be written; the daemon's disk is at fault.
    #[error("it could not be journalled: {0}: make room on the disk of the state directory")]
    NotJournalled(String),
    /// The daemon is stopping.
    #[error("the daemon is stopping: ask again when it is back")]
    Stopping,
}

/// A question to the actor.
#[derive(Debug)]
pub(in crate::control) enum Ask {
    Grant(GuardRequest, Reply<Granted, GuardError>),
    Begin(Lessee, Begun, Reply<(), GuardError>),
    Renew(Lessee, Reply<Order, GuardError>),
    End(Lessee, Ended, String, Reply<Order, GuardError>),
    Release(GuardId, String, Who, Reply<(), GuardError>),
}

impl Handle {
    /// Asks for a lease.
    ///
    /// # Errors
    /// See [`GuardError`].
    pub async fn grant(&self, request: GuardRequest) -> Result<Granted, GuardError> {
        self.ask(|reply| Ask::Grant(request, reply)).await
    }

    /// Notes that a job is about to run; from then on a copy's target is torn.
    ///
    /// # Errors
    /// See [`GuardError`]; the job must not run.
    pub async fn begin_guarded(&self, lessee: Lessee, begun: Begun) -> Result<(), GuardError> {
        self.ask(|reply| Ask::Begin(lessee, begun, reply)).await
    }

    /// Renews a lease, and hears what its job is to do.
    ///
    /// # Errors
    /// [`GuardError::NoLease`]: the job is to end.
    pub async fn renew_guard(&self, lessee: Lessee) -> Result<Order, GuardError> {
        self.ask(|reply| Ask::Renew(lessee, reply)).await
    }

    /// Ends a lease: nothing of its job is left. The answer is what the job was told, which it may
    /// not have heard.
    ///
    /// # Errors
    /// See [`GuardError`].
    pub async fn end_guarded(
        &self,
        lessee: Lessee,
        ended: Ended,
        detail: String,
    ) -> Result<Order, GuardError> {
        self.ask(|reply| Ask::End(lessee, ended, detail, reply))
            .await
    }

    /// Ends the lease of a job of which somebody knows that it is gone.
    ///
    /// # Errors
    /// See [`GuardError`].
    pub async fn release_guard(
        &self,
        id: GuardId,
        reason: String,
        who: Who,
    ) -> Result<(), GuardError> {
        self.ask(|reply| Ask::Release(id, reason, who, reply)).await
    }

    async fn ask<T>(&self, ask: impl FnOnce(Reply<T, GuardError>) -> Ask) -> Result<T, GuardError> {
        let (reply, answer) = oneshot::channel();
        self.guard(ask(reply))
            .await
            .map_err(|()| GuardError::Stopping)?;
        answer.await.unwrap_or(Err(GuardError::Stopping))
    }
}
