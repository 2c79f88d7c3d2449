//! How a site flips, is checked, and tells users to wait: `flip`, `preflight`, `maintenance`,
//! `timeouts`.

use std::ops::RangeInclusive;
use std::time::Duration;

use http::uri::PathAndQuery;
use http::{Method, StatusCode};

use crate::site::{DrainThen, During, Tunnels};

use super::super::diagnostic::{Report, did_you_mean};
use super::super::hooks::Hooks;
use super::super::model::{Check, FlipPolicy, Maintenance, Preflight, Timeouts};
use super::super::scalar;
use super::super::schema::{At, Fields, Wrong};
use super::{Context, hooks};

/// The size of a page, in bytes: it is kept in memory and sent whole to whoever asks.
const PAGE_BYTES_MAX: usize = 1024 * 1024;

/// What is longer between two pairs of braces is no place but a piece of a script or style.
const PLACE_BYTES_MAX: usize = 20;

const KILOBYTE: u64 = 1024;
const MEGABYTE: u64 = 1024 * KILOBYTE;
const MILLISECOND: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);

/// A held request keeps its client's socket and its head in memory, some kilobytes each.
const HOLD_REQUESTS: RangeInclusive<usize> = 1..=100_000;

/// What one head may have, up to what a machine may be expected to keep for nothing but waiting.
const HOLD_BYTES: RangeInclusive<u64> = 64 * KILOBYTE..=16 * 1024 * MEGABYTE;

/// Requests per second; the fastest is as good as all at once.
const RELEASE_RATE: RangeInclusive<u32> = 1..=1_000_000;

/// Reads `flip:`; without it, everything is at its default.
pub(super) fn flip(report: &mut Report, at: Option<&At<'_>>) -> FlipPolicy {
    let mut policy = FlipPolicy {
        during: During::Page,
        hold_for: Duration::from_secs(5),
        hold_requests: 1_000,
        hold_bytes: 64 * MEGABYTE,
        release_rate: 200,
        drain_for: Duration::from_secs(30),
        drain_then: DrainThen::Restore,
        linger: Duration::from_secs(5),
        websockets: Tunnels::Close,
        hooks: Hooks::default(),
    };
    let Some(fields) = at.and_then(|at| at.fields(report)) else {
        return policy;
    };
    policy.during = fields.value_or(report, "during", policy.during, scalar::word);
    let hold = fields.find(report, "hold");
    if let Some(hold) = hold.and_then(|at| at.fields(report)) {
        // Browsers and balancers give up after a minute or so; longer holds help nobody.
        let bounds = MILLISECOND..=10 * MINUTE;
        policy.hold_for = span(report, &hold, "for", policy.hold_for, bounds);
        policy.hold_requests = hold.value_or(report, "requests", policy.hold_requests, |text| {
            scalar::number(text, HOLD_REQUESTS)
        });
        policy.hold_bytes = hold.value_or(report, "bytes", policy.hold_bytes, |text| {
            scalar::size(text, HOLD_BYTES)
        });
        policy.release_rate = hold.value_or(report, "release_rate", policy.release_rate, |text| {
            scalar::number(text, RELEASE_RATE)
        });
    }
    let bounds = Duration::ZERO..=10 * MINUTE;
    policy.linger = span(report, &fields, "linger", policy.linger, bounds);
    let drain = fields.find(report, "drain");
    if let Some(drain) = drain.and_then(|at| at.fields(report)) {
        let bounds = Duration::ZERO..=HOUR;
        policy.drain_for = span(report, &drain, "for", policy.drain_for, bounds);
        policy.drain_then = drain.value_or(report, "then", policy.drain_then, scalar::word);
    }
    policy.websockets = fields.value_or(report, "websockets", policy.websockets, scalar::word);
    if let Some(at) = fields.find(report, "hooks") {
        policy.hooks = hooks::resolve(report, &at);
    }
    policy
}

fn span(
    report: &mut Report,
    fields: &Fields<'_>,
    name: &str,
    default: Duration,
    bounds: RangeInclusive<Duration>,
) -> Duration {
    fields.value_or(report, name, default, |text| scalar::duration(text, bounds))
}

/// Reads `preflight:`; without it, there is nothing to check.
pub(super) fn preflight(report: &mut Report, at: Option<&At<'_>>) -> Preflight {
    let mut preflight = Preflight {
        timeout: Duration::from_secs(3),
        tries: 2,
        checks: Vec::new(),
    };
    let Some(fields) = at.and_then(|at| at.fields(report)) else {
        return preflight;
    };
    let bounds = MILLISECOND..=5 * MINUTE;
    preflight.timeout = span(report, &fields, "timeout", preflight.timeout, bounds);
    preflight.tries = fields.value_or(report, "tries", preflight.tries, |text| {
        scalar::number(text, 1..=100)
    });
    let items = fields.find(report, "checks").and_then(|at| at.list(report));
    for at in items.unwrap_or_default() {
        let Some(check) = check(report, &at) else {
            continue;
        };
        if preflight
            .checks
            .iter()
            .any(|other| other.name == check.name)
        {
            let message = format!("there is a check `{}` already", check.name);
            at.wrong(
                report,
                Wrong::new(message, "give each check a name of its own"),
            );
        }
        preflight.checks.push(check);
    }
    preflight
}

/// The keys that name a method: safe ones (RFC 9110 §9.2.1), and those refused with a reason.
const SAFE: [(&str, Method); 2] = [("get", Method::GET), ("head", Method::HEAD)];
const UNSAFE: [&str; 4] = ["post", "put", "patch", "delete"];

