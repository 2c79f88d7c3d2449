//! The door: what is agreed with a client before its first request: TLS, and which HTTP.

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::LazyConfigAcceptor;

use crate::certs::Store;
use crate::telemetry::http::{Handshake, HttpShard};

use super::client::{Channel, Client};
use super::service::Service;
use super::stream::Stream;
use super::{Limits, h1, h2};

/// What every HTTP/2 connection begins with (RFC 9113 §3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// How much of a plain connection is read at once to see what it speaks, in bytes: most heads fit.
const READ_AHEAD: usize = 2048;

/// How clients come in at a listener.
#[derive(Clone, Debug)]
pub(super) enum Door {
    /// Without TLS; HTTP/2 by prior knowledge.
    Plain,
    /// By TLS; HTTP/2 by ALPN (RFC 7301).
    Tls(Arc<Store>),
}

/// Lets clients in and has them served.
pub(super) struct Greeter {
    service: Rc<Service>,
    limits: Limits,
    shard: Arc<HttpShard>,
    /// True when the worker stops.
    stop: watch::Receiver<bool>,
    /// How many are in a TLS handshake.
    shaking: Cell<usize>,
}

/// The versions of HTTP that are spoken with clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Speaks {
    Http1,
    Http2,
}

/// A client that is in.
type Entered = (Stream, Channel, Speaks);

impl Greeter {
    pub(super) fn new(
        service: Rc<Service>,
        limits: Limits,
        shard: Arc<HttpShard>,
        stop: watch::Receiver<bool>,
    ) -> Self {
        Self {
            service,
            limits,
            shard,
            stop,
            shaking: Cell::new(0),
        }
    }

    /// Lets a client in and serves it until it leaves.
    ///
    /// # Cancel safety
    /// Dropping the future closes the connection and gives up what is in flight on it.
    pub(super) async fn greet(&self, door: &Door, stream: TcpStream, address: SocketAddr) {
        let since = Instant::now();
        let mut stop = self.stop.clone();
        // Dropping either arm closes the connection, on which nothing has been asked yet.
        let entered = tokio::select! {
            biased;
            entered = self.enter(door, stream, since) => entered,
            _ = stop.wait_for(|&stop| stop) => return,
        };
        let Some((stream, channel, speaks)) = entered else {
            return;
        };
        let client = Client {
            address,
            channel,
            since,
        };
        let (service, limits) = (Rc::clone(&self.service), self.limits);
        match speaks {
            Speaks::Http1 => h1::server::serve(service, stream, client, limits, stop).await,
            Speaks::Http2 => h2::server::serve(service, stream, client, limits, stop).await,
        }
    }

    async fn enter(&self, door: &Door, stream: TcpStream, since: Instant) -> Option<Entered> {
        let deadline = since + self.limits.head_within;
        match door {
            Door::Plain => {
                let entered = timeout_at(deadline, listen_first(stream)).await;
                entered.ok()?.ok()
            }
            Door::Tls(store) => {
                let Some(_shaking) = Shaking::begin(&self.shaking, self.limits.handshakes) else {
                    self.shard.handshake(Handshake::Refused);
                    return None;
                };
                let shaken = timeout_at(deadline, shake_hands(store, stream)).await;
                let (result, entered) = match shaken {
                    Ok(Ok(entered)) => (Handshake::Done, Some(entered)),
                    Ok(Err(error)) => {
                        tracing::debug!(%error, "a TLS handshake failed");
                        (Handshake::Failed, None)
                    }
                    Err(_) => (Handshake::Timeout, None),
                };
                self.shard.handshake(result);
                entered
            }
        }
    }
}

/// A place among those in a handshake; dropping it gives it back.
struct Shaking<'g>(&'g Cell<usize>);

impl<'g> Shaking<'g> {
    fn begin(shaking: &'g Cell<usize>, most: usize) -> Option<Self> {
        let now = shaking.get();
        (now < most).then(|| {
            shaking.set(now + 1);
            Self(shaking)
        })
    }
}

impl Drop for Shaking<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get().saturating_sub(1));
    }
}

/// Shakes hands with the certificate that the client's server name picks.
async fn shake_hands(store: &Store, stream: TcpStream) -> std::io::Result<Entered> {
    let start = LazyConfigAcceptor::new(Default::default(), stream).await?;
    let certificate = store.pick(&start.client_hello());
    let certificate =
        certificate.ok_or_else(|| std::io::Error::other("there is no certificate"))?;
    let stream = start.into_stream(certificate.server()).await?;
    let speaks = match stream.get_ref().1.alpn_protocol() {
        Some(b"h2") => Speaks::Http2,
        // RFC 9113 §3.2: HTTP/2 over TLS is agreed on by ALPN or not at all.
        Some(_) | None => Speaks::Http1,
    };
    let stream = Stream::tls(stream.into());
    Ok((stream, Channel::Tls(certificate), speaks))
}

/// Reads until it is clear whether a plain connection begins with the preface of HTTP/2.
async fn listen_first(mut stream: TcpStream) -> std::io::Result<Entered> {
    let mut bytes = Vec::with_capacity(READ_AHEAD);
    let speaks = loop {
        let is_over = stream.read_buf(&mut bytes).await? == 0;
        let seen = bytes.len().min(PREFACE.len());
        if bytes[..seen] != PREFACE[..seen] || is_over {
            break Speaks::Http1;
        }
        if seen == PREFACE.len() {
            break Speaks::Http2;
        }
    };
    let stream = Stream::plain(stream).replay(bytes.into());
    Ok((stream, Channel::Plain, speaks))
}
