//! `pointsman run`: the daemon.

use std::io;
use std::path::PathBuf;

use crate::{app, telemetry};

use super::exit::Exit;
use super::{files, out};

/// Run the daemon in the foreground.
///
/// It serves the file, watches it, and loads it again when it changes. TERM stops it gracefully,
/// HUP loads the file again. The log goes to standard error; POINTSMAN_LOG=debug says more.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  pointsman run /etc/pointsman/routes.yaml")]
pub(super) struct Args {
    /// The route table [default: ./routes.yaml, then /etc/pointsman/routes.yaml]
    file: Option<PathBuf>,
}

/// Runs until a signal ends it.
pub(super) async fn run(args: Args) -> anyhow::Result<Exit> {
    telemetry::log::init("info")?;
    let file = files::routes(args.file.as_deref());
    match app::run(&file).await {
        Ok(()) => Ok(Exit::Settled),
        Err(error) => Ok(failed(&error)),
    }
}

/// Says why the daemon cannot run; mistakes in the file one per line, as `check` does.
pub(super) fn failed(error: &app::Error) -> Exit {
    // What is lacking has to be put there first: to start again and again is of no use. A file that
    // is there and cannot be read may be so for a moment only.
    let is_not_there = |error: &app::Error| matches!(error, app::Error::Read { source, .. } if source.kind() == io::ErrorKind::NotFound);
    let lacks = matches!(error, app::Error::Certificates { .. }) || is_not_there(error);
    let mistakes = error.mistakes();
    for mistake in mistakes {
        out::complain(&mistake.to_string());
    }
    if !mistakes.is_empty() {
        return Exit::Usage;
    }
    // Each says itself what caused it.
    out::complain(&format!("pointsman: {error}"));
    if lacks { Exit::Usage } else { Exit::Failed }
}
