//! What a connection costs beside what is asked on it: frames that carry nothing.

use std::cell::Cell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::proxy::stream::Stream;

use super::server::STREAM_WINDOW;

/// Bytes that a client may send for nothing over the life of a connection: 60,000 pings, which is
/// a week of one every ten seconds.
const FOR_NOTHING_MAX: u64 = 1024 * 1024;
/// How many bytes may come for each that a body carries, either way: one alone takes 10 to be sent,
/// and 26 to say that it was taken.
const FOR_EACH_BYTE_MAX: u64 = 32;
/// How many may come for each request, that of its body which nobody reads included: twice the
/// window of a stream, so that there is room for the longest head and for small pieces.
const FOR_EACH_REQUEST_MAX: u64 = 2 * STREAM_WINDOW as u64;

/// How many bytes may still come before something has to be done with them.
#[derive(Debug)]
pub(super) struct Meter {
    allowed: Cell<u64>,
}

impl Default for Meter {
    fn default() -> Self {
        Self {
            allowed: Cell::new(FOR_NOTHING_MAX),
        }
    }
}

impl Meter {
    /// Notes that something is asked.
    pub(super) fn request(&self) {
        self.allow(FOR_EACH_REQUEST_MAX);
    }

    /// Notes bytes of a body.
    pub(super) fn carried(&self, bytes: usize) {
        self.allow(FOR_EACH_BYTE_MAX.saturating_mul(bytes as u64));
    }

    fn allow(&self, bytes: u64) {
        self.allowed.set(self.allowed.get().saturating_add(bytes));
    }

    fn came(&self, bytes: usize) -> io::Result<()> {
        let left = self.allowed.get().checked_sub(bytes as u64);
        self.allowed.set(left.unwrap_or(0));
        if left.is_none() {
            return Err(io::Error::other("too many frames carry nothing"));
        }
        Ok(())
    }
}

/// A connection that breaks when too much comes for nothing.
#[derive(Debug)]
pub(super) struct Metered {
    stream: Stream,
    meter: Rc<Meter>,
}

impl Metered {
    pub(super) fn new(stream: Stream, meter: &Rc<Meter>) -> Self {
        Self {
            stream,
            meter: Rc::clone(meter),
        }
    }
}

impl AsyncRead for Metered {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        match polled {
            Poll::Ready(Ok(())) => Poll::Ready(self.meter.came(buf.filled().len() - before)),
            Poll::Ready(Err(_)) | Poll::Pending => polled,
        }
    }
}

impl AsyncWrite for Metered {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
