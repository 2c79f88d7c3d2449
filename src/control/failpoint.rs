//! Places where a test stops the actor, to kill the process there.
//!
//! In a debug build `POINTSMAN_FAILPOINT=<name>` makes the actor say so and go no further; the rest
//! of the process goes on, as it would at the instant before a real crash. A release build has none.

use std::time::Duration;

/// Stops for ever when this is the place that the environment names.
pub(super) fn hit(name: &str) {
    if !cfg!(debug_assertions) {
        return;
    }
    if std::env::var("POINTSMAN_FAILPOINT").is_ok_and(|wanted| wanted == name) {
        tracing::warn!(name, "failpoint reached: waiting to be killed");
        loop {
            std::thread::sleep(Duration::from_secs(3600));
        }
    }
}
