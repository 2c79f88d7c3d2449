//! `pointsman plan`: what a flip would do, phase by phase, and whether it would go.

use crate::admin::FlipBody;
use crate::control::PlannedFlip;
use crate::site::During;

use super::client::{AskError, Client};
use super::exit::Exit;
use super::{Output, clock, flip, out, words};

/// Tell what a flip would do and whether it would go: all that its rehearsal does, with nobody held.
///
/// Exit code 0: it would go; 3: it would be refused; 2, 5, 7 as those of `pointsman flip`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  pointsman plan ispot --to backup\n  \
                        pointsman plan --group web --during hold\n  \
                        pointsman plan ispot -o json | jq .refused")]
pub(super) struct Args {
    /// The sites to move, in one swap
    #[arg(value_name = "SITE", required_unless_present = "group")]
    sites: Vec<String>,
    /// The group of sites to move, in one swap
    #[arg(long, value_name = "GROUP", conflicts_with = "sites")]
    group: Option<String>,
    /// Where to; may be left out when a site has exactly two sides
    #[arg(long, value_name = "SIDE")]
    to: Option<String>,
    /// What users would get meanwhile [default: what the file says]
    #[arg(long, value_name = "WORD")]
    during: Option<During>,
    /// As the reason of the flip
    #[arg(long)]
    reason: Option<String>,
    /// As an emergency
    #[arg(long, requires = "reason", conflicts_with = "during")]
    now: bool,
    /// As if this check of the target passed; may be repeated
    #[arg(long, value_name = "NAME", requires = "reason")]
    force_check: Vec<String>,
    /// As if the last flip were longer ago than `flip.min_interval`
    #[arg(long, requires = "reason")]
    force_interval: bool,
    /// As if nothing could be lost
    #[arg(long, requires = "reason")]
    accept_loss: bool,
    /// As if this guarded job were gone
    #[arg(long, value_name = "ID", requires = "now")]
    over_guard: Vec<u64>,
    /// How the answer is written
    #[arg(short, long, value_enum, default_value = "table")]
    output: Output,
}

/// Asks the daemon for the plan and shows it.
pub(super) async fn plan(args: Args, client: &Client) -> Exit {
    let flip = flip::Args {
        sites: args.sites,
        group: args.group,
        to: args.to,
        reason: args.reason,
        during: args.during,
        now: args.now,
        force_check: args.force_check,
        force_interval: args.force_interval,
        accept_loss: args.accept_loss,
        over_guard: args.over_guard,
        dry_run: true,
        yes: true,
        cancel: None,
        output: args.output,
    };
    show(client, &flip).await
}

/// Shows what a flip with these arguments would do.
pub(super) async fn show(client: &Client, args: &flip::Args) -> Exit {
    let body = FlipBody {
        dry_run: true,
        ..flip::body(args)
    };
    let asked = client.post_and_wait("/api/v1/flips", &body).await;
    match asked.and_then(|answer| said(&answer, args.output)) {
        Ok((text, exit)) => {
            out::say(text.trim_end());
            exit
        }
        Err(error) => flip::refused(&error),
    }
}

fn said(answer: &serde_json::Value, output: Output) -> Result<(String, Exit), AskError> {
    let planned: PlannedFlip = AskError::read(answer)?;
    let exit = if planned.refused.is_some() {
        Exit::Refused
    } else {
        Exit::Settled
    };
    let text = match output {
        Output::Table => table(&planned),
        // As it came: a newer daemon may say more than this program knows.
        Output::Json => format!("{answer:#}"),
    };
    Ok((text, exit))
}

fn table(planned: &PlannedFlip) -> String {
    let moves: Vec<_> = planned.moves.iter().map(ToString::to_string).collect();
    let mut text = format!(
        "{}; users meanwhile: {}\n\n",
        moves.join(", "),
        words::meanwhile(planned.during, &planned.skipped)
    );
    for step in &planned.steps {
        let mut name = step.phase.as_str();
        if step.does.is_empty() {
            text += &format!("  {name}\n");
        }
        for sentence in &step.does {
            text += &format!("  {name:<11}  {sentence}\n");
            name = "";
        }
    }
    text += &format!("\n{}\n", held(&planned.held_before_ms));
    text += &match &planned.refused {
        None => "It would go; nothing was done.\n".to_owned(),
        Some(why) => format!("IT WOULD BE REFUSED: {why}\n"),
    };
    text
}

/// How long users are likely to be held, from the flips before.
fn held(before_ms: &[u64]) -> String {
    let mut sorted = before_ms.to_vec();
    sorted.sort_unstable();
    let Some(most) = sorted.last() else {
        return "How long users would be held is not known: no flip before held anybody.".into();
    };
    let median = sorted[sorted.len() / 2];
    format!(
        "Users would be held for about {} (at most {} in the last {}).",
        clock::duration(median),
        clock::duration(*most),
        match sorted.len() {
            1 => "flip".into(),
            flips => format!("{flips} flips"),
        }
    )
}
