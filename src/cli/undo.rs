//! `pointsman undo`: take the last flip back by the same road.

use crate::admin::{FlipBody, StatusView};
use crate::control::PastFlip;
use crate::site::{During, FlipId};

use super::client::{AskError, Client};
use super::confirm::{self, Answer};
use super::exit::Exit;
use super::{Output, flip, history, out};

/// Flip back what the last flip moved, in one swap and with the same care.
///
/// Refused (exit 3) when something that it moved has moved since. Exit codes as those of
/// `pointsman flip`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  pointsman undo --reason \"the quiz is broken on backup\"\n  \
                        pointsman undo ispot --during hold --yes\n  pointsman undo --flip 12"
)]
pub(super) struct Args {
    /// The site whose last flip is taken back, with all that it moved [default: the last of all]
    #[arg(value_name = "SITE", conflicts_with = "flip")]
    site: Option<String>,
    /// The flip that is taken back
    #[arg(long, value_name = "ID")]
    flip: Option<u64>,
    /// Why, for the journal
    #[arg(long)]
    reason: Option<String>,
    /// What users get meanwhile: page, hold or read-only [default: as in the flip taken back]
    #[arg(long, value_name = "WORD")]
    during: Option<During>,
    /// Leave writes behind, overwrite some, or go to a torn side, with a reason: what is lost is
    /// journalled
    #[arg(long, requires = "reason")]
    accept_loss: bool,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    /// How the answer is written
    #[arg(short, long, value_enum, default_value = "table")]
    output: Output,
}

/// Finds the flip, asks, and flips back.
pub(super) async fn undo(args: &Args, client: &Client) -> anyhow::Result<Exit> {
    if !args.yes && !confirm::can_ask() {
        out::complain(
            "pointsman: undo asks for confirmation, and there is no terminal to ask on: add --yes",
        );
        return Ok(Exit::Usage);
    }
    // Looked at first: what has moved between this look and the flip is noticed by its tag.
    let looked = client.get_with_tag::<StatusView>("/api/v1/status").await;
    let (found, seen) = match looked {
        Ok((_, seen)) => (find(args, client).await, seen),
        Err(error) => (Err(error), None),
    };
    let found = match found {
        Ok(Some(found)) => found,
        Ok(None) => {
            out::complain("pointsman: there is nothing to take back: no flip has moved anything");
            return Ok(Exit::Refused);
        }
        Err(error) => return Ok(history::failed(&error)),
    };
    if !args.yes {
        out::complain(&about(&found));
        if confirm::ask(&sites(&found))? == Answer::Declined {
            out::complain("Nothing was done.");
            return Ok(Exit::Usage);
        }
    }
    let moves = history::moves(&found);
    out::complain(&format!("This takes back flip {}: {moves}.", found.id));
    let body = FlipBody {
        undo: Some(found.id),
        accept_loss: args.accept_loss,
        over_guards: Vec::new(),
        during: args.during.or_else(|| same_as(&found)),
        reason: args
            .reason
            .clone()
            .or_else(|| Some(format!("undo of flip {}", found.id))),
        ..FlipBody::default()
    };
    let asked = flip::ask(client, &body, seen.as_ref(), args.output).await;
    Ok(asked.unwrap_or_else(|error| flip::refused(&error)))
}

async fn find(args: &Args, client: &Client) -> Result<Option<PastFlip>, AskError> {
    match args.flip {
        Some(flip) => history::one(client, FlipId(flip)).await.map(Some),
        None => history::last_that_moved(client, args.site.as_deref()).await,
    }
}

/// The same road; that of an emergency is none to go back on, so the file says then.
fn same_as(found: &PastFlip) -> Option<During> {
    found.skipped.is_empty().then_some(found.during)
}

fn about(found: &PastFlip) -> String {
    let back = found.moves.iter().map(|past| {
        let step = &past.planned;
        format!("{}: {} -> {}", step.site, step.to, step.from)
    });
    let because = found.reason.as_deref().unwrap_or("no reason given");
    format!(
        "{}\nas it was before flip {} of {} ({because})",
        back.collect::<Vec<_>>().join("\n"),
        found.id,
        super::clock::date_and_time(found.began)
    )
}

fn sites(found: &PastFlip) -> String {
    let sites = found.moves.iter().map(|past| past.planned.site.as_str());
    sites.collect::<Vec<_>>().join(" ")
}
