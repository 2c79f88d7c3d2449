//! An exchange with an origin of a lane: which one, on which connection, and when to try another.

use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::errno::Errno;

use crate::certs::Trust;
use crate::site::Storage;
use crate::switchboard::{Count, Lane, Permit, Switchboard};
use crate::table::{OriginAddr, Site, Timeouts};
use crate::telemetry::http::HttpShard;

use super::admit;
use super::body::Body;
use super::h1::client::{Answer, Failure, Line};
use super::head::{RequestHead, ResponseHead};
use super::outage;
use super::pool::Pools;
use super::stream::Stream;
use super::tunnel::Tunnel;

/// What a worker reaches origins with.
pub(super) struct Upstream {
    /// Where it is asked that writes be journalled.
    pub(super) board: Arc<Switchboard>,
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
    /// This machine has no socket left to connect from, which says nothing of the origins.
    NoSocket(String),
    /// The origin broke off before the head of its answer.
    Broken(String),
    /// The head of the answer did not come in time.
    ResponseTimeout,
    /// A flip ended it.
    Cut,
    /// It could not be journalled that the side takes writes: nothing was sent.
    Unjournalled,
    /// The lane was closed under a permit: a mistake of ours, and nothing was sent.
    Stale,
}

/// How long a write waits for the journal; an fsync takes milliseconds, and what does not come
/// within this is a disk that is full or gone.
const JOURNALLED_WITHIN: Duration = Duration::from_secs(5);

impl NoAnswer {
    fn reason(&self) -> &'static str {
        match self {
            Self::Unreachable(_) => "connect",
            Self::ConnectTimeout => "connect_timeout",
            Self::NoSocket(_) => "no_socket",
            Self::Broken(_) => "broken",
            Self::ResponseTimeout => "response_timeout",
            Self::Cut => "cut",
            Self::Unjournalled => "unjournalled",
            Self::Stale => "stale",
        }
    }
}

impl NoAnswer {
    /// Joins the ends of two tries: an origin that was reached counts for more than one that was
    /// not, and our own lack for more than what it makes of the origins.
    fn or(self, later: Self) -> Self {
        match (&self, &later) {
            (Self::Broken(_) | Self::NoSocket(_), Self::Unreachable(_) | Self::ConnectTimeout) => {
                self
            }
            _ => later,
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
        lane: &Arc<Lane>,
        site: &Site,
        permit: Permit,
        request: (&RequestHead, Body),
    ) -> Result<(ResponseHead, Body), NoAnswer> {
        let result = self.try_origins(lane, site, permit, request).await;
        if let Err(none) = &result {
            if let NoAnswer::Unreachable(_) | NoAnswer::ConnectTimeout = none {
                outage::found_down(site, lane, now_ms());
            }
            let (site, side) = (lane.site.as_str(), lane.side.as_str());
            self.shard.upstream_failed(site, side, none.reason());
            tracing::debug!(site, side, ?none, "no answer from an origin");
        }
        result
    }

    async fn try_origins(
        &self,
        lane: &Arc<Lane>,
        site: &Site,
        permit: Permit,
        (head, mut body): (&RequestHead, Body),
    ) -> Result<(ResponseHead, Body), NoAnswer> {
        // Declared before any line, so that it is dropped after it.
        let permit = Rc::new(permit);
        let timeouts = &site.timeouts;
        let mut is_counted = site.storage == Storage::Shared || !admit::writes(head);
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
                            none = none.or(why);
                            break;
                        }
                    },
                };
                if !is_counted {
                    self.count_write(lane, head.path(), &permit).await?;
                    is_counted = true;
                }
                let line = self.seat(lane, line, &permit)?;
                permit.begin_work();
                lane.gates.count_forwarded(now_ms());
                match line.send(head, body, timeouts.response).await {
                    Ok(Answer::Plain(head, body)) => {
                        outage::found_up(lane, now_ms);
                        return Ok((head, body));
                    }
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
                outage::found_up(lane, now_ms);
                Ok(line)
            }
            Ok(Err(error)) if is_our_own(&error) => Err(NoAnswer::NoSocket(error.to_string())),
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
        Ok(line)
    }

    /// Counts a write before its first byte; the first since its side was copied waits until the
    /// journal knows that there is one.
    async fn count_write(
        &self,
        lane: &Arc<Lane>,
        path: &str,
        permit: &Permit,
    ) -> Result<(), NoAnswer> {
        let tally = lane.gates.tally();
        let counted = async {
            loop {
                match tally.count(path, now_ms()) {
                    Count::Counted => return,
                    Count::Ask => self.board.ask_for_writes(lane),
                    Count::Waits => {}
                }
                tally.opened().await;
            }
        };
        // Every arm only looks.
        tokio::select! {
            biased;
            () = self.pools.cut(|| permit.is_cut()) => Err(NoAnswer::Cut),
            counted = tokio::time::timeout(JOURNALLED_WITHIN, counted) => {
                counted.map_err(|_| NoAnswer::Unjournalled)
            }
        }
    }
}

/// Tells whether it is this machine that has not enough of something to connect.
fn is_our_own(error: &io::Error) -> bool {
    let lacking = [
        Errno::EMFILE,
        Errno::ENFILE,
        Errno::ENOBUFS,
        Errno::ENOMEM,
        Errno::EADDRNOTAVAIL,
    ];
    let found = error.raw_os_error().map(Errno::from_raw);
    found.is_some_and(|errno| lacking.contains(&errno))
}

/// Milliseconds since the Unix epoch.
fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_this_machine_lacks_is_not_laid_on_the_origins() {
        let failed = |errno: Errno| io::Error::from_raw_os_error(errno as i32);

        assert!(is_our_own(&failed(Errno::EMFILE)));
        assert!(!is_our_own(&failed(Errno::ECONNREFUSED)));
        assert!(!is_our_own(&io::Error::other(
            "a certificate of somebody else"
        )));
        let (lack, refused) = (
            || NoAnswer::NoSocket("files".into()),
            || NoAnswer::Unreachable("refused".into()),
        );
        assert!(matches!(lack().or(refused()), NoAnswer::NoSocket(_)));
        assert!(matches!(refused().or(lack()), NoAnswer::NoSocket(_)));
        let broken = NoAnswer::Broken("closed".into());
        assert!(matches!(broken.or(refused()), NoAnswer::Broken(_)));
    }
}
