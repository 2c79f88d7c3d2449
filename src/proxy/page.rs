//! The page of a site: what users see while it cannot serve them.

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
    /// What it writes could not be journalled, so nothing of it was sent.
    Unjournalled,
    /// The exchange was ended by a flip.
    Cut,
    /// The lane was closed twice under one request: a mistake of ours.
    ClosedTwice,
    /// No origin could be reached, or none answered: nobody meant the site to be away.
    NoAnswer,
}

/// Makes the 503 for a site; the client is told to come back after `retry_after`, or when the site
/// says.
pub(super) fn answer(
    site: &Site,
    why: Why,
    retry_after: Option<Duration>,
    request: &RequestHead,
) -> (ResponseHead, Body) {
    let (title, message) = words(why);
    let expected = retry_after.map_or(String::new(), |after| format!(" {}", expected(after)));
    let message = &format!("{message}{expected}");
    let retry_after = retry_after.map_or_else(|| look_again(site), |after| after.as_secs().max(1));
    let again = format!("Please try again in {retry_after} s.");
    let host = site.hosts.first().map_or("", String::as_str);
    let said = Said {
        status: StatusCode::SERVICE_UNAVAILABLE,
        why,
        message,
        retry_after,
        detail: &format!("{title}. {message}"),
        line: &format!("{host}: {title}. {message} {again}"),
    };
    said.to(site, request)
}

/// Makes the 502 or 504 for a site whose active side does not answer, in these words for programs.
///
/// Not 503: that says that somebody looks after the site, and these that somebody should.
pub(super) fn without_answer(
    site: &Site,
    status: StatusCode,
    text: &str,
    request: &RequestHead,
) -> (ResponseHead, Body) {
    let said = Said {
        status,
        why: Why::NoAnswer,
        message: words(Why::NoAnswer).1,
        retry_after: look_again(site),
        detail: text,
        line: text,
    };
    said.to(site, request)
}

/// What is said, in each form.
struct Said<'a> {
    status: StatusCode,
    /// The kind of page.
    why: Why,
    /// What it tells people.
    message: &'a str,
    /// When clients are told to come back, in seconds.
    retry_after: u64,
    /// The detail of a problem.
    detail: &'a str,
    /// The line of plain text.
    line: &'a str,
}

impl Said<'_> {
    fn to(&self, site: &Site, request: &RequestHead) -> (ResponseHead, Body) {
        let Self {
            status,
            why,
            retry_after,
            ..
        } = *self;
        let host = site.hosts.first().map_or("", String::as_str);
        let mut headers = Headers::default();
        // RFC 9110 §10.2.3: seconds.
        headers.push("retry-after", retry_after.to_string());
        headers.push("cache-control", "no-store");
        headers.push("vary", "accept");
        let text: Bytes = match accept::preferred(&request.headers) {
            Form::Html => {
                headers.push("content-type", "text/html; charset=utf-8");
                let page = own_page(site, why).unwrap_or(MAINTENANCE);
                fill(page, host, (words(why).0, self.message), look_again(site)).into()
            }
            Form::Json => {
                let more = json!({"site": site.name, "retry_after": retry_after});
                problem(&mut headers, status, self.detail, &more)
            }
            Form::Text => {
                headers.push("content-type", "text/plain; charset=utf-8");
                format!("{}\n", self.line).into()
            }
        };
        own_answer(status, headers, text)
    }
}

/// How often a page looks again by itself, in seconds: as often as the site says, whatever clients
/// are told, in case it is back early.
fn look_again(site: &Site) -> u64 {
    site.maintenance.retry_after.as_secs().max(1)
}

/// The page of the site's own, if it has one that can say this.
fn own_page(site: &Site, why: Why) -> Option<&str> {
    let page = &*site.maintenance.page.as_ref()?.text;
    // A page with words of its own speaks of maintenance, and of nothing else.
    let is_maintenance = !matches!(why, Why::WritingPaused | Why::Unjournalled | Why::NoAnswer);
    (is_maintenance || page.contains("{{message}}")).then_some(page)
}

fn words(why: Why) -> (&'static str, &'static str) {
    match why {
        Why::WritingPaused | Why::Unjournalled => (
            "Writing is paused",
            "You can go on reading; nothing new is taken for a short while.",
        ),
        Why::NoAnswer => (
            "Not reachable at the moment",
            "This site does not answer. If you have just sent something, look whether it arrived \
             before you send it again.",
        ),
        Why::Cut => (
            "Back in a moment",
            "Your request was ended half-way. If you have just sent something, look whether it \
             arrived before you send it again.",
        ),
        Why::Maintenance | Why::Doubt | Why::HoldOver | Why::ClosedTwice => (
            "Back in a moment",
            "This site is being looked after, and nothing is lost.",
        ),
    }
}

/// When people may expect the site back: not by a clock, for theirs may be of another zone.
fn expected(after: Duration) -> String {
    let minutes = after.as_secs().div_ceil(60);
    let about = match minutes {
        0 | 1 => "a minute".to_owned(),
        2..120 => format!("{minutes} minutes"),
        _ => format!("{} hours", minutes.div_ceil(60)),
    };
    format!("It is expected back in about {about}.")
}

/// Fills the places of a page; [`crate::table::Maintenance::PLACES`] lists them.
fn fill(page: &str, host: &str, (title, message): (&str, &str), retry_after: u64) -> String {
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
        let page = fill(MAINTENANCE, "a<b>\"&'", words(Why::Maintenance), 7);
        assert!(page.contains("a&lt;b&gt;&quot;&amp;&#39;"));
        assert!(page.contains("content=\"7\""));
        assert!(!page.contains("{{"));
        for place in Maintenance::PLACES {
            assert!(MAINTENANCE.contains(&format!("{{{{{place}}}}}")), "{place}");
        }
    }
}
