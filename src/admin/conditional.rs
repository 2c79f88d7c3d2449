//! Conditional requests (RFC 9110 §13): entity tags given out, and taken back as preconditions.
//!
//! A tag is the version of what the control plane shows, so the counts at the gates, which a
//! document also has, change no tag: by the letter of §8.8.1 it would have to be a weak one, with
//! which nobody could ever flip by If-Match (§13.1.1). No part of a document is ever served by
//! itself, so a strong one misleads nobody; `no-cache` has it asked for each time.

use axum::Json;
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::control::{Expected, RequestKey};

use super::problem::Problem;

/// The header that names a request, so that it can be sent again.
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Answers with a document of a version, or with 304 when the client has that (§13.1.2).
pub(super) fn document<T: Serialize>(
    headers: &HeaderMap,
    version: &str,
    make: impl FnOnce() -> T,
) -> Response {
    // §15.4.5: a 304 has the tag and the caching rules that the 200 would have.
    let head = [
        (header::ETAG, format!("\"{version}\"")),
        (header::CACHE_CONTROL, "no-cache".into()),
    ];
    if has_already(headers, version) {
        return (StatusCode::NOT_MODIFIED, head).into_response();
    }
    (head, Json(make())).into_response()
}

fn has_already(headers: &HeaderMap, version: &str) -> bool {
    match condition(headers, &header::IF_NONE_MATCH) {
        Ok(Some(Condition::Any)) => true,
        // §13.1.2: by weak comparison, so a `W/` before it does not matter.
        Ok(Some(Condition::Tags(tags))) => tags.iter().any(|tag| tag.opaque == version),
        // One that cannot be read costs a whole answer, and nothing else.
        Ok(None) | Err(_) => false,
    }
}

/// Reads what a request expects to find (If-Match).
pub(super) fn expected(headers: &HeaderMap) -> Result<Expected, Problem> {
    Ok(match condition(headers, &header::IF_MATCH)? {
        None | Some(Condition::Any) => Expected::Anything,
        // §13.1.1: by strong comparison, which no weak tag ever passes.
        Some(Condition::Tags(tags)) => {
            let strong = tags.into_iter().filter(|tag| !tag.is_weak);
            Expected::OneOf(strong.map(|tag| tag.opaque).collect())
        }
    })
}

/// Reads the name of a request (Idempotency-Key).
pub(super) fn request_key(headers: &HeaderMap) -> Result<Option<RequestKey>, Problem> {
    let mut values = headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    let key = value.to_str().ok().and_then(RequestKey::new);
    match (key, values.next()) {
        (Some(key), None) => Ok(Some(key)),
        (None, _) | (_, Some(_)) => {
            let most = RequestKey::LETTERS_MAX;
            let detail = format!("Idempotency-Key has 1 to {most} visible ASCII characters, once");
            let status = StatusCode::BAD_REQUEST;
            Err(Problem::new(status, "bad-idempotency-key", &detail))
        }
    }
}

/// `*`, or some tags.
#[derive(Debug, PartialEq, Eq)]
enum Condition {
    Any,
    Tags(Vec<Tag>),
}

/// An entity tag (§8.8.3).
#[derive(Debug, PartialEq, Eq)]
struct Tag {
    is_weak: bool,
    opaque: String,
}

fn condition(headers: &HeaderMap, name: &HeaderName) -> Result<Option<Condition>, Problem> {
    let bad = || {
        let detail = format!("{name} has entity tags in their quotes: `{name}: \"1a-7\"`, or `*`");
        Problem::new(StatusCode::BAD_REQUEST, "bad-precondition", &detail)
    };
    let mut lines = Vec::new();
    for value in headers.get_all(name) {
        lines.push(value.to_str().map_err(|_| bad())?);
    }
    if lines.is_empty() {
        return Ok(None);
    }
    // §5.3: several lines are one list.
    parse(&lines.join(",")).map(Some).ok_or_else(bad)
}

/// Reads the list of a precondition; `None` when it is none. Tags may have commas in them.
fn parse(text: &str) -> Option<Condition> {
    if text.trim() == "*" {
        return Some(Condition::Any);
    }
    let mut tags = Vec::new();
    // §5.6.1.2: elements that are empty do not count.
    let after_comma = |text: &'_ str| text.len() - text.trim_start_matches([' ', '\t', ',']).len();
    let mut rest = &text[after_comma(text)..];
    while !rest.is_empty() {
        let (is_weak, quoted) = match rest.strip_prefix("W/") {
            Some(quoted) => (true, quoted),
            None => (false, rest),
        };
        let (opaque, after) = quoted.strip_prefix('"')?.split_once('"')?;
        if opaque.contains([' ', '\t']) {
            return None;
        }
        let opaque = opaque.to_owned();
        tags.push(Tag { is_weak, opaque });
        let after = after.trim_start_matches([' ', '\t']);
        if !after.is_empty() && !after.starts_with(',') {
            return None;
        }
        rest = &after[after_comma(after)..];
    }
    Some(Condition::Tags(tags))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test stops where it fails")]
mod tests {
    use super::*;

    fn tags(tags: &[(bool, &str)]) -> Option<Condition> {
        let tag = |(is_weak, opaque): &(bool, &str)| Tag {
            is_weak: *is_weak,
            opaque: (*opaque).into(),
        };
        Some(Condition::Tags(tags.iter().map(tag).collect()))
    }

    #[test]
    fn a_list_of_entity_tags_is_read_as_rfc_9110_writes_it() {
        for (text, read) in [
            ("*", Some(Condition::Any)),
            ("\"a-1\"", tags(&[(false, "a-1")])),
            (
                "W/\"a,b\" , \"\"\t,,\"c\",",
                tags(&[(true, "a,b"), (false, ""), (false, "c")]),
            ),
            ("", tags(&[])),
            ("a-1", None),
            ("\"a", None),
            ("\"a\" \"b\"", None),
            ("\"a b\"", None),
            ("w/\"a\"", None),
        ] {
            assert_eq!(parse(text), read, "{text}");
        }
    }

    #[test]
    fn a_weak_tag_is_good_for_a_304_and_for_no_flip() {
        let headers = |name: HeaderName| HeaderMap::from_iter([(name, "W/\"7\"".parse().unwrap())]);

        let not_modified = has_already(&headers(header::IF_NONE_MATCH), "7");
        let expected = expected(&headers(header::IF_MATCH)).unwrap();

        assert!(not_modified);
        assert_eq!(expected, Expected::OneOf(Vec::new()));
    }

    #[test]
    fn a_key_of_a_request_is_short_visible_and_alone() {
        let key = |values: &[&str]| {
            let named = values
                .iter()
                .map(|value| (IDEMPOTENCY_KEY, value.parse().unwrap()));
            request_key(&named.collect())
        };

        assert_eq!(key(&[]).unwrap(), None);
        assert_eq!(key(&["a-1"]).unwrap(), RequestKey::new("a-1"));
        for bad in [&[""][..], &["a b"], &["a", "a"], &["x".repeat(65).as_str()]] {
            assert_eq!(key(bad).unwrap_err().status, 400, "{bad:?}");
        }
    }
}
