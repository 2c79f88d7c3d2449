//! `freshness:` the marker of a site.

use std::time::Duration;

use super::super::check::Pattern;
use super::super::diagnostic::Report;
use super::super::freshness::{Freshness, MarkerKind, MarkerPlace};
use super::super::scalar;
use super::super::schema::{At, Fields, Wrong};
use super::check::{pattern, pointer_text, request_target, timeout};
use super::policy::span;

/// The most that a target may lag in time; older data are none to move to without a word.
const LAG_MAX: Duration = Duration::from_secs(30 * 24 * 3_600);

/// Reads `freshness:`.
pub(super) fn freshness(report: &mut Report, at: &At<'_>) -> Option<Freshness> {
    let fields = at.fields(report)?;
    let get = fields.need(report, "get", "get: /api/newest");
    let path = get.and_then(|at| at.parse(report, request_target));
    let place = place(report, at, &fields);
    let kind = kind(report, &fields);
    let bounds = Duration::from_millis(100)..=Duration::from_secs(3_600);
    let every = span(report, &fields, "every", Duration::from_secs(30), bounds);
    let timeout = timeout(report, &fields, Duration::from_secs(3));
    Some(Freshness {
        path: path?,
        place: place?,
        kind: kind?,
        every,
        timeout,
    })
}

fn place(report: &mut Report, at: &At<'_>, fields: &Fields<'_>) -> Option<MarkerPlace> {
    match (fields.find(report, "json"), fields.find(report, "regex")) {
        (Some(_), Some(regex)) => {
            let message = "`json` says already where the marker is";
            regex.wrong(report, Wrong::new(message, "keep one of the two"));
            None
        }
        (Some(json), None) => Some(MarkerPlace::Json(json.parse(report, pointer_text)?)),
        (None, Some(regex)) => Some(MarkerPlace::Regex(regex.parse(report, one_group)?)),
        (None, None) => {
            let remedy = "write `json: /id`, or `regex:` with one group";
            at.wrong(
                report,
                Wrong::new("does not say where the marker is", remedy),
            );
            None
        }
    }
}

fn one_group(text: &str) -> Result<Pattern, Wrong> {
    let pattern = pattern(text)?;
    // The whole match is counted too.
    let groups = pattern
        .compile()
        .map_or(0, |regex| regex.captures_len() - 1);
    if groups == 1 {
        return Ok(pattern);
    }
    let remedy = "write one pair of parentheses around the marker; `(?:…)` is no group";
    Err(Wrong::new(
        format!("has {groups} groups instead of one"),
        remedy,
    ))
}

fn kind(report: &mut Report, fields: &Fields<'_>) -> Option<MarkerKind> {
    let at = fields.need(report, "kind", "kind: number")?;
    let lag = fields.find(report, "max_lag");
    match at.text(report)? {
        "number" => {
            let count = |text: &str| scalar::number(text, 0..=u64::from(u32::MAX));
            let max_lag = lag.map_or(Some(0), |at| at.parse(report, count));
            Some(MarkerKind::Number { max_lag: max_lag? })
        }
        "time" => {
            let span = |text: &str| scalar::duration(text, Duration::ZERO..=LAG_MAX);
            let max_lag = lag.map_or(Some(Duration::ZERO), |at| at.parse(report, span));
            Some(MarkerKind::Time { max_lag: max_lag? })
        }
        "text" => {
            if let Some(at) = lag {
                let message = "a text is the same or another, and not older";
                let remedy = "leave `max_lag` out, or mark by a `number` or a `time`";
                at.wrong(report, Wrong::new(message, remedy));
            }
            Some(MarkerKind::Text)
        }
        other => {
            let message = format!("`{other}` is no kind of marker");
            at.wrong(report, Wrong::new(message, "write number, time or text"));
            None
        }
    }
}
