//! What the status says of a site that is down, fails its checks, or was moved in an emergency,
//! for the page and for the terminal alike.

use std::fmt::Write as _;

use jiff::{SignedDuration, Timestamp};

use crate::control::{
    AccessSaid, CheckStatus, Contradiction, Emergency, GuardState, GuardStatus, SideChecks,
    SideFreshness, SiteCopies, SiteStatus,
};
use crate::site::{self, Access, Skipped};

use super::view::SiteView;

/// Says what an emergency flip did, and what may be lost: at least one sentence a line.
#[must_use]
pub fn emergency(emergency: &Emergency) -> String {
    let Emergency {
        flip,
        from,
        epoch,
        forwarded,
        ..
    } = emergency;
    let mut text = format!("Flip {flip} took {from} as dead");
    // Writing to a string cannot fail.
    let _ = match &emergency.reason {
        Some(reason) => writeln!(text, ": {reason}"),
        None => writeln!(text, "."),
    };
    let skipped: Vec<_> = emergency.skipped.iter().map(skipped).collect();
    let _ = writeln!(
        text,
        "Skipped: {}. Cut: {} and {}.",
        skipped.join(", "),
        counted(emergency.cut_reads, "read"),
        counted(emergency.cut_writes, "write"),
    );
    let _ = match emergency.last_forwarded {
        Some(last) => writeln!(
            text,
            "{from} took at least {} since epoch {epoch} began, the last at {}: what they wrote \
             there may be lacking here.",
            counted(*forwarded, "request"),
            last.strftime("%F %H:%M:%S UTC"),
        ),
        None => writeln!(
            text,
            "{from} took no request in epoch {epoch} that this daemon knows of; if the daemon has been \
             restarted in that epoch, what it took before that is not known here."
        ),
    };
    text
}

/// Says what users may do where that is not all, or not as the file says; a line for each place.
pub(super) fn access(site: &SiteStatus) -> Vec<String> {
    let whole = (site.name.to_string(), site.access, &site.access_said);
    let parts = site.parts.iter().map(|part| {
        let place = format!("{}{}", site.name, part.prefix);
        (place, part.access, &part.said)
    });
    let places = std::iter::once(whole).chain(parts);
    let closed = places.filter(|(_, access, said)| *access != Access::Open || said.is_some());
    let line = |(place, access, said): (String, Access, &Option<Box<AccessSaid>>)| match said {
        Some(said) => {
            let because = said.reason.as_deref().unwrap_or("no reason given");
            let who = &said.who.name;
            format!("{place} is {access}, said by {who}: {because}.")
        }
        None => format!("{place} is {access}, as in the file."),
    };
    closed.map(line).collect()
}

/// Says that the active side of a site is down; nothing when it is not.
#[must_use]
pub fn down(site: &SiteView) -> Option<String> {
    let (since, active) = (site.down_since?, site.status.active.as_ref()?);
    let since = since.strftime("%F %H:%M:%S UTC");
    Some(format!(
        "{active} is down: none of its origins accepts connections, since {since}. Nothing moves \
         by itself."
    ))
}

/// Says which checks of a site fail, a line for each: what, why, and for how long.
#[must_use]
pub fn failing(site: &SiteView, now: Timestamp) -> Vec<String> {
    let mut lines = Vec::new();
    for SideChecks { side, checks } in &site.checks {
        let failing = checks.iter().filter(|check| check.ok == Some(false));
        lines.extend(failing.map(|check| format!("{side}: {}", finding(check, now))));
    }
    lines
}

/// Says what a check found last: `quiz: answered 500 instead of 200, for 3 m`.
#[must_use]
pub fn finding(check: &CheckStatus, now: Timestamp) -> String {
    let name = &check.name;
    let words = match (check.ok, &check.words) {
        (None, _) => return format!("{name}: not made yet"),
        (Some(true), _) => "ok",
        (Some(false), Some(words)) => words,
        (Some(false), None) => "fails",
    };
    let for_how_long = check.since.map_or(String::new(), |since| {
        format!(", for {}", roughly(now.duration_since(since)))
    });
    let stale = match check.last_run.filter(|_| check.stale) {
        Some(last) => format!(" (last made {} ago)", roughly(now.duration_since(last))),
        None => String::new(),
    };
    format!("{name}: {words}{for_how_long}{stale}")
}

/// `12 s`, `3 m`, `5 h`, `2 d`.
fn roughly(duration: SignedDuration) -> String {
    match duration.as_secs().max(0) {
        seconds @ ..120 => format!("{seconds} s"),
        seconds @ 120..7_200 => format!("{} m", seconds / 60),
        seconds @ 7_200..172_800 => format!("{} h", seconds / 3_600),
        seconds => format!("{} d", seconds / 86_400),
    }
}

