//! The lease, as its job sees it: asked for, begun, renewed, and given back.

use std::ffi::OsStr;
use std::path::Path;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

use crate::admin::{BeginBody, Done, EndBody, GuardBody, NO_LEASE, NOT_ITS_TURN, RenewBody};
use crate::control::{Ended, Granted, Order};
use crate::processes::Leader;
use crate::site::{GroupName, SideName, SiteName};

use super::super::client::{AskError, Client};
use super::super::exit::Exit;
use super::super::out;
use super::{Args, refused};

/// How often a lease is renewed; an emergency gives a job five seconds to be gone.
const RENEW_EVERY: Duration = Duration::from_secs(1);

/// How long one renewal may take, so that the next is in time.
const RENEW_WITHIN: Duration = Duration::from_secs(3);

/// How often it is asked whether it is the job's turn by now.
const TURN_EVERY: Duration = Duration::from_secs(1);

/// How long the daemon is waited for with the end of a job: a restart takes seconds.
const END_WITHIN: Duration = Duration::from_secs(60);

/// How long a job that a flip does not wait for may take to end when its lease is gone.
const LOST_GRACE: Duration = Duration::from_secs(10);

/// Asks for a lease, again and again while it is to be waited for.
///
/// # Errors
/// There is none; it was said why.
pub(super) async fn ask(args: &Args, client: &Client) -> Result<Granted, Exit> {
    let body = GuardBody {
        site: args.site.as_deref().map(SiteName::new),
        group: args.group.as_deref().map(GroupName::new),
        from: args.from.as_deref().map(SideName::new),
        to: args.to.as_deref().map(SideName::new),
        job: name(args),
        host: host(),
        on_flip: args.on_flip,
        accept_loss: args.accept_loss,
        reason: args.reason.clone(),
    };
    let until = args.wait.map(|wait| Instant::now() + wait);
    loop {
        let error = match client.post("/api/v1/guards", &body, None).await {
            Ok(granted) => return Ok(granted),
            Err(error) => error,
        };
        let is_left = until.is_some_and(|until| Instant::now() < until);
        if is_left && may_pass(&error) {
            sleep(TURN_EVERY).await;
            continue;
        }
        if is_not_its_turn(&error) && args.quiet {
            return Err(Exit::NotItsTurn);
        }
        return Err(refused(&error));
    }
}

/// Notes at the daemon what is about to run.
///
/// # Errors
/// See [`AskError`]; it must not run.
pub(super) async fn begin(
    client: &Client,
    granted: &Granted,
    child: Leader,
) -> Result<(), AskError> {
    let body = BeginBody {
        key: granted.key.clone(),
        child,
    };
    let begun: Result<Done, _> = client.post(&path(granted, "begin"), &body, None).await;
    begun.map(drop)
}

/// Renews a lease until nobody wants to know any more what the job is told.
pub(super) async fn renew(client: Client, granted: Granted, told: watch::Sender<Option<Duration>>) {
    let (path, key) = (path(&granted, "renew"), granted.key);
    let body = RenewBody { key };
    let mut is_away = false;
    let mut tick = interval(RENEW_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        let renewed = timeout(RENEW_WITHIN, client.post::<Order>(&path, &body, None)).await;
        let grace = match renewed {
            Ok(Ok(order)) => order.grace(),
            Ok(Err(AskError::Refused(problem))) if problem.code == NO_LEASE => {
                tell(&told, LOST_GRACE, &problem.detail);
                return;
            }
            Ok(Err(_)) | Err(_) => {
                if !std::mem::replace(&mut is_away, true) {
                    out::complain(
                        "pointsman: the daemon does not answer; the job goes on, and no flip can",
                    );
                }
                continue;
            }
        };
        is_away = false;
        if let Some(grace) = grace {
            tell(&told, grace, FLIP);
        }
    }
}

/// Why jobs are ended.
const FLIP: &str = "a flip goes before it";

fn say_ended(why: &str) {
    out::complain(&format!("pointsman: the job is ended: {why}"));
}

fn tell(told: &watch::Sender<Option<Duration>>, grace: Duration, why: &str) {
    // The job has ended, and its lease may have been given back by now.
    if told.is_closed() {
        return;
    }
    let is_shorter = |before: Option<Duration>| before.is_none_or(|before| grace < before);
    told.send_if_modified(|before| {
        let is_new = is_shorter(*before);
        if is_new {
            say_ended(why);
            *before = Some(grace);
        }
        is_new
    });
}

/// Gives a lease back, and waits for the daemon to hear it.
pub(super) async fn end(
    client: &Client,
    granted: &Granted,
    (ended, detail): (Ended, String),
    was_told: bool,
) {
    let body = EndBody {
        key: granted.key.clone(),
        ended,
        detail,
    };
    let path = path(granted, "end");
    let until = Instant::now() + END_WITHIN;
    loop {
        let error = match client.post::<Order>(&path, &body, None).await {
            // It may not have heard that before it was ended.
            Ok(Order::End { .. }) if !was_told => return say_ended(FLIP),
            Ok(Order::End { .. } | Order::GoOn) => return,
            Err(error) => error,
        };
        // A lease under which nothing ran has run out by itself.
        let is_gone = matches!(&error, AskError::Refused(problem) if problem.code == NO_LEASE);
        if is_gone && body.ended == Ended::NotRun {
            return;
        }
        if !may_pass(&error) || Instant::now() >= until {
            out::complain(&format!(
                "pointsman: the daemon did not hear how guard {} ended: {error}",
                granted.id
            ));
            return;
        }
        sleep(TURN_EVERY).await;
    }
}

/// Gives a lease back under which nothing ran; if nobody hears it, it runs out by itself.
pub(super) async fn never_ran(client: &Client, granted: &Granted) {
    let body = EndBody {
        key: granted.key.clone(),
        ended: Ended::NotRun,
        detail: "it was not started".into(),
    };
    let path = path(granted, "end");
    drop(client.post::<Order>(&path, &body, None).await);
}

fn path(granted: &Granted, what: &str) -> String {
    format!("/api/v1/guards/{}/{what}", granted.id)
}

/// Tells whether an error is likely to be gone after a while.
fn may_pass(error: &AskError) -> bool {
    match error {
        AskError::Unreachable { .. } | AskError::BrokenOff { .. } => true,
        AskError::Refused(problem) => problem.code == NOT_ITS_TURN || problem.status == 503,
        AskError::TurnedAway(_) | AskError::Foreign(_) => false,
    }
}

fn is_not_its_turn(error: &AskError) -> bool {
    matches!(error, AskError::Refused(problem) if problem.code == NOT_ITS_TURN)
}

/// What the job is called: not with its arguments, which may hold what is not for everybody.
fn name(args: &Args) -> String {
    let program = args.command.first().map(Path::new);
    let file = program
        .and_then(Path::file_name)
        .map(OsStr::to_string_lossy);
    let unsaid = || file.unwrap_or_default().into_owned();
    args.name.clone().unwrap_or_else(unsaid)
}

fn host() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname");
    name.map_or_else(|_| "an unknown host".into(), |name| name.trim().to_owned())
}
