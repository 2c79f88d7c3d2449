//! `pointsman verify`: the evidence that nothing reached a side after a flip had left it.

use crate::control::{PastFlip, PastMove};
use crate::site::FlipId;

use super::client::{AskError, Client};
use super::exit::Exit;
use super::{Output, clock, history, out};

/// Show the evidence that nothing reached the old side after a flip.
///
/// Exit code 0: nothing did; 1: something did; 2: the flip moved nothing, so there is nothing to
/// show.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  pointsman verify\n  pointsman verify 12\n  \
                        pointsman verify 12 -o json | jq '.moves[].late'"
)]
pub(super) struct Args {
    /// The flip [default: the last that moved something]
    #[arg(value_name = "FLIP")]
    flip: Option<u64>,
    /// How the answer is written
    #[arg(short, long, value_enum, default_value = "table")]
    output: Output,
}

/// Asks the daemon and judges what it says.
pub(super) async fn verify(args: &Args, client: &Client) -> Exit {
    let flip = match find(args, client).await {
        Ok(Some(flip)) => flip,
        Ok(None) => {
            out::complain("pointsman: no flip has moved anything yet");
            return Exit::Usage;
        }
        Err(error) => return history::failed(&error),
    };
    if !flip.has_moved {
        out::complain(&format!(
            "pointsman: flip {} moved nothing: `pointsman history --flip {}`",
            flip.id, flip.id
        ));
        return Exit::Usage;
    }
    match args.output {
        Output::Table => out::say(evidence(&flip).trim_end()),
        Output::Json => match serde_json::to_string_pretty(&flip) {
            Ok(text) => out::say(&text),
            Err(error) => out::complain(&format!("pointsman: {error}")),
        },
    }
    if late(&flip) > 0 {
        Exit::Failed
    } else {
        Exit::Settled
    }
}

async fn find(args: &Args, client: &Client) -> Result<Option<PastFlip>, AskError> {
    let id = match args.flip {
        Some(id) => FlipId(id),
        None => match history::last_that_moved(client, None).await? {
            Some(flip) => flip.id,
            None => return Ok(None),
        },
    };
    history::one(client, id).await.map(Some)
}

fn late(flip: &PastFlip) -> u64 {
    let late = |past: &PastMove| past.late.unwrap_or(0) + past.late_answers.unwrap_or(0);
    flip.moves.iter().map(late).sum()
}

fn evidence(flip: &PastFlip) -> String {
    let mut text = format!("Flip {}: {}\n", flip.id, history::moves(flip));
    for past in &flip.moves {
        text += &of_move(past);
    }
    let is_known = flip.moves.iter().all(|past| past.closed.is_some());
    text += &match late(flip) {
        0 if !is_known => {
            "\nNo evidence: the daemon died before it was journalled; its connections \
            ended with it.\n"
                .to_owned()
        }
        0 => "\nNothing reached the old side after it was closed.\n".to_owned(),
        late => format!(
            "\nTHE OLD SIDE WAS REACHED {late} TIMES AFTER IT WAS CLOSED. Look at what it took since, \
             keep the log, and report this as a bug.\n"
        ),
    };
    text
}

fn of_move(past: &PastMove) -> String {
    let (site, from) = (&past.planned.site, &past.planned.from);
    let epoch = past
        .from_epoch
        .map_or_else(|| "?".into(), |epoch| epoch.to_string());
    let Some(closed) = past.closed else {
        return format!("\n{site}: when epoch {epoch} ({from}) was closed is not journalled\n");
    };
    let closed = clock::time_of_day(closed);
    let forwarded = past.forwarded.unwrap_or(0);
    let last = past.last_forwarded.map(clock::time_of_day);
    let last = last.map_or(String::new(), |at| format!(", the last at {at}"));
    let late = past.late.unwrap_or(0);
    let seen = if past.is_watched {
        format!("seen until {}", clock::time_of_day(jiff::Timestamp::now()))
    } else {
        "as last journalled: its daemon has ended, or watches later flips".into()
    };
    let answers = past.answers.map_or(String::new(), |count| {
        let last = past.last_answer.map(clock::time_of_day);
        let last = last.map_or(String::new(), |at| format!(", the last at {at}"));
        let late = past.late_answers.unwrap_or(0);
        format!(
            "  {} DNS answers with its address before{last}; {late} after\n",
            count.saturating_sub(late)
        )
    });
    format!(
        "\n{site}: epoch {epoch} ({from}) was closed at {closed}\n  \
         {} requests forwarded before{last}\n  \
         {late} requests of epoch {epoch} forwarded after {closed}; {seen}\n{answers}",
        forwarded.saturating_sub(late)
    )
}
