//! What happens to a request, from top to bottom.

use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use http::Method;
use tokio::sync::watch;
use tokio::task::spawn_local;
use tokio::time::timeout;

use crate::certs::Trust;
use crate::switchboard::{Lane, Switchboard};
use crate::telemetry::http::HttpShard;

use super::access::Record;
use super::admit::{Admission, Found};
use super::body::{Body, Part};
use super::client::{Client, Misdirected};
use super::error::Error;
use super::fence::Fence;
use super::forward::{self, RequestIds};
use super::head::{RequestHead, ResponseHead, Version};
use super::page::Why;
use super::pool::Pools;
use super::upstream::{NoAnswer, Upstream};

/// What serves the requests of one worker.
pub(super) struct Service {
    pub(super) board: Arc<Switchboard>,
    pub(super) upstream: Upstream,
    pub(super) ids: RequestIds,
    pub(super) fence: Fence,
    /// Becomes true when the worker stops: nobody is to wait any more.
    pub(super) stopping: watch::Receiver<bool>,
}

impl Service {
    pub(super) fn new(
        board: Arc<Switchboard>,
        pools: Rc<Pools>,
        shard: Arc<HttpShard>,
        stopping: watch::Receiver<bool>,
    ) -> Self {
        Self {
            stopping,
            upstream: Upstream {
                board: Arc::clone(&board),
                pools,
                trust: Trust::default(),
                shard,
            },
            ids: RequestIds::default(),
            board,
            fence: Fence::default(),
        }
    }

    /// Answers a request, whatever comes.
    ///
    /// # Cancel safety
    /// Dropping the future (the client is gone) closes the connection to the origin, then ends
    /// the permit.
    pub(super) async fn answer(
        &self,
        client: &Client,
        mut head: RequestHead,
        body: Body,
        record: &mut Record,
    ) -> (ResponseHead, Body) {
        let is_head = head.method == Method::HEAD;
        let mut body = Some(body);
        let result = self.route(client, &mut head, &mut body, record).await;
        if let (Some(unread), Version::Http2) = (body, head.version) {
            let_end(unread);
        }
        let (head, body) = result.unwrap_or_else(|error| {
            if let Error::BadGateway { .. } | Error::GatewayTimeout { .. } = error {
                tracing::debug!(%error, "answered in an origin's place");
            }
            error.answer(&head)
        });
        record.answered(head.status);
        match body {
            // RFC 9110 §9.3.2: no content; of our own answers hyper sends it over HTTP/2.
            Body::Full(_) if is_head => (head, Body::Empty),
            Body::Full(_) | Body::Empty | Body::Stream(_) | Body::Tunnel(_) => (head, body),
        }
    }

    async fn route(
        &self,
        client: &Client,
        head: &mut RequestHead,
        body: &mut Option<Body>,
        record: &mut Record,
    ) -> Result<(ResponseHead, Body), Error> {
        if head.method == Method::CONNECT {
            return Err(Error::NotImplemented);
        }
        let host = host(head)?;
        client
            .may_ask(without_port(&host))
            .map_err(|Misdirected| Error::Misdirected)?;
        let arriving = body.as_ref().unwrap_or(&Body::Empty);
        let admitted = self.admit(client, &host, (&*head, arriving), record);
        let (found, lane, permit) = match admitted.await? {
            Admission::Itself(answer) => return Ok(answer),
            Admission::To(found, lane, permit) => (found, lane, permit),
        };
        forward::request(head, &host, client, &self.ids);
        let generation = found.generation;
        self.fence
            .tell(&mut head.headers, &lane, generation, &self.board);
        let body = body.take().unwrap_or(Body::Empty);
        let exchange = self
            .upstream
            .exchange(&lane, &found.site, permit, (&*head, body));
        let (mut answer, body) = exchange
            .await
            .map_err(|none| refused(none, &found, &lane))?;
        record.of_side(&lane.side);
        forward::response(&mut answer);
        Ok((answer, body))
    }
}

/// How much of a body that nobody wants is read, in bytes, and for how long.
const UNWANTED_MAX: usize = 64 * 1024;
const UNWANTED_FOR: Duration = Duration::from_secs(5);

/// Has the body of a request that was answered by ourselves come to its end, if it is short: over
/// HTTP/2 a stream that is dropped before its end is reset, and a connection on which that happens
/// too often is ended (RFC 9113 §10.5), with whatever else a client has on it.
fn let_end(mut body: Body) {
    if body.is_ended() {
        return;
    }
    // It ends with the body, or with its bounds.
    spawn_local(timeout(UNWANTED_FOR, async move {
        let mut left = UNWANTED_MAX;
        while let Some(Ok(Part::Chunk(chunk))) = poll_fn(|cx| body.poll_part(cx)).await {
            let Some(less) = left.checked_sub(chunk.len()) else {
                return;
            };
            left = less;
        }
    }));
}

fn refused(none: NoAnswer, found: &Found, lane: &Lane) -> Error {
    let (site, side) = (Arc::clone(&found.site), lane.side.clone());
    match none {
        NoAnswer::Unreachable(why) | NoAnswer::NoSocket(why) | NoAnswer::Broken(why) => {
            Error::BadGateway { site, side, why }
        }
        NoAnswer::ConnectTimeout => Error::GatewayTimeout {
            site,
            side,
            what: "accept a connection",
        },
        NoAnswer::ResponseTimeout => Error::GatewayTimeout {
            site,
            side,
            what: "answer",
        },
        NoAnswer::Cut => found.page(Why::Cut),
        NoAnswer::Unjournalled => found.page(Why::Unjournalled),
        NoAnswer::Stale => {
            tracing::error!(
                site = %lane.site,
                epoch = %lane.epoch,
                "a permit outlived its lane: please report this as a bug"
            );
            found.page(Why::ClosedTwice)
        }
    }
}

/// The longest host, in bytes: a name of 253 (RFC 1035 §2.3.4), its final dot, and a port.
const HOST_MAX: usize = 260;

/// Finds the host a request is for, as the client wrote it.
fn host(head: &RequestHead) -> Result<String, Error> {
    let mut fields = head.headers.all("host");
    // RFC 9112 §3.2: none, or more than one, is a bad request.
    let (field, more) = (fields.next(), fields.next());
    if more.is_some() {
        return Err(Error::BadRequest("A request has one Host."));
    }
    let host = match (&head.authority, field) {
        // RFC 9112 §3.2.2: the authority of an absolute target counts, not the Host beside it.
        (Some(authority), _) => authority.to_string(),
        (None, Some(value)) => std::str::from_utf8(value).unwrap_or_default().into(),
        (None, None) => return Err(Error::BadRequest("A request names its Host.")),
    };
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~[]:%".contains(&byte);
    if host.len() > HOST_MAX || host.is_empty() || !host.bytes().all(allowed) {
        return Err(Error::BadRequest("This is no name of a host."));
    }
    Ok(host)
}

/// Strips the port, and the final dot of a name in full.
pub(super) fn without_port(host: &str) -> &str {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        Some(_) | None => host,
    };
    name.strip_suffix('.').unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn port_and_final_dot_are_no_part_of_a_name() {
        assert_eq!(without_port("a.example:8080"), "a.example");
        assert_eq!(without_port("a.example.:80"), "a.example");
        assert_eq!(without_port("a.example."), "a.example");
        assert_eq!(without_port("[::1]:80"), "[::1]");
        assert_eq!(without_port("[::1]"), "[::1]");
    }
}
