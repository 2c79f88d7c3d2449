//! The status as text for a terminal of 80 columns.

use std::fmt::Write as _;

use jiff::{SignedDuration, Timestamp};

use crate::admin::{SiteView, StatusView, says};
use crate::control::{CertStatus, FlipStatus, Outcome, SiteStatus};
use crate::site::SideName;

use super::super::clock::time_of_day;
use super::super::words;
use super::{access, checks};

/// A certificate that is valid for less than this is shown: whatever renews it has failed by then.
const EXPIRY_NEAR: SignedDuration = SignedDuration::from_hours(14 * 24);

/// The width that every terminal has.
const COLUMNS: usize = 80;

/// Writes the whole status: what is wrong with the file, the sites, the flips, what to do.
pub(super) fn table(status: &StatusView, now: Timestamp) -> String {
    let mut text = String::new();
    if let Some(problem) = &status.file_problem {
        text += "THE FILE IS NOT WHAT IS SERVED: the last good table goes on.\n";
        text += &indented(problem);
        text += &format!(
            "  Correct it; after a fault in another file that it names, `touch` it.\n  To look first: pointsman check {}\n\n",
            status.file
        );
    }
    for cert in &status.certs {
        text += &certificate(cert, now);
    }
    text += &site_rows(status);
    let running = status.flips.iter().filter(|flip| flip.outcome.is_none());
    for flip in running {
        text += &running_flip(flip, now);
    }
    let ended = status.flips.iter().filter(|flip| flip.outcome.is_some());
    for flip in ended {
        text += &last_hook(flip);
    }
    for site in &status.sites {
        text += &outage(site);
        text += &checks::failing(site, now);
        text += &attention(&site.status, &status.file);
        text += &access::lines(&site.status, now);
        text += &emergency(&site.status);
        text += &copies(site);
        text += &contradictions(&site.status);
        text += &guards(site, now);
        text += &backwards(site);
    }
    if let Some((flip, outcome)) = last_ended(status) {
        text += &ended_flip(flip, outcome);
    }
    text
}

/// What sides have taken that others lack; nothing when each has all.
fn copies(site: &SiteView) -> String {
    let lines: String = says::copies(site)
        .iter()
        .map(|line| indented(line))
        .collect();
    if lines.is_empty() {
        return lines;
    }
    format!("\n{}: what its sides have:\n{lines}", site.status.name)
}

/// Sides that do not serve and do not behave so; nothing when all do.
fn contradictions(site: &SiteStatus) -> String {
    let lines = says::contradictions(site).into_iter();
    let lines: String = lines.map(|line| indented(&line)).collect();
    if lines.is_empty() {
        return lines;
    }
    format!(
        "\nA STANDBY OF {} DOES NOT BEHAVE AS ONE:\n{lines}",
        site.name
    )
}

/// The guarded jobs that run, or may; nothing when there are none.
fn guards(site: &SiteView, now: Timestamp) -> String {
    let lines = says::guards(site, now).into_iter();
    let lines: String = lines.map(|line| indented(&line)).collect();
    if lines.is_empty() {
        return lines;
    }
    format!("\n{}: jobs under guard:\n{lines}", site.status.name)
}

/// That the data of the active side went backwards; nothing when they did not.
fn backwards(site: &SiteView) -> String {
    let line = says::backwards(site).map(|line| indented(&line));
    line.map_or_else(String::new, |line| {
        format!("\nTHE DATA OF {} WENT BACKWARDS:\n{line}", site.status.name)
    })
}

/// How new the data of each side are; nothing without a marker.
pub(super) fn freshness(site: &SiteView, now: Timestamp) -> String {
    let lines = site.freshness.iter();
    let lines: String = lines
        .map(|found| indented(&says::freshness(found, now)))
        .collect();
    if lines.is_empty() {
        return lines;
    }
    format!("\nFreshness of {}:\n{lines}", site.status.name)
}

