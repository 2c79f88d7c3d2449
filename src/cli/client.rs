//! Asking the daemon, wherever it is reached.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::admin::Problem;

use super::reach::Reached;

/// How long the daemon may take to answer; it answers from memory.
const DEADLINE: Duration = Duration::from_secs(10);

/// How long connecting may take, with all that is agreed on before HTTP.
const CONNECT_DEADLINE: Duration = Duration::from_secs(8);

/// The longest drain that a site may have is an hour.
const DRAIN_DEADLINE: Duration = Duration::from_secs(3_700);

/// The largest answer that is read: the status of a very large table is a few megabytes.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Why the daemon could not be asked, or did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(super) enum AskError {
    /// Nobody listens there, or nobody who is believed; nothing was asked.
    #[error("no daemon answers at {at}: {source}\n  {}", at.remedy())]
    Unreachable {
        /// Where it was looked for.
        at: Reached,
        /// What the system said.
        source: io::Error,
    },
    /// The connection was lost, or the answer was none.
    #[error("the daemon at {at} broke off: {why}")]
    BrokenOff {
        /// Where it was.
        at: Reached,
        /// What happened.
        why: String,
    },
    /// The daemon answered with something else than this program knows.
    #[error("the answer is not as expected, the daemon may be of another version: {0}")]
    Foreign(String),
    /// The daemon answered that it will not.
    #[error("{}", .0.detail)]
    Refused(Problem),
    /// The daemon did not let us ask: without a token, with a wrong one, or one that is not for
    /// this. Nothing happened.
    #[error("{}", .0.detail)]
    TurnedAway(Problem),
}

impl AskError {
    /// Reads what a daemon answered as what it should be.
    ///
    /// # Errors
    /// It is something else: the daemon is of another version.
    pub(super) fn read<T: DeserializeOwned>(answer: &serde_json::Value) -> Result<T, Self> {
        serde_json::from_value(answer.clone()).map_err(|error| Self::Foreign(error.to_string()))
    }
}

/// Writes a text as a value in a query (RFC 3986 §3.4).
pub(super) fn in_query(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    let each = text.bytes().map(|byte| match byte {
        plain if is_plain(plain) => char::from(plain).to_string(),
        other => format!("%{other:02X}"),
    });
    each.collect()
}

/// The daemon, by where it is reached.
#[derive(Clone, Debug)]
pub(super) struct Client {
    reached: Reached,
}

impl Client {
    /// Names the daemon; nothing is connected yet.
    pub(super) fn new(reached: Reached) -> Self {
        Self { reached }
    }

    /// Gets a document.
    ///
    /// # Errors
    /// See [`AskError`].
    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, AskError> {
        self.get_with_tag(path).await.map(|(document, _)| document)
    }

    /// Gets a document with its entity tag, if it has one.
    ///
    /// # Errors
    /// See [`AskError`].
    pub(super) async fn get_with_tag<T: DeserializeOwned>(
        &self,
        path: &str,
    ) -> Result<(T, Option<HeaderValue>), AskError> {
        self.ask(self.request(Method::GET, path, Bytes::new())?)
            .await
    }

