//! The event stream of one flip (server-sent events), which `pointsman flip` follows.
//!
//! Each event is the whole [`FlipView`] of that instant, so a slow reader misses intermediate
//! values but no fact: the timeline in the last one has every phase.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::control::Status;
use crate::site::FlipId;
use crate::switchboard::Switchboard;

use super::Parts;
use super::body::{Piece, Pieces, streamed};
use super::view::FlipView;

/// How often the counts are looked at: nobody announces them, and a person reads them.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// A comment is sent after this much silence, so that a client that is gone is noticed.
const SILENCE_MAX: Duration = Duration::from_secs(5);

/// A stream is ended after this; a client that still wants to know asks again.
const STREAM_MAX: Duration = Duration::from_secs(3600);

/// Answers with the events of a flip, until it has ended.
pub(super) fn of_flip(id: FlipId, parts: &Parts, stopping: watch::Receiver<bool>) -> Response {
    let follow = Follow {
        id,
        status: parts.handle.watch(),
        switchboard: Arc::clone(&parts.switchboard),
        stopping,
        shown: None,
        ends: Instant::now() + STREAM_MAX,
        over: false,
    };
    let head = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (head, streamed(follow)).into_response()
}

struct Follow {
    id: FlipId,
    status: watch::Receiver<Arc<Status>>,
    switchboard: Arc<Switchboard>,
    stopping: watch::Receiver<bool>,
    /// The event that was sent last.
    shown: Option<FlipView>,
    /// When the stream ends whatever happens.
    ends: Instant,
    /// The last event was sent.
    over: bool,
}

impl Pieces for Follow {
    async fn next(mut self) -> Option<Piece<Self>> {
        let silent_until = Instant::now() + SILENCE_MAX;
        while !self.over && Instant::now() < self.ends {
            if let Some(event) = self.changed() {
                return Some(self.piece(event));
            }
            if Instant::now() >= silent_until {
                return Some(self.piece(Bytes::from_static(b": no change\n\n")));
            }
            if !self.wait().await {
                return None;
            }
        }
        None
    }
}

impl Follow {
    fn piece(self, bytes: Bytes) -> Piece<Self> {
        Piece { bytes, rest: self }
    }

    /// Makes an event if the flip is not as it was last shown.
    fn changed(&mut self) -> Option<Bytes> {
        let status = Arc::clone(&self.status.borrow_and_update());
        let flip = status.flips.iter().find(|flip| flip.id == self.id);
        let Some(flip) = flip else {
            // It has ended and was pushed out by newer ones: there is nothing more to say.
            self.over = true;
            return None;
        };
        let view = FlipView::of(flip, &self.switchboard);
        if self.shown.as_ref() == Some(&view) {
            return None;
        }
        self.over = flip.outcome.is_some();
        let event = serde_json::to_string(&view).ok()?;
        self.shown = Some(view);
        Some(format!("data: {event}\n\n").into())
    }

    /// Waits for a reason to look again; `false` when there is none any more.
    async fn wait(&mut self) -> bool {
        // Each arm only waits: what it was woken for is still there for the next look.
        tokio::select! {
            changed = self.status.changed() => changed.is_ok(),
            _ = self.stopping.wait_for(|stopping| *stopping) => false,
            () = tokio::time::sleep(LOOK_EVERY) => true,
        }
    }
}
