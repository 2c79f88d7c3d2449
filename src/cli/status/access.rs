//! What the status says of `access`: whatever is not as the file says, and parts that are not open.

use jiff::Timestamp;

use crate::control::{AccessSaid, SiteStatus};
use crate::site::Access;

use super::super::clock::date_and_time;

/// A few lines for each place of which there is something to say; none for most sites.
pub(super) fn lines(site: &SiteStatus, now: Timestamp) -> String {
    let whole = site
        .access_said
        .as_ref()
        .map(|said| line(site.name.as_str(), site.access, said, now));
    let parts = site.parts.iter().filter_map(|part| {
        let place = format!("{}{}", site.name, part.prefix);
        match &part.said {
            Some(said) => Some(line(&place, part.access, said, now)),
            None if part.access == Access::Open => None,
            None => Some(format!("\n{place} is {}, as in the file.\n", part.access)),
        }
    });
    whole.into_iter().chain(parts).collect()
}

fn line(place: &str, access: Access, said: &AccessSaid, now: Timestamp) -> String {
    let (who, at) = (&said.who.name, date_and_time(said.at));
    let because = said.reason.as_deref().unwrap_or("no reason given");
    let until = match said.back_at {
        Some(at) if at < now => format!(
            "\n  Users were told to come back at {}, which is past.",
            date_and_time(at)
        ),
        Some(at) => format!("\n  Users are told to come back at {}.", date_and_time(at)),
        None => String::new(),
    };
    let word = said.word;
    format!(
        "\n{place} is {access}, said by {who} at {at}: {because}\n  The file says {word}; to go by \
         it: pointsman access {place} {word}{until}\n"
    )
}

#[cfg(test)]
mod tests {
    use crate::site::{Via, Who};

    use super::*;

    #[test]
    fn it_says_who_why_and_how_to_go_back() {
        let said = AccessSaid {
            word: Access::Open,
            reason: Some("new disks".into()),
            back_at: None,
            who: Who {
                name: "dora".into(),
                uid: Some(1000),
                via: Via::Socket,
            },
            at: Timestamp::UNIX_EPOCH,
        };
        let text = line(
            "megalab/quiz",
            Access::Maintenance,
            &said,
            Timestamp::UNIX_EPOCH,
        );
        assert!(text.contains("megalab/quiz is maintenance, said by dora"));
        assert!(text.contains("new disks"));
        assert!(text.contains("pointsman access megalab/quiz open"));
    }
}
