//! The bytes of a connection: plain, with a few read ahead, or inside TLS.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, TlsStream};

use crate::certs::Trust;
use crate::table::OriginAddr;

/// A connection, to a client or to an origin.
#[derive(Debug)]
pub(super) enum Stream {
    Plain(TcpStream),
    /// What was read to learn which protocol it speaks is read again first.
    Replayed(ReadAhead, TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// Bytes that were read ahead and have yet to be read again.
#[derive(Debug)]
pub(super) struct ReadAhead {
    bytes: Vec<u8>,
    at: usize,
}

impl Stream {
    /// Gives a connection back the bytes that were read ahead from it.
    pub(super) fn replayed(bytes: Vec<u8>, stream: TcpStream) -> Self {
        Self::Replayed(ReadAhead { bytes, at: 0 }, stream)
    }

    /// Connects to an origin, by TLS and checked if its address says so; a host name is looked up
    /// by the system's resolver.
    ///
    /// # Errors
    /// Nobody accepts there, or it is not who the table says it is.
    ///
    /// # Cancel safety
    /// Dropping the future closes the connection.
    pub(super) async fn connect(origin: &OriginAddr, trust: &Trust) -> io::Result<Self> {
        let checked = trust.of(origin).map_err(io::Error::other)?;
        let stream = TcpStream::connect((origin.host.as_str(), origin.port)).await?;
        stream.set_nodelay(true)?;
        let Some(checked) = checked else {
            return Ok(Self::Plain(stream));
        };
        let connector = TlsConnector::from(checked.config);
        let stream = connector.connect(checked.server_name, stream).await?;
        Ok(Self::Tls(Box::new(stream.into())))
    }
}

impl ReadAhead {
    /// Gives some of what is left; false when nothing is.
    fn give(&mut self, buf: &mut ReadBuf<'_>) -> bool {
        let left = &self.bytes[self.at..];
        let taken = left.len().min(buf.remaining());
        buf.put_slice(&left[..taken]);
        self.at += taken;
        if self.at == self.bytes.len() {
            // Most of a connection's life it is empty.
            *self = Self {
                bytes: Vec::new(),
                at: 0,
            };
        }
        taken > 0
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Replayed(ahead, stream) => {
                if ahead.give(buf) {
                    return Poll::Ready(Ok(()));
                }
                Pin::new(stream).poll_read(cx, buf)
            }
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut *self {
            Self::Plain(stream) | Self::Replayed(_, stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut *self {
            Self::Plain(stream) | Self::Replayed(_, stream) => {
                Pin::new(stream).poll_write_vectored(cx, bufs)
            }
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Plain(stream) | Self::Replayed(_, stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Plain(stream) | Self::Replayed(_, stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
