//! `standby:` what a side that does not serve answers by itself.

use std::time::Duration;

use super::super::diagnostic::Report;
use super::super::schema::At;
use super::super::standby::Standby;
use super::check::{self, Defaults};
use super::policy::{HOUR, span};

/// Reads `standby:`.
pub(super) fn standby(report: &mut Report, at: &At<'_>, defaults: Defaults) -> Option<Standby> {
    let fields = at.fields(report)?;
    let expect = fields.need(report, "expect", "expect: {get: /, status: 503}");
    let bounds = Duration::from_millis(100)..=HOUR;
    let every = span(report, &fields, "every", Duration::from_secs(10), bounds);
    Some(Standby {
        expect: check::expect(report, &expect?, defaults)?,
        every,
    })
}