/// Names the command for a site whose active side is dead.
#[must_use]
pub fn command_if_dead(site: &SiteView) -> Option<String> {
    let SiteStatus {
        name,
        active,
        sides,
        ..
    } = &site.status;
    site::emergency_command(name, active.as_ref()?, sides.iter())
}

/// Says what sides have taken that others lack, and which are torn; a line for each.
#[must_use]
pub fn copies(site: &SiteView) -> Vec<String> {
    let SiteCopies { uncopied, torn, .. } = &site.copies;
    let torn = torn.iter().map(|torn| format!("{torn}."));
    let uncopied = uncopied.iter().map(|uncopied| format!("{uncopied}."));
    torn.chain(uncopied).collect()
}

/// Says which sides that do not serve do not behave so; a line for each.
#[must_use]
pub fn contradictions(site: &SiteStatus) -> Vec<String> {
    let line = |raised: &Contradiction| {
        let since = raised.since.strftime("%F %H:%M:%S UTC");
        format!("Contradiction since {since}: {}.", raised.why)
    };
    site.contradictions.iter().map(line).collect()
}

/// Says which guarded jobs of a site run, and which may; a line for each.
#[must_use]
pub fn guards(site: &SiteView, now: Timestamp) -> Vec<String> {
    let line = |guard: &GuardStatus| {
        let GuardStatus {
            id,
            job,
            host,
            who,
            since,
            ..
        } = guard;
        let since = roughly(now.duration_since(*since));
        let state = match guard.state {
            GuardState::Held => "",
            GuardState::Ending => "; it was told to end",
            GuardState::Orphaned => {
                "; it is ORPHANED: nobody renews its lease, so flips are refused"
            }
        };
        let name = &who.name;
        format!("guard {id}: {job}, for {since}, by {name} on {host}{state}.")
    };
    site.guards.iter().map(line).collect()
}

/// Says that the data of the active side went backwards, and what to do; `None` when they did not.
#[must_use]
pub fn backwards(site: &SiteView) -> Option<String> {
    let sides = &site.freshness;
    let (found, went) = sides
        .iter()
        .find_map(|found| Some((found, found.backwards.as_ref()?)))?;
    let side = &found.side;
    Some(format!(
        "{side} had {} and has {} since {}: its newest data are gone. See whether something was \
         restored or deleted there, before a copy from it overwrites what another side has.",
        went.had,
        found.marker.as_deref().unwrap_or("nothing"),
        went.since.strftime("%F %H:%M:%S UTC"),
    ))
}

/// Says how new the data of one side are: `backup has 109, 11 behind, read 12 s ago`.
#[must_use]
pub fn freshness(found: &SideFreshness, now: Timestamp) -> String {
    let mut text = match (&found.marker, found.read) {
        (Some(marker), Some(read)) => {
            let lag = found.lag.map(|lag| format!(", {lag} behind"));
            let lag = lag.unwrap_or_default();
            format!(
                "{} has {marker}{lag}, read {} ago",
                found.side,
                roughly(now.duration_since(read))
            )
        }
        (_, _) => format!("{} was not read yet", found.side),
    };
    if let Some(problem) = &found.problem {
        let _ = write!(text, "; cannot be read: {problem}");
    }
    text
}

/// Names what a flip leaves out.
#[must_use]
pub fn skipped(skipped: &Skipped) -> String {
    match skipped {
        Skipped::Drain => "the drain".into(),
        Skipped::Sync => "the last copy".into(),
        Skipped::Checks => "the checks of the target".into(),
        Skipped::Check(name) => format!("the check {name:?} of the target"),
        Skipped::Loss => "what keeps writes from being lost".into(),
        Skipped::Interval => "the time that it stays after a flip".into(),
        Skipped::Guard(id) => format!("guarded job {id}"),
        Skipped::Lease => "the wait for DNS answers that clients may still use".into(),
    }
}

fn counted(number: u64, what: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {what}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::site::{Epoch, FlipId, SideName};

    #[test]
    fn it_says_why_what_was_skipped_and_what_may_be_lost() {
        let text = emergency(&Emergency {
            flip: FlipId(3),
            reason: Some("disk failure".into()),
            skipped: vec![Skipped::Drain, Skipped::Sync, Skipped::Checks],
            from: SideName::new("live"),
            epoch: Epoch(2),
            cut_reads: 1,
            cut_writes: 2,
            forwarded: 7,
            last_forwarded: Some(Timestamp::UNIX_EPOCH),
        });

        assert_eq!(
            text,
            "Flip 3 took live as dead: disk failure\n\
             Skipped: the drain, the last copy, the checks of the target. Cut: 1 read and 2 \
             writes.\n\
             live took at least 7 requests since epoch 2 began, the last at 1970-01-01 00:00:00 \
             UTC: what they wrote there may be lacking here.\n"
        );
    }
}
