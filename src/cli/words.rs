//! What the phases and outcomes of a flip mean, in words for whoever watches.

use crate::control::{FlipStatus, HookEnded, HookStatus, Outcome};
use crate::site::{self, During, HookResult, Skipped};

use super::clock::time_of_day;

/// One line for a phase: when, which, and what it does.
pub(super) fn phase_line(at: jiff::Timestamp, phase: &str, means: &str) -> String {
    let line = format!("{}  {phase:<11} {means}", time_of_day(at));
    line.trim_end().to_owned()
}

/// What happens in a phase; empty for one that says enough by its name.
pub(super) fn phase_means(phase: &str, flip: &FlipStatus, in_flight: u64) -> String {
    let to = targets(flip);
    let is_emergency = site::is_emergency(&flip.skipped);
    if let Some(until) = flip.lease_until
        && phase == flip.phase
    {
        return waits_for_answers(until, jiff::Timestamp::now());
    }
    if !flip.awaited_guards.is_empty() && phase == flip.phase {
        return format!("waits for {}", flip.awaited_guards.join(", "));
    }
    match phase {
        "rehearsing" if flip.skipped.contains(&Skipped::Checks) => {
            format!("{to} is taken without a check")
        }
        "holding" if is_emergency => "nobody is let in".into(),
        "draining" if is_emergency => format!("{in_flight} in flight, being cut"),
        "rehearsing" => format!("checking {to} before anyone waits{}", gone_over(flip)),
        "quiescing" => "the intent is in the journal".into(),
        "holding" => "users are held; what is in flight goes on".into(),
        // At first that is so for an instant in every flip.
        "draining" if in_flight == 0 && !has_lasted(flip) => "nothing in flight".into(),
        "draining" if in_flight == 0 => {
            "nothing in flight, but an origin may still be at work on a write given up".into()
        }
        "draining" => format!("{in_flight} in flight…"),
        "syncing" => "what is in flight has ended".into(),
        "checking" => format!("checking {to} once more{}", gone_over(flip)),
        "closing" => "nobody is let in any more, to read neither".into(),
        "committing" => "the point of no return".into(),
        "publishing" => format!("everybody goes to {to} from here"),
        "confirming" => "asking every listener for the new side".into(),
        "restoring" => "going back".into(),
        _ => String::new(),
    }
}

/// Tells whether the phase of a flip goes on for longer than it has to.
fn has_lasted(flip: &FlipStatus) -> bool {
    let since = flip.timeline.last().map(|entry| entry.at);
    since.is_some_and(|at| jiff::Timestamp::now().duration_since(at).as_millis() > 500)
}

/// What users get while a flip is in progress.
pub(super) fn meanwhile(during: During, skipped: &[Skipped]) -> &'static str {
    if skipped.contains(&Skipped::Drain) {
        return "the page; what is in flight is cut (an emergency)";
    }
    match during {
        During::Page => "the maintenance page",
        During::Hold => "on hold, and let go on the new side",
        During::ReadOnly => "they may read, not write",
    }
}

/// Says for how long a flip waits until nobody may use an old DNS answer any more.
pub(super) fn waits_for_answers(until: jiff::Timestamp, now: jiff::Timestamp) -> String {
    let left = until.duration_since(now).as_secs_f64().max(0.0);
    format!("waits for DNS answers: {left:.1} s")
}

/// Names the checks that are gone over; nothing for most flips.
pub(super) fn gone_over(flip: &FlipStatus) -> String {
    let names = flip.skipped.iter().filter_map(Skipped::check);
    let names: Vec<_> = names.map(|name| format!("{name:?}")).collect();
    if names.is_empty() {
        return String::new();
    }
    format!(", whatever {} says", names.join(" and "))
}

/// What a hook is doing.
pub(super) fn hook_runs(hook: &HookStatus) -> String {
    let HookStatus { name, site, .. } = hook;
    match (&hook.problem, &hook.last_line) {
        (Some(problem), _) => format!("hook {name} of {site}: {problem}"),
        (None, Some(line)) => format!("hook {name} of {site}: {line}"),
        (None, None) => format!("hook {name} of {site} runs…"),
    }
}

/// How a hook ended.
pub(super) fn hook_ended(hook: &HookEnded) -> String {
    let HookEnded {
        name, site, detail, ..
    } = hook;
    let (seconds, tenths) = (hook.took_ms / 1_000, hook.took_ms % 1_000 / 100);
    let how = match hook.result {
        HookResult::Ok => "done",
        HookResult::Failed | HookResult::Lost => "FAILED",
        HookResult::TimedOut => "TOO LONG",
        HookResult::Stopped => "stopped",
    };
    format!("hook {name} of {site}: {how} after {seconds}.{tenths} s, {detail}")
}

/// The last sentence: how a flip ended, and what to do if it did not end well.
pub(super) fn ending(flip: &FlipStatus, outcome: Outcome) -> String {
    let (from, to) = (sources(flip), targets(flip));
    let sites = sites(flip);
    let sentence = match outcome {
        Outcome::Settled => {
            format!("Settled: {sites} on {to}. Nothing reaches {from} any more.")
        }
        Outcome::Moved => format!(
            "Moved, not confirmed: {sites} on {to}, but a listener did not show it. Look at \
             `pointsman status` and the log."
        ),
        Outcome::Refused => format!("Refused: nothing happened, {sites} still on {from}."),
        Outcome::RestoredUnheld => {
            format!("Restored: {sites} still on {from}; nobody had to wait.")
        }
        Outcome::Restored => format!("Restored: {sites} back on {from}."),
    };
    let is_at_risk = matches!(outcome, Outcome::Settled | Outcome::Moved);
    let sentence = if is_at_risk && site::is_emergency(&flip.skipped) {
        format!("{sentence}\nWhat was cut, and what only {from} may have: `pointsman status`.")
    } else {
        sentence
    };
    match &flip.message {
        Some(message) => format!("{sentence}\n{message}"),
        None => sentence,
    }
}

/// `ispot live -> backup, megalab live -> backup`.
pub(super) fn moves(flip: &FlipStatus) -> String {
    let moves: Vec<_> = flip.moves.iter().map(ToString::to_string).collect();
    moves.join(", ")
}

fn sites(flip: &FlipStatus) -> String {
    let names: Vec<_> = flip.moves.iter().map(|step| step.site.as_str()).collect();
    let verb = if names.len() == 1 { "is" } else { "are" };
    format!("{} {verb}", names.join(" and "))
}

fn targets(flip: &FlipStatus) -> String {
    distinct(flip.moves.iter().map(|step| step.to.as_str()))
}

fn sources(flip: &FlipStatus) -> String {
    distinct(flip.moves.iter().map(|step| step.from.as_str()))
}

fn distinct<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let mut names: Vec<_> = names.collect();
    names.sort_unstable();
    names.dedup();
    names.join(" and ")
}
