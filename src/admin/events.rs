//! Event streams (server-sent events): of one flip, which `pointsman flip` follows, and of
//! everything that goes on, which `pointsman watch` shows.
//!
//! Each event is the whole view of that instant, so a slow reader misses intermediate values but no
//! fact: the timeline of a flip has every phase.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::control::Status;
use crate::site::{FlipId, SiteName};
use crate::switchboard::Switchboard;

use super::Parts;
use super::body::{Piece, Pieces, streamed};
use super::view::{FlipView, WatchView};

/// How often the counts are looked at: nobody announces them, and a person reads them.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// A comment is sent after this much silence, so that a client that is gone is noticed.
const SILENCE_MAX: Duration = Duration::from_secs(5);

/// A stream is ended after this; a client that still wants to know asks again.
const STREAM_MAX: Duration = Duration::from_secs(3600);

/// What a stream shows.
trait Subject: Send + 'static {
    /// How it is shown.
    type View: PartialEq + Serialize + Send + 'static;

    /// Looks at it as it is now.
    fn look(&self, status: &Status, switchboard: &Switchboard) -> Seen<Self::View>;
}

/// What a look at a subject found.
enum Seen<V> {
    /// This, and there may be more.
    Going(V),
    /// This, and there will be no more.
    Last(V),
    /// There is nothing more to say.
    Gone,
}

/// One flip, until it has ended.
struct OneFlip(FlipId);

impl Subject for OneFlip {
    type View = FlipView;

    fn look(&self, status: &Status, switchboard: &Switchboard) -> Seen<FlipView> {
        let flip = status.flips.iter().find(|flip| flip.id == self.0);
        let Some(flip) = flip else {
            // It has ended and was pushed out by newer ones.
            return Seen::Gone;
        };
        let view = FlipView::of(flip, switchboard);
        if flip.outcome.is_some() {
            Seen::Last(view)
        } else {
            Seen::Going(view)
        }
    }
}

/// Everything that goes on, or all that concerns one site.
struct Everything {
    site: Option<SiteName>,
}

impl Subject for Everything {
    type View = WatchView;

    fn look(&self, status: &Status, switchboard: &Switchboard) -> Seen<WatchView> {
        Seen::Going(WatchView::of(status, switchboard, self.site.as_ref()))
    }
}

/// Answers with the events of a flip, until it has ended.
pub(super) fn of_flip(id: FlipId, parts: &Parts, stopping: watch::Receiver<bool>) -> Response {
    follow(OneFlip(id), parts, stopping)
}

/// Answers with the events of all that goes on, or of one site.
pub(super) fn of_everything(
    site: Option<SiteName>,
    parts: &Parts,
    stopping: watch::Receiver<bool>,
) -> Response {
    follow(Everything { site }, parts, stopping)
}

fn follow<S: Subject>(subject: S, parts: &Parts, stopping: watch::Receiver<bool>) -> Response {
    let follow = Follow {
        subject,
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

struct Follow<S: Subject> {
    subject: S,
    status: watch::Receiver<Arc<Status>>,
    switchboard: Arc<Switchboard>,
    stopping: watch::Receiver<bool>,
    /// The event that was sent last.
    shown: Option<S::View>,
    /// When the stream ends whatever happens.
    ends: Instant,
    /// The last event was sent.
    over: bool,
}

impl<S: Subject> Pieces for Follow<S> {
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

impl<S: Subject> Follow<S> {
    fn piece(self, bytes: Bytes) -> Piece<Self> {
        Piece { bytes, rest: self }
    }

    /// Makes an event if the subject is not as it was last shown.
    fn changed(&mut self) -> Option<Bytes> {
        let status = Arc::clone(&self.status.borrow_and_update());
        let seen = self.subject.look(&status, &self.switchboard);
        self.over = !matches!(seen, Seen::Going(_));
        let (Seen::Going(view) | Seen::Last(view)) = seen else {
            return None;
        };
        if self.shown.as_ref() == Some(&view) {
            return None;
        }
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
