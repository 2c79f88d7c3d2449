//! A tunnel: what a connection becomes by 101 (Switching Protocols), most often a WebSocket.
//!
//! Its bytes are carried both ways as they come. It counts as a write in flight for as long as it
//! lasts, and as it has no end of its own, a flip that holds its site ends it.

use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf, copy_bidirectional};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};

use crate::site::{SideName, SiteName};
use crate::switchboard::{Lane, Permit};
use crate::telemetry::http::HttpShard;

use super::pool::Home;
use super::stream::Stream;

/// How long the second direction may stay silent once the first has ended: time enough for what
/// is still on its way, too little for a peer that has forgotten the tunnel.
const HALF_CLOSED_FOR: Duration = Duration::from_secs(5);
/// How long a client may take to be told that its tunnel is over.
const GOODBYE_WITHIN: Duration = Duration::from_millis(500);

/// A tunnel whose client has yet to be told of it.
///
/// Dropping it closes the socket to the origin, and only then lets go of the permit.
pub(super) struct Tunnel {
    origin: OriginEnd,
    idle_for: Duration,
    site: SiteName,
    side: SideName,
    shard: Arc<HttpShard>,
}

/// The end at an origin.
pub(super) struct OriginEnd {
    // The order matters: dropped as a whole, the socket goes before the permit.
    pub(super) stream: Stream,
    pub(super) permit: Rc<Permit>,
    pub(super) home: Rc<Home>,
}

/// Why a tunnel is over; its word is the metric's label.
#[derive(Clone, Copy, Debug)]
enum Over {
    /// One of the two has closed it.
    Closed,
    /// One of the two is gone without a word.
    Broken,
    /// Nothing went through it.
    Idle,
    /// Its site moves.
    Flip,
    /// The daemon stops.
    Stop,
}

impl Over {
    fn reason(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Broken => "broken",
            Self::Idle => "idle",
            Self::Flip => "flip",
            Self::Stop => "stop",
        }
    }
}

impl Tunnel {
    pub(super) fn new(
        origin: OriginEnd,
        lane: &Lane,
        idle_for: Duration,
        shard: &Arc<HttpShard>,
    ) -> Self {
        Self {
            origin,
            idle_for,
            site: lane.site.clone(),
            side: lane.side.clone(),
            shard: Arc::clone(shard),
        }
    }

    /// Carries bytes between client and origin until one of them, time, or a flip ends it.
    ///
    /// # Cancel safety
    /// Dropping the future closes both sockets, that to the origin before the permit ends.
    pub(super) async fn carry(mut self, mut client: Stream, mut stop: watch::Receiver<bool>) {
        let (site, side) = (self.site.as_str(), self.side.as_str());
        self.shard.tunnel_opened(site, side);
        let traffic = Traffic::new();
        let over = {
            let mut near = Watched::new(&mut client, &traffic);
            let mut far = Watched::new(&mut self.origin.stream, &traffic);
            // Whatever ends first ends it; bytes on their way between the two are lost then, as
            // with any connection that breaks off.
            tokio::select! {
                biased;
                () = self.origin.home.tunnel_cut(&self.origin.permit) => Over::Flip,
                _ = stop.wait_for(|&stop| stop) => Over::Stop,
                () = traffic.idle(self.idle_for) => Over::Idle,
                carried = copy_bidirectional(&mut near, &mut far) => match carried {
                    Ok(_) => Over::Closed,
                    Err(_) => Over::Broken,
                },
            }
        };
        self.shard.tunnel_closed(site, side, over.reason());
        tracing::debug!(site, side, over = over.reason(), "a tunnel is over");
        // The flip waits for the permit: a client that takes its time does not keep it.
        let OriginEnd { stream, permit, .. } = self.origin;
        drop(stream);
        drop(permit);
        // Who does not take it in time finds the socket closed.
        let _ = timeout(GOODBYE_WITHIN, client.shutdown()).await;
    }
}

impl std::fmt::Debug for Tunnel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Tunnel({} {})", self.site, self.side)
    }
}

/// What goes through a tunnel, for the watch over it.
struct Traffic {
    last: Cell<Instant>,
    half_closed: Cell<bool>,
}

impl Traffic {
    fn new() -> Self {
        Self {
            last: Cell::new(Instant::now()),
            half_closed: Cell::new(false),
        }
    }

    /// Returns when nothing has moved for too long.
    async fn idle(&self, limit: Duration) {
        loop {
            let limit = if self.half_closed.get() {
                limit.min(HALF_CLOSED_FOR)
            } else {
                limit
            };
            let (now, due) = (Instant::now(), self.last.get() + limit);
            if due <= now {
                return;
            }
            // It may become half closed meanwhile, and is seen to be so this much later at most.
            sleep_until(due.min(now + HALF_CLOSED_FOR)).await;
        }
    }

    fn note<T>(&self, polled: &Poll<T>) {
        if polled.is_ready() {
            self.last.set(Instant::now());
        }
    }
}

/// One end, with an eye on what moves.
struct Watched<'t> {
    stream: &'t mut Stream,
    traffic: &'t Traffic,
}

impl<'t> Watched<'t> {
    fn new(stream: &'t mut Stream, traffic: &'t Traffic) -> Self {
        Self { stream, traffic }
    }
}

impl AsyncRead for Watched<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut *self.stream).poll_read(cx, buf);
        self.traffic.note(&polled);
        if matches!(polled, Poll::Ready(Ok(()))) && buf.filled().len() == before {
            self.traffic.half_closed.set(true);
        }
        polled
    }
}

impl AsyncWrite for Watched<'_> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut *self.stream).poll_write(cx, buf);
        self.traffic.note(&polled);
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.stream).poll_shutdown(cx)
    }
}
