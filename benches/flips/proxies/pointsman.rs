//! Pointsman, flipped by its command with `during: hold`; done is when the command has returned.

use std::net::SocketAddr;

use crate::counts::Side;
use crate::support::daemon::{Daemon, OneSite, Place};

use super::Proxy;

/// The check asks for [`crate::origins::CHECK`].
const SITE: OneSite = OneSite {
    every: "1h",
    storage: "shared",
    names: "{db.ispot.example: db}",
    active: "live",
    flip: "{during: hold, hold: {for: 10s, requests: 1000, release_rate: 100000}, drain: {for: 5s}}",
    checks: "[{name: up, get: /up, status: 200}]",
};

pub(crate) struct Pointsman<'p> {
    place: &'p Place,
    _daemon: Daemon,
}

impl<'p> Pointsman<'p> {
    pub(crate) fn start(place: &'p Place) -> Self {
        let version = place.pointsman(&["--version"]).stdout;
        println!("of us: {}", String::from_utf8_lossy(&version).trim());
        place.write(&SITE);
        Self {
            place,
            _daemon: place.start(),
        }
    }
}

impl Proxy for Pointsman<'_> {
    fn name(&self) -> &'static str {
        "Pointsman, `hold`"
    }

    fn address(&self) -> SocketAddr {
        self.place.http().parse().unwrap()
    }

    fn flip(&mut self, to: Side) {
        let (code, said) = self.place.flip(to.name());
        assert_eq!(code, 0, "{said}");
    }
}
