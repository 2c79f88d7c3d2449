//! The doorkeeper: who may ask for what, looked at before any handler is.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use aws_lc_rs::{constant_time, digest};
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use http_body::Frame;

use crate::switchboard::Switchboard;
use crate::table::Token;
use crate::telemetry::{AdminMetrics, AdminRefused};

use super::Parts;
use super::failures::Failures;
use super::peer::{Peer, Way};
use super::problem::Problem;
use super::scope::{self, Open};

/// The longest secret that is looked at, in bytes; those of `pointsman token` have 46.
const SECRET_BYTES_MAX: usize = 256;

/// Decides who is let in over TCP, and as whom.
#[derive(Debug)]
pub(super) struct Doorkeeper {
    /// Where the tokens are, as the table of this instant has them.
    switchboard: Arc<Switchboard>,
    metrics: Arc<AdminMetrics>,
    failures: Mutex<Failures>,
}

impl Doorkeeper {
    pub(super) fn new(parts: &Parts) -> Self {
        Self {
            switchboard: Arc::clone(&parts.switchboard),
            metrics: Arc::clone(&parts.metrics.admin),
            failures: Mutex::default(),
        }
    }

    /// Tells who asks; or the answer to somebody who may not.
    pub(super) fn admit(
        &self,
        way: Way,
        method: &Method,
        path: &str,
        headers: &HeaderMap,
    ) -> Result<Peer, Box<Response>> {
        let from = match way {
            Way::Socket { uid } => return Ok(Peer::Socket { uid }),
            Way::Tcp { from } | Way::Tls { from } => from,
        };
        let open = scope::open(method, path);
        let Some(said) = headers.get(header::AUTHORIZATION) else {
            return self.without_token(way, method, open);
        };
        let now = Instant::now();
        if let Some(wait) = self.failures().blocked(from, now) {
            return Err(self.limited(wait));
        }
        let Some(token) = secret(said).and_then(|secret| self.holder(secret)) else {
            self.failures().failed(from, now);
            tracing::warn!(%from, "somebody came to the admin listener with a token that is none");
            return Err(self.unknown());
        };
        if !open.allows(token.scope) {
            return Err(self.out_of_scope(&token, open));
        }
        Ok(Peer::Token(token))
    }

    /// Counts a client with which no TLS was agreed on.
    pub(super) fn not_greeted(&self, way: Way, error: &std::io::Error) {
        tracing::debug!(?way, %error, "an admin connection was not agreed on");
        self.metrics.refused(AdminRefused::Handshake);
    }

    /// Ends an answer when the token that it is given to is no more, as a stream of events may go
    /// on for an hour.
    pub(super) fn watch(&self, peer: &Peer, answer: Response) -> Response {
        let Peer::Token(token) = peer else {
            return answer;
        };
        let watched = |body| {
            Body::new(Watched {
                body,
                token: Arc::clone(token),
                switchboard: Arc::clone(&self.switchboard),
            })
        };
        answer.map(watched)
    }

    /// Lets in who may read without a token.
    fn without_token(&self, way: Way, method: &Method, open: Open) -> Result<Peer, Box<Response>> {
        let only_reads = [Method::GET, Method::HEAD].contains(method);
        let has_tokens = || !self.switchboard.load().table.admin.tokens.is_empty();
        match way {
            _ if open == Open::ToAll => Ok(Peer::Tcp),
            // Where nobody has a token the handlers say that this listener only reads.
            Way::Socket { .. } | Way::Tcp { .. } if only_reads || !has_tokens() => Ok(Peer::Tcp),
            Way::Socket { .. } | Way::Tcp { .. } | Way::Tls { .. } => Err(self.missing()),
        }
    }

    /// Finds whose secret it is. Each token is looked at, in a time that does not tell how much of
    /// a secret was right.
    fn holder(&self, secret: &[u8]) -> Option<Arc<Token>> {
        let given = digest::digest(&digest::SHA256, secret);
        let snapshot = self.switchboard.load();
        let mut holder = None;
        for token in &snapshot.table.admin.tokens {
            if constant_time::verify_slices_are_equal(&token.digest, given.as_ref()).is_ok() {
                holder = Some(Arc::new(token.clone()));
            }
        }
        holder
    }

    fn missing(&self) -> Box<Response> {
        self.metrics.refused(AdminRefused::Missing);
        let detail = "say who you are: `Authorization: Bearer SECRET`, or \
                      `pointsman … --token-file FILE`";
        let problem = Problem::new(StatusCode::UNAUTHORIZED, "token-needed", detail);
        challenged(problem, "Bearer realm=\"pointsman\"")
    }

    fn unknown(&self) -> Box<Response> {
        self.metrics.refused(AdminRefused::Unknown);
        let detail = "this token is none of `admin.tokens`: it was taken out, or is that of \
                      another daemon; `pointsman token` makes a new one";
        let problem = Problem::new(StatusCode::UNAUTHORIZED, "token-unknown", detail);
        challenged(
            problem,
            "Bearer realm=\"pointsman\", error=\"invalid_token\"",
        )
    }

    fn out_of_scope(&self, token: &Token, open: Open) -> Box<Response> {
        self.metrics.refused(AdminRefused::Scope);
        let scopes: Vec<_> = open.scopes().map(|scope| scope.word()).collect();
        let Token { name, scope, .. } = token;
        let needed = scopes.join("` or `");
        let detail = format!(
            "the token {name} is of scope `{scope}`, and this takes one of scope `{needed}`"
        );
        let problem = Problem::new(StatusCode::FORBIDDEN, "scope-needed", &detail);
        // RFC 6750 §3: one that is enough.
        let enough = scopes.first().copied().unwrap_or_default();
        challenged(
            problem,
            &format!(
                "Bearer realm=\"pointsman\", error=\"insufficient_scope\", scope=\"{enough}\""
            ),
        )
    }

    fn limited(&self, wait: Duration) -> Box<Response> {
        self.metrics.refused(AdminRefused::Limited);
        let seconds = wait.as_secs() + 1;
        let detail = format!(
            "too many wrong tokens came from this address; ask again in {seconds} s with a right one"
        );
        let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, "too-many-failures", &detail);
        let mut response = problem.into_response();
        let headers = response.headers_mut();
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        Box::new(response)
    }

    fn failures(&self) -> std::sync::MutexGuard<'_, Failures> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads `Bearer SECRET` (RFC 6750 §2.1).
fn secret(said: &HeaderValue) -> Option<&[u8]> {
    let (scheme, secret) = said.as_bytes().split_at_checked(7)?;
    let is_bearer = scheme.eq_ignore_ascii_case(b"bearer ");
    let secret = secret.trim_ascii();
    (is_bearer && !secret.is_empty() && secret.len() <= SECRET_BYTES_MAX).then_some(secret)
}

/// Makes the answer of a problem that a token would solve (RFC 6750 §3).
fn challenged(problem: Problem, challenge: &str) -> Box<Response> {
    let mut response = problem.into_response();
    if let Ok(challenge) = HeaderValue::from_str(challenge) {
        let headers = response.headers_mut();
        headers.insert(header::WWW_AUTHENTICATE, challenge);
    }
    Box::new(response)
}

/// A body for as long as the table has the token.
struct Watched {
    body: Body,
    token: Arc<Token>,
    switchboard: Arc<Switchboard>,
}

impl http_body::Body for Watched {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        if frame.is_ready()
            && !self
                .switchboard
                .load()
                .table
                .admin
                .tokens
                .contains(&self.token)
        {
            return Poll::Ready(Some(Err(axum::Error::new("the token was taken out"))));
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.body.size_hint()
    }
}
