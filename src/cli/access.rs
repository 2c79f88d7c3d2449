//! `pointsman access`: say what users may do with a site, or with a part of it.

use std::str::FromStr;

use jiff::civil::{DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan, ZonedDateTime};

use crate::admin::{AccessBody, AccessChanged, Problem};
use crate::site::Access;

use super::client::{AskError, Client};
use super::confirm::{self, Answer};
use super::exit::Exit;
use super::{clock, invite, out};

/// Say what users may do with a site, or with a part of it, until the file says something else.
///
/// Returns when what that forbids has ended: it drains as long as in a flip, and is cut then. Which
/// side is active is another matter. With --invite nothing changes for users: the link that it
/// prints lets an operator look behind the page. Exit code 0: in force, or printed; 1: failed;
/// 2: wrong arguments; 5: changed again meanwhile; 7: the daemon does not answer.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  pointsman access ispot maintenance --reason \"new disks\" --back-at 14:30\n  \
                        pointsman access megalab/quiz read-only --yes\n  \
                        pointsman access ispot open --yes\n  \
                        pointsman access ispot --invite --for 30m"
)]
pub(super) struct Args {
    /// The site, or a part of it that stands under its `paths:`, such as megalab/quiz
    #[arg(value_name = "SITE[/PATH]")]
    place: String,
    /// open, read-only or maintenance
    #[arg(value_name = "WORD", required_unless_present = "invite")]
    access: Option<Access>,
    /// Why, for the journal
    #[arg(long)]
    reason: Option<String>,
    /// When users are told to come back: a time of day, such as 14:30, or 2026-02-14T14:30:00Z
    #[arg(long, value_name = "TIME", value_parser = back_at)]
    back_at: Option<Timestamp>,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    /// Print a link by which an operator gets behind the page of the site, instead of a WORD
    #[arg(long, conflicts_with_all = ["access", "reason", "back_at"])]
    invite: bool,
    /// How long the link is good, 60s to 168h [default: 1h]
    #[arg(long = "for", value_name = "DURATION", requires = "invite", value_parser = invite::seconds)]
    for_s: Option<u64>,
}

/// Changes the access, or invites somebody who is not to mind it.
pub(super) async fn access(args: &Args, client: &Client) -> anyhow::Result<Exit> {
    match args.access {
        Some(access) => change(args, access, client).await,
        None => Ok(print_link(args, client).await),
    }
}

async fn print_link(args: &Args, client: &Client) -> Exit {
    if args.place.contains('/') {
        out::complain(
            "pointsman: an invitation is to a whole site, whatever its parts say: leave the path out",
        );
        return Exit::Usage;
    }
    match invite::invite(client, &args.place, args.for_s).await {
        Ok(()) => Exit::Settled,
        Err(error) => failed(&error),
    }
}

async fn change(args: &Args, access: Access, client: &Client) -> anyhow::Result<Exit> {
    if !args.yes && !confirm::can_ask() {
        out::complain(
            "pointsman: access asks for confirmation, and there is no terminal to ask on: add --yes",
        );
        return Ok(Exit::Usage);
    }
    if !args.yes {
        out::complain(&format!("{} becomes {access}", args.place));
        if confirm::ask(&args.place)? == Answer::Declined {
            out::complain("Nothing was done.");
            return Ok(Exit::Usage);
        }
    }
    let (site, path) = match args.place.find('/') {
        Some(at) => (&args.place[..at], Some(args.place[at..].to_owned())),
        None => (args.place.as_str(), None),
    };
    let body = AccessBody {
        access,
        path,
        reason: args.reason.clone(),
        back_at: args.back_at,
    };
    let resource = format!("/api/v1/sites/{site}/access");
    let asked = client.put_and_wait(&resource, &body);
    match or_say_that_it_waits(asked).await {
        Ok(changed) => {
            out::say(&said(args, changed));
            Ok(Exit::Settled)
        }
        Err(error) => Ok(failed(&error)),
    }
}

/// Says after a while what is waited for.
async fn or_say_that_it_waits<T>(asked: impl Future<Output = T>) -> T {
    let mut asked = std::pin::pin!(asked);
    tokio::select! {
        done = &mut asked => return done,
        () = tokio::time::sleep(PATIENCE) => {}
    }
    out::complain("It is in force; waiting for what is in flight and now forbidden…");
    asked.await
}