    /// Posts a document and reads the answer; a tag is that of what the document was made from.
    ///
    /// # Errors
    /// See [`AskError`].
    pub(super) async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        document: &impl Serialize,
        seen: Option<&HeaderValue>,
    ) -> Result<T, AskError> {
        let document = serde_json::to_vec(document).map_err(|error| self.broken_off(&error))?;
        let mut asked = self.request(Method::POST, path, document.into())?;
        if let Some(seen) = seen {
            asked.headers_mut().insert(header::IF_MATCH, seen.clone());
        }
        self.ask(asked).await.map(|(answer, _)| answer)
    }

    /// Puts a document, which may take as long as the daemon drains a site, and reads the answer.
    ///
    /// # Errors
    /// See [`AskError`].
    pub(super) async fn put_and_wait<T: DeserializeOwned>(
        &self,
        path: &str,
        document: &impl Serialize,
    ) -> Result<T, AskError> {
        let document = serde_json::to_vec(document).map_err(|error| self.broken_off(&error))?;
        let asked = self.request(Method::PUT, path, document.into())?;
        let answered = self.ask_within(DRAIN_DEADLINE, asked).await;
        answered.map(|(answer, _)| answer)
    }

    /// Posts a document whose answer may take as long as all checks of some sites.
    ///
    /// # Errors
    /// See [`AskError`].
    pub(super) async fn post_and_wait<T: DeserializeOwned>(
        &self,
        path: &str,
        document: &impl Serialize,
    ) -> Result<T, AskError> {
        let document = serde_json::to_vec(document).map_err(|error| self.broken_off(&error))?;
        let asked = self.request(Method::POST, path, document.into())?;
        let answered = self.ask_within(DRAIN_DEADLINE, asked).await;
        answered.map(|(answer, _)| answer)
    }

    /// Deletes a thing; what is answered is of no interest.
    ///
    /// # Errors
    /// See [`AskError`].
    pub(super) async fn delete(&self, path: &str) -> Result<(), AskError> {
        let done = async {
            let asked = self.request(Method::DELETE, path, Bytes::new())?;
            let answer = self.send(asked).await?;
            self.whole(answer).await
        };
        self.in_time(done).await.map(drop)
    }

    /// Opens an event stream; only its head has a deadline.
    ///
    /// # Errors
    /// See [`AskError`].
    pub(super) async fn events(&self, path: &str) -> Result<Events, AskError> {
        let opened = async {
            let asked = self.request(Method::GET, path, Bytes::new())?;
            let answer = self.send(asked).await?;
            if answer.status() == StatusCode::OK {
                return Ok(answer.into_body());
            }
            self.whole(answer).await?;
            Err(self.broken_off(&"no event stream"))
        };
        Ok(Events {
            body: self.in_time(opened).await?,
            unread: Vec::new(),
        })
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        asked: Request<Full<Bytes>>,
    ) -> Result<(T, Option<HeaderValue>), AskError> {
        self.ask_within(DEADLINE, asked).await
    }

    async fn ask_within<T: DeserializeOwned>(
        &self,
        within: Duration,
        asked: Request<Full<Bytes>>,
    ) -> Result<(T, Option<HeaderValue>), AskError> {
        let done = async {
            let answer = self.send(asked).await?;
            let tag = answer.headers().get(header::ETAG).cloned();
            let body = self.whole(answer).await?;
            let document =
                serde_json::from_slice(&body).map_err(|error| self.broken_off(&error))?;
            Ok((document, tag))
        };
        self.within(within, done).await
    }

    fn request(
        &self,
        method: Method,
        path: &str,
        document: Bytes,
    ) -> Result<Request<Full<Bytes>>, AskError> {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, self.reached.host())
            .header(header::CONTENT_TYPE, "application/json");
        if let Some(authorization) = self.reached.authorization() {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        let request = request.body(Full::new(document));
        request.map_err(|error| self.broken_off(&error))
    }

    async fn send(
        &self,
        request: Request<Full<Bytes>>,
    ) -> Result<http::Response<Incoming>, AskError> {
        let stream = tokio::time::timeout(CONNECT_DEADLINE, self.reached.connect()).await;
        let stream = stream.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        let stream = stream.map_err(|source| AskError::Unreachable {
            at: self.reached.clone(),
            source,
        })?;
        let shaken = http1::handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = shaken.map_err(|error| self.broken_off(&error))?;
        // It ends with the request's body and response, which this process waits for; and what
        // goes wrong with it is reported there.
        tokio::spawn(connection);
        let answer = sender.send_request(request).await;
        answer.map_err(|error| self.broken_off(&error))
    }

    /// Reads a whole answer; one that is no success is an error.
    async fn whole(&self, answer: http::Response<Incoming>) -> Result<Bytes, AskError> {
        let status = answer.status();
        let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX);
        let body = body
            .collect()
            .await
            .map_err(|error| self.broken_off(&error))?;
        let body = body.to_bytes();
        if status.is_success() {
            return Ok(body);
        }
        let problem = serde_json::from_slice(&body);
        Err(problem.map_or_else(
            |_| self.broken_off(&format!("it answered {status}")),
            |problem| match status {
                StatusCode::UNAUTHORIZED
                | StatusCode::FORBIDDEN
                | StatusCode::TOO_MANY_REQUESTS => AskError::TurnedAway(problem),
                _ => AskError::Refused(problem),
            },
        ))
    }

    async fn in_time<T>(
        &self,
        asked: impl Future<Output = Result<T, AskError>>,
    ) -> Result<T, AskError> {
        self.within(DEADLINE, asked).await
    }

    async fn within<T>(
        &self,
        within: Duration,
        asked: impl Future<Output = Result<T, AskError>>,
    ) -> Result<T, AskError> {
        let answered = tokio::time::timeout(within, asked).await;
        answered.unwrap_or_else(|_| {
            let seconds = within.as_secs();
            Err(self.broken_off(&format!("no answer in {seconds} s")))
        })
    }

    fn broken_off(&self, why: &dyn std::fmt::Display) -> AskError {
        AskError::BrokenOff {
            at: self.reached.clone(),
            why: why.to_string(),
        }
    }
}

/// The largest event: one flip with its timeline.
const EVENT_BYTES_MAX: usize = 1024 * 1024;

/// The daemon sends something at least every 5 s; after this much silence it is not there.
const SILENCE_MAX: Duration = Duration::from_secs(20);

/// The data lines of an event stream.
#[derive(Debug)]
pub(super) struct Events {
    body: Incoming,
    unread: Vec<u8>,
}

impl Events {
    /// Waits for the next event's data; `None` when the stream ended or broke off.
    pub(super) async fn next(&mut self) -> Option<Vec<u8>> {
        loop {
            while let Some(end) = self.unread.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.unread.drain(..=end).collect();
                if let Some(data) = line.strip_prefix(b"data: ") {
                    return Some(data.trim_ascii_end().to_owned());
                }
            }
            if self.unread.len() > EVENT_BYTES_MAX {
                return None;
            }
            let frame = tokio::time::timeout(SILENCE_MAX, self.body.frame()).await;
            let piece = frame.ok()??.ok()?.into_data().ok()?;
            self.unread.extend_from_slice(&piece);
        }
    }
}
