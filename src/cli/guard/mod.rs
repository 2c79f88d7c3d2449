//! `pointsman guard`: runs a job under a lease, so that it and a flip of its site exclude each other.
//!
//! For: cron and systemd timers, which put it before the command that they run. Not for: deciding
//! whether it is the job's turn; the daemon does.
//!
//! ```text
//! guard ─ grant ─────────────> daemon   not its turn: 75, or --wait
//!   ├──> stand_in (a process group of its own, waits)
//!   ├─── begin ──────────────> daemon   the process is on disk
//!   ├──> stand_in becomes the job       terminal, output and signals are the job's
//!   ├─── renew, once a second > daemon   told to end: TERM, and KILL after a grace
//!   └─── end ────────────────> daemon   when nothing of its group is left
//! ```
//!
//! Invariants: no process of the job runs before it is on the daemon's disk, nor when the guard dies
//! before that; the lease is renewed until the whole group is gone; without a daemon nothing begins.
//!
//! A crash of the guard leaves the job and an orphaned lease, which blocks flips. A daemon that is
//! away is waited for while the job goes on. Tests: `guard` in `tests/it`.

mod job;
mod lease;
mod list;
mod signals;
mod stand_in;

use std::ffi::OsString;
use std::time::Duration;

use jiff::SignedDuration;

use crate::admin::NO_LEASE;
use crate::site::OnFlip;

use super::client::{AskError, Client};
use super::exit::Exit;
use super::{Output, out};

pub(super) use stand_in::{Args as StandInArgs, stand_in};

/// Run a job, such as a copy from the active side to another, so that no flip of its site goes on
/// meanwhile; and only when its turn is.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  pointsman guard --site ispot --from live --to backup -- rsync -a /srv/ispot/ backup:/srv/ispot/
  pointsman guard --site ispot --quiet -- /usr/local/bin/nightly-report
  pointsman guard --list
  pointsman guard --release 7 --reason \"db1 was switched off\"

Exit codes: that of the job, 128+N when signal N ended it, 126 or 127 when it cannot be started;
75 when it is not its turn (EX_TEMPFAIL), 7 when no daemon answers, 2 for a mistake in the arguments.

The job finds POINTSMAN_SITE, POINTSMAN_FROM, POINTSMAN_TO and POINTSMAN_EPOCH in its environment.")]
pub(super) struct Args {
    /// The site that the job is for
    #[arg(long, value_name = "SITE")]
    site: Option<String>,
    /// The group of sites that it is for
    #[arg(long, value_name = "GROUP", conflicts_with = "site")]
    group: Option<String>,
    /// The side that has to be active [default: whichever is]
    #[arg(long, value_name = "SIDE")]
    from: Option<String>,
    /// The side that the job copies onto: until it has ended with 0, that side is torn [default:
    /// none, it is no copy]
    #[arg(long, value_name = "SIDE")]
    to: Option<String>,
    /// What the job is called in messages and in the journal [default: its program]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// What becomes of the job when a flip is asked for: wait, refuse or kill
    #[arg(long, value_name = "WORD", default_value = "wait")]
    on_flip: OnFlip,
    /// Wait so long for its turn, such as 10m [default: not at all]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    wait: Option<Duration>,
    /// Say nothing when it is not its turn
    #[arg(long)]
    quiet: bool,
    /// Overwrite writes that only the side has that is copied onto, with a reason
    #[arg(long, requires = "reason")]
    accept_loss: bool,
    /// Why, for the journal
    #[arg(long)]
    reason: Option<String>,
    /// List the jobs that run, or may
    #[arg(long, conflicts_with_all = ["site", "group", "from", "to", "release", "command"])]
    list: bool,
    /// Give back the lease of a job that is gone for certain, with a reason
    #[arg(long, value_name = "ID", requires = "reason", conflicts_with_all = ["site", "group", "from", "to", "command"])]
    release: Option<u64>,
    /// How the list is written
    #[arg(short, long, value_enum, default_value = "table", requires = "list")]
    output: Output,
    /// The job
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// Runs a job under guard, lists the leases, or gives one back.
pub(super) async fn guard(args: &Args, client: &Client) -> anyhow::Result<Exit> {
    if args.list {
        return Ok(list::list(client, args.output).await);
    }
    if let Some(id) = args.release {
        let reason = args.reason.as_deref().unwrap_or_default();
        return Ok(list::release(client, id, reason).await);
    }
    if args.command.is_empty() {
        out::complain("pointsman: name the job after `--`, such as: -- rsync -a FROM TO");
        return Ok(Exit::Usage);
    }
    let granted = match lease::ask(args, client).await {
        Ok(granted) => granted,
        Err(exit) => return Ok(exit),
    };
    let job = match job::Job::stand_by(&args.command, &granted) {
        Ok(job) => job,
        Err(why) => {
            lease::never_ran(client, &granted).await;
            return Err(why);
        }
    };
    job.run(client, &granted).await
}

/// Reads a duration as the file has them.
fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is no duration: write 90s, 10m or 1h");
    let lasting: SignedDuration = text.parse().map_err(|_| wrong())?;
    Duration::try_from(lasting).map_err(|_| wrong())
}

/// Says why nothing was done, and picks the exit code.
fn refused(error: &AskError) -> Exit {
    out::complain(&format!("pointsman: {error}"));
    match error {
        AskError::Unreachable { .. } | AskError::BrokenOff { .. } => Exit::Unreachable,
        AskError::TurnedAway(_) => Exit::Refused,
        AskError::Foreign(_) => Exit::Failed,
        AskError::Refused(problem) if problem.code == NO_LEASE => Exit::NotItsTurn,
        AskError::Refused(problem) => match problem.status {
            404 | 422 => Exit::Usage,
            _ => Exit::NotItsTurn,
        },
    }
}
