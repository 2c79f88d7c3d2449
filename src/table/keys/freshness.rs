//! The keys of the marker of freshness.

use std::time::Duration;

use super::form::{HOUR, MILLISECOND, MINUTE, PATTERN, POINTER, TARGET, between, form, key, times};
use super::{Form, Key, Need, Shape};

const LAG: Form = form("duration", r"^[0-9]+[a-z]");

/// `sites.<site>.freshness`.
pub(super) const FRESHNESS: &[Key] = &[
    key(
        "get",
        Shape::Form(&TARGET),
        Need::Required,
        "Where the marker is asked for, with GET.",
    ),
    key(
        "json",
        Shape::Form(&POINTER),
        Need::LeftOut("`regex` instead"),
        "Where it is in the body, which is JSON (RFC 6901).",
    ),
    key(
        "regex",
        Shape::Form(&PATTERN),
        Need::LeftOut("`json` instead"),
        "A regular expression with one group, which is the marker.",
    ),
    key(
        "kind",
        Shape::Words(&["number", "time", "text"]),
        Need::Required,
        "What it is: a whole number that grows, a time (RFC 3339 or Unix seconds), or any text.",
    ),
    key(
        "max_lag",
        Shape::Either(&[
            Shape::Number {
                least: 0,
                most: u32::MAX,
            },
            Shape::Form(&LAG),
        ]),
        Need::LeftOut("none: it is as new as that of the active side"),
        "How much older the marker of a flip's target may be: a count, or a duration for `time`.",
    ),
    key(
        "every",
        between(Duration::from_millis(100), HOUR),
        Need::Default("30s"),
        "How often it is read from every side.",
    ),
    key(
        "timeout",
        between(MILLISECOND, times(5, MINUTE)),
        Need::Default("3s"),
        "How long one reading may take.",
    ),
];
