//! `pointsman flip`: move sites to another side.
//!
//! For: asking the daemon for a flip and following it to its end. Not for: the flip itself, which
//! is the daemon's and goes on when this command is gone.
//!
//! ```text
//! status ─> what will move ─> confirm ─> POST flips ─> events ─> a line per phase ─> exit code
//! ```
//!
//! Invariants: without a terminal nothing is asked and nothing is done unless `--yes`; the exit
//! code is the daemon's outcome and never a guess: when the daemon cannot be heard, it is 7.
//! A crash leaves nothing behind. Tests: `tests/it/cli.rs`.

mod about;
mod follow;

use http::HeaderValue;

use crate::admin::{FlipAsked, FlipBody, ForceBody, MoveBody, Problem, StatusView};
use crate::control::Outcome;
use crate::site::{During, FlipId, GroupName, GuardId, SideName, SiteName};

use super::client::{AskError, Client};
use super::confirm::{self, Answer};
use super::exit::Exit;
use super::{Output, out, plan};

/// Move sites to another side, and follow the move to its end.
///
/// Exit code 0: settled; 2: wrong arguments; 3: refused, or taken back before anyone waited; 4:
/// taken back; 5: another flip runs, or the sites have changed since they were shown; 7: the daemon
/// does not answer; 8: moved, not confirmed.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  pointsman flip ispot --to backup --reason \"disk failure\"\n  \
                        pointsman flip ispot megalab --during hold --yes\n  \
                        pointsman flip --group web --to backup --reason \"disk failure\"\n  \
                        pointsman flip ispot --to backup --now --reason \"live is dead\"\n  \
                        pointsman flip ispot --force-check quiz --reason \"quiz is off today\"\n  \
                        pointsman flip --cancel 7"
)]
pub(super) struct Args {
    /// The sites to move, in one swap
    #[arg(value_name = "SITE", required_unless_present_any = ["cancel", "group"])]
    pub(super) sites: Vec<String>,
    /// The group of sites to move, in one swap; those that are there already stay
    #[arg(long, value_name = "GROUP", conflicts_with = "sites")]
    pub(super) group: Option<String>,
    /// Where to; may be left out when a site has exactly two sides
    #[arg(long, value_name = "SIDE")]
    pub(super) to: Option<String>,
    /// Why, for the journal
    #[arg(long)]
    pub(super) reason: Option<String>,
    /// What users get meanwhile: page, hold or read-only [default: what the file says]
    #[arg(long, value_name = "WORD")]
    pub(super) during: Option<During>,
    /// The active side is dead: cut what is in flight, copy nothing; needs a reason
    #[arg(long, requires = "reason", conflicts_with = "during")]
    pub(super) now: bool,
    /// Move even if this check of the target fails, with a reason; may be repeated. Without a
    /// NAME, and with --now only: whatever the checks say
    #[arg(long, value_name = "NAME", num_args = 0..=1, default_missing_value = "")]
    pub(super) force_check: Vec<String>,
    /// Move although the last flip was less than `flip.min_interval` ago, with a reason
    #[arg(long, requires = "reason")]
    pub(super) force_interval: bool,
    /// Leave writes behind, overwrite some, or go to a torn side, with a reason: what is lost is
    /// journalled
    #[arg(long, requires = "reason")]
    pub(super) accept_loss: bool,
    /// Go over a guarded job that is not proved gone, by the number of its lease; may be repeated
    #[arg(long, value_name = "ID", requires = "now")]
    pub(super) over_guard: Vec<u64>,
    /// Only tell what would happen, as `pointsman plan` does; nobody is held
    #[arg(long, conflicts_with = "cancel")]
    pub(super) dry_run: bool,
    /// Do not ask
    #[arg(long)]
    pub(super) yes: bool,
    /// Cancel a flip that is not committed yet
    #[arg(long, value_name = "ID", conflicts_with_all = ["sites", "group", "to", "reason", "during", "now", "force_check", "force_interval", "accept_loss", "over_guard"])]
    pub(super) cancel: Option<u64>,
    /// How the answer is written
    #[arg(short, long, value_enum, default_value = "table")]
    pub(super) output: Output,
}

/// Flips, or cancels a flip.
pub(super) async fn flip(args: &Args, client: &Client) -> anyhow::Result<Exit> {
    if args.dry_run {
        return Ok(plan::show(client, args).await);
    }
    if args.cancel.is_none() && !args.yes && !confirm::can_ask() {
        out::complain(
            "pointsman: a flip asks for confirmation, and there is no terminal to ask on: add --yes",
        );
        return Ok(Exit::Usage);
    }
    if let Some(wrong) = forced_wrongly(args) {
        out::complain(&format!("pointsman: {wrong}"));
        return Ok(Exit::Usage);
    }
    let done = match args.cancel {
        Some(id) => cancel(client, FlipId(id)).await,
        None => begin(client, args).await?,
    };
    Ok(done.unwrap_or_else(|error| refused(&error)))
}

async fn cancel(client: &Client, id: FlipId) -> Result<Exit, AskError> {
    client.delete(&format!("/api/v1/flips/{id}")).await?;
    out::say(&format!(
        "Flip {id} goes back; `pointsman status` shows when it is there."
    ));
    Ok(Exit::Settled)
}