fn failed(error: &AskError) -> Exit {
    out::complain(&format!("pointsman: {error}"));
    exit_of(error)
}

fn said(args: &Args, changed: AccessChanged) -> String {
    let rest = match (changed.access, changed.cut) {
        (Access::Open, _) => "",
        (_, false) => "; what that forbids has ended",
        (_, true) => "; what was left of what that forbids was cut",
    };
    let back = args.back_at.map_or(String::new(), |at| {
        let at = clock::date_and_time(at);
        format!(" Users are told to come back at {at}.")
    });
    format!("{} is {}{rest}.{back}", args.place, changed.access)
}

fn exit_of(error: &AskError) -> Exit {
    match error {
        AskError::Unreachable { .. } | AskError::BrokenOff { .. } => Exit::Unreachable,
        AskError::Refused(Problem { code, .. }) if code == "stopping" => Exit::Unreachable,
        AskError::Refused(Problem { status: 409, .. }) => Exit::Conflict,
        AskError::Refused(Problem { status, .. }) if (400..500).contains(status) => Exit::Usage,
        AskError::TurnedAway(_) => Exit::Refused,
        AskError::Refused(_) | AskError::Foreign(_) => Exit::Failed,
    }
}

/// Nearly all changes are over by then.
const PATIENCE: std::time::Duration = std::time::Duration::from_millis(500);

/// Reads a point in time; a time of day is the next one on the clock of this machine.
fn back_at(text: &str) -> Result<Timestamp, String> {
    back_at_after(
        text,
        &Timestamp::now().to_zoned_datetime(TimeZone::system()),
    )
}

fn back_at_after(text: &str, now: &ZonedDateTime) -> Result<Timestamp, String> {
    let wrong = || {
        format!(
            "{text:?} is no time: write 14:30 (the next one, by the clock of this machine), \
             2026-02-14T14:30 (by the same clock), or 2026-02-14T14:30:00Z"
        )
    };
    // A date beside the time would be passed over.
    let has_date = text.len() > "14:30:00".len();
    let Ok(time) = Time::from_str(if has_date { "" } else { text }) else {
        let local = || {
            DateTime::from_str(text)
                .ok()?
                .to_zoned_datetime(now.time_zone().clone())
                .ok()
        };
        let at = text.parse().ok().or_else(|| Some(local()?.timestamp()));
        let at: Timestamp = at.ok_or_else(wrong)?;
        return if at > now.timestamp() {
            Ok(at)
        } else {
            Err(format!("{text} is past"))
        };
    };
    let today = now.with().time(time).build().map_err(|_| wrong())?;
    let next = if today > *now {
        today
    } else {
        today.checked_add(1.day()).map_err(|_| wrong())?
    };
    Ok(next.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Result<String, String> {
        let now: Timestamp = "2010-02-14T14:00:00Z".parse().expect("a time");
        back_at_after(text, &now.to_zoned_datetime(TimeZone::UTC)).map(|at| at.to_string())
    }

    #[test]
    fn a_time_of_day_is_the_next_one() {
        assert_eq!(at("14:30").as_deref(), Ok("2010-02-14T14:30:00Z"));
        assert_eq!(at("13:30").as_deref(), Ok("2010-02-15T13:30:00Z"));
    }

    #[test]
    fn a_point_in_time_lies_ahead() {
        let ahead = "2010-02-14T15:00:00+00:00";
        assert_eq!(at(ahead).as_deref(), Ok("2010-02-14T15:00:00Z"));
        assert!(at("2010-02-14T13:00:00Z").is_err());
        assert!(at("soon").is_err());
        let elsewhere = at("2010-02-16T15:00:00+02:00");
        assert_eq!(elsewhere.as_deref(), Ok("2010-02-16T13:00:00Z"));
        let here = at("2010-02-16 15:00");
        assert_eq!(here.as_deref(), Ok("2010-02-16T15:00:00Z"));
        assert!(at("2010-02-14 13:00").is_err(), "it is past");
    }
}
