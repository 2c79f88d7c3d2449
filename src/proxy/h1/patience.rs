//! How long a client connection may lie idle, and how long a request may stall on it.
//!
//! The watch looks at the connection from outside, so that one timer serves the whole of its
//! life, and no timer is set or cleared for a request.

use std::cell::Cell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, sleep_until};

use crate::proxy::Limits;
use crate::proxy::stream::Stream;

/// What a client connection is doing, for the watch over it.
#[derive(Debug)]
pub(super) struct Activity {
    state: Cell<State>,
    /// Since when the client has taken nothing of what is to be written.
    blocked: Cell<Option<Instant>>,
    /// Since when the client has sent nothing of a body that is asked for.
    reading: Cell<Option<Instant>>,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// Between two requests.
    Idle(Instant),
    /// The first bytes of a head are there.
    Head(Instant),
    /// A request is being answered.
    Busy,
}

impl Activity {
    pub(super) fn new(since: Instant) -> Self {
        Self {
            // Who has connected is expected to ask.
            state: Cell::new(State::Head(since)),
            blocked: Cell::new(None),
            reading: Cell::new(None),
        }
    }

    pub(super) fn asked(&self) {
        self.state.set(State::Busy);
    }

    pub(super) fn answered(&self) {
        self.state.set(State::Idle(Instant::now()));
    }

    /// Notes whether a body is waited for.
    pub(super) fn reading(&self, waits: bool) {
        note(&self.reading, waits);
    }

    fn received(&self) {
        if let State::Idle(_) = self.state.get() {
            self.state.set(State::Head(Instant::now()));
        }
    }

    fn wrote(&self, blocked: bool) {
        note(&self.blocked, blocked);
        if let (State::Idle(_), false) = (self.state.get(), blocked) {
            self.state.set(State::Idle(Instant::now()));
        }
    }

    /// Returns what the client took too long for, when it does.
    pub(super) async fn overdue(&self, limits: Limits) -> &'static str {
        loop {
            let now = Instant::now();
            let (due, what) = self.due(limits);
            if due.is_some_and(|due| due <= now) {
                return what;
            }
            // A state may become a stricter one meanwhile, so this never sleeps for longer than
            // the strictest; it is late by as much at most.
            let look = now + limits.head_within.min(limits.idle_for);
            sleep_until(due.map_or(look, |due| due.min(look))).await;
        }
    }

    fn due(&self, limits: Limits) -> (Option<Instant>, &'static str) {
        let stalled = [self.blocked.get(), self.reading.get()]
            .into_iter()
            .flatten();
        match (stalled.min(), self.state.get()) {
            (Some(since), _) => (Some(since + limits.idle_for), "it takes and sends nothing"),
            (None, State::Idle(since)) => (Some(since + limits.idle_for), "it was idle"),
            (None, State::Head(since)) => {
                (Some(since + limits.head_within), "its head did not come")
            }
            (None, State::Busy) => (None, ""),
        }
    }
}

/// Notes since when something waits.
fn note(since: &Cell<Option<Instant>>, waits: bool) {
    match (since.get(), waits) {
        (None, true) => since.set(Some(Instant::now())),
        (Some(_), false) => since.set(None),
        (None, false) | (Some(_), true) => {}
    }
}

/// A client's socket, with an eye on what moves.
pub(super) struct ClientIo {
    pub(super) stream: Stream,
    pub(super) activity: Rc<Activity>,
}

impl AsyncRead for ClientIo {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        if polled.is_ready() {
            self.activity.received();
        }
        polled
    }
}

impl AsyncWrite for ClientIo {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.activity.wrote(polled.is_pending());
        polled
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.activity.wrote(polled.is_pending());
        polled
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
