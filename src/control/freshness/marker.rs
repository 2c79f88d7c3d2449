//! Markers: from what an origin answers to a value that can be compared.

use std::fmt;

use jiff::{SignedDuration, Timestamp};

use crate::table::{MarkerKind, MarkerPlace};

use super::shown::Lag;

/// The longest marker, in bytes: it is shown in a line, and compared.
const MARKER_BYTES_MAX: usize = 256;

/// What was read of one origin; those of one site are of one kind.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Marker {
    /// A count that grows.
    Number(i128),
    /// A time.
    Time(Timestamp),
    /// Any text; its order means nothing.
    Text(String),
}

impl Marker {
    /// Tells whether some are older than others: of texts none is.
    pub(super) fn has_order(&self) -> bool {
        !matches!(self, Self::Text(_))
    }

    /// Tells whether it stands for older data than another one.
    pub(super) fn is_older_than(&self, other: &Self) -> bool {
        self.has_order() && self < other
    }
}

impl fmt::Display for Marker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Time(time) => write!(f, "{time}"),
            // It came from outside: no control character of it may reach a terminal.
            Self::Text(text) => write!(f, "{text:?}"),
        }
    }
}

/// Finds a marker in a body.
///
/// # Errors
/// In words, what is there instead.
pub(super) fn find(body: &[u8], place: &MarkerPlace, kind: MarkerKind) -> Result<Marker, String> {
    let text = match place {
        MarkerPlace::Json(pointer) => in_json(body, pointer)?,
        MarkerPlace::Regex(pattern) => {
            let regex = pattern.compile().map_err(|error| error.to_string())?;
            let found = regex.captures(body).and_then(|found| found.get(1));
            let found = found.ok_or_else(|| format!("the body does not match {regex}"))?;
            String::from_utf8_lossy(found.as_bytes()).into_owned()
        }
    };
    if text.len() > MARKER_BYTES_MAX {
        return Err(format!("the marker has more than {MARKER_BYTES_MAX} bytes"));
    }
    parse(&text, kind)
}

fn in_json(body: &[u8], pointer: &str) -> Result<String, String> {
    let json: serde_json::Value =
        serde_json::from_slice(body).map_err(|error| format!("the body is no JSON: {error}"))?;
    match json.pointer(pointer) {
        Some(serde_json::Value::String(text)) => Ok(text.clone()),
        Some(serde_json::Value::Number(number)) => Ok(number.to_string()),
        Some(_) => Err(format!("{pointer} is neither a text nor a number")),
        None => Err(format!("{pointer} is missing")),
    }
}

fn parse(text: &str, kind: MarkerKind) -> Result<Marker, String> {
    let text = text.trim();
    match kind {
        MarkerKind::Number { .. } => {
            let number = text.parse::<i128>();
            let number = number.map_err(|_| format!("{text:?} is no whole number"))?;
            Ok(Marker::Number(number))
        }
        MarkerKind::Time { .. } => {
            let seconds = text.parse::<i64>().ok();
            let seconds = seconds.map(|seconds| Timestamp::from_second(seconds).ok());
            let time = seconds.unwrap_or_else(|| text.parse().ok());
            let time = time.ok_or_else(|| {
                format!("{text:?} is no time: neither RFC 3339 nor seconds since 1970")
            })?;
            Ok(Marker::Time(time))
        }
        MarkerKind::Text => Ok(Marker::Text(text.to_owned())),
    }
}

/// Looks whether a target lags no more than it may; one that is ahead does not lag.
///
/// # Errors
/// By how much it lags, and how much it may, in words.
pub(super) fn not_too_old(
    kind: MarkerKind,
    target: &Marker,
    active: &Marker,
) -> Result<(), String> {
    match (kind, target, active) {
        (MarkerKind::Number { max_lag }, Marker::Number(target), Marker::Number(active)) => {
            let lag = active.saturating_sub(*target);
            if lag <= i128::from(max_lag) {
                return Ok(());
            }
            Err(format!("{lag} more, and `max_lag` is {max_lag}"))
        }
        (MarkerKind::Time { max_lag }, Marker::Time(target), Marker::Time(active)) => {
            let lag = active.duration_since(*target);
            let most = SignedDuration::try_from(max_lag).unwrap_or(SignedDuration::MAX);
            if lag <= most {
                return Ok(());
            }
            Err(format!("{lag:#} later, and `max_lag` is {max_lag:?}"))
        }
        (_, target, active) if target == active => Ok(()),
        (_, _, _) => Err("which is not the same".into()),
    }
}

