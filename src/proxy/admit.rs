//! Admission: the site of a request, what users may do there, and its way through the gates.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use http::Method;

use crate::site::{Access, During, Generation};
use crate::switchboard::{Entry, Gates, Invites, Kind, Lane, Pass, Permit, Way};
use crate::table::{Redirect, Site};

use super::access::Record;
use super::body::Body;
use super::client::Client;
use super::error::Error;
use super::head::{RequestHead, ResponseHead};
use super::hold::Stay;
use super::page::Why;
use super::service::{Service, without_port};
use super::{fault, forward, health, invite, redirect};

/// What the current snapshot says of a request.
pub(super) struct Found {
    pub(super) site: Arc<Site>,
    /// The gates of the part of the site that the path lies in.
    part: Option<Arc<Gates>>,
    lane: Option<Arc<Lane>>,
    pub(super) generation: Generation,
    https_port: Option<u16>,
}

/// How a request gets on.
pub(super) enum Admission {
    /// To an origin of this lane, under this permit.
    To(Found, Arc<Lane>, Permit),
    /// It was for us.
    Itself((ResponseHead, Body)),
}

impl Service {
    /// Finds the lane of a request and gets it in, or says why not.
    pub(super) async fn admit(
        &self,
        client: &Client,
        host: &str,
        (head, body): (&RequestHead, &Body),
        record: &mut Record,
    ) -> Result<Admission, Error> {
        let kind = kind(head);
        let mut stay = Stay::new(&self.upstream.shard, &self.stopping, (head, body));
        let mut closed_before = false;
        let invites = self.board.invites();
        loop {
            let found = self.find(host, head.path())?;
            record.of_site(&found.site.name);
            if let Some(answer) = found.answers_itself(client, host, head, invites) {
                return Ok(Admission::Itself(answer));
            }
            let Some(lane) = found.lane.clone() else {
                return Err(found.page(Why::Doubt));
            };
            let way = found.way(client, head, kind, invites);
            // Looked at first, so that nobody waits for a part that he may not enter then.
            found.part_lets_in(kind, way)?;
            match lane.gates.enter(kind, way, stay.pass()) {
                Entry::Admitted(permit) => {
                    let permit = found.join_part(kind, way, permit)?;
                    found.still_lets_in(client, head, way, invites)?;
                    self.note_bypass(client, &found, kind, way);
                    let lane = fault::late(lane, head.path());
                    return Ok(Admission::To(found, lane, permit));
                }
                Entry::Shut => return Err(found.forbidden(&lane.gates)),
                Entry::Held => {
                    // Whoever waited has reason to meet a closed lane: that of the flip.
                    closed_before = false;
                    wait(&found, &lane, (kind, way), &mut stay).await?;
                }
                Entry::Closed if closed_before => {
                    self.upstream.shard.closed_twice(found.site.name.as_str());
                    tracing::error!(
                        site = %found.site.name,
                        epoch = %lane.epoch,
                        "a request found its lane closed twice: please report this as a bug"
                    );
                    return Err(found.page(Why::ClosedTwice));
                }
                Entry::Closed => closed_before = true,
            }
        }
    }

    /// Reads the current snapshot; it is let go of before anybody waits.
    fn find(&self, host: &str, path: &str) -> Result<Found, Error> {
        let snapshot = self.board.load();
        let name = without_port(host);
        let route = snapshot.route(name, path).ok_or(Error::UnknownHost)?;
        Ok(Found {
            site: Arc::clone(&route.view.site),
            part: route.part.map(|part| Arc::clone(&part.gates)),
            lane: route.view.lane.clone(),
            generation: snapshot.generation,
            https_port: snapshot.table.listen.https.first().map(SocketAddr::port),
        })
    }

    /// Counts and logs an operator's write that `access` would have kept out.
    fn note_bypass(&self, client: &Client, found: &Found, kind: Kind, way: Way) {
        if way == Way::Usual || kind == Kind::Read {
            return;
        }
        let access = found.access();
        let site = found.site.name.as_str();
        self.upstream.shard.bypassed(site);
        let client = client.address;
        tracing::info!(target: "access", site, %client, %access, "a write was let through");
    }
}

/// Waits at a held gate, if that is what those get who find it held.
async fn wait(
    found: &Found,
    lane: &Lane,
    (kind, way): (Kind, Way),
    stay: &mut Stay<'_>,
) -> Result<(), Error> {
    let why = match (lane.gates.during(), kind, way) {
        (During::Page, ..) => Why::Maintenance,
        // What gets past `access` is all writes to a flip.
        (During::ReadOnly, Kind::Write, _) | (During::ReadOnly, _, Way::PastAccess) => {
            Why::WritingPaused
        }
        (During::Hold, ..) | (During::ReadOnly, Kind::Read, Way::Usual) => {
            let site = &found.site;
            let waited = stay.wait(&site.name, &lane.gates, &site.flip).await;
            if waited.is_ok() {
                return Ok(());
            }
            Why::HoldOver
        }
    };
    lane.gates.count_shed();
    Err(found.page(why))
}