/// Asks, begins and follows.
async fn begin(client: &Client, args: &Args) -> anyhow::Result<Result<Exit, AskError>> {
    let mut seen = None;
    if !args.yes {
        let looked = client.get_with_tag("/api/v1/status").await;
        let (status, tag): (StatusView, _) = match looked {
            Ok(looked) => looked,
            Err(error) => return Ok(Err(error)),
        };
        out::complain(&about::about(args, &status));
        if confirm::ask(&named(args))? == Answer::Declined {
            out::complain("Nothing was done.");
            return Ok(Ok(Exit::Usage));
        }
        // What is confirmed is what was shown: the daemon refuses if it has changed meanwhile.
        seen = tag;
    }
    Ok(ask(client, &body(args), seen.as_ref(), args.output).await)
}

/// Asks for a flip and follows it; `seen` is the tag of the status that it was decided upon.
pub(super) async fn ask(
    client: &Client,
    body: &FlipBody,
    seen: Option<&HeaderValue>,
    output: Output,
) -> Result<Exit, AskError> {
    let asked: FlipAsked = client.post("/api/v1/flips", body, seen).await?;
    Ok(follow::to_the_end(client, asked.id, output).await)
}

/// What the operator named, and has to type to confirm it.
fn named(args: &Args) -> String {
    args.group.clone().unwrap_or_else(|| args.sites.join(" "))
}

/// Says what is missing for checks to be gone over.
fn forced_wrongly(args: &Args) -> Option<&'static str> {
    match force_check(args) {
        ForceBody::All(true) if !args.now => Some(
            "--force-check without the name of a check leaves all of them out, which is for an \
             emergency: name the check, or add --now",
        ),
        ForceBody::Named(_) if args.reason.is_none() => {
            Some("to go over a check needs a reason: add --reason")
        }
        ForceBody::All(_) | ForceBody::Named(_) => None,
    }
}

/// An empty name is one that was left out.
fn force_check(args: &Args) -> ForceBody {
    let names = &args.force_check;
    if names.is_empty() || names.iter().any(String::is_empty) {
        ForceBody::All(!names.is_empty())
    } else {
        ForceBody::Named(names.clone())
    }
}

pub(super) fn body(args: &Args) -> FlipBody {
    let to = args.to.as_deref().map(SideName::new);
    let group = args.group.as_deref().map(GroupName::new);
    let moves = args.sites.iter().map(|site| MoveBody {
        site: SiteName::new(site),
        to: to.clone(),
    });
    FlipBody {
        moves: moves.collect(),
        to: to.clone().filter(|_| group.is_some()),
        group,
        during: args.during,
        reason: args.reason.clone(),
        now: args.now,
        force_check: force_check(args),
        force_interval: args.force_interval,
        accept_loss: args.accept_loss,
        over_guards: args.over_guard.iter().copied().map(GuardId).collect(),
        undo: None,
        dry_run: args.dry_run,
    }
}

/// Says why nothing was begun, and picks the exit code.
pub(super) fn refused(error: &AskError) -> Exit {
    out::complain(&format!("pointsman: {error}"));
    match error {
        AskError::Unreachable { .. } | AskError::BrokenOff { .. } => Exit::Unreachable,
        AskError::Refused(problem) => exit_of(problem),
        AskError::TurnedAway(_) => Exit::Refused,
        AskError::Foreign(_) => Exit::Failed,
    }
}

fn exit_of(problem: &Problem) -> Exit {
    match (problem.code.as_str(), problem.status) {
        ("already-there" | "in-doubt" | "not-undone", _) => Exit::of(Outcome::Refused),
        ("stopping", _) => Exit::Unreachable,
        (_, 409 | 412) => Exit::Conflict,
        (_, 400..=499) => Exit::Usage,
        _ => Exit::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(code: &str, status: u16) -> Problem {
        Problem {
            kind: "about:blank".into(),
            title: String::new(),
            status,
            detail: String::new(),
            code: code.into(),
        }
    }

    #[test]
    fn each_refusal_has_the_exit_code_of_the_contract() {
        assert_eq!(exit_of(&problem("flip-in-progress", 409)).code(), 5);
        assert_eq!(exit_of(&problem("state-changed", 412)).code(), 5);
        assert_eq!(exit_of(&problem("unknown-site", 422)).code(), 2);
        assert_eq!(exit_of(&problem("already-there", 409)).code(), 3);
        assert_eq!(exit_of(&problem("stopping", 503)).code(), 7);
        assert_eq!(exit_of(&problem("bug", 500)).code(), 1);
    }

    #[test]
    fn each_outcome_has_the_exit_code_of_the_contract() {
        let outcomes = [
            (Outcome::Settled, 0),
            (Outcome::Refused, 3),
            (Outcome::RestoredUnheld, 3),
            (Outcome::Restored, 4),
            (Outcome::Moved, 8),
        ];

        for (outcome, code) in outcomes {
            assert_eq!(Exit::of(outcome).code(), code, "{outcome:?}");
        }
    }
}
