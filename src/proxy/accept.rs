//! What a client takes: HTML for people, JSON for programs that say so, plain text for the rest.

use super::head::Headers;

/// The forms that an answer of our own has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Html,
    /// `application/problem+json` (RFC 9457).
    Json,
    Text,
}

/// How many media ranges are looked at; browsers send some ten.
const RANGES_MAX: usize = 64;

/// Picks the form that a client likes best (RFC 9110 §12.5.1), of equals the one it names first.
///
/// `*/*` speaks for plain text only: it is what programs say that think of nobody, curl among
/// them. Who takes none of the three gets plain text all the same, as a status needs no reader.
pub(super) fn preferred(headers: &Headers) -> Form {
    let fields = headers.all("accept");
    let texts = fields.filter_map(|value| std::str::from_utf8(value).ok());
    let ranges = texts.flat_map(|value| value.split(',')).take(RANGES_MAX);
    let mut best = (0, Form::Text);
    for (form, weight) in ranges.filter_map(weighed) {
        if weight > best.0 {
            best = (weight, form);
        }
    }
    best.1
}

/// Reads a media range: what it takes of ours, and its weight in thousandths.
fn weighed(range: &str) -> Option<(Form, u16)> {
    let mut parts = range.split(';').map(str::trim);
    let form = form(&parts.next()?.to_ascii_lowercase())?;
    let weight = parts.find_map(|part| {
        let (name, value) = part.split_once('=')?;
        name.trim().eq_ignore_ascii_case("q").then(|| value.trim())
    });
    Some((form, weight.map_or(1_000, thousandths)))
}

fn form(range: &str) -> Option<Form> {
    match range {
        "text/html" | "application/xhtml+xml" => Some(Form::Html),
        "application/json" | "application/*" => Some(Form::Json),
        "text/plain" | "text/*" | "*/*" => Some(Form::Text),
        other => {
            let structured = other.strip_prefix("application/")?;
            structured.ends_with("+json").then_some(Form::Json)
        }
    }
}

/// Reads a weight: 0 to 1 with up to three digits (RFC 9110 §12.4.2); nonsense weighs nothing.
fn thousandths(text: &str) -> u16 {
    let weight = text.parse::<f32>().unwrap_or(0.0);
    // In 0..=1000 by the range, which nothing that is no number lies in.
    if (0.0..=1.0).contains(&weight) {
        (weight * 1_000.0) as u16
    } else {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_asks_gets_the_form_it_likes_best() {
        for (accept, form) in [
            (
                "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
                Form::Html,
            ),
            ("TEXT/HTML", Form::Html),
            ("application/json, text/html;q=0.1", Form::Json),
            ("application/json, text/plain, */*", Form::Json),
            ("text/html, application/json", Form::Html),
            ("application/json;q=0.5, text/html;q=0.6", Form::Html),
            ("application/problem+json", Form::Json),
            ("application/vnd.api+json; charset=utf-8", Form::Json),
            ("application/*", Form::Json),
            ("text/plain, application/json", Form::Text),
            ("application/json;q=0", Form::Text),
            ("text/html; q = 0", Form::Text),
            ("application/json;q=none", Form::Text),
            ("application/json;q=inf", Form::Text),
            ("*/*", Form::Text),
            ("image/png", Form::Text),
            ("", Form::Text),
        ] {
            let mut headers = Headers::default();
            headers.push("Accept", accept);
            assert_eq!(preferred(&headers), form, "{accept}");
        }
        assert_eq!(preferred(&Headers::default()), Form::Text);
    }
}
