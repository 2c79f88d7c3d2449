//! The status page: what a tired person needs to see, without a script and without another file.

use std::fmt::Write as _;

use axum::extract::State;
use axum::http::header;
use axum::response::{Html, IntoResponse, Response};

use crate::control::{FlipStatus, Outcome};

use super::Parts;
use super::says;
use super::view::{SiteView, StatusView};

/// Everything above the content; it reloads itself every 2 s.
const HEAD: &str = include_str!("page.html");

/// How many flips are listed.
const FLIPS_SHOWN: usize = 10;

/// Answers with the status page.
pub(super) async fn status_page(State(parts): State<Parts>) -> Response {
    let head = [
        (header::CACHE_CONTROL, "no-store"),
        // The page has a style of its own and nothing else, so nothing else may run in it.
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
        ),
    ];
    (
        head,
        Html(render(&StatusView::of(&parts.handle.status(), &parts))),
    )
        .into_response()
}

/// Writes the page.
fn render(status: &StatusView) -> String {
    let mut page = HEAD.to_owned();
    // Writing to a string cannot fail.
    let _ = write_page(&mut page, status);
    page
}

fn write_page(page: &mut String, status: &StatusView) -> std::fmt::Result {
    if let Some(problem) = &status.file_problem {
        write!(
            page,
            "<section class=bad role=alert><h2>The file is not what is served</h2><pre>{}</pre>\
             <p>The last good table goes on. Correct the file, or see <code>pointsman check</code>.\
             </section>",
            Escaped(problem)
        )?;
    }
    for cert in &status.certs {
        if let Some(problem) = &cert.problem {
            write!(
                page,
                "<section class=bad role=alert><h2>Certificate {}</h2><p>{}</section>",
                Escaped(&cert.name),
                Escaped(problem)
            )?;
        }
    }
    for flip in status.flips.iter().filter(|flip| flip.outcome.is_none()) {
        running_flip(page, flip)?;
    }
    page.push_str("<div class=sites>");
    for site in status.sites.iter() {
        site_card(page, site)?;
    }
    page.push_str("</div>");
    ended_flips(page, status)?;
    write!(
        page,
        "<footer>table {} from <code>{}</code>",
        status.generation,
        Escaped(&status.file)
    )?;
    for zone in &status.zones {
        write!(
            page,
            " · zone {} serial {}",
            Escaped(&zone.name),
            zone.serial
        )?;
    }
    for cert in &status.certs {
        if let Some(expires) = cert.expires {
            let day = expires.strftime("%F");
            write!(page, " · cert {} until {day}", Escaped(&cert.name))?;
        }
    }
    write!(
        page,
        " · pointsman {}</footer></main>",
        env!("CARGO_PKG_VERSION")
    )
}

fn site_card(page: &mut String, site: &SiteView) -> std::fmt::Result {
    let status = &site.status;
    let class = if status.active.is_none() || site.down_since.is_some() {
        "card bad"
    } else if status.diverged
        || status.problem.is_some()
        || status.emergency.is_some()
        || !status.contradictions.is_empty()
        || site.has_failing_check()
    {
        "card warn"
    } else {
        "card"
    };
    write!(
        page,
        "<section class='{class}'><h2>{}</h2><p class=host>{}</p><p class=sides>",
        Escaped(status.name.as_str()),
        Escaped(&status.host)
    )?;
    for side in &status.sides {
        let (class, note) = if status.active.as_ref() == Some(side) {
            ("side on", "active")
        } else {
            ("side", "standby")
        };
        let side = Escaped(side.as_str());
        write!(
            page,
            "<span class='{class}'>{side} <small>{note}</small></span>"
        )?;
    }
    write!(
        page,
        "</p><dl><div><dt>access<dd>{}</div><div><dt>epoch<dd>{}</div><div><dt>in flight<dd>{}\
         </div><div><dt>on hold<dd>{}</div><div><dt>forwarded<dd>{}</div></dl>",
        status.access, status.epoch, site.in_flight, site.waiting, site.forwarded
    )?;
    if let Some(down) = says::down(site) {
        write!(page, "<p class=say>{}", Escaped(&down))?;
        if let Some(command) = says::command_if_dead(site) {
            let command = Escaped(&command);
            write!(page, "<br>If it is dead: <code>{command}</code>")?;
        }
        page.push_str("</p>");
    }
    for line in says::failing(site, jiff::Timestamp::now()) {
        write!(page, "<p class=say>Check of {}</p>", Escaped(&line))?;
    }
    if status.active.is_none() {
        page.push_str("<p class=say>Which side is active is in doubt: users get the page.</p>");
    }
    if status.diverged
        && let Some(desired) = &status.desired
    {
        let desired = Escaped(desired.as_str());
        write!(page, "<p class=say>The file asks for <b>{desired}</b>.</p>")?;
    }
    if let Some(problem) = &status.problem {
        write!(page, "<p class=say>{}</p>", Escaped(problem))?;
    }
    let contradictions = says::contradictions(status).into_iter();
    for text in contradictions.chain(says::access(status)) {
        write!(page, "<p class=say>{}</p>", Escaped(&text))?;
    }
    if let Some(emergency) = &status.emergency {
        let text = says::emergency(emergency);
        write!(page, "<p class=say>{}</p>", Escaped(&text))?;
    }
    page.push_str("</section>");
    Ok(())
}

