//! A response body that is made piece by piece, as fast as the client takes it.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use http_body::Frame;

/// A source of pieces; `None` ends the body.
pub(super) trait Pieces: Send + Sized + 'static {
    /// Makes the next piece, and gives the source back for the one after.
    fn next(self) -> impl Future<Output = Option<Piece<Self>>> + Send;
}

/// A piece of a body, and the source of the rest.
#[derive(Debug)]
pub(super) struct Piece<P> {
    /// What is sent.
    pub(super) bytes: Bytes,
    /// Makes what comes after it.
    pub(super) rest: P,
}

/// Turns a source into a body that asks for a piece only when the one before was taken.
pub(super) fn streamed(source: impl Pieces) -> Body {
    Body::new(Streamed {
        next: Box::pin(source.next()),
    })
}

struct Streamed<P> {
    next: Pin<Box<dyn Future<Output = Option<Piece<P>>> + Send>>,
}

impl<P: Pieces> http_body::Body for Streamed<P> {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.next.as_mut().poll(cx).map(|made| {
            let Piece { bytes, rest } = made?;
            self.next = Box::pin(rest.next());
            Some(Ok(Frame::data(bytes)))
        })
    }
}
