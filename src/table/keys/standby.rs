//! What is expected of the sides that do not serve.

use std::time::Duration;

use super::check::EXPECT;
use super::form::{HOUR, between, key};
use super::{Key, Need, Shape};

/// `sites.<site>.standby`.
pub(super) const STANDBY: &[Key] = &[
    key(
        "expect",
        Shape::Keys(EXPECT),
        Need::Required,
        "A check that passes while a side that does not serve says so by itself.",
    ),
    key(
        "every",
        between(Duration::from_millis(100), HOUR),
        Need::Default("10s"),
        "How often it is asked of every side that does not serve.",
    ),
];
