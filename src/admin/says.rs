//! What the status says of a site that is down, or was moved in an emergency, for the page and for the terminal alike.

use std::fmt::Write as _;

use crate::control::{AccessSaid, Emergency, SiteStatus};
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
    let skipped: Vec<_> = emergency.skipped.iter().map(|one| skipped(*one)).collect();
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
            "{from} has taken no request since this daemon began; what it took in epoch {epoch} before \
             that is not known here."
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

/// Names what an emergency leaves out.
#[must_use]
pub fn skipped(skipped: Skipped) -> &'static str {
    match skipped {
        Skipped::Drain => "the drain",
        Skipped::Sync => "the last copy",
        Skipped::Checks => "the checks of the target",
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
            last_forwarded: Some(jiff::Timestamp::UNIX_EPOCH),
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