fn running_flip(page: &mut String, flip: &FlipStatus) -> std::fmt::Result {
    write!(page, "<section class=flip><h2>Flip {}: ", flip.id)?;
    moves(page, flip)?;
    write!(page, "</h2><p class=phases>")?;
    for entry in &flip.timeline {
        write!(page, "<span>{}</span> ", Escaped(&entry.phase))?;
    }
    write!(
        page,
        "</p><p>asked by {}{}</p></section>",
        Escaped(&flip.who.name),
        Because(flip.reason.as_deref())
    )
}

fn ended_flips(page: &mut String, status: &StatusView) -> std::fmt::Result {
    let mut ended = status
        .flips
        .iter()
        .filter(|flip| flip.outcome.is_some())
        .peekable();
    if ended.peek().is_none() {
        return Ok(());
    }
    page.push_str(
        "<h2>Last flips</h2><table><tr><th>flip<th>began<th>move<th>who and why<th>result",
    );
    for flip in ended.take(FLIPS_SHOWN) {
        let began = flip.began.strftime("%F %H:%M:%S UTC");
        write!(page, "<tr><td>{}<td>{began}<td>", flip.id)?;
        moves(page, flip)?;
        write!(
            page,
            "<td>{}{}<td>{}",
            Escaped(&flip.who.name),
            Because(flip.reason.as_deref()),
            flip.outcome.map_or("", result)
        )?;
        if let Some(message) = &flip.message {
            write!(page, "<br><small>{}</small>", Escaped(message))?;
        }
    }
    page.push_str("</table>");
    Ok(())
}

fn moves(page: &mut String, flip: &FlipStatus) -> std::fmt::Result {
    for (index, step) in flip.moves.iter().enumerate() {
        let comma = if index == 0 { "" } else { ", " };
        let (site, from, to) = (step.site.as_str(), step.from.as_str(), step.to.as_str());
        write!(
            page,
            "{comma}{} {} → {}",
            Escaped(site),
            Escaped(from),
            Escaped(to)
        )?;
    }
    Ok(())
}

fn result(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Settled => "<b class=good>settled</b>",
        Outcome::Moved => "<b class=ill>moved, not confirmed</b>",
        Outcome::Refused => "<b class=ill>refused</b>",
        Outcome::RestoredUnheld | Outcome::Restored => "<b class=ill>restored</b>",
    }
}

/// The reason of a flip, if one was given.
struct Because<'a>(Option<&'a str>);

impl std::fmt::Display for Because<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0
            .map_or(Ok(()), |reason| write!(f, ": {}", Escaped(reason)))
    }
}

/// Text as HTML text or quoted attribute.
struct Escaped<'a>(&'a str);

impl std::fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for c in self.0.chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::control::CertStatus;
    use crate::site::Generation;

    #[test]
    fn what_a_file_says_cannot_become_markup() {
        let status = StatusView {
            generation: Generation(1),
            file: "routes.yaml".into(),
            file_problem: Some("<script>alert('1')</script> & more".into()),
            sites: Vec::new(),
            groups: Arc::default(),
            flips: Vec::new(),
            zones: Vec::new(),
            certs: vec![CertStatus {
                name: "demo-ispot".into(),
                names: Vec::new(),
                expires: None,
                problem: Some("<b>damaged</b>".into()),
            }],
        };

        let page = render(&status);

        assert!(!page.contains("<script>"), "{page}");
        assert!(page.contains("&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt; &amp; more"));
        assert!(page.contains("&lt;b&gt;damaged&lt;/b&gt;"), "{page}");
    }
}
