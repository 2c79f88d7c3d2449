//! `pointsman access --invite`: a link behind the page of a site.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::admin::{InviteBody, Invited};

use super::client::{AskError, Client};
use super::out;

/// Asks for a link and prints it alone, so that it can be piped on.
///
/// # Errors
/// See [`AskError`].
pub(super) async fn invite(
    client: &Client,
    site: &str,
    for_s: Option<u64>,
) -> Result<(), AskError> {
    let resource = format!("/api/v1/sites/{site}/invites");
    let body = InviteBody { for_s };
    let invited: Invited = client.post(&resource, &body, None).await?;
    out::say(&invited.url);
    out::complain(&good_for(site, invited.expires));
    Ok(())
}

fn good_for(site: &str, expires: Timestamp) -> String {
    let until = expires.to_zoned_datetime(TimeZone::system());
    let until = until.strftime("%H:%M:%S on %Y-%m-%d");
    format!(
        "Whoever opens this link sees {site} as if `access` were open, and writes to it, in that \
         browser until {until}. A flip holds them like everybody else."
    )
}

/// Reads how long a link is to be good, in whole seconds; how long it may be, the daemon says.
pub(super) fn seconds(text: &str) -> Result<u64, String> {
    let wrong = || format!("{text:?} is no duration: write 30m or 1h");
    let lasting: SignedDuration = text.parse().map_err(|_| wrong())?;
    u64::try_from(lasting.as_secs()).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_written_as_in_the_file() {
        assert_eq!(seconds("90s"), Ok(90));
        assert_eq!(seconds("30m"), Ok(1800));
        assert_eq!(seconds("168h"), Ok(604_800));
        assert!(seconds("-1h").is_err());
        assert!(seconds("soon").is_err());
        assert!(seconds("5").is_err());
    }
}