/// Tells by how much a side is older than the active one; texts do not tell.
pub(super) fn lag(side: &Marker, active: &Marker) -> Option<Lag> {
    match (side, active) {
        (Marker::Number(side), Marker::Number(active)) => {
            let count = active.saturating_sub(*side).max(0);
            Some(Lag::Count(u64::try_from(count).unwrap_or(u64::MAX)))
        }
        (Marker::Time(side), Marker::Time(active)) => {
            let seconds = active.duration_since(*side).as_secs().max(0);
            Some(Lag::Seconds(seconds.unsigned_abs()))
        }
        (_, _) => None,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const NUMBER: MarkerKind = MarkerKind::Number { max_lag: 10 };
    const TIME: MarkerKind = MarkerKind::Time {
        max_lag: Duration::from_secs(60),
    };

    fn lag(kind: MarkerKind, target: &str, active: &str) -> Result<(), String> {
        let marker = |text| parse(text, kind).expect("a marker");
        not_too_old(kind, &marker(target), &marker(active))
    }

    #[test]
    fn a_target_may_lag_as_far_as_it_says_and_no_further_and_may_be_ahead() {
        assert_eq!(lag(NUMBER, "90", "100"), Ok(()));
        assert!(lag(NUMBER, "89", "100").is_err());
        assert_eq!(lag(NUMBER, "200", "100"), Ok(()));
        assert_eq!(lag(TIME, "1000", "1060"), Ok(()));
        assert!(lag(TIME, "1000", "1061").is_err());
        assert_eq!(lag(TIME, "1970-01-01T00:16:40Z", "1000"), Ok(()));
        assert_eq!(lag(MarkerKind::Text, "a", "a"), Ok(()));
        assert!(lag(MarkerKind::Text, "a", "b").is_err());
        let far = i128::MIN.to_string();
        assert!(lag(NUMBER, &far, &i128::MAX.to_string()).is_err());
    }

    #[test]
    fn a_lag_is_what_is_missing_and_never_less_than_nothing() {
        let lag = |kind, side, active| {
            let marker = |text| parse(text, kind).expect("a marker");
            super::lag(&marker(side), &marker(active))
        };
        assert_eq!(lag(NUMBER, "90", "100"), Some(Lag::Count(10)));
        assert_eq!(lag(NUMBER, "200", "100"), Some(Lag::Count(0)));
        let far = i128::MIN.to_string();
        assert_eq!(lag(NUMBER, &far, "0"), Some(Lag::Count(u64::MAX)));
        assert_eq!(lag(TIME, "1000", "1061"), Some(Lag::Seconds(61)));
        assert_eq!(lag(TIME, "1061", "1000"), Some(Lag::Seconds(0)));
        assert_eq!(lag(MarkerKind::Text, "a", "b"), None);
        let text = |text: &str| Marker::Text(text.into());
        assert!(!text("a").is_older_than(&text("b")));
    }

    #[test]
    fn what_is_no_marker_is_said() {
        let json = MarkerPlace::Json("/id".into());
        let find = |body: &str, kind| find(body.as_bytes(), &json, kind);
        assert_eq!(find(r#"{"id": 7}"#, NUMBER), Ok(Marker::Number(7)));
        assert_eq!(find(r#"{"id": "7"}"#, NUMBER), Ok(Marker::Number(7)));
        for body in [
            "",
            "[]",
            r#"{"id": null}"#,
            r#"{"id": 7.5}"#,
            r#"{"id": 1e300}"#,
        ] {
            assert!(find(body, NUMBER).is_err(), "{body}");
        }
        let long = format!(r#"{{"id": "{}"}}"#, "x".repeat(MARKER_BYTES_MAX + 1));
        assert!(find(&long, MarkerKind::Text).is_err());
        assert!(find(r#"{"id": "yesterday"}"#, TIME).is_err());
        assert!(find(r#"{"id": 9223372036854775807}"#, TIME).is_err());
    }
}
