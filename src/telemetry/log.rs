//! The log: events with fields, on standard error.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

/// Says what is logged, for example `debug` or `pointsman::proxy=debug,info`.
pub const FILTER_VARIABLE: &str = "POINTSMAN_LOG";

/// Starts the log, for the rest of the process.
///
/// Without the variable, `unasked` is the filter. One that cannot be read counts as `info`, and
/// the log says so.
///
/// # Errors
/// The log was started before: a bug.
pub fn init(unasked: &str) -> Result<(), TryInitError> {
    let asked = std::env::var(FILTER_VARIABLE).ok();
    let parsed = asked.as_deref().map(EnvFilter::try_new);
    let (filter, refused) = match parsed {
        Some(Ok(filter)) => (filter, None),
        Some(Err(error)) => (EnvFilter::new("info"), Some(error)),
        None => (EnvFilter::new(unasked), None),
    };
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .finish()
        .try_init()?;
    if let Some(error) = refused {
        tracing::warn!(%error, "{FILTER_VARIABLE} cannot be read: logging `info`");
    }
    Ok(())
}
