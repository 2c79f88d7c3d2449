//! A tunnel: what a connection becomes by 101 (Switching Protocols), most often a WebSocket.
//!
//! Its bytes are carried both ways as they come. It counts as a write in flight for as long as it
//! lasts, and as it has no end of its own, a flip of its site ends it.
//!
//! ```text
//! carry ──flip, stop──> the frame on its way ──> origin closed, ──> Close frame ──> closed
//!                       is finished, 500 ms      permit let go      client drained, 500 ms
//! ```
//!
//! What is no WebSocket, or whose frame is not finished in time, is closed without a word.

use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::io::{AsyncWriteExt, copy, sink};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::site::{SideName, SiteName};
use crate::switchboard::{Lane, Permit, TunnelPlace};
use crate::telemetry::http::HttpShard;

use super::flow::{Flow, Traffic};
use super::head::ResponseHead;
use super::pool::Home;
use super::stream::Stream;
use super::websocket::{Close, Frames};

/// How long a frame that is on its way may take to be finished when its tunnel is to end.
const FINISH_WITHIN: Duration = Duration::from_millis(500);
/// How long a client may take to be told that its tunnel is over.
const GOODBYE_WITHIN: Duration = Duration::from_millis(500);

/// A tunnel whose client has yet to be told of it.
///
/// Dropping it closes the socket to the origin, and only then lets go of the permit.
pub(super) struct Tunnel {
    // The order matters: whoever sees no tunnel counted finds its permit gone.
    origin: OriginEnd,
    place: TunnelPlace,
    /// The frames that it comes in, if it is a WebSocket.
    frames: Option<Frames>,
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

    /// What a WebSocket's client is told, where it is we who end it.
    fn close(self) -> Option<Close> {
        match self {
            Self::Closed | Self::Broken | Self::Idle => None,
            Self::Flip => Some(Close::ServiceRestart),
            Self::Stop => Some(Close::GoingAway),
        }
    }
}

impl Tunnel {
    pub(super) fn new(
        origin: OriginEnd,
        answer: &ResponseHead,
        lane: &Lane,
        idle_for: Duration,
        shard: &Arc<HttpShard>,
    ) -> Self {
        let protocol = answer.headers.first("upgrade");
        let is_websocket = protocol.is_some_and(|name| name.eq_ignore_ascii_case(b"websocket"));
        Self {
            origin,
            place: lane.gates.tunnel_place(),
            frames: is_websocket.then(Frames::new),
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
        let (mut up, mut down) = (Flow::new(None), Flow::new(self.frames));
        let traffic = Traffic::new();
        let far = &mut self.origin.stream;
        // Whatever ends first ends it; bytes on their way between the two are lost then, as with
        // any connection that breaks off.
        let over = tokio::select! {
            biased;
            () = self.origin.home.cut(|| self.origin.permit.is_cut_as_tunnel()) => Over::Flip,
            _ = stop.wait_for(|&stop| stop) => Over::Stop,
            () = traffic.idle(self.idle_for) => Over::Idle,
            carried = both(&mut up, &mut down, (&mut client, far), &traffic) => match carried {
                Ok(()) => Over::Closed,
                Err(_) => Over::Broken,
            },
        };
        let farewell = match over.close() {
            Some(close) => self.origin.finish(&mut down, &mut client, close).await,
            None => None,
        };
        self.shard.tunnel_closed(site, side, over.reason());
        tracing::debug!(site, side, over = over.reason(), "a tunnel is over");
        // The flip waits for the permit: a client that takes its time does not keep it.
        let OriginEnd { stream, permit, .. } = self.origin;
        drop(stream);
        drop(permit);
        drop(self.place);
        // Who does not take it in time finds the socket closed.
        let _ = timeout(GOODBYE_WITHIN, say_goodbye(&mut client, farewell)).await;
    }
}

impl OriginEnd {
    /// Finishes the frame that is on its way to the client, and makes what is said behind it.
    async fn finish(
        &mut self,
        down: &mut Flow,
        client: &mut Stream,
        close: Close,
    ) -> Option<Vec<u8>> {
        // Every arm may be dropped: what is not finished is cut.
        tokio::select! {
            biased;
            finished = timeout(FINISH_WITHIN, down.finish((&mut self.stream, client), close)) => {
                finished.ok().flatten()
            }
            // There is no time even for that.
            () = self.home.cut(|| self.permit.is_cut()) => None,
        }
    }
}

/// Carries bytes both ways until both directions have ended.
async fn both(
    up: &mut Flow,
    down: &mut Flow,
    (near, far): (&mut Stream, &mut Stream),
    traffic: &Traffic,
) -> io::Result<()> {
    poll_fn(|cx| {
        let up = up.poll_carry(cx, (near, far), traffic)?;
        let down = down.poll_carry(cx, (far, near), traffic)?;
        match (up, down) {
            (Poll::Ready(()), Poll::Ready(())) => Poll::Ready(Ok(())),
            (_, _) => Poll::Pending,
        }
    })
    .await
}

/// Tells a client that its tunnel is over, and waits until it has closed its end: a socket that is
/// closed over bytes nobody has read resets the connection, and what was said may be lost with it.
async fn say_goodbye(client: &mut Stream, farewell: Option<Vec<u8>>) -> io::Result<()> {
    client.write_all(&farewell.unwrap_or_default()).await?;
    client.shutdown().await?;
    copy(client, &mut sink()).await?;
    Ok(())
}

impl std::fmt::Debug for Tunnel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Tunnel({} {})", self.site, self.side)
    }
}
