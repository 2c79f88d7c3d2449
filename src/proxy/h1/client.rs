//! One connection to an origin, and the permit that rides with it.
//!
//! A [`Line`] shares its [`Wire`] with the task that drives it.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::StatusCode;
use http_body::Body as _;
use hyper::body::Incoming;
use hyper::client::conn::http1::{Builder, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::time::{Instant, sleep_until};

use crate::proxy::body::{Body, BodyError, Part, Parts};
use crate::proxy::forward;
use crate::proxy::head::{RequestHead, ResponseHead};
use crate::proxy::pool::Home;
use crate::proxy::stream::Stream;
use crate::proxy::tunnel::OriginEnd;
use crate::switchboard::Permit;

use super::convert::{self, Outgoing, Progress, poll_part};
use super::wire::Wire;

/// How much of a head or body hyper may buffer, in bytes: big bodies move in fewer calls.
const BUFFER_MAX: usize = 256 * 1024;
/// How long an exchange whose answer has ended may still take to send its request's rest.
const SETTLE_FOR: Duration = Duration::from_secs(30);

/// A connection to an origin, with whatever exchange is on it.
///
/// Dropping it closes the socket, and only then lets go of the permit.
pub(in crate::proxy) struct Line {
    sender: SendRequest<Outgoing>,
    wire: Rc<Wire>,
    home: Rc<Home>,
    /// Since when it lies idle in its pool.
    pub(in crate::proxy) idle_since: Instant,
}

/// What an origin said.
pub(in crate::proxy) enum Answer {
    /// The head of an answer, and a body that may be on its way.
    Plain(ResponseHead, Body),
    /// That from here on it speaks what was asked for (RFC 9110 §15.2.2).
    Switched(ResponseHead, OriginEnd),
}

/// Why an exchange got no answer.
pub(in crate::proxy) enum Failure {
    /// Not one byte was sent: the body is as it was.
    NotSent(Body),
    /// Something may have been sent, so nobody may try again.
    Broken(String),
    /// The answer's head did not come in time.
    Timeout,
    /// A flip ended it.
    Cut,
}

impl Line {
    /// Begins to speak on a connection to an origin.
    pub(in crate::proxy) async fn begin(stream: Stream, home: Rc<Home>) -> std::io::Result<Self> {
        let (sender, connection) = Builder::new()
            .max_buf_size(BUFFER_MAX)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(std::io::Error::other)?;
        let wire = Rc::new(Wire::new(connection));
        let driven = Rc::clone(&wire);
        // It ends with its connection: at the latest when the line is dropped.
        tokio::task::spawn_local(poll_fn(move |cx| driven.poll_drive(cx)));
        Ok(Self {
            sender,
            wire,
            home,
            idle_since: Instant::now(),
        })
    }

    /// Tells whether the origin has closed it.
    pub(in crate::proxy) fn is_closed(&self) -> bool {
        self.sender.is_closed() || self.wire.is_over()
    }

    pub(in crate::proxy) fn wire(&self) -> &Rc<Wire> {
        &self.wire
    }

    /// Seats an exchange: from here its permit ends with it, or with the socket.
    pub(in crate::proxy) fn seat(&mut self, permit: &Rc<Permit>) -> &Rc<Wire> {
        self.wire.seat(permit);
        &self.wire
    }

    /// Sends a request and waits for the head of its answer, `within` from the request's end.
    ///
    /// # Errors
    /// See [`Failure`]; the line is closed then.
    ///
    /// # Cancel safety
    /// Dropping the future closes the line.
    pub(in crate::proxy) async fn send(
        mut self,
        head: &RequestHead,
        body: Body,
        within: Duration,
    ) -> Result<Answer, Failure> {
        let asks_upgrade = head.headers.contains("upgrade");
        self.wire.expect_upgrade(asks_upgrade);
        let progress = Progress::new();
        let outgoing = Outgoing {
            body,
            progress: Rc::clone(&progress),
        };
        let request = convert::hyper_request(head, outgoing)
            .map_err(|error| Failure::Broken(error.to_string()))?;
        let answer = self.sender.try_send_request(request);
        // Both arms only look: what is dropped with them is dropped with the line anyway.
        let answer = tokio::select! {
            biased;
            answer = answer => answer,
            () = overdue(&progress, within) => return Err(Failure::Timeout),
        };
        match answer {
            Ok(response) if response.status() == StatusCode::SWITCHING_PROTOCOLS => {
                self.switched(&response, head).await
            }
            Ok(response) => {
                let (head, body) = self.answered(response);
                Ok(Answer::Plain(head, body))
            }
            Err(_) if self.wire.was_cut() => Err(Failure::Cut),
            Err(mut error) => Err(match error.take_message() {
                Some(request) => {
                    self.wire.end_work();
                    Failure::NotSent(request.into_body().body)
                }
                None => Failure::Broken(error.into_error().to_string()),
            }),
        }
    }

    async fn switched(
        self,
        response: &hyper::Response<Incoming>,
        asked: &RequestHead,
    ) -> Result<Answer, Failure> {
        let head = convert::response_head(response);
        if !forward::was_offered(&asked.headers, &head.headers) {
            let why = "it switched protocols, which nobody asked for";
            return Err(Failure::Broken(why.into()));
        }
        // What it does from here on is the tunnel's affair.
        self.wire.end_work();
        // Its task is done with it as soon as it has seen the same head.
        self.wire.over().await;
        match (self.wire.take_freed(), self.wire.take_permit()) {
            (Some(stream), Some(permit)) => {
                let home = Rc::clone(&self.home);
                let end = OriginEnd {
                    stream,
                    permit,
                    home,
                };
                Ok(Answer::Switched(head, end))
            }
            (_, _) if self.wire.was_cut() => Err(Failure::Cut),
            (_, _) => Err(Failure::Broken(
                "closed as it switched protocols".to_owned(),
            )),
        }
    }

    fn answered(self, response: hyper::Response<Incoming>) -> (ResponseHead, Body) {
        let head = convert::response_head(&response);
        let incoming = response.into_body();
        let mut body = OriginBody {
            incoming,
            line: Some(self),
        };
        if body.incoming.is_end_stream() {
            body.settle();
            return (head, Body::Empty);
        }
        (head, Body::Stream(Box::new(body)))
    }

    /// Ends the exchange: the permit goes, and the line goes home if both directions are done.
    fn settle(mut self) {
        self.wire.end_work();
        let mut cx = Context::from_waker(std::task::Waker::noop());
        match self.sender.poll_ready(&mut cx) {
            Poll::Ready(Ok(())) => self.go_home(),
            Poll::Ready(Err(_)) => {}
            Poll::Pending => {
                tokio::task::spawn_local(async move {
                    let ready = tokio::time::timeout(SETTLE_FOR, self.sender.ready()).await;
                    if matches!(ready, Ok(Ok(()))) {
                        self.go_home();
                    }
                });
            }
        }
    }

    fn go_home(self) {
        self.wire.expect_upgrade(false);
        drop(self.wire.take_permit());
        let home = Rc::clone(&self.home);
        home.take_back(self);
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.home.leave(&self.wire);
        self.wire.close();
    }
}

/// Returns when the origin has been waited for too long.
async fn overdue(progress: &Progress, within: Duration) {
    loop {
        let due = progress.since() + within;
        if due <= Instant::now() {
            return;
        }
        sleep_until(due).await;
    }
}

/// The body of an origin's answer; dropped before its end, it closes the line.
struct OriginBody {
    incoming: Incoming,
    /// `None` when the answer has ended.
    line: Option<Line>,
}

impl OriginBody {
    fn settle(&mut self) {
        if let Some(line) = self.line.take() {
            line.settle();
        }
    }
}

impl Parts for OriginBody {
    fn poll_part(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Part, BodyError>>> {
        let polled = poll_part(&mut self.incoming, cx);
        match &polled {
            Poll::Pending => {}
            Poll::Ready(Some(Err(_))) => self.line = None,
            // The end of a counted body is known with its last chunk, that of any other with its
            // trailers, and nobody asks again.
            Poll::Ready(Some(Ok(Part::Chunk(_)))) if !self.incoming.is_end_stream() => {}
            Poll::Ready(Some(Ok(Part::Chunk(_) | Part::Trailers(_))) | None) => self.settle(),
        }
        polled.map(|next| next.map(|part| part.map_err(|e| BodyError::Origin(e.to_string()))))
    }

    fn exact_size(&self) -> Option<u64> {
        self.incoming.size_hint().exact()
    }

    fn is_ended(&self) -> bool {
        self.incoming.is_end_stream()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::{Shutdown, TcpListener};
    use std::sync::Arc;

    use tokio::io::AsyncReadExt;
    use tokio::net::TcpStream;

    use super::*;
    use crate::certs::Trust;
    use crate::proxy::head::{Headers, Version};
    use crate::proxy::pool::Pools;
    use crate::site::{Epoch, SideName, SiteName};
    use crate::switchboard::{Gates, Lane};
    use crate::table::OriginAddr;

    #[test]
    fn a_body_comes_back_when_the_origin_was_gone_before_the_first_byte() -> std::io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        tokio::task::LocalSet::new().block_on(&runtime, async {
            let listener = TcpListener::bind("127.0.0.1:0")?;
            let address = listener.local_addr()?;
            let origin = OriginAddr {
                host: address.ip().to_string(),
                port: address.port(),
                tls: None,
            };
            let lane = Lane {
                site: SiteName::new("ispot"),
                side: SideName::new("live"),
                epoch: Epoch(1),
                origins: vec![origin.clone()],
                gates: Arc::new(Gates::default()),
            };
            let pools = Rc::new(Pools::default());
            let stream = Stream::connect(&origin, &Trust::default()).await?;
            let line = Line::begin(stream, pools.home(&lane, &origin)).await?;
            let (peer, _) = listener.accept()?;
            let mut bell = TcpStream::connect(address).await?;
            let (mut ringer, _) = listener.accept()?;
            tokio::task::yield_now().await;
            // One turn of the event loop learns of both, and wakes us before the line's task.
            peer.shutdown(Shutdown::Both)?;
            ringer.write_all(b"!")?;
            bell.read_u8().await?;
            assert!(!line.is_closed(), "the line does not know yet");
            let head = RequestHead {
                method: http::Method::POST,
                target: "/".into(),
                authority: None,
                version: Version::Http11,
                headers: Headers::default(),
            };
            let body = Body::Full("whole".into());
            let sent = line.send(&head, body, Duration::from_secs(10)).await;
            let back = matches!(&sent, Err(Failure::NotSent(Body::Full(b))) if b == "whole");
            assert!(back, "the body is lost");
            Ok(())
        })
    }
}