/// What is wrong with a certificate, or soon will be; nothing for one that is well.
fn certificate(cert: &CertStatus, now: Timestamp) -> String {
    let problem = match (&cert.problem, cert.expires) {
        (Some(problem), _) => problem.clone(),
        (None, Some(expires)) if expires.duration_since(now) < EXPIRY_NEAR => {
            format!("it expires on {expires}: renew it")
        }
        (None, _) => return String::new(),
    };
    format!("CERTIFICATE {}:\n{}\n", cert.name, indented(&problem))
}

fn site_rows(status: &StatusView) -> String {
    let width = |words: &mut dyn Iterator<Item = &str>, head: &str| {
        let longest = words.map(|word| word.chars().count()).max();
        longest.unwrap_or(0).max(head.len())
    };
    let names = &mut status.sites.iter().map(|site| site.status.name.as_str());
    let name = width(names, "SITE");
    let side = width(&mut status.sites.iter().map(active), "ACTIVE");
    let epochs = status
        .sites
        .iter()
        .map(|site| site.status.epoch.to_string());
    let epochs: Vec<_> = epochs.collect();
    let epoch = width(&mut epochs.iter().map(String::as_str), "EPOCH");
    let mut text = format!(
        "{:name$}  {:side$}  {:11}  {:>epoch$}  {:>9}  STATE\n",
        "SITE", "ACTIVE", "ACCESS", "EPOCH", "IN FLIGHT"
    );
    for site in &status.sites {
        let row = format!(
            "{:name$}  {:side$}  {:11}  {:>epoch$}  {:>9}  {}",
            site.status.name,
            active(site),
            site.status.access,
            site.status.epoch.0,
            site.in_flight,
            state(site, status)
        );
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{}", row.trim_end());
    }
    text
}

fn active(site: &SiteView) -> &str {
    site.status
        .active
        .as_ref()
        .map_or("IN DOUBT", SideName::as_str)
}

/// What a site is doing, in as few words as fit the row.
fn state(site: &SiteView, status: &StatusView) -> String {
    let flip = site.status.flip;
    let flip = status.flips.iter().find(|shown| Some(shown.id) == flip);
    if let Some(flip) = flip {
        return match site.waiting {
            0 => format!("{}, flip {}", flip.phase, flip.id),
            waiting => format!("{}, flip {}, {waiting} on hold", flip.phase, flip.id),
        };
    }
    if site.down_since.is_some() {
        return "DOWN, see below".into();
    }
    match &site.status {
        SiteStatus { active: None, .. } => "users get the page".into(),
        SiteStatus {
            diverged: true,
            desired: Some(desired),
            ..
        } => format!("file asks for {desired}"),
        SiteStatus { contradictions, .. } if !contradictions.is_empty() => "see below".into(),
        SiteStatus {
            problem: Some(_), ..
        }
        | SiteStatus {
            emergency: Some(_), ..
        } => "see below".into(),
        SiteStatus { .. } if site.has_failing_check() => "a check fails".into(),
        SiteStatus { .. } => "ok".into(),
    }
}

fn running_flip(flip: &FlipStatus, now: Timestamp) -> String {
    let seconds = now.duration_since(flip.began).as_secs().max(0);
    let because = because(flip);
    let head = format!("Flip {}: {}", flip.id, words::moves(flip));
    let waits = flip.lease_until.map_or(String::new(), |until| {
        format!("; it {}", words::waits_for_answers(until, now))
    });
    let line = format!(
        "{}, {seconds} s after it was asked for by {}{because}{waits}",
        flip.phase, flip.who.name
    );
    let stop = if CANCELLABLE.contains(&flip.phase.as_str()) {
        format!("  To stop it: pointsman flip --cancel {}\n", flip.id)
    } else {
        "  It cannot be stopped any more.\n".into()
    };
    let hook = flip.hook.as_ref().map(words::hook_runs);
    let hook = hook.map_or_else(String::new, |hook| indented(&hook));
    format!("\n{head}\n{}{hook}{stop}", indented(&line))
}

