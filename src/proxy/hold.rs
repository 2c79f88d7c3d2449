//! Waiting at a held gate: bounded in number and memory by the site's line, in time by its
//! patience.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::site::SiteName;
use crate::switchboard::{Gates, Joined, LineBounds, Pass, Place, Turn};
use crate::table::FlipPolicy;
use crate::telemetry::http::HttpShard;

use super::body::Body;
use super::head::RequestHead;

/// What of a body may lie in the memory of a held request, in bytes: nobody asks for any of it,
/// but the codec has room for this much before the client is made to wait.
const BODY_AHEAD_MAX: u64 = 256 * 1024;

/// Why a request left the hold without going on; its word is the metric's label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Evicted {
    /// Every place was taken, or the memory for them was.
    Full,
    /// It waited as long as the site allows.
    Timeout,
    /// The client left.
    ClientGone,
    /// The daemon stops.
    Shutdown,
}

impl Evicted {
    fn reason(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Timeout => "timeout",
            Self::ClientGone => "client_gone",
            Self::Shutdown => "shutdown",
        }
    }
}

/// One request's stay in the line of its site, from its first wait until it is let in.
pub(super) struct Stay<'s> {
    shard: &'s HttpShard,
    /// Becomes true when the worker stops.
    stopping: &'s watch::Receiver<bool>,
    request: (&'s RequestHead, &'s Body),
    place: Option<Place>,
    since: Option<Instant>,
    /// Counted as evicted when this is dropped in the middle of a wait.
    waits_at: Option<SiteName>,
}

impl<'s> Stay<'s> {
    pub(super) fn new(
        shard: &'s HttpShard,
        stopping: &'s watch::Receiver<bool>,
        request: (&'s RequestHead, &'s Body),
    ) -> Self {
        Self {
            shard,
            stopping,
            request,
            place: None,
            since: None,
            waits_at: None,
        }
    }

    /// What lets this request in: it has waited for its turn, or has yet to come to a line.
    pub(super) fn pass(&self) -> Pass {
        if self.since.is_some() {
            Pass::in_turn()
        } else {
            Pass::default()
        }
    }

    /// Waits in the line of these gates until it is this request's turn to enter.
    ///
    /// # Errors
    /// Why it may wait no longer; that is counted.
    ///
    /// # Cancel safety
    /// Dropping the stay (the client is gone) gives the place back and counts that.
    pub(super) async fn wait(
        &mut self,
        site: &SiteName,
        gates: &Gates,
        policy: &FlipPolicy,
    ) -> Result<(), Evicted> {
        self.waits_at = Some(site.clone());
        let waited = self.wait_in_line(gates, policy).await;
        self.waits_at = None;
        if let Err(evicted) = waited {
            self.place = None;
            self.shard.evicted(site.as_str(), evicted.reason());
        }
        waited
    }

    async fn wait_in_line(&mut self, gates: &Gates, policy: &FlipPolicy) -> Result<(), Evicted> {
        let since = *self.since.get_or_insert_with(Instant::now);
        let kept = self.place.take().filter(|place| place.is_in(gates.line()));
        let place = match kept {
            Some(place) => place,
            None => match gates.join(bytes_kept(self.request), bounds(policy)) {
                Joined::Waits(place) => place,
                Joined::Full => return Err(Evicted::Full),
                Joined::Over => return Ok(()),
            },
        };
        let place = self.place.insert(place);
        let mut stopping = self.stopping.clone();
        // Every arm may be dropped: the place is the stay's own.
        tokio::select! {
            biased;
            () = turn_of(place) => Ok(()),
            () = sleep_until(since + policy.hold_for) => Err(Evicted::Timeout),
            _ = stopping.wait_for(|&stopping| stopping) => Err(Evicted::Shutdown),
        }
    }
}

impl Drop for Stay<'_> {
    fn drop(&mut self) {
        if let Some(site) = &self.waits_at {
            let why = if *self.stopping.borrow() {
                Evicted::Shutdown
            } else {
                Evicted::ClientGone
            };
            self.shard.evicted(site.as_str(), why.reason());
        }
    }
}

/// Waits until it is the turn of a place; it sleeps until its slot, or until it is woken because
/// there is another.
async fn turn_of(place: &Place) {
    let mut slot = pin!(sleep_until(Instant::now()));
    poll_fn(|cx| {
        loop {
            match place.turn(cx.waker(), Instant::now().into_std()) {
                Turn::Now => return Poll::Ready(()),
                Turn::Later => return Poll::Pending,
                Turn::At(at) => slot.as_mut().reset(at.into()),
            }
            if slot.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
    })
    .await;
}

fn bounds(policy: &FlipPolicy) -> LineBounds {
    LineBounds {
        requests: policy.hold_requests,
        bytes: policy.hold_bytes,
        release_rate: policy.release_rate,
    }
}

/// Tells how much memory a request keeps while it waits, at most, in bytes.
fn bytes_kept((head, body): (&RequestHead, &Body)) -> u64 {
    let fields = head.headers.iter();
    let fields: usize = fields.map(|(name, value)| name.len() + value.len()).sum();
    let ahead = body.exact_size().unwrap_or(BODY_AHEAD_MAX);
    (head.target.len() + fields) as u64 + ahead.min(BODY_AHEAD_MAX)
}
