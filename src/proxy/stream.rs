//! The bytes of a connection: plain, with a few read ahead, or inside TLS.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, TlsStream};

use crate::certs::Trust;
use crate::table::OriginAddr;

/// A connection, to a client or to an origin.
#[derive(Debug)]
pub(super) struct Stream {
    /// What was read of it before, and is read again first.
    ahead: Bytes,
    socket: Socket,
}

#[derive(Debug)]
enum Socket {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Stream {
    /// Takes a plain connection over.
    pub(super) fn plain(stream: TcpStream) -> Self {
        Self {
            ahead: Bytes::new(),
            socket: Socket::Plain(stream),
        }
    }

    /// Takes a connection over on which TLS was agreed.
    pub(super) fn tls(stream: TlsStream<TcpStream>) -> Self {
        Self {
            ahead: Bytes::new(),
            socket: Socket::Tls(Box::new(stream)),
        }
    }

    /// Gives a connection back the bytes that were read from it last.
    pub(super) fn replay(mut self, bytes: Bytes) -> Self {
        self.ahead = if self.ahead.is_empty() {
            bytes
        } else {
            [bytes, self.ahead].concat().into()
        };
        self
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
            return Ok(Self::plain(stream));
        };
        let connector = TlsConnector::from(checked.config);
        let stream = connector.connect(checked.server_name, stream).await?;
        Ok(Self::tls(stream.into()))
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.ahead.is_empty() {
            let taken = self.ahead.len().min(buf.remaining());
            buf.put_slice(&self.ahead.split_to(taken));
            return Poll::Ready(Ok(()));
        }
        match &mut self.socket {
            Socket::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Socket::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.socket {
            Socket::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Socket::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.socket {
            Socket::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Socket::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.socket {
            Socket::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Socket::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.socket {
            Socket::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Socket::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
