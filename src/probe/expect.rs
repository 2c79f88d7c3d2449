//! What passes, and the words for what does not.

use std::ops::RangeInclusive;
use std::time::Duration;

use http::{HeaderMap, HeaderName, StatusCode};
use regex::bytes::Regex;

/// How much of a value is shown, in letters; what an origin answers may be of any length.
const SHOWN_MAX: usize = 100;

/// What an answer must be like.
#[derive(Clone, Debug)]
pub struct Expect {
    /// The statuses that pass; a class is a range of a hundred.
    pub status: Vec<RangeInclusive<u16>>,
    /// Fields that must be there, each with what one of its values must be.
    pub fields: Vec<(HeaderName, Value)>,
    /// What the body must be like; it is not read when there is nothing.
    pub body: Vec<Body>,
}

/// What a single value must be.
#[derive(Clone, Debug)]
pub enum Value {
    /// Anything, as long as it is there.
    Present,
    /// This text.
    Equals(String),
    /// Something that matches.
    Matches(Regex),
}

/// What a body must be like.
#[derive(Clone, Debug)]
pub enum Body {
    /// It holds this text.
    Holds(String),
    /// Some part of it matches.
    Matches(Regex),
    /// It is JSON, in which a pointer (RFC 6901) leads to a value.
    Json(String, Value),
}

/// Why a check failed; its text is what an operator is shown.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failed {
    /// It took too long.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    /// No connection: `connection refused`, or the name is not known.
    #[error("{0}")]
    Connect(String),
    /// The other end did not prove who it is.
    #[error("TLS: {0}")]
    Tls(String),
    /// The connection broke off, or what came was no answer.
    #[error("the answer broke off: {0}")]
    Broken(String),
    /// The check itself cannot be sent; the table is at fault.
    #[error("the check cannot be sent: {0}")]
    Unsendable(String),
    /// Another status than one that passes.
    #[error("answered {} instead of {expected}", .got.as_u16())]
    Status {
        /// What it answered.
        got: StatusCode,
        /// What would have passed, in words.
        expected: String,
    },
    /// Another value than the one that passes, or none; in words.
    #[error("{0}")]
    Value(String),
    /// The expected text is not there.
    #[error("{}", without(*.whole, "hold", &format!("{:?}", .text)))]
    Body {
        /// The text.
        text: String,
        /// All of the body was looked at, and not only its first 1 MiB.
        whole: bool,
    },
    /// Nothing matches.
    #[error("{}", without(*.whole, "match", .pattern))]
    Pattern {
        /// The regular expression.
        pattern: String,
        /// All of the body was looked at, and not only its first 1 MiB.
        whole: bool,
    },
    /// A DNS server answered something else; in words.
    #[error("{0}")]
    Answer(String),
    /// A command did not end well; in words, with the last line that it printed.
    #[error("{0}")]
    Command(String),
}

impl Failed {
    /// Tells whether somebody answered, if otherwise than was expected.
    #[must_use]
    pub fn is_an_answer(&self) -> bool {
        match self {
            Self::Timeout(_)
            | Self::Connect(_)
            | Self::Tls(_)
            | Self::Broken(_)
            | Self::Unsendable(_) => false,
            Self::Status { .. }
            | Self::Value(_)
            | Self::Body { .. }
            | Self::Pattern { .. }
            | Self::Answer(_)
            | Self::Command(_) => true,
        }
    }
}

fn without(whole: bool, verb: &str, what: &str) -> String {
    let body = if whole {
        "the body"
    } else {
        "the first 1 MiB of the body"
    };
    format!("{body} does not {verb} {what}")
}

impl Expect {
    /// Expects a status, and nothing more.
    pub fn status(status: StatusCode) -> Self {
        Self {
            status: vec![status.as_u16()..=status.as_u16()],
            fields: Vec::new(),
            body: Vec::new(),
        }
    }

    /// Judges the head of an answer.
    pub(super) fn judge_head(&self, got: StatusCode, fields: &HeaderMap) -> Result<(), Failed> {
        let passes = |range: &RangeInclusive<u16>| range.contains(&got.as_u16());
        if !self.status.iter().any(passes) {
            let expected = in_words(&self.status);
            return Err(Failed::Status { got, expected });
        }
        for (name, wanted) in &self.fields {
            let values = fields.get_all(name).iter().map(|value| value.as_bytes());
            let what = format!("the field {name}");
            wanted.judge(&what, values).map_err(Failed::Value)?;
        }
        Ok(())
    }

    /// Judges a body, or the beginning of one.
    pub(super) fn judge_body(&self, body: &[u8], whole: bool) -> Result<(), Failed> {
        self.body
            .iter()
            .try_for_each(|wanted| wanted.judge(body, whole))
    }
}

impl Value {
    /// Judges what there is of something: one value that is as wanted is enough.
    ///
    /// # Errors
    /// In words, what it is and what it should be.
    fn judge<'v>(&self, what: &str, values: impl Iterator<Item = &'v [u8]>) -> Result<(), String> {
        let mut first = None;
        for value in values {
            let passes = match self {
                Self::Present => true,
                Self::Equals(wanted) => value == wanted.as_bytes(),
                Self::Matches(regex) => regex.is_match(value),
            };
            if passes {
                return Ok(());
            }
            first = first.or(Some(value));
        }
        let Some(value) = first else {
            return Err(format!("{what} is missing"));
        };
        let value = shown(&String::from_utf8_lossy(value));
        Err(match self {
            Self::Present => format!("{what} is {value}"),
            Self::Equals(wanted) => format!("{what} is {value} instead of {wanted:?}"),
            Self::Matches(regex) => format!("{what} is {value}, which does not match {regex}"),
        })
    }
}

