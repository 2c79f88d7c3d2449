//! The maintenance page: what users see while a site cannot serve them.

use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use serde_json::json;

use crate::table::Site;

use super::accept::{self, Form};
use super::body::Body;
use super::error::{own_answer, problem};
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

/// Makes the 503 for a site; the client is told to come back after `retry_after`, or when the site
/// says.
pub(super) fn answer(
    site: &Site,
    why: Why,
    retry_after: Option<Duration>,
    request: &RequestHead,
) -> (ResponseHead, Body) {
    let status = StatusCode::SERVICE_UNAVAILABLE;
    // A page that looks again by itself does so as often as the site says, in case it is back early.
    let look_again = site.maintenance.retry_after.as_secs().max(1);
    let retry_after = retry_after.map_or(look_again, |after| after.as_secs().max(1));
    let host = site.hosts.first().map_or("", String::as_str);
    let (title, message) = words(why);
    let mut headers = Headers::default();
    // RFC 9110 §10.2.3: seconds.
    headers.push("retry-after", retry_after.to_string());
    headers.push("cache-control", "no-store");
    headers.push("vary", "accept");
    let text: Bytes = match accept::preferred(&request.headers) {
        Form::Html => {
            headers.push("content-type", "text/html; charset=utf-8");
            let page = own_page(site, why).unwrap_or(MAINTENANCE);
            fill(page, host, why, look_again).into()
        }
        Form::Json => {
            let more = json!({"site": site.name, "retry_after": retry_after});
            problem(&mut headers, status, &format!("{title}. {message}"), &more)
        }
        Form::Text => {
            headers.push("content-type", "text/plain; charset=utf-8");
            let again = format!("Please try again in {retry_after} s.");
            format!("{host}: {title}. {message} {again}\n").into()
        }
    };
    own_answer(status, headers, text)
}

/// The page of the site's own, if it has one that can say this.
fn own_page(site: &Site, why: Why) -> Option<&str> {
    let page = &*site.maintenance.page.as_ref()?.text;
    // A page with words of its own speaks of maintenance, and of nothing else.
    (why != Why::WritingPaused || page.contains("{{message}}")).then_some(page)
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

/// Fills the places of a page; [`crate::table::Maintenance::PLACES`] lists them.
fn fill(page: &str, host: &str, why: Why, retry_after: u64) -> String {
    let (title, message) = words(why);
    page.replace("{{title}}", title)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::Maintenance;

    #[test]
    fn the_page_shows_the_host_escaped_and_fills_every_place() {
        let page = fill(MAINTENANCE, "a<b>\"&'", Why::Maintenance, 7);
        assert!(page.contains("a&lt;b&gt;&quot;&amp;&#39;"));
        assert!(page.contains("content=\"7\""));
        assert!(!page.contains("{{"));
        for place in Maintenance::PLACES {
            assert!(MAINTENANCE.contains(&format!("{{{{{place}}}}}")), "{place}");
        }
    }
}
