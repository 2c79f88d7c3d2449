//! Between hyper's heads and bodies and our own.

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::uri::PathAndQuery;
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::Instant;

use crate::proxy::access::Record;
use crate::proxy::body::{Body, BodyError, Part, Parts};
use crate::proxy::head::{Headers, RequestHead, ResponseHead, Version};

use super::patience::Activity;

/// Takes a request's head over; `Err` names what is wrong with it.
pub(super) fn request_head(
    request: &hyper::Request<Incoming>,
) -> Result<RequestHead, &'static str> {
    let version = match request.version() {
        http::Version::HTTP_10 => Version::Http10,
        http::Version::HTTP_11 => Version::Http11,
        _ => return Err("This version of HTTP is not spoken here."),
    };
    let uri = request.uri();
    let target = uri.path_and_query().map_or("/", PathAndQuery::as_str);
    Ok(RequestHead {
        method: request.method().clone(),
        target: target.into(),
        authority: uri.authority().map(|authority| authority.as_str().into()),
        version,
        headers: headers(request.headers()),
    })
}

/// Takes a response's head over.
pub(super) fn response_head<B>(response: &hyper::Response<B>) -> ResponseHead {
    ResponseHead {
        status: response.status(),
        headers: headers(response.headers()),
    }
}

/// Copies the fields into one buffer that all names and values are slices of.
pub(in crate::proxy) fn headers(fields: &HeaderMap) -> Headers {
    let sizes = fields.iter().map(|(n, v)| n.as_str().len() + v.len());
    let mut buffer = BytesMut::with_capacity(sizes.sum());
    let mut headers = Headers::with_capacity(fields.len() + 8);
    for (name, value) in fields {
        buffer.extend_from_slice(name.as_str().as_bytes());
        let name = buffer.split().freeze();
        buffer.extend_from_slice(value.as_bytes());
        headers.push(name, buffer.split().freeze());
    }
    headers
}

/// Gives fields to hyper; one that HTTP does not allow is left out, and cannot come from a peer.
pub(in crate::proxy) fn fields(headers: &Headers) -> HeaderMap {
    let mut fields = HeaderMap::with_capacity(headers.len());
    for (name, value) in headers.iter() {
        let name = HeaderName::from_bytes(name);
        let value = HeaderValue::from_maybe_shared(value.clone());
        if let (Ok(name), Ok(value)) = (name, value) {
            fields.append(name, value);
        }
    }
    fields
}

/// Gives a request to hyper, its target in origin form.
pub(super) fn hyper_request(
    head: &RequestHead,
    body: Outgoing,
) -> Result<hyper::Request<Outgoing>, http::Error> {
    let target = PathAndQuery::try_from(&*head.target)?;
    let mut fields = fields(&head.headers);
    if body.body.exact_size().is_none() {
        // Said explicitly: hyper would send a GET or HEAD without its body otherwise.
        let chunked = HeaderValue::from_static("chunked");
        fields.insert(http::header::TRANSFER_ENCODING, chunked);
    }
    let mut request = hyper::Request::new(body);
    *request.method_mut() = head.method.clone();
    *request.uri_mut() = target.into();
    *request.headers_mut() = fields;
    Ok(request)
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
    activity: Rc<Activity>,
}

impl ClientBody {
    /// Takes a body over, without reading any of it.
    pub(super) fn take(incoming: Incoming, activity: &Rc<Activity>) -> Body {
        if incoming.is_end_stream() {
            return Body::Empty;
        }
        Body::Stream(Box::new(Self {
            incoming,
            activity: Rc::clone(activity),
        }))
    }
}

impl Parts for ClientBody {
    fn poll_part(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Part, BodyError>>> {
        let polled = poll_part(&mut self.incoming, cx);
        self.activity.reading(polled.is_pending());
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
        self.activity.reading(false);
    }
}

/// Asks for the next part of a body.
pub(in crate::proxy) fn poll_part(
    incoming: &mut Incoming,
    cx: &mut Context<'_>,
) -> Poll<Option<Result<Part, hyper::Error>>> {
    loop {
        let frame = match ready!(Pin::new(&mut *incoming).poll_frame(cx)) {
            None => return Poll::Ready(None),
            Some(Err(error)) => return Poll::Ready(Some(Err(error))),
            Some(Ok(frame)) => frame,
        };
        match frame.into_data().map_err(Frame::into_trailers) {
            Ok(data) => return Poll::Ready(Some(Ok(Part::Chunk(data)))),
            Err(Ok(fields)) => {
                let trailers = headers(&fields).into_trailers();
                return Poll::Ready(Some(Ok(Part::Trailers(trailers))));
            }
            // HTTP has no third kind of frame.
            Err(Err(_)) => {}
        }
    }
}

/// Gives a part of a body to hyper.
///
/// To an HTTP/1.1 peer it sends the trailers that the head's `Trailer` names, and those to a client
/// that said `TE: trailers`; the others are dropped, which RFC 9110 §6.5.1 lets a proxy do.
pub(in crate::proxy) fn frame(part: Part) -> Frame<Bytes> {
    match part {
        Part::Chunk(data) => Frame::data(data),
        Part::Trailers(trailers) => Frame::trailers(fields(&trailers)),
    }
}

/// How far a request's body is on its way to the origin.
#[derive(Debug)]
pub(super) struct Progress {
    /// When the origin was last given something.
    last: Cell<Instant>,
    /// The next chunk has yet to come from the client, so the origin is not to blame.
    on_client: Cell<bool>,
}

impl Progress {
    pub(super) fn new() -> Rc<Self> {
        Rc::new(Self {
            last: Cell::new(Instant::now()),
            on_client: Cell::new(false),
        })
    }

    /// Since when the origin is the one that is waited for.
    pub(super) fn since(&self) -> Instant {
        if self.on_client.get() {
            Instant::now()
        } else {
            self.last.get()
        }
    }
}

/// A request's body as hyper sends it to an origin.
pub(super) struct Outgoing {
    pub(super) body: Body,
    pub(super) progress: Rc<Progress>,
}

impl http_body::Body for Outgoing {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let polled = self.body.poll_part(cx);
        self.progress.on_client.set(polled.is_pending());
        if polled.is_ready() {
            self.progress.last.set(Instant::now());
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

/// An answer's body as hyper sends it to the client; its end is the end of the request.
pub(super) struct Served {
    pub(super) body: Body,
    pub(super) activity: Rc<Activity>,
    /// Counted and logged when this is dropped.
    pub(super) record: Record,
}

impl http_body::Body for Served {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let polled = self.body.poll_part(cx);
        if let Poll::Ready(Some(Err(error))) = &polled {
            tracing::debug!(%error, "answer cut short");
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
        self.activity.answered();
    }
}

pub(in crate::proxy) fn hint(body: &Body) -> SizeHint {
    body.exact_size()
        .map_or_else(SizeHint::default, SizeHint::with_exact)
}
