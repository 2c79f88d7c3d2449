//! `sites:` each site with its hosts, sides, paths and words.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use crate::site::{Access, SideName, SiteName, Storage};

use super::super::diagnostic::{Report, did_you_mean};
use super::super::model::{Dns, Listen, OriginAddr, OriginTls, PathRule, Side, Site, Words};
use super::super::scalar::{self, Underscores};
use super::super::schema::{At, Fields, Wrong};
use super::super::tree::Value;
use super::dns::zone_of;
use super::names::{self, Claims, Surroundings};
use super::{Context, check, freshness, policy, standby, tls};

/// A reason is a line in the journal and in a log; longer ones belong elsewhere.
const REASON_LETTERS_MAX: usize = 1_000;

/// Every site in the order of names, and its words.
type Sites = (Vec<Arc<Site>>, BTreeMap<SiteName, Words>);

/// What other parts of the table say, that a site must fit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Around<'t> {
    pub(super) dns: &'t Dns,
    pub(super) listen: &'t Listen,
}

/// Reads `sites:`.
pub(super) fn all(context: &mut Context<'_>, at: &At<'_>, around: Around<'_>) -> Option<Sites> {
    let entries = at.entries(&mut context.report)?;
    if entries.is_empty() {
        let remedy = "write at least one site: `ispot: {hosts: […], sides: {…}}`";
        at.wrong(&mut context.report, Wrong::new("there is no site", remedy));
    }
    let mut claims = Claims::default();
    let mut sites = Vec::with_capacity(entries.len());
    let mut words = BTreeMap::new();
    for entry in entries {
        let at = at.under(entry);
        let report = &mut context.report;
        let name = match scalar::label(&entry.key) {
            Ok(name) => SiteName::new(name),
            Err(wrong) => {
                report.mistake(entry.place, &at.key, wrong.message, wrong.remedy);
                continue;
            }
        };
        let Some(fields) = at.fields(report) else {
            continue;
        };
        let site = one(context, &fields, &name, around, &mut claims);
        words.insert(name, self::words(&mut context.report, &fields, &site.sides));
        sites.push(Arc::new(site));
    }
    sites.sort_by(|one, other| one.name.cmp(&other.name));
    Some((sites, words))
}

/// Reads the name of a site; gives its position.
pub(super) fn index(context: &mut Context<'_>, at: &At<'_>, sites: &[Arc<Site>]) -> Option<usize> {
    at.parse(&mut context.report, |text| {
        let names = sites.iter().map(|site| site.name.as_str());
        let found = names.clone().position(|name| name == text);
        found.ok_or_else(|| {
            let message = format!("there is no site `{text}`");
            Wrong::new(message, did_you_mean(text, names))
        })
    })
}

fn one(
    context: &mut Context<'_>,
    fields: &Fields<'_>,
    name: &SiteName,
    Around { dns, listen }: Around<'_>,
    claims: &mut Claims,
) -> Site {
    let report = &mut context.report;
    let hosts = match fields.need(report, "hosts", "hosts: [www.site.example]") {
        Some(at) => hosts(report, &at, name, dns, claims),
        None => Vec::new(),
    };
    let example = "sides: {live: {web: [http://127.0.0.1:9101]}}";
    let sides = match fields.need(report, "sides", example) {
        Some(at) => sides(context, &at),
        None => Vec::new(),
    };
    let report = &mut context.report;
    let around = Surroundings {
        site: name,
        sides: &sides,
        dns,
    };
    let names = match fields.find(report, "names") {
        Some(at) => names::resolve(report, &at, &around, claims),
        None => Vec::new(),
    };
    let paths = match fields.find(report, "paths") {
        Some(at) => paths(report, &at),
        None => Vec::new(),
    };
    let writable = match fields.find(report, "read_only") {
        Some(at) => writable(report, &at),
        None => Vec::new(),
    };
    let preflight = fields.find(report, "preflight");
    let (preflight, defaults) = check::preflight(report, preflight.as_ref(), &sides);
    let freshness = fields.find(report, "freshness");
    let freshness = freshness.and_then(|at| freshness::freshness(report, &at));
    let standby = fields.find(report, "standby");
    let standby = standby.and_then(|at| standby::standby(report, &at, defaults));
    let storage = fields.value_or(report, "storage", Storage::Separate, scalar::word);
    let flip = fields.find(report, "flip");
    let flip = policy::flip(report, flip.as_ref(), defaults, &sides);
    let timeouts = fields.find(report, "timeouts");
    let timeouts = policy::timeouts(report, timeouts.as_ref());
    let maintenance = fields.find(report, "maintenance");
    let redirect = tls::redirect(report, fields, listen);
    let tls = tls::own_certificate(context, fields);
    Site {
        name: name.clone(),
        hosts,
        tls,
        redirect,
        sides,
        names,
        paths,
        writable,
        storage,
        flip,
        preflight,
        freshness: freshness.map(Box::new),
        standby: standby.map(Box::new),
        maintenance: policy::maintenance(context, maintenance.as_ref()),
        timeouts,
    }
}