impl Found {
    /// Answers what never gets to an origin, whatever the gates say.
    fn answers_itself(
        &self,
        client: &Client,
        host: &str,
        head: &RequestHead,
        invites: Option<&Invites>,
    ) -> Option<(ResponseHead, Body)> {
        if head.path() == health::PATH {
            let (site, lane) = (&self.site.name, self.lane.as_deref());
            return Some(health::answer(site, lane, self.generation));
        }
        if self.site.redirect == Redirect::Https && !client.is_tls() {
            return Some(redirect::to_https(host, head, self.https_port));
        }
        // After the redirect: where there is one, the cookie is set over TLS.
        let is_link = head.path() == invite::PATH;
        is_link.then(|| invite::answer(invites, &self.site.name, client, head))
    }

    /// What users may do here: the stricter word of the site's and the part's.
    fn access(&self) -> Access {
        let gates = [
            self.part.as_ref(),
            self.lane.as_ref().map(|lane| &lane.gates),
        ];
        let words = gates.into_iter().flatten().map(|gates| gates.access());
        words.max().unwrap_or(Access::Open)
    }

    /// Tells whether a request gets past what `access` keeps others from: it is an operator's, or
    /// writes where that is allowed while the rest may only be read.
    fn way(
        &self,
        client: &Client,
        head: &RequestHead,
        kind: Kind,
        invites: Option<&Invites>,
    ) -> Way {
        let access = self.access();
        // Of nearly all requests, all the time, that is all that is looked at.
        if access == Access::Open {
            return Way::Usual;
        }
        let writes_where_allowed = || {
            access == Access::ReadOnly && kind == Kind::Write && self.site.writes_at(head.path())
        };
        if self.is_operator(client, head, invites) || writes_where_allowed() {
            Way::PastAccess
        } else {
            Way::Usual
        }
    }

    fn is_operator(&self, client: &Client, head: &RequestHead, invites: Option<&Invites>) -> bool {
        let site = &self.site;
        let mut bypass = site.maintenance.bypass.iter();
        bypass.any(|net| net.has(client.address.ip().to_canonical()))
            || invite::is_invited(invites, &site.name, &head.headers)
    }

    /// Looks again when a request is in: what was allowed when it was looked at may be forbidden
    /// since, and is not to go on behind the back of whoever was told that it has ended.
    fn still_lets_in(
        &self,
        client: &Client,
        head: &RequestHead,
        way: Way,
        invites: Option<&Invites>,
    ) -> Result<(), Error> {
        let is_shut = way == Way::PastAccess && self.access() == Access::Maintenance;
        if is_shut && !self.is_operator(client, head, invites) {
            return Err(self.page(Why::Maintenance));
        }
        Ok(())
    }

    fn part_lets_in(&self, kind: Kind, way: Way) -> Result<(), Error> {
        let Some(part) = &self.part else {
            return Ok(());
        };
        if way == Way::Usual && part.forbids(kind) {
            return Err(self.forbidden(part));
        }
        Ok(())
    }

    /// Gets a request that is in also into the part of its site.
    fn join_part(&self, kind: Kind, way: Way, permit: Permit) -> Result<Permit, Error> {
        let Some(part) = &self.part else {
            return Ok(permit);
        };
        match part.enter(kind, way, Pass::default()) {
            Entry::Admitted(also) => Ok(permit.and(also)),
            Entry::Shut | Entry::Held | Entry::Closed => Err(self.forbidden(part)),
        }
    }

    /// Says that `access` keeps a request out.
    fn forbidden(&self, gates: &Gates) -> Error {
        let why = match gates.access() {
            Access::ReadOnly => Why::WritingPaused,
            // Opened again since: then nothing more than that can be said.
            Access::Open | Access::Maintenance => Why::Maintenance,
        };
        self.page_until(why, gates.back_at().and_then(from_now))
    }

    pub(super) fn page(&self, why: Why) -> Error {
        self.page_until(why, None)
    }

    fn page_until(&self, why: Why, retry_after: Option<Duration>) -> Error {
        Error::Page {
            site: Arc::clone(&self.site),
            why,
            retry_after,
        }
    }
}

/// Tells how long it is until then, in seconds since the Unix epoch; `None` when it is past.
fn from_now(at_s: i64) -> Option<Duration> {
    let at = Duration::from_secs(u64::try_from(at_s).ok()?);
    at.checked_sub(UNIX_EPOCH.elapsed().ok()?)
}

/// Tells whether a request may change something at its origin.
pub(super) fn writes(head: &RequestHead) -> bool {
    kind(head) == Kind::Write
}

/// Tells which gate a request goes through: plain safe ones read (RFC 9110 §9.2.1), and so does
/// one whose `Upgrade` is not passed on.
fn kind(head: &RequestHead) -> Kind {
    let safe = [Method::GET, Method::HEAD, Method::OPTIONS, Method::TRACE].contains(&head.method);
    if safe && forward::upgrade(head.version, &head.headers).is_none() {
        Kind::Read
    } else {
        Kind::Write
    }
}