fn check(report: &mut Report, at: &At<'_>) -> Option<Check> {
    let unsafe_key = at
        .entries(report)?
        .iter()
        .find(|entry| UNSAFE.contains(&&*entry.key));
    if let Some(entry) = unsafe_key {
        let key = at.under(entry).key;
        let message = format!("`{}` changes something, and a check must not", entry.key);
        let remedy = "write `get: /path` or `head: /path`";
        report.mistake(entry.place, &key, message, remedy);
        return None;
    }
    let fields = at.fields(report)?;
    let name = fields
        .need(report, "name", "name: home")
        .and_then(|at| at.text(report));
    let status = fields.value_or(report, "status", StatusCode::OK, status);
    let body = fields.find(report, "body");
    let body_text = body
        .as_ref()
        .and_then(|at| at.text(report))
        .map(str::to_owned);
    let mut targets = Vec::new();
    for (key, method) in SAFE {
        if let Some(at) = fields.find(report, key) {
            targets.push((at, method));
        }
    }
    if let [_, (second, _)] = targets.as_slice() {
        let message = "a check makes one request, and `get` is there already";
        second.wrong(report, Wrong::new(message, "keep one of the two"));
    }
    let Some((target, method)) = targets.into_iter().next() else {
        fields.need(report, "get", "get: /");
        return None;
    };
    // RFC 9110 §9.3.2: a response to HEAD has no content.
    if let (Some(body), &Method::HEAD) = (&body, &method) {
        let message = "an answer to HEAD has no body to look at";
        body.wrong(
            report,
            Wrong::new(message, "write `get`, or leave `body` out"),
        );
    }
    Some(Check {
        path: target.parse(report, request_target)?,
        name: name?.to_owned(),
        method,
        status,
        body: body_text,
    })
}

fn status(text: &str) -> Result<StatusCode, Wrong> {
    let number = scalar::number(text, 200..=599)?;
    StatusCode::from_u16(number).map_err(|_| Wrong::new("is no status", "write 200 to 599"))
}

fn request_target(text: &str) -> Result<String, Wrong> {
    let parsed: Result<PathAndQuery, _> = text.parse();
    let clean = text.is_ascii() && !text.contains(['#', ' ']);
    if text.starts_with('/') && clean && parsed.is_ok() {
        return Ok(text.to_owned());
    }
    Err(Wrong::new(
        format!("`{text}` is no path to ask for"),
        "begin it with `/`, and write blanks and other letters as `%20`",
    ))
}

/// Reads `maintenance:`.
pub(super) fn maintenance(context: &mut Context<'_>, at: Option<&At<'_>>) -> Maintenance {
    let mut maintenance = Maintenance {
        page: None,
        retry_after: MINUTE,
        bypass: Vec::new(),
    };
    let report = &mut context.report;
    let Some(fields) = at.and_then(|at| at.fields(report)) else {
        return maintenance;
    };
    maintenance.retry_after =
        fields.value_or(report, "retry_after", maintenance.retry_after, |text| {
            scalar::seconds(text, SECOND..=24 * HOUR)
        });
    if let Some(at) = fields.find(report, "bypass") {
        let networks = at.list(report).unwrap_or_default().into_iter();
        let read = networks.filter_map(|at| at.parse(report, scalar::network));
        maintenance.bypass = read.collect();
    }
    if let Some(at) = fields.find(report, "page") {
        maintenance.page = context.read(&at);
        if let Some(page) = &maintenance.page {
            look_at_page(&mut context.report, &at, &page.text);
        }
    }
    maintenance
}

/// Looks whether a page can be shown, and whether its places are ones that are filled.
fn look_at_page(report: &mut Report, at: &At<'_>, text: &str) {
    if text.trim().is_empty() {
        let remedy = "write what users are to see, or leave `page` out for the built-in one";
        at.wrong(report, Wrong::new("the page is empty", remedy));
    }
    if text.len() > PAGE_BYTES_MAX {
        let message = format!("the page has more than {PAGE_BYTES_MAX} bytes");
        let remedy = "every user gets all of it at once: leave pictures out, or link to them";
        at.wrong(report, Wrong::new(message, remedy));
    }
    let places = text
        .split("{{")
        .skip(1)
        .filter_map(|rest| rest.split_once("}}"));
    for (place, _) in places {
        if !Maintenance::PLACES.contains(&place) && place.len() <= PLACE_BYTES_MAX {
            let message = format!("the page has `{{{{{place}}}}}`, which is shown as it is");
            let remedy = did_you_mean(place, Maintenance::PLACES.into_iter());
            report.warning(at.node.place, &at.key, message, remedy);
        }
    }
}

/// Reads `timeouts:`.
pub(super) fn timeouts(report: &mut Report, at: Option<&At<'_>>) -> Timeouts {
    let mut timeouts = Timeouts {
        connect: Duration::from_secs(5),
        response: MINUTE,
        tunnel: HOUR,
    };
    let Some(fields) = at.and_then(|at| at.fields(report)) else {
        return timeouts;
    };
    let bounds = MILLISECOND..=5 * MINUTE;
    timeouts.connect = span(report, &fields, "connect", timeouts.connect, bounds);
    let bounds = MILLISECOND..=HOUR;
    timeouts.response = span(report, &fields, "response", timeouts.response, bounds);
    let bounds = SECOND..=24 * HOUR;
    timeouts.tunnel = span(report, &fields, "tunnel", timeouts.tunnel, bounds);
    timeouts
}