fn hosts(
    report: &mut Report,
    at: &At<'_>,
    site: &SiteName,
    dns: &Dns,
    claims: &mut Claims,
) -> Vec<String> {
    let items = at.list(report).unwrap_or_default();
    if matches!(&at.node.value, Value::List(items) if items.is_empty()) {
        let remedy = "write at least one host: `[www.site.example]`";
        at.wrong(report, Wrong::new("is empty", remedy));
    }
    let mut hosts = Vec::with_capacity(items.len());
    for (position, at) in items.into_iter().enumerate() {
        let Some(host) = at.parse(report, |text| host(text, position)) else {
            continue;
        };
        let free = claims.claim(report, at.node.place, &at.key, &host, site);
        // Without zones this server answers no DNS at all, and every host lies outside.
        if free && !dns.zones.is_empty() && zone_of(dns, &host).is_none() {
            let message = format!("{host} lies in none of the zones");
            let remedy = "make sure that it points here elsewhere, or add its zone";
            report.warning(at.node.place, &at.key, message, remedy);
        }
        hosts.push(host);
    }
    hosts
}

/// Reads a host; every one but the first may stand for all names below one.
fn host(text: &str, position: usize) -> Result<String, Wrong> {
    let Some(parent) = text.strip_prefix("*.") else {
        return scalar::name(text, Underscores::Refused);
    };
    if position == 0 {
        let message = format!("`{text}` is no name that checks can ask for");
        return Err(Wrong::new(message, "write a name without `*` before it"));
    }
    Ok(format!("*.{}", scalar::name(parent, Underscores::Refused)?))
}

fn sides(context: &mut Context<'_>, at: &At<'_>) -> Vec<Side> {
    let report = &mut context.report;
    let Some(entries) = at.entries(report) else {
        return Vec::new();
    };
    if entries.is_empty() {
        let remedy = "write at least one side: `live: {web: [http://127.0.0.1:9101]}`";
        at.wrong(report, Wrong::new("there is no side", remedy));
    }
    let mut sides: Vec<Side> = Vec::with_capacity(entries.len());
    for entry in entries {
        let at = at.under(entry);
        let report = &mut context.report;
        if let Err(wrong) = scalar::label(&entry.key) {
            report.mistake(entry.place, &at.key, wrong.message, wrong.remedy);
        }
        let name = SideName::new(&entry.key);
        let mut side = Side {
            name,
            web: Vec::new(),
            names: BTreeMap::new(),
        };
        if let Some(fields) = at.fields(report) {
            let tls = fields.find(report, "tls");
            let tls = tls.map(|at| tls::of_origins(context, &at));
            let report = &mut context.report;
            let example = "web: [http://127.0.0.1:9101]";
            if let Some(at) = fields.need(report, "web", example) {
                side.web = web(report, &at, tls.as_ref(), &sides);
            }
            if let Some(at) = fields.find(report, "names") {
                side.names = side_names(report, &at);
            }
        }
        sides.push(side);
    }
    sides
}

/// Reads `web:`; `tls` is what is written beside it, `Some(None)` when that is wrong.
fn web(
    report: &mut Report,
    at: &At<'_>,
    tls: Option<&Option<Arc<OriginTls>>>,
    others: &[Side],
) -> Vec<OriginAddr> {
    let items = at.list(report).unwrap_or_default();
    if matches!(&at.node.value, Value::List(items) if items.is_empty()) {
        let remedy = "write at least one origin: `[http://127.0.0.1:9101]`";
        at.wrong(report, Wrong::new("is empty", remedy));
    }
    let mut web = Vec::with_capacity(items.len());
    for at in items {
        let Some(written) = at.parse(report, scalar::origin) else {
            continue;
        };
        if written.is_tls && tls.is_none() {
            at.wrong(report, tls::nobody_to_believe());
        }
        let origin = OriginAddr {
            host: written.host,
            port: written.port,
            tls: tls.filter(|_| written.is_tls).cloned().flatten(),
        };
        if web.iter().any(|other: &OriginAddr| other.is_at(&origin)) {
            at.wrong(
                report,
                Wrong::new(format!("{origin} is written twice"), "keep one"),
            );
        }
        let same = |other: &&Side| other.web.iter().any(|other| other.is_at(&origin));
        if let Some(other) = others.iter().find(same) {
            let message = format!("{origin} is an origin of side {} too", other.name);
            let remedy = "a flip between the two does not leave it: write another";
            report.warning(at.node.place, &at.key, message, remedy);
        }
        web.push(origin);
    }
    web
}

