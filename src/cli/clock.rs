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

/// Shows a point in time to the minute, with its date: `2026-11-24 14:30`.
pub(super) fn date_and_minute(at: Timestamp) -> String {
    let local = at.to_zoned_datetime(TimeZone::system());
    local.strftime("%F %H:%M").to_string()
}

/// Shows some milliseconds: `40 ms`, `0.31 s`, `12.4 s`, `3 min 20 s`.
pub(super) fn duration(ms: u64) -> String {
    match ms {
        0..100 => format!("{ms} ms"),
        100..10_000 => format!("{}.{:02} s", ms / 1_000, ms % 1_000 / 10),
        10_000..60_000 => format!("{}.{} s", ms / 1_000, ms % 1_000 / 100),
        _ => format!("{} min {} s", ms / 60_000, ms % 60_000 / 1_000),
    }
}
