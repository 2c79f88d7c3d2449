//! Names that follow the active side, and who claims which name.

use std::collections::HashMap;
use std::time::Duration;

use crate::site::SiteName;

use super::super::diagnostic::{Report, did_you_mean};
use super::super::model::{Dns, FollowingName, Side};
use super::super::scalar::{self, Underscores};
use super::super::schema::{At, Wrong};
use super::super::tree::{Entry, Place, Value};
use super::dns::zone_of;

/// TTL of a following name when none is written: a client re-asks soon after a flip.
const TTL: Duration = Duration::from_secs(5);

/// The longest TTL: an answer of the old side lives on for as long.
const TTL_MAX: Duration = Duration::from_secs(3_600);

/// Every name claimed so far: by which site, and in which line.
#[derive(Debug, Default)]
pub(super) struct Claims(HashMap<String, (SiteName, usize)>);

impl Claims {
    /// Claims a name for a site, or reports who has it.
    pub(super) fn claim(
        &mut self,
        report: &mut Report,
        place: Place,
        key: &str,
        name: &str,
        site: &SiteName,
    ) -> bool {
        let Some((other, line)) = self.0.get(name) else {
            self.0.insert(name.into(), (site.clone(), place.line));
            return true;
        };
        let message = format!("{name} belongs to site {other} already, in line {line}");
        report.mistake(place, key, message, "keep it in one place");
        false
    }
}

/// What the names of a site are checked against.
pub(super) struct Surroundings<'s> {
    pub(super) site: &'s SiteName,
    pub(super) sides: &'s [Side],
    pub(super) dns: &'s Dns,
}

/// Reads `names:` of a site.
pub(super) fn resolve(
    report: &mut Report,
    at: &At<'_>,
    around: &Surroundings<'_>,
    claims: &mut Claims,
) -> Vec<FollowingName> {
    let mut names = Vec::new();
    for entry in at.entries(report).unwrap_or_default() {
        let at = at.under(entry);
        let owner = owner(report, &at, entry, around, claims);
        let Some((from, ttl, from_at)) = source(report, &at) else {
            continue;
        };
        sides_have(report, &from_at, &from, around.sides);
        if let Some(owner) = owner {
            names.push(FollowingName { owner, from, ttl });
        }
    }
    names
}

fn owner(
    report: &mut Report,
    at: &At<'_>,
    entry: &Entry<'_>,
    around: &Surroundings<'_>,
    claims: &mut Claims,
) -> Option<String> {
    let owner = match scalar::name(&entry.key, Underscores::Allowed) {
        Ok(owner) => owner,
        Err(wrong) => {
            report.mistake(entry.place, &at.key, wrong.message, wrong.remedy);
            return None;
        }
    };
    if zone_of(around.dns, &owner).is_none() {
        let message = format!("{owner} lies in none of the zones");
        let zones: Vec<&str> = around.dns.zones.keys().map(String::as_str).collect();
        let remedy = match zones.as_slice() {
            [] => "add its zone under `dns.zones`".to_owned(),
            [first, ..] => format!("add its zone under `dns.zones`, or end it in `.{first}`"),
        };
        report.mistake(entry.place, &at.key, message, remedy);
    }
    claims
        .claim(report, entry.place, &at.key, &owner, around.site)
        .then_some(owner)
}

/// Reads `db` or `{from: db, kind: direct, ttl: 5s}`.
fn source<'n>(report: &mut Report, at: &At<'n>) -> Option<(String, Duration, At<'n>)> {
    if let Value::Text(from) = &at.node.value {
        let short = At {
            node: at.node,
            key: at.key.clone(),
            shape: at.shape,
        };
        return Some((from.clone().into_owned(), TTL, short));
    }
    let fields = at.fields(report)?;
    fields.value_or(report, "kind", (), |text| match text {
        "direct" => Ok(()),
        _ => Err(Wrong::new(
            format!("kind `{text}` is not known"),
            "write `direct`",
        )),
    });
    let bounds = Duration::from_secs(1)..=TTL_MAX;
    let ttl = fields.value_or(report, "ttl", TTL, |text| scalar::seconds(text, bounds));
    let from_at = fields.need(report, "from", "from: db")?;
    let from = from_at.text(report)?.to_owned();
    Some((from, ttl, from_at))
}

/// Each side must say the address, or a flip to it would leave the name without one.
fn sides_have(report: &mut Report, at: &At<'_>, from: &str, sides: &[Side]) {
    for side in sides {
        if side.names.contains_key(from) {
            continue;
        }
        let message = format!("side {} has no `{from}` among its names", side.name);
        let remedy = if side.names.is_empty() {
            format!("add `names: {{{from}: <address>}}` to that side")
        } else {
            let names = side.names.keys().map(String::as_str);
            format!("add it there; {}", did_you_mean(from, names))
        };
        at.wrong(report, Wrong::new(message, remedy));
    }
}
