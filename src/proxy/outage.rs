//! Noticing that an active side is down, and that it is back: by the requests that go there.

use std::time::Duration;

use crate::site;
use crate::switchboard::Lane;
use crate::table::Site;

/// Notes that no origin of a lane accepts connections.
pub(super) fn found_down(site: &Site, lane: &Lane, now_ms: u64) {
    if lane.gates.outage.found_down(now_ms).is_none() {
        return;
    }
    let sides = site.sides.iter().map(|side| &side.name);
    let command = site::emergency_command(&lane.site, &lane.side, sides);
    tracing::error!(
        site = %lane.site,
        side = %lane.side,
        command,
        "the active side is down: none of its origins accepts connections; nothing moves by \
         itself, but the command does if the side is dead"
    );
}

/// Notes that an origin of a lane accepted a connection, or answered: a connection that was there
/// before may be all that is used.
pub(super) fn found_up(lane: &Lane, now_ms: impl FnOnce() -> u64) {
    if let Some(since_ms) = lane.gates.outage.found_up() {
        let down_for = Duration::from_millis(now_ms().saturating_sub(since_ms));
        let (site, side) = (&lane.site, &lane.side);
        tracing::info!(%site, %side, ?down_for, "the active side is back");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::site::{Epoch, SideName, SiteName};
    use crate::switchboard::Gates;

    #[test]
    fn an_answer_over_a_connection_that_was_there_ends_an_outage_too() {
        let lane = Lane {
            site: SiteName::new("ispot"),
            side: SideName::new("live"),
            epoch: Epoch(1),
            origins: Vec::new(),
            gates: Arc::new(Gates::default()),
        };
        lane.gates.outage.found_down(7);

        found_up(&lane, || 9);

        assert_eq!(lane.gates.outage.since_ms(), None);
    }
}
