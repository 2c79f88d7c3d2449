//! One client connection: hyper's codec around [`Service`], and a watch over its patience.
//!
//! The watch looks at the connection from outside, so that one timer serves the whole of its
//! life, and no timer is set or cleared for a request.

use std::cell::Cell;
use std::convert::Infallible;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};

use hyper::body::Incoming;
use hyper::server::conn::http1::Builder;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::proxy::Limits;
use crate::proxy::access::Record;
use crate::proxy::client::Client;
use crate::proxy::error::Error;
use crate::proxy::head::{Headers, RequestHead, Version};
use crate::proxy::service::Service;
use crate::proxy::stream::Stream;

use super::convert::{self, ClientBody, Served};

/// How much of a head or body hyper may buffer, in bytes; a longer head is answered with 431.
const BUFFER_MAX: usize = 256 * 1024;

/// Serves a client until it leaves, loses its patience or ours, or `stop` says that it is time.
///
/// # Cancel safety
/// Dropping the future closes the connection and gives up what is in flight on it.
pub(in crate::proxy) async fn serve(
    service: Rc<Service>,
    stream: Stream,
    client: Client,
    limits: Limits,
    mut stop: watch::Receiver<bool>,
) {
    let activity = Rc::new(Activity::new(client.since));
    let io = ClientIo {
        stream,
        activity: Rc::clone(&activity),
    };
    let answering = Rc::clone(&activity);
    let address = client.address;
    let client = Rc::new(client);
    let connection = Builder::new()
        .max_buf_size(BUFFER_MAX)
        .header_read_timeout(None)
        .serve_connection(
            TokioIo::new(io),
            service_fn(move |request| {
                answer(
                    Rc::clone(&service),
                    Rc::clone(&client),
                    Rc::clone(&answering),
                    request,
                )
            }),
        );
    let mut connection = pin!(connection);
    let mut overdue = pin!(activity.overdue(limits));
    let mut stopping = false;
    loop {
        // Each arm only drives or looks; the connection is polled again in the next round.
        tokio::select! {
            biased;
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(client = %address, %error, "client connection ended");
                }
                return;
            }
            what = overdue.as_mut() => {
                tracing::debug!(client = %address, what, "client connection closed");
                return;
            }
            _ = stop.wait_for(|&stop| stop), if !stopping => {
                stopping = true;
                connection.as_mut().graceful_shutdown();
            }
        }
    }
}

async fn answer(
    service: Rc<Service>,
    client: Rc<Client>,
    activity: Rc<Activity>,
    request: hyper::Request<Incoming>,
) -> Result<hyper::Response<Served>, Infallible> {
    activity.asked();
    let head = convert::request_head(&request);
    let body = ClientBody::take(request.into_body(), &activity);
    let (head, refused) = match head {
        Ok(head) => (head, None),
        Err(why) => (unreadable(), Some(Error::BadRequest(why))),
    };
    let mut record = Record::begin(&service.upstream.shard, client.address, &head);
    // RFC 9112 §6.1: a request with two lengths must be the last on its connection. hyper goes by
    // Transfer-Encoding alone and hides that there was a Content-Length, so every chunked one is.
    let is_last = refused.is_some() || head.headers.contains("transfer-encoding");
    let (mut head, body) = match refused {
        None => service.answer(&client, head, body, &mut record).await,
        Some(error) => {
            let answer = error.answer(&head);
            record.answered(answer.0.status);
            answer
        }
    };
    if is_last {
        head.headers.set("connection", "close");
    }
    let served = Served {
        body,
        activity,
        record,
    };
    Ok(convert::hyper_response(&head, served))
}

/// Stands in for a head that was refused before it was read.
fn unreadable() -> RequestHead {
    RequestHead {
        method: http::Method::GET,
        target: "/".into(),
        authority: None,
        version: Version::Http11,
        headers: Headers::default(),
    }
}

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
    fn new(since: Instant) -> Self {
        Self {
            // Who has connected is expected to ask.
            state: Cell::new(State::Head(since)),
            blocked: Cell::new(None),
            reading: Cell::new(None),
        }
    }

    fn asked(&self) {
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
    async fn overdue(&self, limits: Limits) -> &'static str {
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
struct ClientIo {
    stream: Stream,
    activity: Rc<Activity>,
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