/// What still runs for a flip that has ended; nothing, as a rule.
fn last_hook(flip: &FlipStatus) -> String {
    let Some(hook) = &flip.hook else {
        return String::new();
    };
    let (id, phase) = (flip.id, hook.phase);
    format!(
        "\nFlip {id} has ended, and its {phase} hooks run:\n{}",
        indented(&words::hook_runs(hook))
    )
}

/// The phases before the commit, from which a flip can still go back.
const CANCELLABLE: [&str; 7] = [
    "rehearsing",
    "quiescing",
    "holding",
    "draining",
    "syncing",
    "checking",
    "closing",
];

/// What is wrong with a site and what to type; nothing for a site that is well.
fn attention(site: &SiteStatus, file: &str) -> String {
    let name = &site.name;
    let head = match (&site.active, &site.desired) {
        (None, _) => format!("{name} IS IN DOUBT: nobody knows which side is active."),
        (Some(active), Some(desired)) if site.diverged => {
            format!("{name} is on {active}; the file asks for {desired}.")
        }
        (Some(_), _) if site.problem.is_some() => format!("{name} needs a look:"),
        (Some(_), _) => return String::new(),
    };
    let mut text = format!("\n{head}\n");
    if let Some(problem) = &site.problem {
        text += &indented(problem);
    }
    if let (Some(active), Some(desired), true) = (&site.active, &site.desired, site.diverged) {
        text += &format!(
            "  To move it:  pointsman flip {name} --to {desired}\n  \
             To leave it: write  active: {active}  for {name} in {file}\n"
        );
    }
    text
}

/// That nobody reaches a site, and what to type; nothing for a site that is reached.
fn outage(site: &SiteView) -> String {
    let Some(down) = says::down(site) else {
        return String::new();
    };
    let mut text = format!(
        "\n{} IS NOT REACHED:\n{}",
        site.status.name,
        indented(&down)
    );
    if let Some(command) = says::command_if_dead(site) {
        text += &format!("  If it is dead: {command}\n");
    }
    text
}

/// What an emergency flip left at risk; nothing, unless the last one was one.
fn emergency(site: &SiteStatus) -> String {
    let Some(emergency) = &site.emergency else {
        return String::new();
    };
    let name = &site.name;
    format!(
        "\n{name} was moved in an emergency:\n{}  Shown until a planned flip of {name} has \
         settled.\n",
        indented(&says::emergency(emergency))
    )
}

fn last_ended(status: &StatusView) -> Option<(&FlipStatus, Outcome)> {
    let mut ended = status.flips.iter();
    ended.find_map(|flip| Some((flip.as_ref(), flip.outcome?)))
}

fn ended_flip(flip: &FlipStatus, outcome: Outcome) -> String {
    let result = match outcome {
        Outcome::Settled => "settled",
        Outcome::Moved => "moved, not confirmed",
        Outcome::Refused => "refused",
        Outcome::RestoredUnheld | Outcome::Restored => "restored",
    };
    let began = format!("{} {}", flip.began.strftime("%F"), time_of_day(flip.began));
    let mut text = format!("\nLast flip, {}, of {began}: {result}\n", flip.id);
    let line = format!(
        "{}, asked by {}{}",
        words::moves(flip),
        flip.who.name,
        because(flip)
    );
    text += &indented(&line);
    if let Some(message) = &flip.message {
        text += &indented(message);
    }
    text
}

fn because(flip: &FlipStatus) -> String {
    let reason = flip.reason.as_deref();
    reason.map_or(String::new(), |reason| format!(": {reason}"))
}

