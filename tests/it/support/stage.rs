//! A daemon between two recording origins.

use super::client::Client;
use super::daemon::{Daemon, OneSite, Place};
use super::origin::Origin;
use super::wait::until;

/// A place with two recording origins and a running daemon.
pub(crate) struct Stage {
    pub(crate) place: Place,
    pub(crate) live: Origin,
    pub(crate) backup: Origin,
    pub(crate) daemon: Daemon,
}

impl Stage {
    pub(crate) fn with(site: &OneSite) -> Self {
        Self::at(Place::new(), site)
    }

    pub(crate) fn at(place: Place, site: &OneSite) -> Self {
        place.write(site);
        let live = Origin::start(&place.origin("live"), "live");
        let backup = Origin::start(&place.origin("backup"), "backup");
        let daemon = place.start();
        Self {
            place,
            live,
            backup,
            daemon,
        }
    }

    /// Sends a request that the live side does not answer until it is let go.
    pub(crate) fn in_flight(&self, method: &str) -> Client {
        let mut client = Client::connect(self.place.http().parse().unwrap());
        let head = format!("{method} /wait HTTP/1.1\r\nHost: www.ispot.example\r\n");
        client.send(&format!("{head}Content-Length: 0\r\n\r\n"));
        until("it is at the origin", || {
            (!self.live.seen_at("/wait").is_empty()).then_some(())
        });
        client
    }

    /// Edits the word to `backup`, and waits until the flip waits for what is in flight.
    pub(crate) fn edit_until_it_drains(&self) {
        self.place.sed("s/active: live/active: backup/");
        until("the flip drains", || {
            (self.place.status_json()?["flips"][0]["phase"] == "draining").then_some(())
        });
    }
}
