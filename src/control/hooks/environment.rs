//! What a hook finds in its environment.

use std::ffi::OsString;

use crate::site::{Epoch, FlipId, HookPhase, Move, Skipped};

/// What is passed on of the daemon's own environment: as cron and systemd do, nothing that may hold
/// a secret or change what a program does by surprise.
const PASSED_ON: [&str; 5] = ["HOME", "USER", "LOGNAME", "LANG", "TZ"];

/// Where programs are looked for when the daemon has no `PATH`.
const USUAL_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What tells the processes of a hook from all others.
pub(super) const MARK: &str = "POINTSMAN_HOOK";

/// What hooks are told of their flip.
#[derive(Clone, Debug)]
pub(super) struct Occasion {
    pub(super) flip: FlipId,
    pub(super) phase: HookPhase,
    pub(super) reason: Option<String>,
    pub(super) skipped: Vec<Skipped>,
}

/// The `PATH` of hooks.
pub(super) fn path() -> OsString {
    std::env::var_os("PATH")
        .filter(|path| !path.is_empty())
        .unwrap_or_else(|| USUAL_PATH.into())
}

/// Makes the environment of the hooks of one site; only the mark is missing.
pub(super) fn of(occasion: &Occasion, moved: &Move, epoch: Epoch) -> Vec<(String, OsString)> {
    let own = PASSED_ON.iter().filter_map(|name| {
        let value = std::env::var_os(name)?;
        Some(((*name).to_owned(), value))
    });
    let mut environment: Vec<_> = own.collect();
    environment.push(("PATH".into(), path()));
    let mut say = |name: &str, value: String| {
        // No variable can hold a zero byte, and no flip is to fail for one in its reason.
        let value = value.replace('\0', " ");
        environment.push((format!("POINTSMAN_{name}"), value.into()));
    };
    say("SITE", moved.site.to_string());
    say("FROM", moved.from.to_string());
    say("TO", moved.to.to_string());
    say("EPOCH", epoch.to_string());
    say("PHASE", occasion.phase.to_string());
    say("FLIP", occasion.flip.to_string());
    say("REASON", occasion.reason.clone().unwrap_or_default());
    if !occasion.skipped.is_empty() {
        let skipped = occasion.skipped.iter().map(ToString::to_string);
        say("SKIPPED", skipped.collect::<Vec<_>>().join(" "));
    }
    environment
}
