//! Invited operators: the link that makes a browser one's, and the cookie that it is known by.
//!
//! The link is answered by ourselves, whatever the gates say. The cookie lifts `access` and nothing
//! else, and is for us alone: no origin gets to see it.

use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use http::{Method, StatusCode};

use crate::site::SiteName;
use crate::switchboard::Invites;

use super::body::Body;
use super::client::Client;
use super::error::own_answer;
use super::head::{Headers, RequestHead, ResponseHead};

/// The path of the link, reserved on every site (RFC 8615); its query is the token.
pub(super) const PATH: &str = "/.well-known/pointsman/invite";

/// The name of the cookie.
const COOKIE: &str = "pointsman-invite";

/// Answers the link: a good one is remembered by the browser, which is sent to the site.
pub(super) fn answer(
    invites: Option<&Invites>,
    site: &SiteName,
    client: &Client,
    head: &RequestHead,
) -> (ResponseHead, Body) {
    let mut headers = Headers::default();
    headers.push("cache-control", "no-store");
    if ![Method::GET, Method::HEAD].contains(&head.method) {
        // RFC 9110 §15.5.6.
        headers.push("allow", "GET, HEAD");
        let text = "An invitation is opened with GET.\n";
        return in_words(StatusCode::METHOD_NOT_ALLOWED, headers, text);
    }
    let token = head.target.split_once('?').map_or("", |(_, token)| token);
    let left = invites.and_then(|invites| invites.time_left(site, token.as_bytes(), now_s()));
    let Some(left) = left else {
        // One answer for all that can be wrong with it: whoever guesses learns nothing.
        let text = "This invitation is not good here, or no longer: ask for another link.\n";
        return in_words(StatusCode::FORBIDDEN, headers, text);
    };
    headers.push("set-cookie", cookie(token, left, client));
    headers.push("location", "/");
    in_words(StatusCode::SEE_OTHER, headers, "You are invited: see /\n")
}

/// Writes the cookie (RFC 6265 §4.1.1): for this host, for as long as the invitation is good, and
/// for no script and no other site's form.
fn cookie(token: &str, left: Duration, client: &Client) -> String {
    let secure = if client.is_tls() { "; Secure" } else { "" };
    let age_s = left.as_secs();
    format!("{COOKIE}={token}; Path=/; Max-Age={age_s}; HttpOnly; SameSite=Lax{secure}")
}

fn in_words(status: StatusCode, mut headers: Headers, text: &'static str) -> (ResponseHead, Body) {
    headers.push("content-type", "text/plain; charset=utf-8");
    own_answer(status, headers, text.into())
}

/// Tells whether a request comes from somebody invited to this site: the first cookie of our name
/// counts.
pub(super) fn is_invited(invites: Option<&Invites>, site: &SiteName, headers: &Headers) -> bool {
    let Some(invites) = invites else {
        return false;
    };
    let mut pairs = headers.all("cookie").flat_map(|value| pairs(value));
    let token = pairs.find_map(our_token);
    token.is_some_and(|token| invites.admits(site, token, now_s()))
}

/// Takes our cookie out of what goes to an origin, and leaves the others as they are.
pub(super) fn take_cookie_out(headers: &mut Headers) {
    headers.change("cookie", |value| {
        // Every request with cookies comes by here, and nearly none has ours: the name alone is
        // searched for many bytes at a time.
        let is_named = std::str::from_utf8(value).map_or(true, |text| text.contains(COOKIE));
        if !is_named || pairs(value).all(|pair| our_token(pair).is_none()) {
            return Some(value.clone());
        }
        let others = pairs(value).filter(|pair| our_token(pair).is_none());
        let others: Vec<_> = others.filter(|pair| !pair.is_empty()).collect();
        // RFC 6265 §4.2.1: one semicolon and one space between two of them.
        Some(Bytes::from(others.join(&b"; "[..]))).filter(|left| !left.is_empty())
    });
}

/// Leaves the token out of a target that is about to be logged: whoever reads it would be invited.
pub(super) fn without_token(target: &str) -> &str {
    let is_link = target.split('?').next() == Some(PATH);
    if is_link { PATH } else { target }
}

/// Takes the value of a `Cookie` field apart (RFC 6265 §4.2.1).
fn pairs(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    let pairs = value.split(|&byte| byte == b';');
    pairs.map(<[u8]>::trim_ascii)
}

/// Reads the token of a pair; `None` when it has another name (which case tells apart).
fn our_token(pair: &[u8]) -> Option<&[u8]> {
    pair.strip_prefix(COOKIE.as_bytes())?.strip_prefix(b"=")
}

fn now_s() -> u64 {
    // With a clock before the epoch every invitation would seem good: so it is taken as past them.
    UNIX_EPOCH.elapsed().map_or(u64::MAX, |now| now.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LATER_S: u64 = u64::MAX - 1;

    fn with_cookies(values: &[&str]) -> Headers {
        let mut headers = Headers::default();
        headers.push("host", "www.ispot.example");
        for value in values {
            headers.push("Cookie", (*value).to_owned());
        }
        headers
    }

    fn left_of(values: &[&str]) -> Vec<String> {
        let mut headers = with_cookies(values);
        take_cookie_out(&mut headers);
        assert!(headers.contains("host"));
        let left = headers.all("cookie");
        left.map(|value| String::from_utf8_lossy(value).into_owned())
            .collect()
    }

    #[test]
    fn just_our_pair_is_taken_out_and_a_field_without_any_goes() {
        assert_eq!(left_of(&["a=1; pointsman-invite=x; b=2"]), ["a=1; b=2"]);
        assert_eq!(left_of(&["a=1; pointsman-invite=x; "]), ["a=1"]);
        assert_eq!(left_of(&["pointsman-invite=x"]), [""; 0]);
        assert_eq!(
            left_of(&["pointsman-invite=x;pointsman-invite=y; "]),
            [""; 0]
        );
        assert_eq!(
            left_of(&["a=1", "pointsman-invite=x", "b=2"]),
            ["a=1", "b=2"]
        );
        let mut raw = Headers::default();
        raw.push("cookie", &b"a=\xff; pointsman-invite=x"[..]);
        take_cookie_out(&mut raw);
        assert_eq!(
            raw.first("cookie").map(|left| &left[..]),
            Some(&b"a=\xff"[..])
        );
        let others = "a=pointsman-invite=x;  pointsman-invited=y ;b";
        assert_eq!(left_of(&[others]), [others], "byte by byte");
    }

    #[test]
    fn the_first_of_our_name_counts_wherever_it_stands() {
        let site = SiteName::new("ispot");
        let invites = Invites::new(&[7; Invites::KEY_BYTES]);
        let ours = format!("pointsman-invite={}", invites.issue(&site, LATER_S));
        let in_the_middle = format!("a=1;{ours} ; b=2");
        let invited = |values: &[&str]| is_invited(Some(&invites), &site, &with_cookies(values));

        assert!(invited(&[&ours]));
        assert!(invited(&["a=1", &in_the_middle]));
        assert!(invited(&[&ours, "pointsman-invite=x"]));
        assert!(!invited(&["pointsman-invite=x", &ours]));
        assert!(!invited(&[]));
        assert!(!is_invited(None, &site, &with_cookies(&[&ours])));
    }

    #[test]
    fn a_log_never_shows_the_token_of_a_link() {
        assert_eq!(without_token("/.well-known/pointsman/invite?x"), PATH);
        assert_eq!(
            without_token("/observations?page=2"),
            "/observations?page=2"
        );
    }
}
