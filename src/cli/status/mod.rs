//! `pointsman status`: where everything is.
//!
//! For: one look at 3 a.m.; and the same as JSON for programs. Not for: counters over time, which
//! are in the metrics. The daemon's answer goes through [`render`] to the terminal, or as it is.
//! A crash leaves nothing behind. Tests: the end of `render.rs`, and `tests/it/cli.rs`.

mod access;
mod render;

use std::path::Path;

use crate::admin::StatusView;

use super::client::{AskError, Client};
use super::exit::Exit;
use super::{Output, out, socket};

/// Show where every site is, what is going on, and what needs somebody.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  pointsman status\n  \
                        pointsman status -o json | jq '.sites[] | select(.diverged)'")]
pub(super) struct Args {
    /// How the answer is written
    #[arg(short, long, value_enum, default_value = "table")]
    output: Output,
}

/// Asks the daemon and shows its answer.
pub(super) async fn status(args: &Args, named_socket: Option<&Path>) -> anyhow::Result<Exit> {
    let client = Client::new(&socket::find(named_socket));
    match ask(&client, args.output).await {
        Ok(text) => {
            out::say(text.trim_end());
            Ok(Exit::Settled)
        }
        Err(error) => {
            out::complain(&format!("pointsman: {error}"));
            match error {
                AskError::Unreachable { .. } | AskError::BrokenOff { .. } => Ok(Exit::Unreachable),
                AskError::Refused(_) | AskError::Foreign(_) => Ok(Exit::Failed),
            }
        }
    }
}

async fn ask(client: &Client, output: Output) -> Result<String, AskError> {
    let path = "/api/v1/status";
    match output {
        Output::Table => {
            let status: StatusView = client.get(path).await?;
            Ok(render::table(&status, jiff::Timestamp::now()))
        }
        Output::Json => {
            // As it came: a newer daemon may say more than this program knows.
            let status: serde_json::Value = client.get(path).await?;
            Ok(format!("{status:#}"))
        }
    }
}
