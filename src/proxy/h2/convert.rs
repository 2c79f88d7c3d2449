//! Between hyper's heads and bodies of HTTP/2 and our own.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::HeaderMap;
use http::uri::PathAndQuery;
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;

use crate::proxy::access::Record;
use crate::proxy::body::{Body, BodyError, Part, Parts};
use crate::proxy::h1::convert::{fields, frame, headers, hint, poll_part};
use crate::proxy::head::{RequestHead, ResponseHead, Version};

use super::patience::Stream;

/// Takes a request's head over.
pub(super) fn request_head(request: &hyper::Request<Incoming>) -> RequestHead {
    let uri = request.uri();
    let target = uri.path_and_query().map_or("/", PathAndQuery::as_str);
    RequestHead {
        method: request.method().clone(),
        target: target.into(),
        // RFC 9113 §8.3.1: `:authority` stands in the place of Host.
        authority: uri.authority().map(|authority| authority.as_str().into()),
        version: Version::Http2,
        headers: headers(&joined_cookies(request.headers())),
    }
}

/// Joins what may come as a field for each cookie: HTTP/1.1 knows one only (RFC 9113 §8.2.3).
fn joined_cookies(fields: &HeaderMap) -> std::borrow::Cow<'_, HeaderMap> {
    let mut crumbs = fields.get_all(http::header::COOKIE).iter();
    let (Some(first), Some(second)) = (crumbs.next(), crumbs.next()) else {
        return std::borrow::Cow::Borrowed(fields);
    };
    let mut cookie = first.as_bytes().to_vec();
    for crumb in std::iter::once(second).chain(crumbs) {
        cookie.extend_from_slice(b"; ");
        cookie.extend_from_slice(crumb.as_bytes());
    }
    let mut joined = fields.clone();
    // Parts that were allowed are allowed together.
    if let Ok(cookie) = http::HeaderValue::from_maybe_shared(Bytes::from(cookie)) {
        joined.insert(http::header::COOKIE, cookie);
    }
    std::borrow::Cow::Owned(joined)
}

/// Gives a response to hyper.
pub(super) fn hyper_response(head: &ResponseHead, body: Served) -> hyper::Response<Served> {
    let mut response = hyper::Response::new(body);
    *response.status_mut() = head.status;
    *response.headers_mut() = fields(&head.headers);
    response
}

/// The body of a client's request.
pub(super) struct ClientBody {
    incoming: Incoming,
    stream: Rc<Stream>,
}

impl ClientBody {
    /// Takes a body over, without reading any of it.
    pub(super) fn take(incoming: Incoming, stream: &Rc<Stream>) -> Body {
        if incoming.is_end_stream() {
            return Body::Empty;
        }
        Body::Stream(Box::new(Self {
            incoming,
            stream: Rc::clone(stream),
        }))
    }
}

impl Parts for ClientBody {
    fn poll_part(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Part, BodyError>>> {
        let polled = poll_part(&mut self.incoming, cx);
        self.stream.reading(polled.is_pending());
        if let Poll::Ready(Some(Ok(Part::Chunk(bytes)))) = &polled {
            self.stream.carried(bytes.len());
        }
        polled.map(|next| next.map(|part| part.map_err(|e| BodyError::Client(e.to_string()))))
    }

    fn exact_size(&self) -> Option<u64> {
        self.incoming.size_hint().exact()
    }

    fn is_ended(&self) -> bool {
        self.incoming.is_end_stream()
    }
}

impl Drop for ClientBody {
    fn drop(&mut self) {
        self.stream.reading(false);
    }
}

/// An answer's body as hyper sends it to the client; its end is the end of the request.
pub(super) struct Served {
    body: Body,
    stream: Rc<Stream>,
    /// Its end was given to hyper; a body of unknown length cannot tell by itself.
    ended: bool,
    /// Counted and logged when this is dropped.
    record: Record,
}

impl Served {
    pub(super) fn new(body: Body, stream: Rc<Stream>, record: Record) -> Self {
        Self {
            body,
            stream,
            ended: false,
            record,
        }
    }
}

impl http_body::Body for Served {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        // hyper asks for more when the client's windows have room for it, and not before.
        self.stream.writing(false);
        let polled = self.body.poll_part(cx);
        match &polled {
            Poll::Ready(Some(Ok(Part::Chunk(bytes)))) => {
                self.stream.carried(bytes.len());
                self.stream.writing(true);
            }
            Poll::Ready(Some(Ok(Part::Trailers(_))) | None) => self.ended = true,
            Poll::Ready(Some(Err(error))) => tracing::debug!(%error, "answer cut short"),
            Poll::Pending => {}
        }
        polled.map(|next| next.map(|part| part.map(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_ended()
    }

    fn size_hint(&self) -> SizeHint {
        hint(&self.body)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _counted_when_dropped = &self.record;
        if self.ended || self.body.is_ended() {
            self.stream.answered();
        }
    }
}