/// Breaks text at blanks to the width of the terminal, two columns in.
pub(super) fn indented(text: &str) -> String {
    let mut lines = String::new();
    for line in text.lines() {
        let mut used = 0;
        for word in line.split_whitespace() {
            let length = word.chars().count();
            if used == 0 || used + 1 + length > COLUMNS {
                lines += if used == 0 { "  " } else { "\n  " };
                used = 2;
            } else {
                lines.push(' ');
                used += 1;
            }
            lines += word;
            used += length;
        }
        lines.push('\n');
    }
    lines
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::control::SiteCopies;
    use crate::site::{Access, Epoch, Generation, SiteName};

    pub(in super::super) fn site(name: &str) -> SiteView {
        SiteView {
            status: SiteStatus {
                access_said: None,
                parts: Vec::new(),
                name: SiteName::new(name),
                active: Some(SideName::new("live")),
                desired: Some(SideName::new("live")),
                diverged: false,
                problem: None,
                access: Access::Open,
                epoch: Epoch(3),
                flip: None,
                host: format!("www.{name}.example"),
                sides: vec![SideName::new("live"), SideName::new("backup")],
                contradictions: Vec::new(),
                emergency: None,
            },
            in_flight: 12,
            waiting: 0,
            forwarded: 0,
            down_since: None,
            checks: Vec::new(),
            copies: SiteCopies::default(),
            freshness: Vec::new(),
            guards: Vec::new(),
        }
    }

    fn status(sites: Vec<SiteView>) -> StatusView {
        StatusView {
            generation: Generation(1),
            file: "routes.yaml".into(),
            file_problem: None,
            sites,
            groups: std::sync::Arc::default(),
            flips: Vec::new(),
            zones: Vec::new(),
            certs: Vec::new(),
        }
    }

    #[test]
    fn a_site_that_is_well_is_one_row_and_nothing_else() {
        let text = table(&status(vec![site("ispot")]), Timestamp::UNIX_EPOCH);

        let expected = "SITE   ACTIVE  ACCESS       EPOCH  IN FLIGHT  STATE\n\
                        ispot  live    open             3         12  ok\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn a_diverged_site_says_what_to_type_for_either_way_out() {
        let mut diverged = site("ispot");
        diverged.status.desired = Some(SideName::new("backup"));
        diverged.status.diverged = true;
        diverged.status.problem = Some("backup: observations: 500 instead of 200".into());

        let text = table(&status(vec![diverged]), Timestamp::UNIX_EPOCH);

        assert!(text.contains("file asks for backup"), "{text}");
        assert!(text.contains("observations: 500 instead of 200"), "{text}");
        assert!(text.contains("pointsman flip ispot --to backup"), "{text}");
        assert!(text.contains("write  active: live"), "{text}");
    }

    #[test]
    fn a_certificate_is_shown_when_it_is_bad_or_soon_over() {
        let mut status = status(vec![site("ispot")]);
        let cert = |name: &str, hours, problem: Option<&str>| CertStatus {
            name: name.into(),
            names: Vec::new(),
            expires: Some(Timestamp::UNIX_EPOCH + SignedDuration::from_hours(hours)),
            problem: problem.map(str::to_owned),
        };
        status.certs = vec![
            cert("fine", 24 * 15, None),
            cert("near", 24 * 13, None),
            cert("bad", 24 * 90, Some("its key does not fit")),
        ];

        let text = table(&status, Timestamp::UNIX_EPOCH);

        assert!(!text.contains("fine"), "{text}");
        assert!(
            text.contains("CERTIFICATE near:\n  it expires on 1970-01-14"),
            "{text}"
        );
        assert!(
            text.contains("CERTIFICATE bad:\n  its key does not fit"),
            "{text}"
        );
    }

    #[test]
    fn a_problem_of_the_file_comes_first_and_no_line_is_too_long() {
        let mut status = status(vec![site("ispot"), site("evolution-megalab")]);
        status.file_problem = Some(format!("routes.yaml:3:1: {}", "no such key ".repeat(30)));

        let text = table(&status, Timestamp::UNIX_EPOCH);

        assert!(text.starts_with("THE FILE IS NOT WHAT IS SERVED"), "{text}");
        let longest = text.lines().map(|line| line.chars().count()).max();
        assert!(longest <= Some(COLUMNS), "{longest:?}\n{text}");
    }
}
