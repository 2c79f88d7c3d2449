//! Our own body: nothing, some bytes, or a stream that is asked for each part.
//!
//! Nobody reads ahead: a part is fetched from one side when the other asks for it, so a slow
//! reader slows the writer down and no more than one chunk and the codec's buffer is held.

use std::task::{Context, Poll};

use bytes::Bytes;

use super::head::Headers;
use super::tunnel::Tunnel;

/// What a body consists of.
#[derive(Debug)]
pub(super) enum Part {
    /// Some of its bytes.
    Chunk(Bytes),
    /// The fields after its last byte (RFC 9110 §6.5); nothing follows.
    Trailers(Headers),
}

/// A stream of parts.
pub(super) trait Parts {
    /// Asks for the next part; `None` is the end.
    fn poll_part(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Part, BodyError>>>;

    /// Tells how many bytes are still to come, when that is known.
    fn exact_size(&self) -> Option<u64>;

    /// Tells whether the end is known to be reached.
    fn is_ended(&self) -> bool;
}

/// Why a body broke off; the text is for the log only.
#[derive(Debug, thiserror::Error)]
pub(super) enum BodyError {
    #[error("the client broke off: {0}")]
    Client(String),
    #[error("the origin broke off: {0}")]
    Origin(String),
}

/// The body of a request or response.
pub(super) enum Body {
    Empty,
    Full(Bytes),
    Stream(Box<dyn Parts>),
    /// None: after this head (101) HTTP is over on the connection.
    Tunnel(Box<Tunnel>),
}

impl Body {
    /// Asks for the next part; `None` is the end.
    pub(super) fn poll_part(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Part, BodyError>>> {
        match self {
            Self::Empty | Self::Tunnel(_) => Poll::Ready(None),
            Self::Full(_) => match std::mem::replace(self, Self::Empty) {
                Self::Full(bytes) if !bytes.is_empty() => Poll::Ready(Some(Ok(Part::Chunk(bytes)))),
                Self::Full(_) | Self::Empty | Self::Stream(_) | Self::Tunnel(_) => {
                    Poll::Ready(None)
                }
            },
            Self::Stream(parts) => parts.poll_part(cx),
        }
    }

    /// Tells how many bytes are still to come, when that is known.
    pub(super) fn exact_size(&self) -> Option<u64> {
        match self {
            Self::Empty | Self::Tunnel(_) => Some(0),
            Self::Full(bytes) => Some(bytes.len() as u64),
            Self::Stream(parts) => parts.exact_size(),
        }
    }

    /// Tells whether nothing more will come.
    pub(super) fn is_ended(&self) -> bool {
        match self {
            Self::Empty | Self::Tunnel(_) => true,
            Self::Full(bytes) => bytes.is_empty(),
            Self::Stream(parts) => parts.is_ended(),
        }
    }
}

impl std::fmt::Debug for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Empty => f.write_str("Empty"),
            Self::Tunnel(tunnel) => tunnel.fmt(f),
            Self::Full(bytes) => write!(f, "Full({} bytes)", bytes.len()),
            Self::Stream(parts) => write!(f, "Stream({:?} bytes)", parts.exact_size()),
        }
    }
}
