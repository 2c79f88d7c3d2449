//! Tunnels at the drain deadline of a flip: they end before anything is made of what is in flight.

use std::sync::Arc;
use std::time::Duration;

use crate::flip::Flip;
use crate::site::FlipId;
use crate::switchboard::Cut;

use super::actor::{Actor, Event};

/// How long tunnels may take to end at the drain deadline; the proxy gives them half of it to
/// finish a frame.
const TUNNELS_WITHIN: Duration = Duration::from_secs(1);

impl Actor {
    /// Ends the tunnels that a flip waits for at its drain deadline, before anything is made of what
    /// is in flight: each counts as a write, and would take the flip back. False if there are none.
    pub(super) fn end_tunnels(&mut self, id: FlipId) -> bool {
        let Some(running) = self.flips.get_mut(&id) else {
            return false;
        };
        let gates: Vec<_> = running
            .moves
            .iter()
            .map(|moving| Arc::clone(&moving.lane.gates))
            .filter(|gates| gates.has_tunnels())
            .collect();
        // What comes late, for a phase that is over, must not cut what was let go.
        if gates.is_empty() || !matches!(running.flip, Flip::Draining(_)) {
            return false;
        }
        for gates in &gates {
            gates.order_cut(Cut::Tunnels);
        }
        self.board.nudge();
        let events = self.events.clone();
        running.timer = Some(running.tasks.spawn(async move {
            let all = async {
                for gates in gates {
                    gates.tunnels_over().await;
                }
            };
            // What is left then counts as what it is: a write.
            let _ = tokio::time::timeout(TUNNELS_WITHIN, all).await;
            // The actor is gone only when the process ends.
            let _ = events.send(Event::TunnelsOver(id)).await;
        }));
        true
    }
}
