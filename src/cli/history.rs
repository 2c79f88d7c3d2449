//! `pointsman history`: the flips of the journal, and one of them in full.

use crate::control::{PastFlip, PastMove};
use crate::site::FlipId;

use super::client::{AskError, Client};
use super::exit::Exit;
use super::{Output, clock, out, words};

/// Show the flips of the journal, the newest first; or one of them in full.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  pointsman history\n  pointsman history ispot --limit 5\n  \
                        pointsman history --flip 12\n  \
                        pointsman history -o json | jq '.[] | select(.outcome == \"restored\")'"
)]
pub(super) struct Args {
    /// The site whose flips are shown [default: all]
    #[arg(value_name = "SITE", conflicts_with = "flip")]
    site: Option<String>,
    /// One flip, in full
    #[arg(long, value_name = "ID")]
    flip: Option<u64>,
    /// How many
    #[arg(short = 'n', long, value_name = "N", default_value = "20",
          value_parser = clap::value_parser!(u32).range(1..=1000), conflicts_with = "flip")]
    limit: u32,
    /// Only those before this one
    #[arg(long, value_name = "ID", conflicts_with = "flip")]
    before: Option<u64>,
    /// How the answer is written
    #[arg(short, long, value_enum, default_value = "table")]
    output: Output,
}

/// Asks the daemon and shows its answer.
pub(super) async fn history(args: &Args, client: &Client) -> Exit {
    match text(args, client).await {
        Ok(text) => {
            out::say(text.trim_end());
            Exit::Settled
        }
        Err(error) => failed(&error),
    }
}

async fn text(args: &Args, client: &Client) -> Result<String, AskError> {
    let path = match args.flip {
        Some(flip) => format!("/api/v1/history/{flip}"),
        None => page(args),
    };
    // As it came: a newer daemon may say more than this program knows.
    let answer: serde_json::Value = client.get(&path).await?;
    if args.output == Output::Json {
        return Ok(format!("{answer:#}"));
    }
    if args.flip.is_some() {
        return Ok(in_full(&AskError::read(&answer)?));
    }
    let flips: Vec<PastFlip> = AskError::read(&answer)?;
    Ok(table(&flips))
}

fn page(args: &Args) -> String {
    let mut path = format!("/api/v1/history?limit={}", args.limit);
    if let Some(before) = args.before {
        path += &format!("&before={before}");
    }
    if let Some(site) = &args.site {
        path += &format!("&site={}", super::client::in_query(site));
    }
    path
}

/// Says what went wrong, and picks the exit code.
pub(super) fn failed(error: &AskError) -> Exit {
    out::complain(&format!("pointsman: {error}"));
    match error {
        AskError::Unreachable { .. } | AskError::BrokenOff { .. } => Exit::Unreachable,
        AskError::Refused(problem) if (400..500).contains(&problem.status) => Exit::Usage,
        AskError::TurnedAway(_) => Exit::Refused,
        AskError::Refused(_) | AskError::Foreign(_) => Exit::Failed,
    }
}

/// The last flip of a site, or of all, that moved something.
///
/// # Errors
/// See [`AskError`].
pub(super) async fn last_that_moved(
    client: &Client,
    site: Option<&str>,
) -> Result<Option<PastFlip>, AskError> {
    let mut path = "/api/v1/history?limit=1&moved=true".to_owned();
    if let Some(site) = site {
        path += &format!("&site={}", super::client::in_query(site));
    }
    let flips: Vec<PastFlip> = client.get(&path).await?;
    Ok(flips.into_iter().next())
}

/// One flip of the history.
///
/// # Errors
/// See [`AskError`].
pub(super) async fn one(client: &Client, flip: FlipId) -> Result<PastFlip, AskError> {
    client.get(&format!("/api/v1/history/{flip}")).await
}

fn table(flips: &[PastFlip]) -> String {
    if flips.is_empty() {
        return "No flip yet.".into();
    }
    let mut text = format!(
        "{:>5}  {:16}  {:9}  {:>8}  WHAT\n",
        "FLIP", "BEGAN", "OUTCOME", "HELD"
    );
    for flip in flips {
        let held = flip.held_ms.map_or_else(|| "-".into(), clock::duration);
        let because = flip.reason.as_deref();
        let because = because.map_or(String::new(), |reason| format!(": {reason}"));
        text += &format!(
            "{:>5}  {:16}  {:9}  {held:>8}  {}, by {}{because}\n",
            flip.id.0,
            clock::date_and_minute(flip.began),
            outcome(flip),
            moves(flip),
            flip.who.name,
        );
    }
    text
}

fn in_full(flip: &PastFlip) -> String {
    let because = flip.reason.as_deref().unwrap_or("no reason given");
    let mut text = format!(
        "Flip {}: {}\n  {}, by {} ({}): {because}\n  users meanwhile: {}\n",
        flip.id,
        moves(flip),
        outcome(flip),
        flip.who.name,
        flip.who.via,
        words::meanwhile(flip.during, &flip.skipped),
    );
    if let Some(message) = &flip.message {
        text += &format!("  {message}\n");
    }
    text.push('\n');
    let mut entries = flip.timeline.iter().peekable();
    while let Some(entry) = entries.next() {
        let at = clock::time_of_day(entry.at);
        let took = entries.peek().map(|next| clock::duration(next.after_ms));
        let took = took.unwrap_or_default();
        text += &format!("  {at}  {:<11} {took:>9}\n", entry.phase);
    }
    if let Some(held) = flip.held_ms {
        text += &format!("  users were held for {}\n", clock::duration(held));
    }
    for past in &flip.moves {
        text += &lane(past);
    }
    text
}

/// What the lane that was left had recorded.
fn lane(past: &PastMove) -> String {
    let (Some(epoch), Some(forwarded)) = (past.from_epoch, past.forwarded) else {
        return String::new();
    };
    let last = past.last_forwarded.map(clock::time_of_day);
    let last = last.map_or(String::new(), |at| format!(", the last at {at}"));
    let mut text = format!(
        "\n{} on {}, epoch {epoch}: {forwarded} requests forwarded{last}\n",
        past.planned.site, past.planned.from
    );
    let counts = [
        (past.held.unwrap_or(0), "on hold"),
        (past.shed.unwrap_or(0), "got the page"),
        (past.cut_reads, "reads cut"),
        (past.cut_writes, "writes cut"),
        (past.abandoned.unwrap_or(0), "writes given up unfinished"),
    ];
    let counts = counts.iter().filter(|(count, _)| *count > 0);
    let counts: Vec<_> = counts
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    if !counts.is_empty() {
        text += &format!("  {}\n", counts.join(", "));
    }
    text
}

pub(super) fn moves(flip: &PastFlip) -> String {
    let moves: Vec<_> = flip
        .moves
        .iter()
        .map(|past| past.planned.to_string())
        .collect();
    moves.join(", ")
}

fn outcome(flip: &PastFlip) -> String {
    match flip.outcome {
        Some(outcome) => outcome.to_string(),
        None if flip.ended.is_none() => "not ended".into(),
        None => "cut short".into(),
    }
}