impl Body {
    fn judge(&self, body: &[u8], whole: bool) -> Result<(), Failed> {
        match self {
            Self::Holds(text) if holds(body, text.as_bytes()) => Ok(()),
            Self::Holds(text) => Err(Failed::Body {
                text: text.clone(),
                whole,
            }),
            Self::Matches(regex) if regex.is_match(body) => Ok(()),
            Self::Matches(regex) => Err(Failed::Pattern {
                pattern: regex.to_string(),
                whole,
            }),
            Self::Json(_, _) if !whole => {
                let why = "the body has more than 1 MiB, which is too much to be looked at as JSON";
                Err(Failed::Value(why.into()))
            }
            Self::Json(pointer, wanted) => judge_json(body, pointer, wanted),
        }
    }
}

fn judge_json(body: &[u8], pointer: &str, wanted: &Value) -> Result<(), Failed> {
    let parsed: Result<serde_json::Value, _> = serde_json::from_slice(body);
    let json = parsed.map_err(|error| Failed::Value(format!("the body is no JSON: {error}")))?;
    let found = json.pointer(pointer).map(|value| {
        let text = value.as_str().map(str::to_owned);
        text.unwrap_or_else(|| value.to_string())
    });
    let place = if pointer.is_empty() {
        "the JSON"
    } else {
        pointer
    };
    let values = found.iter().map(String::as_bytes);
    wanted.judge(place, values).map_err(Failed::Value)
}

fn holds(body: &[u8], text: &[u8]) -> bool {
    text.is_empty() || body.windows(text.len()).any(|window| window == text)
}

/// Quotes a text that came from outside, so that no control character of it reaches a terminal.
pub(super) fn shown(text: &str) -> String {
    let mut letters = text.chars();
    let begin: String = letters.by_ref().take(SHOWN_MAX).collect();
    let more = if letters.next().is_some() { "…" } else { "" };
    format!("{begin:?}{more}")
}

/// `200`, `204 or 2xx`.
fn in_words(status: &[RangeInclusive<u16>]) -> String {
    let words = status.iter().map(|range| {
        if range.start() == range.end() {
            range.start().to_string()
        } else {
            format!("{}xx", range.start() / 100)
        }
    });
    words.collect::<Vec<_>>().join(" or ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn regex(text: &str) -> Regex {
        Regex::new(text).expect("a regular expression")
    }

    fn judged(body: &str, wanted: Body) -> Result<(), String> {
        let expect = Expect {
            body: vec![wanted],
            ..Expect::status(StatusCode::OK)
        };
        let judged = expect.judge_body(body.as_bytes(), true);
        judged.map_err(|failed| failed.to_string())
    }

    #[test]
    fn a_pointer_leads_to_a_value_of_any_kind_and_what_is_there_is_said() {
        let body = r#"{"db": {"state": "up", "lag": 3, "ok": true}, "list": [1, 2]}"#;
        let json = |pointer: &str, value| judged(body, Body::Json(pointer.into(), value));
        let equals = |text: &str| Value::Equals(text.into());

        for (pointer, text) in [("/db/state", "up"), ("/db/lag", "3"), ("/db/ok", "true")] {
            assert_eq!(json(pointer, equals(text)), Ok(()), "{pointer}");
        }
        assert_eq!(json("/list/1", Value::Present), Ok(()));
        assert_eq!(
            json("/db/state", Value::Matches(regex("^(up|ok)$"))),
            Ok(())
        );
        for (pointer, value, words) in [
            (
                "/db/state",
                equals("down"),
                r#"/db/state is "up" instead of "down""#,
            ),
            ("/db/none", Value::Present, "/db/none is missing"),
            (
                "/db/lag",
                Value::Matches(regex("^[01]$")),
                r#"/db/lag is "3", which does not match ^[01]$"#,
            ),
        ] {
            assert_eq!(json(pointer, value), Err(words.into()));
        }
        let none = judged("<html>", Body::Json(String::new(), Value::Present));
        assert!(none.is_err_and(|why| why.starts_with("the body is no JSON")));
    }

    #[test]
    fn what_an_origin_says_is_cut_off_and_quoted() {
        let long = "\u{1b}[2J".repeat(1000);
        let words = shown(&long);
        assert!(words.len() < 1000 && !words.contains('\u{1b}'), "{words}");
    }

    #[test]
    fn one_of_several_fields_is_enough() {
        let mut fields = HeaderMap::new();
        for side in ["live", "backup"] {
            fields.append("x-side", side.parse().expect("a value"));
        }
        let judge = |value| {
            let expect = Expect {
                fields: vec![(HeaderName::from_static("x-side"), value)],
                ..Expect::status(StatusCode::OK)
            };
            let judged = expect.judge_head(StatusCode::OK, &fields);
            judged.map_err(|failed| failed.to_string())
        };
        assert_eq!(judge(Value::Equals("backup".into())), Ok(()));
        let words = r#"the field x-side is "live" instead of "third""#;
        assert_eq!(judge(Value::Equals("third".into())), Err(words.into()));
    }

    #[test]
    fn what_would_have_passed_is_named_as_it_was_written() {
        let expect = Expect {
            status: vec![200..=200, 300..=399],
            ..Expect::status(StatusCode::OK)
        };
        let fields = HeaderMap::new();
        assert_eq!(expect.judge_head(StatusCode::FOUND, &fields), Ok(()));
        let failed = expect.judge_head(StatusCode::CREATED, &fields);
        let words = failed.map_err(|failed| failed.to_string());
        assert_eq!(words, Err("answered 201 instead of 200 or 3xx".into()));
    }
}
