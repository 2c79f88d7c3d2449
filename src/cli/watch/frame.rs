//! One picture: every flip that runs, the last that ended, and the sites, in 80 columns.

use jiff::{SignedDuration, Timestamp};

use crate::admin::{FlipView, SiteView, WatchView};
use crate::control::FlipStatus;
use crate::site::SideName;

use super::super::clock::{duration, time_of_day};
use super::super::words;

/// The phases of the usual road, in their order.
const ROAD: [&str; 10] = [
    "rehearsing",
    "quiescing",
    "holding",
    "draining",
    "syncing",
    "checking",
    "closing",
    "committing",
    "publishing",
    "confirming",
];

/// How long a flip that has ended stays in the picture.
const ENDED_STAYS: SignedDuration = SignedDuration::from_secs(15 * 60);

/// Draws what is seen; `is_heard` is false when the daemon does not answer any more.
pub(super) fn lines(view: &WatchView, is_heard: bool, now: Timestamp) -> Vec<String> {
    let at = time_of_day(now);
    let at = at.split('.').next().unwrap_or_default();
    let mut lines = vec![if is_heard {
        format!("{at}  table {} of {}", view.generation.0, view.file)
    } else {
        format!("{at}  THE DAEMON DOES NOT ANSWER; below is what it said last")
    }];
    if let Some(problem) = &view.file_problem {
        lines.push("THE FILE IS NOT WHAT IS SERVED:".into());
        lines.extend(problem.lines().map(|line| format!("  {line}")));
    }
    lines.extend(site_rows(view));
    let running = view
        .flips
        .iter()
        .filter(|flip| flip.status.outcome.is_none());
    for flip in running {
        lines.extend(flip_lines(flip, now));
    }
    let last = view.flips.iter().find(|flip| flip.status.outcome.is_some());
    lines.extend(
        last.map(|flip| ended(&flip.status, now))
            .unwrap_or_default(),
    );
    lines
}

fn site_rows(view: &WatchView) -> Vec<String> {
    let active = |site: &SiteView| {
        let side = site.status.active.as_ref();
        side.map_or("IN DOUBT", SideName::as_str).to_owned()
    };
    let mut cells =
        vec![["SITE", "ACTIVE", "ACCESS", "EPOCH", "IN FLIGHT", "ON HOLD"].map(String::from)];
    cells.extend(view.sites.iter().map(|site| {
        [
            site.status.name.to_string(),
            active(site),
            site.status.access.to_string(),
            site.status.epoch.to_string(),
            site.in_flight.to_string(),
            site.waiting.to_string(),
        ]
    }));
    let width = |column: usize| {
        let widths = cells.iter().map(|row| row[column].chars().count());
        widths.max().unwrap_or(0)
    };
    let [name, side, access, epoch, flight, hold] = [0, 1, 2, 3, 4, 5].map(width);
    let row = |[a, b, c, d, e, f]: &[String; 6]| {
        format!("{a:name$}  {b:side$}  {c:access$}  {d:>epoch$}  {e:>flight$}  {f:>hold$}")
    };
    let mut lines: Vec<_> = cells.iter().map(row).collect();
    for (line, site) in lines[1..].iter_mut().zip(&view.sites) {
        *line += &remark(site);
    }
    if view.more_sites > 0 {
        lines.push(format!(
            "and {} more, of which there is nothing to say",
            view.more_sites
        ));
    }
    lines
}

/// What is to be said of a site beside its numbers.
fn remark(site: &SiteView) -> String {
    let status = &site.status;
    let said = if site.down_since.is_some() {
        "DOWN: pointsman status"
    } else if status.diverged && status.flip.is_none() {
        "the file asks for another side"
    } else if !status.contradictions.is_empty() {
        "A STANDBY IS ONLINE OR WRITTEN TO: pointsman status"
    } else if status.problem.is_some() {
        "needs a look: pointsman status"
    } else {
        return String::new();
    };
    format!("  {said}")
}

