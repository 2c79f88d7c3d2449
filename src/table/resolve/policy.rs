//! How a site flips and tells users to wait: `flip`, `maintenance`, `timeouts`.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::site::{DrainThen, During, OnHold, Tunnels};

use super::super::diagnostic::{Report, did_you_mean};
use super::super::hooks::Hooks;
use super::super::model::{FlipPolicy, Maintenance, Side, Timeouts};
use super::super::scalar;
use super::super::schema::{At, Fields, Wrong};
use super::check::{self, Defaults};
use super::{Context, hooks};

/// The size of a page, in bytes: it is kept in memory and sent whole to whoever asks.
const PAGE_BYTES_MAX: usize = 1024 * 1024;

/// What is longer between two pairs of braces is no place but a piece of a script or style.
const PLACE_BYTES_MAX: usize = 20;

const KILOBYTE: u64 = 1024;
const MEGABYTE: u64 = 1024 * KILOBYTE;
pub(super) const MILLISECOND: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
pub(super) const MINUTE: Duration = Duration::from_secs(60);
pub(super) const HOUR: Duration = Duration::from_secs(3_600);

/// A held request keeps its client's socket and its head in memory, some kilobytes each.
const HOLD_REQUESTS: RangeInclusive<usize> = 1..=100_000;

/// What one head may have, up to what a machine may be expected to keep for nothing but waiting.
const HOLD_BYTES: RangeInclusive<u64> = 64 * KILOBYTE..=16 * 1024 * MEGABYTE;

/// Requests per second; the fastest is as good as all at once.
const RELEASE_RATE: RangeInclusive<u32> = 1..=1_000_000;

/// Reads `flip:`; without it, everything is at its default.
pub(super) fn flip(
    report: &mut Report,
    at: Option<&At<'_>>,
    defaults: Defaults,
    sides: &[Side],
) -> FlipPolicy {
    let mut policy = FlipPolicy {
        during: During::Page,
        hold_for: Duration::from_secs(5),
        hold_requests: 1_000,
        hold_bytes: 64 * MEGABYTE,
        release_rate: 200,
        drain_for: Duration::from_secs(30),
        drain_then: DrainThen::Restore,
        linger: Duration::from_secs(5),
        quiet: None,
        websockets: Tunnels::Close,
        on_hold: OnHold::NoData,
        guard_wait: 5 * MINUTE,
        hooks: Hooks::default(),
        min_interval: Duration::ZERO,
        require_reason: false,
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
    if let Some(quiet) = fields.find(report, "quiet") {
        if let Some(linger) = fields.find(report, "linger") {
            let message = "`quiet` asks the origin how long it takes";
            linger.wrong(report, Wrong::new(message, "keep one of the two"));
        }
        policy.linger = Duration::ZERO;
        policy.quiet = check::quiet(report, &quiet, defaults, sides).map(Box::new);
    }
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
    let bounds = Duration::ZERO..=24 * HOUR;
    policy.guard_wait = span(report, &fields, "guard_wait", policy.guard_wait, bounds);
    let bounds = Duration::ZERO..=7 * 24 * HOUR;
    policy.min_interval = span(report, &fields, "min_interval", policy.min_interval, bounds);
    policy.require_reason = fields.value_or(report, "require_reason", false, scalar::flag);
    policy.on_hold = on_hold(report, &fields, !policy.hooks.sync.is_empty());
    look_at_waits(report, &fields, &policy);
    policy
}

/// Reads `on_hold:`; `syncs` tells whether data is copied while users are held.
fn on_hold(report: &mut Report, fields: &Fields<'_>, syncs: bool) -> OnHold {
    let Some(at) = fields.find(report, "on_hold") else {
        return OnHold::NoData;
    };
    let on_hold = at.parse(report, scalar::word).unwrap_or(OnHold::NoData);
    if on_hold == OnHold::Keep && syncs {
        let message = "clients of the direct names would go on writing to the old side while \
            `sync` hooks copy it";
        let remedy = "write `nodata`, or leave the `sync` hooks out";
        at.wrong(report, Wrong::new(message, remedy));
    }
    on_hold
}

/// Looks whether who is on hold would get the page before the flip is through.
fn look_at_waits(report: &mut Report, fields: &Fields<'_>, policy: &FlipPolicy) {
    let FlipPolicy {
        hold_for,
        drain_for,
        ..
    } = *policy;
    if policy.during != During::Hold || drain_for <= hold_for {
        return;
    }
    // Only `hold` puts anybody on hold for as long as it drains, so the word is there.
    let Some(at) = fields.find(report, "during") else {
        return;
    };
    let message = format!(
        "requests in flight may take {drain_for:?} to end (`drain.for`), and who is on hold gets \
         the page after {hold_for:?} (`hold.for`)"
    );
    let remedy = "write a `drain: {for: …}` that is no longer than `hold: {for: …}`";
    report.warning(at.node.place, &at.key, message, remedy);
}

pub(super) fn span(
    report: &mut Report,
    fields: &Fields<'_>,
    name: &str,
    default: Duration,
    bounds: RangeInclusive<Duration>,
) -> Duration {
    fields.value_or(report, name, default, |text| scalar::duration(text, bounds))
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
