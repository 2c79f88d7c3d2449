//! Places where a test stops the actor, to kill the process there.
//!
//! In a debug build `POINTSMAN_FAILPOINT=<name>` makes the actor say so and go no further; the rest
//! of the process goes on, as it would at the instant before a real crash. With
//! `POINTSMAN_FAILPOINT_UNTIL=<path>` beside it the actor goes on when that file is there. A release
//! build has none.

use std::path::Path;
use std::time::Duration;

/// How often the file that lets the actor go on is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Stops, for ever if nothing lets it go on, when this is the place that the environment names.
pub(super) fn hit(name: &str) {
    if !cfg!(debug_assertions) {
        return;
    }
    if std::env::var("POINTSMAN_FAILPOINT").is_ok_and(|wanted| wanted == name) {
        tracing::warn!(name, "failpoint reached: waiting to be killed");
        let until = std::env::var_os("POINTSMAN_FAILPOINT_UNTIL");
        while !until.as_ref().is_some_and(|path| Path::new(path).exists()) {
            std::thread::sleep(LOOK_EVERY);
        }
    }
}
