//! Inviting: a link by which an operator's browser gets behind the page of a site for a while.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::site::{SiteName, Who};
use crate::table::{Listen, Site};

use super::actor::Actor;
use super::invite_key;

/// Asks for a link.
#[derive(Clone, Debug)]
pub struct InviteRequest {
    /// The site.
    pub site: SiteName,
    /// How long the link is good; one of [`InviteRequest::LASTING`].
    pub lasting: Duration,
    /// Who asks.
    pub who: Who,
}

impl InviteRequest {
    /// How long a link may be good: long enough to be opened, and not longer than what it is for.
    pub const LASTING: RangeInclusive<Duration> =
        Duration::from_secs(60)..=Duration::from_secs(7 * 24 * 3600);
}

/// A link, and when it is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invitation {
    /// Whoever has it is invited: it is not logged, nor journalled.
    pub url: String,
    /// From then on it is good for nothing, and so is the cookie that it made.
    pub expires: Timestamp,
}

/// Why there is no link; the asker is at fault, unless said otherwise.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InviteError {
    /// The table has no such site.
    #[error("there is no site {0}: `pointsman status` lists them")]
    UnknownSite(SiteName),
    /// It would be over too soon, or too late.
    #[error("an invitation is good for 60 s to 7 days, and not for {} s", .0.as_secs())]
    OutOfRange(Duration),
    /// Only wildcards lead to the site, or nothing listens for HTTP; the table is at fault.
    #[error(
        "no link leads to {0}: it needs a host that is no wildcard, and `listen.http` or \
         `listen.https`"
    )]
    NoAddress(SiteName),
    /// The key could not be used at the start; the machine is at fault.
    #[error(
        "invitations are off, for {} could not be used when the daemon started: mend it or delete \
         it, which ends the invitations there are, and start again",
        .0.display()
    )]
    Off(PathBuf),
    /// It could not be journalled, and so nobody was invited; the machine is at fault.
    #[error("nobody was invited to {0}, as it could not be journalled: {1}")]
    NotJournalled(SiteName, String),
    /// The daemon is stopping.
    #[error("the daemon is stopping")]
    Stopping,
}

impl Actor {
    /// Writes an invitation, and journals who asked for it.
    pub(super) fn invite(&mut self, request: &InviteRequest) -> Result<Invitation, InviteError> {
        let InviteRequest { site, lasting, who } = request;
        let found = self.table.site(site.as_str());
        let found = found.ok_or_else(|| InviteError::UnknownSite(site.clone()))?;
        if !InviteRequest::LASTING.contains(lasting) {
            return Err(InviteError::OutOfRange(*lasting));
        }
        let origin = origin(found, &self.table.listen);
        let origin = origin.ok_or_else(|| InviteError::NoAddress(site.clone()))?;
        let off = || InviteError::Off(invite_key::path(&self.table.state));
        let invites = self.board.invites().ok_or_else(off)?;
        let now = Timestamp::now();
        // In whole seconds, as it is signed; the years that this adds up to are far from the end.
        let expires_s = now.as_second() + lasting.as_secs().cast_signed();
        let expires = Timestamp::UNIX_EPOCH + SignedDuration::from_secs(expires_s);
        let token = invites.issue(site, expires_s.cast_unsigned());
        let failed = |why: String| InviteError::NotJournalled(site.clone(), why);
        let journal = self.ledger.journal.as_mut();
        let journal = journal.map_err(|why| failed(why.clone()))?;
        let written = journal.invited(site, who, expires, now);
        written.map_err(|error| failed(error.to_string()))?;
        tracing::info!(%site, who = who.name, %expires, "invited behind the page");
        Ok(Invitation {
            url: format!("{origin}/.well-known/pointsman/invite?{token}"),
            expires,
        })
    }
}

/// Where a browser finds a site, without a path: over TLS where that is listened for. The port of
/// the scheme itself is not written (RFC 9110 §4.2).
fn origin(site: &Site, listen: &Listen) -> Option<String> {
    let host = site.hosts.iter().find(|host| !host.starts_with("*."))?;
    let (scheme, listener, default) = match (listen.https.first(), listen.http.first()) {
        (Some(https), _) => ("https", https, 443),
        (None, http) => ("http", http?, 80),
    };
    let port = Some(SocketAddr::port(listener)).filter(|&port| port != default);
    let port = port.map_or_else(String::new, |port| format!(":{port}"));
    Some(format!("{scheme}://{host}{port}"))
}
