//! An exchange with an origin of a lane: which one, on which connection, and when to try another.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::certs::Trust;
use crate::switchboard::{Lane, Permit};
use crate::table::{OriginAddr, Timeouts};
use crate::telemetry::http::HttpShard;

use super::body::Body;
use super::h1::client::{Answer, Failure, Line};
use super::head::{RequestHead, ResponseHead};
use super::pool::Pools;
use super::stream::Stream;
use super::tunnel::Tunnel;

/// What a worker reaches origins with.
pub(super) struct Upstream {
    pub(super) pools: Rc<Pools>,
    /// How `https://` origins are checked.
    pub(super) trust: Trust,
    pub(super) shard: Arc<HttpShard>,
}

/// Why there is no answer; its word is the metric's label.
#[derive(Debug)]
pub(super) enum NoAnswer {
    /// No origin accepts connections.
    Unreachable(String),
    /// No origin accepted a connection in time.
    ConnectTimeout,
    /// The origin broke off before the head of its answer.
    Broken(String),
    /// The head of the answer did not come in time.
    ResponseTimeout,
    /// A flip ended it.
    Cut,
    /// The lane was closed under a permit: a mistake of ours, and nothing was sent.
    Stale,
}

impl NoAnswer {
    fn reason(&self) -> &'static str {
        match self {
            Self::Unreachable(_) => "connect",
            Self::ConnectTimeout => "connect_timeout",
            Self::Broken(_) => "broken",
            Self::ResponseTimeout => "response_timeout",
            Self::Cut => "cut",
            Self::Stale => "stale",
        }
    }
}

impl Upstream {
    /// Sends a request to an origin of the lane and waits for the head of the answer.
    ///
    /// The permit ends when both directions have ended, or after the socket was closed.
    ///
    /// # Errors
    /// See [`NoAnswer`].
    ///
    /// # Cancel safety
    /// Dropping the future closes the connection, and then ends the permit.
    pub(super) async fn exchange(
        &self,
        lane: &Lane,
        timeouts: &Timeouts,
        permit: Permit,
        request: (&RequestHead, Body),
    ) -> Result<(ResponseHead, Body), NoAnswer> {
        let result = self.try_origins(lane, timeouts, permit, request).await;
        if let Err(none) = &result {
            let (site, side) = (lane.site.as_str(), lane.side.as_str());
            self.shard.upstream_failed(site, side, none.reason());
            tracing::debug!(site, side, ?none, "no answer from an origin");
        }
        result
    }

    async fn try_origins(
        &self,
        lane: &Lane,
        timeouts: &Timeouts,
        permit: Permit,
        (head, mut body): (&RequestHead, Body),
    ) -> Result<(ResponseHead, Body), NoAnswer> {
        // Declared before any line, so that it is dropped after it.
        let permit = Rc::new(permit);
        let mut none = NoAnswer::Unreachable("the side has no origin".into());
        let first = self.pools.next_turn() % lane.origins.len().max(1);
        let (before, after) = lane.origins.split_at(first.min(lane.origins.len()));
        for origin in after.iter().chain(before) {
            // As often as there are pooled connections, at most, and once with a fresh one.
            loop {
                let pooled = self.pools.take(lane, origin);
                let is_fresh = pooled.is_none();
                let line = match pooled {
                    Some(line) => line,
                    None => match self.connect(lane, origin, timeouts, &permit).await {
                        Ok(line) => line,
                        Err(NoAnswer::Cut) => return Err(NoAnswer::Cut),
                        Err(why) => {
                            none = why;
                            break;
                        }
                    },
                };
                let line = self.seat(lane, line, &permit)?;
                match line.send(head, body, timeouts.response).await {
                    Ok(Answer::Plain(head, body)) => return Ok((head, body)),
                    Ok(Answer::Switched(head, end)) => {
                        let tunnel = Tunnel::new(end, &head, lane, timeouts.tunnel, &self.shard);
                        return Ok((head, Body::Tunnel(Box::new(tunnel))));
                    }
                    Err(Failure::NotSent(unsent)) => body = unsent,
                    Err(Failure::Broken(why)) => return Err(NoAnswer::Broken(why)),
                    Err(Failure::Timeout) => return Err(NoAnswer::ResponseTimeout),
                    Err(Failure::Cut) => return Err(NoAnswer::Cut),
                }
                if is_fresh {
                    none = NoAnswer::Broken("closed before the request".into());
                    break;
                }
            }
        }
        Err(none)
    }

    async fn connect(
        &self,
        lane: &Lane,
        origin: &OriginAddr,
        timeouts: &Timeouts,
        permit: &Permit,
    ) -> Result<Line, NoAnswer> {
        let line = async {
            let stream = Stream::connect(origin, &self.trust).await?;
            Line::begin(stream, self.pools.home(lane, origin)).await
        };
        // Every arm may be dropped: a connection half made is closed with its future.
        let line = tokio::select! {
            biased;
            () = self.pools.cut(|| permit.is_cut()) => return Err(NoAnswer::Cut),
            line = tokio::time::timeout(timeouts.connect, line) => line,
        };
        match line {
            Ok(Ok(line)) => {
                self.shard.connected(lane.site.as_str(), lane.side.as_str());
                Ok(line)
            }
            Ok(Err(error)) => Err(NoAnswer::Unreachable(format!("{origin}: {error}"))),
            Err(_) => Err(NoAnswer::ConnectTimeout),
        }
    }

    /// Seats the exchange, with a last look at its lane before the first byte.
    fn seat(&self, lane: &Lane, mut line: Line, permit: &Rc<Permit>) -> Result<Line, NoAnswer> {
        self.pools.seat(lane, &mut line, permit);
        if permit.is_stale() {
            self.shard.stale_epoch(lane.site.as_str());
            return Err(NoAnswer::Stale);
        }
        if permit.is_cut() {
            return Err(NoAnswer::Cut);
        }
        permit.begin_work();
        lane.gates.count_forwarded(now_ms());
        Ok(line)
    }
}

/// Milliseconds since the Unix epoch.
fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}
