//! `pointsman watch`: what goes on, as it goes on.
//!
//! For: somebody who waits for a flip, or keeps an eye on the sites. Not for: changing anything, or
//! for programs that want to know where a site is (`status -o json`).
//!
//! ```text
//!                        ┌─ a terminal ──> frame ──> screen   (the same lines painted anew)
//! GET events ─> views ───┼─ no terminal ─> told ───> stdout   (a line per event)
//!                        └─ -o json ─────────────────> stdout (a document per line)
//! ```
//!
//! Invariants: it only reads; a daemon that goes away is waited for on a terminal, and ends the
//! command (exit 7) elsewhere; the terminal is left as it was, with the last picture on it.
//! A crash leaves nothing behind but perhaps a hidden cursor. Tests: `tests/it/watching.rs`.

mod frame;
mod plain;
mod screen;

use std::io::{self, IsTerminal as _};
use std::time::Duration;

use crate::admin::WatchView;

use super::client::{AskError, Client, Events, in_query};
use super::exit::Exit;
use super::{Output, history, out};
use screen::Screen;

/// How often the picture is painted anew, for what counts down.
const TICK: Duration = Duration::from_secs(1);

/// How soon a daemon that went away is looked for again.
const AGAIN: Duration = Duration::from_secs(1);

/// Show flips, what is in flight and who is on hold, as it goes on; Ctrl-C ends it.
///
/// On a terminal a picture that is painted anew; elsewhere, or with --plain, a line per event.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  pointsman watch\n  pointsman watch ispot\n  \
                        pointsman watch --plain | tee flip.log\n  \
                        pointsman watch -o json | jq .flips[0].phase"
)]
pub(super) struct Args {
    /// The site to watch [default: all]
    #[arg(value_name = "SITE")]
    site: Option<String>,
    /// Write a line per event, on a terminal too
    #[arg(long, conflicts_with = "output")]
    plain: bool,
    /// How it is shown; json: everything, a document per line
    #[arg(short, long, value_enum, default_value = "table")]
    output: Output,
}

/// Watches until it is stopped, or the daemon is gone.
pub(super) async fn watch(args: &Args, client: &Client) -> anyhow::Result<Exit> {
    let path = events_path(args.site.as_deref());
    let is_painted = !args.plain && args.output == Output::Table && io::stdout().is_terminal();
    let watched = async {
        match args.output {
            Output::Json => each(client, &path, print_json).await,
            Output::Table if is_painted => paint(client, &path).await,
            Output::Table => {
                let mut plain = plain::Plain::default();
                each(client, &path, |view| plain.tell(view)).await
            }
        }
    };
    tokio::select! {
        watched = watched => Ok(watched.map_or_else(|error| history::failed(&error), |()| Exit::Unreachable)),
        stopped = tokio::signal::ctrl_c() => {
            stopped?;
            Ok(Exit::Settled)
        }
    }
}

/// Makes the path of the events.
fn events_path(site: Option<&str>) -> String {
    match site {
        None => "/api/v1/events".into(),
        Some(site) => format!("/api/v1/events?site={}", in_query(site)),
    }
}

/// Hands every view to a writer, until the daemon is gone.
async fn each(
    client: &Client,
    path: &str,
    mut write: impl FnMut(&WatchView),
) -> Result<(), AskError> {
    // A stream has a longest duration; each turn begins a new one, while the daemon answers.
    loop {
        let mut events = client.events(path).await?;
        while let Some(view) = next(&mut events).await {
            write(&view);
        }
        // A daemon of another version may say what this program does not know, again and again.
        tokio::time::sleep(AGAIN).await;
    }
}

fn print_json(view: &WatchView) {
    match serde_json::to_string(view) {
        Ok(text) => out::say(&text),
        Err(error) => out::complain(&format!("pointsman: {error}")),
    }
}

/// Paints every view, and what counts down every second; a daemon that is gone is waited for.
async fn paint(client: &Client, path: &str) -> Result<(), AskError> {
    let mut screen = Screen::new();
    // That nobody is there at first is a mistake of who typed this.
    let mut events = Some(client.events(path).await?);
    let mut view = None;
    loop {
        let heard = match &mut events {
            // Dropped in the middle, a half-read event stays in `events`.
            Some(events) => tokio::time::timeout(TICK, next(events)).await,
            None => {
                tokio::time::sleep(AGAIN).await;
                Ok(None)
            }
        };
        match heard {
            Ok(Some(newer)) => view = Some(newer),
            Ok(None) => events = client.events(path).await.ok(),
            Err(_) => {}
        }
        if let Some(view) = &view {
            let now = jiff::Timestamp::now();
            screen.paint(&frame::lines(view, events.is_some(), now));
        }
    }
}

async fn next(events: &mut Events) -> Option<WatchView> {
    serde_json::from_slice(&events.next().await?).ok()
}
