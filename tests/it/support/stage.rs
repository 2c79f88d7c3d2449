//! A daemon between two recording origins.

use super::daemon::{Daemon, OneSite, Place};
use super::origin::Origin;

/// A place with two recording origins and a running daemon.
pub(crate) struct Stage {
    pub(crate) place: Place,
    pub(crate) live: Origin,
    pub(crate) backup: Origin,
    pub(crate) daemon: Daemon,
}

impl Stage {
    pub(crate) fn with(site: &OneSite) -> Self {
        let place = Place::new();
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
}
