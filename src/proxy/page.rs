//! The maintenance page: what users see while a site cannot serve them.

use bytes::Bytes;
use http::StatusCode;

use crate::table::Site;

use super::body::Body;
use super::error::own_answer;
use super::head::{Headers, RequestHead, ResponseHead};

/// The page for browsers, when the site has none of its own.
const MAINTENANCE: &str = include_str!("pages/maintenance.html");

/// Why the page is shown; it decides the words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// `access: maintenance`, or a flip with `during: page`.
    Maintenance,
    /// `access: read-only`, and this request writes.
    WritingPaused,
    /// Nobody knows which side is active.
    Doubt,
    /// It waited as long as, or with as many others as, the site allows.
    HoldOver,
    /// The exchange was ended by a flip.
    Cut,
    /// The lane was closed twice under one request: a mistake of ours.
    ClosedTwice,
}

/// Makes the 503 for a site.
pub(super) fn answer(site: &Site, why: Why, request: &RequestHead) -> (ResponseHead, Body) {
    let retry_after = site.maintenance.retry_after.as_secs().max(1);
    let host = site.hosts.first().map_or("", String::as_str);
    let mut headers = Headers::default();
    // RFC 9110 §10.2.3: seconds.
    headers.push("retry-after", retry_after.to_string());
    headers.push("cache-control", "no-store");
    headers.push("vary", "accept");
    let text: Bytes = if takes_html(&request.headers) {
        headers.push("content-type", "text/html; charset=utf-8");
        match (&site.maintenance.page, why) {
            (Some(own), Why::Maintenance | Why::Doubt | Why::HoldOver | Why::Cut) => {
                Bytes::copy_from_slice(own.text.as_bytes())
            }
            (_, _) => html(host, why, retry_after).into(),
        }
    } else {
        headers.push("content-type", "text/plain; charset=utf-8");
        let (title, message) = words(why);
        format!("{host}: {title}. {message} Please try again in {retry_after} s.\n").into()
    };
    own_answer(StatusCode::SERVICE_UNAVAILABLE, headers, text)
}

fn words(why: Why) -> (&'static str, &'static str) {
    match why {
        Why::WritingPaused => (
            "Writing is paused",
            "You can go on reading; nothing new is taken for a short while.",
        ),
        Why::Maintenance | Why::Doubt | Why::HoldOver | Why::Cut | Why::ClosedTwice => (
            "Back in a moment",
            "This site is being looked after, and nothing is lost.",
        ),
    }
}

fn html(host: &str, why: Why, retry_after: u64) -> String {
    let (title, message) = words(why);
    MAINTENANCE
        .replace("{{title}}", title)
        .replace("{{message}}", message)
        .replace("{{retry_after}}", &retry_after.to_string())
        .replace("{{host}}", &escape(host))
}

/// Escapes text for HTML content and attributes.
fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
    }
    safe
}

/// Tells whether a browser asks: `Accept` names `text/html` and does not refuse it
/// (RFC 9110 §12.5.1). `*/*` alone is a program's word, and gets plain text.
fn takes_html(headers: &Headers) -> bool {
    headers
        .all("accept")
        .filter_map(|value| std::str::from_utf8(value).ok())
        .flat_map(|value| value.split(','))
        .any(|range| {
            let mut parts = range.split(';').map(str::trim);
            let html = parts.next().is_some_and(|kind| {
                kind.eq_ignore_ascii_case("text/html")
                    || kind.eq_ignore_ascii_case("application/xhtml+xml")
            });
            let refused = parts.any(|part| {
                part.strip_prefix("q=")
                    .and_then(|weight| weight.parse::<f32>().ok())
                    .is_some_and(|weight| weight == 0.0)
            });
            html && !refused
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepts(value: &'static str) -> bool {
        let mut headers = Headers::default();
        headers.push("Accept", value);
        takes_html(&headers)
    }

    #[test]
    fn only_who_names_html_gets_html() {
        assert!(accepts("text/html,application/xhtml+xml,*/*;q=0.8"));
        assert!(accepts("application/json, TEXT/HTML;q=0.1"));
        assert!(!accepts("*/*"));
        assert!(!accepts("application/json"));
        assert!(!accepts("text/html;q=0"));
        assert!(!takes_html(&Headers::default()));
    }

    #[test]
    fn the_page_shows_the_host_escaped_and_fills_every_place() {
        let page = html("a<b>\"&'", Why::Maintenance, 7);
        assert!(page.contains("a&lt;b&gt;&quot;&amp;&#39;"));
        assert!(page.contains("content=\"7\""));
        assert!(!page.contains("{{"));
    }
}
