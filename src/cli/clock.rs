//! Times as a person at this machine reads them.

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// Shows a time of day with milliseconds, in the machine's own time zone: `14:03:07.412`.
pub(super) fn time_of_day(at: Timestamp) -> String {
    let local = at.to_zoned_datetime(TimeZone::system());
    local.strftime("%H:%M:%S.%3f").to_string()
}

/// Shows a point in time to the minute, with its date and zone: `2026-11-24 14:30 GMT`.
pub(super) fn date_and_time(at: Timestamp) -> String {
    let local = at.to_zoned_datetime(TimeZone::system());
    local.strftime("%F %H:%M %Z").to_string()
}