fn flip_lines(flip: &FlipView, now: Timestamp) -> Vec<String> {
    let status = &flip.status;
    let because = status.reason.as_deref();
    let because = because.map_or(String::new(), |reason| format!(": {reason}"));
    let mut lines = vec![
        String::new(),
        format!("Flip {}: {}", status.id, words::moves(status)),
        format!("  by {}{because}", status.who.name),
        format!(
            "  users meanwhile: {}",
            words::meanwhile(status.during, &status.skipped)
        ),
    ];
    let mut entries = status.timeline.iter().peekable();
    while let Some(entry) = entries.next() {
        let at = time_of_day(entry.at);
        let name = &entry.phase;
        let Some(next) = entries.peek() else {
            let so_far = seconds(now.duration_since(entry.at));
            lines.push(format!("  {at}  {name:<11} {so_far:>9}…  {}", doing(flip)));
            break;
        };
        let took = seconds(SignedDuration::from_millis(
            i64::try_from(next.after_ms).unwrap_or(i64::MAX),
        ));
        lines.push(format!("  {at}  {name:<11} {took:>9}"));
    }
    if let Some(until) = status.until {
        let left = until.duration_since(now).max(SignedDuration::ZERO);
        lines.push(format!(
            "                            at most {} more",
            seconds(left)
        ));
    }
    if let Some(hook) = &status.hook {
        lines.push(format!("  {}", words::hook_runs(hook)));
    }
    lines.extend(to_come(status));
    lines
}

/// What a phase is at, with the counts that it waits for.
fn doing(flip: &FlipView) -> String {
    match flip.status.phase.as_str() {
        "holding" | "draining" | "syncing" | "closing" => counts(flip),
        phase => words::phase_means(phase, &flip.status, flip.in_flight),
    }
}

/// What is in flight and who waits: `3 in flight (1 to write, 1 WebSocket), 12 on hold`.
pub(super) fn counts(flip: &FlipView) -> String {
    let tunnels = u64::try_from(flip.tunnels).unwrap_or(u64::MAX);
    let writes = flip.writes.saturating_sub(tunnels);
    let kinds = [(writes, "to write"), (tunnels, "WebSocket")];
    let kinds = kinds.iter().filter(|(count, _)| *count > 0);
    let kinds: Vec<_> = kinds
        .map(|(count, kind)| format!("{count} {kind}"))
        .collect();
    let kinds = if kinds.is_empty() {
        String::new()
    } else {
        format!(" ({})", kinds.join(", "))
    };
    format!(
        "{} in flight{kinds}, {} on hold",
        flip.in_flight, flip.waiting
    )
}

/// The phases that are still before a flip on the usual road, and how to stop it.
fn to_come(flip: &FlipStatus) -> Vec<String> {
    let at = ROAD.iter().position(|phase| *phase == flip.phase);
    let Some(at) = at else {
        return Vec::new();
    };
    let rest = ROAD[at + 1..].join(", ");
    let mut lines = Vec::new();
    if !rest.is_empty() {
        lines.push(format!("  to come: {rest}"));
    }
    let commit = ROAD.iter().position(|phase| *phase == "committing");
    if Some(at) < commit {
        lines.push(format!("  To stop it: pointsman flip --cancel {}", flip.id));
    }
    lines
}

fn ended(flip: &FlipStatus, now: Timestamp) -> Vec<String> {
    let (Some(outcome), Some(end)) = (flip.outcome, flip.timeline.last()) else {
        return Vec::new();
    };
    if now.duration_since(end.at) > ENDED_STAYS {
        return Vec::new();
    }
    let took = seconds(end.at.duration_since(flip.began));
    let head = format!(
        "Flip {}: {}, ended at {} after {took}",
        flip.id,
        words::moves(flip),
        time_of_day(end.at)
    );
    let ending = words::ending(flip, outcome);
    let said = ending.lines().map(|line| format!("  {line}"));
    [String::new(), head].into_iter().chain(said).collect()
}

fn seconds(time: SignedDuration) -> String {
    duration(u64::try_from(time.as_millis()).unwrap_or(0))
}
