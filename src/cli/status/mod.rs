//! `pointsman status`: where everything is.
//!
//! For: one look at 3 a.m.; and the same as JSON for programs. Not for: counters over time, which
//! are in the metrics. The daemon's answer goes through [`render`] to the terminal, or as it is.
//! A crash leaves nothing behind. Tests: the end of `render.rs`, and `tests/it/cli.rs`.

mod access;
mod checks;
mod render;

use serde_json::Value;

use crate::admin::{SiteView, StatusView};

use super::client::{AskError, Client};
use super::exit::Exit;
use super::{Output, out};

/// How many sites are named to somebody who named one that there is not.
const SITES_NAMED: usize = 100;

/// Show where every site is, what is going on, and what needs somebody.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  pointsman status\n  \
                        pointsman status ispot\n  \
                        pointsman status -o json | jq '.sites[] | select(.diverged)'")]
pub(super) struct Args {
    /// The sites to show, with all that their checks found [default: all sites, and what fails]
    #[arg(value_name = "SITE")]
    sites: Vec<String>,
    /// How the answer is written
    #[arg(short, long, value_enum, default_value = "table")]
    output: Output,
}

/// Asks the daemon and shows its answer.
pub(super) async fn status(args: &Args, client: &Client) -> anyhow::Result<Exit> {
    match ask(client, args).await {
        Ok(Ok(text)) => {
            out::say(text.trim_end());
            Ok(Exit::Settled)
        }
        Ok(Err(unknown)) => {
            out::complain(&format!("pointsman: {unknown}"));
            Ok(Exit::Usage)
        }
        Err(error) => {
            out::complain(&format!("pointsman: {error}"));
            match error {
                AskError::Unreachable { .. } | AskError::BrokenOff { .. } => Ok(Exit::Unreachable),
                AskError::TurnedAway(_) => Ok(Exit::Refused),
                AskError::Refused(_) | AskError::Foreign(_) => Ok(Exit::Failed),
            }
        }
    }
}

/// Asks, and writes the answer; in its place, that a site is not known.
async fn ask(client: &Client, args: &Args) -> Result<Result<String, String>, AskError> {
    let path = "/api/v1/status";
    Ok(match args.output {
        Output::Table => as_table(client.get(path).await?, &args.sites),
        // As it came: a newer daemon may say more than this program knows.
        Output::Json => as_json(client.get(path).await?, &args.sites),
    })
}

fn as_table(mut status: StatusView, asked: &[String]) -> Result<String, String> {
    let now = jiff::Timestamp::now();
    if asked.is_empty() {
        return Ok(render::table(&status, now));
    }
    let name = |site: &SiteView| site.status.name.to_string();
    has_each(asked, &status.sites.iter().map(name).collect::<Vec<_>>())?;
    status.sites.retain(|site| asked.contains(&name(site)));
    let details = status.sites.iter();
    let details = details.map(|site| checks::details(site, now) + &render::freshness(site, now));
    Ok(render::table(&status, now) + &details.collect::<String>())
}

fn as_json(mut status: Value, asked: &[String]) -> Result<String, String> {
    let name = |site: &Value| site["name"].as_str().unwrap_or_default().to_owned();
    if let Some(sites) = status["sites"].as_array_mut().filter(|_| !asked.is_empty()) {
        has_each(asked, &sites.iter().map(name).collect::<Vec<_>>())?;
        sites.retain(|site| asked.contains(&name(site)));
    }
    Ok(format!("{status:#}"))
}

/// Looks whether the daemon has each site that was named.
fn has_each(asked: &[String], known: &[String]) -> Result<(), String> {
    let Some(unknown) = asked.iter().find(|site| !known.contains(site)) else {
        return Ok(());
    };
    let some = &known[..known.len().min(SITES_NAMED)];
    let some = some.join(", ");
    Err(format!("there is no site {unknown}; the table has: {some}"))
}