fn side_names(report: &mut Report, at: &At<'_>) -> BTreeMap<String, IpAddr> {
    let mut names = BTreeMap::new();
    for entry in at.entries(report).unwrap_or_default() {
        let at = at.under(entry);
        if let Some(address) = at.parse(report, scalar::address) {
            names.insert(entry.key.clone().into_owned(), address);
        }
    }
    names
}

fn paths(report: &mut Report, at: &At<'_>) -> Vec<PathRule> {
    let mut rules: Vec<PathRule> = Vec::new();
    for entry in at.entries(report).unwrap_or_default() {
        let at = at.under(entry);
        let prefix = match prefix(&entry.key) {
            Ok(prefix) => prefix,
            Err(wrong) => {
                report.mistake(entry.place, &at.key, wrong.message, wrong.remedy);
                continue;
            }
        };
        if rules.iter().any(|other| other.prefix == prefix) {
            let message = format!("{prefix} is written twice");
            report.mistake(entry.place, &at.key, message, "keep one of the two");
        }
        let fields = at.fields(report);
        let access = fields.and_then(|fields| fields.need(report, "access", "access: open"));
        if let Some(access) = access.and_then(|at| at.parse(report, scalar::word)) {
            rules.push(PathRule { prefix, access });
        }
    }
    rules.sort_by(|one, other| {
        let longest_first = other.prefix.len().cmp(&one.prefix.len());
        longest_first.then_with(|| one.prefix.cmp(&other.prefix))
    });
    rules
}

/// Reads `read_only:`: the prefixes that may be written to all the same.
fn writable(report: &mut Report, at: &At<'_>) -> Vec<String> {
    let allow = at
        .fields(report)
        .and_then(|fields| fields.find(report, "allow"));
    let prefixes = allow.and_then(|at| at.list(report)).unwrap_or_default();
    let read = prefixes.into_iter();
    read.filter_map(|at| at.parse(report, prefix)).collect()
}

/// Reads a path prefix; slashes at its end say nothing, so they are taken off.
fn prefix(text: &str) -> Result<String, Wrong> {
    let wrong = |remedy: String| Err(Wrong::new(format!("`{text}` is no part of a site"), remedy));
    if !text.starts_with('/') {
        return wrong(format!("write `/{text}`"));
    }
    let strange = |letter: char| !letter.is_ascii_graphic() || "?#".contains(letter);
    if text.contains(strange) {
        return wrong("write a path without query, blanks as `%20`".to_owned());
    }
    match text.trim_end_matches('/') {
        "" => wrong("write `access:` beside `active` for the whole site".to_owned()),
        prefix => Ok(prefix.to_owned()),
    }
}

fn words(report: &mut Report, fields: &Fields<'_>, sides: &[Side]) -> Words {
    let access = fields.value_or(report, "access", Access::Open, scalar::word);
    let active = fields.find(report, "active").and_then(|at| {
        at.parse(report, |text| {
            let names = sides.iter().map(|side| side.name.as_str());
            // Without sides that mistake is reported; this one would only repeat it.
            if sides.is_empty() || names.clone().any(|name| name == text) {
                return Ok(SideName::new(text));
            }
            let message = format!("there is no side `{text}`");
            Err(Wrong::new(message, did_you_mean(text, names)))
        })
    });
    let reason = fields.find(report, "reason").and_then(|at| {
        at.parse(report, |text| {
            if text.chars().count() <= REASON_LETTERS_MAX {
                return Ok(text.to_owned());
            }
            let remedy = format!("write at most {REASON_LETTERS_MAX} letters");
            Err(Wrong::new("is too long", remedy))
        })
    });
    Words {
        active,
        access,
        reason,
    }
}
