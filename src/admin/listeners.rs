//! The listeners of the admin side: the unix socket, TCP, and TCP with TLS.

use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;

use crate::certs::Store;

use super::peer::Way;

/// How long a TLS handshake may take; a client that is slower is dropped.
const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(10);

/// Reading and writing by the owner and the group of the state directory; nobody else.
const SOCKET_MODE: u32 = 0o660;

/// Why the admin side cannot start; the operator is at fault, or another daemon, unless said
/// otherwise.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A TCP address.
    #[error("`{key}`: cannot listen on {address}: {source}")]
    Tcp {
        /// Which listener it is, as a key of the file.
        key: &'static str,
        /// What the file asks for.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The unix socket in the state directory.
    #[error("`state`: cannot listen on the socket {}: {source}", path.display())]
    Socket {
        /// Where it was to be.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// There is something else in the place of the socket.
    #[error("`state`: {} is not a socket: move it away", path.display())]
    NotASocket {
        /// Where the socket was to be.
        path: PathBuf,
    },
    /// A metric is registered twice: a bug.
    #[error("the metrics of the admin side: {0}")]
    Metrics(#[from] prometheus::Error),
}

/// The listening sockets of the admin side.
#[derive(Debug)]
pub struct Listeners {
    pub(super) socket: UnixListener,
    pub(super) socket_path: PathBuf,
    pub(super) tcp: Option<TcpListener>,
    pub(super) tls: Vec<TlsListener>,
}

/// The listeners with TLS.
#[derive(Debug)]
pub struct Tls {
    /// `listen.admin_tls`.
    pub addresses: Vec<SocketAddr>,
    /// What answers there.
    pub certs: Arc<Store>,
}

impl Listeners {
    /// Binds the unix socket, and the TCP addresses that there are; inside a runtime.
    ///
    /// The caller holds the lock of the state directory, so a socket that is there already was
    /// left by a daemon that is gone, and is replaced.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn bind(socket_path: &Path, tcp: Option<SocketAddr>, tls: &Tls) -> Result<Self, Error> {
        let tcp = tcp.map(|address| bind_tcp("listen.admin", address));
        let tcp = tcp.transpose()?;
        let each = tls.addresses.iter().map(|address| {
            Ok(TlsListener {
                tcp: bind_tcp("listen.admin_tls", *address)?,
                certs: Arc::clone(&tls.certs),
            })
        });
        let tls = each.collect::<Result<_, Error>>()?;
        Ok(Self {
            socket: bind_socket(socket_path)?,
            socket_path: socket_path.to_owned(),
            tcp,
            tls,
        })
    }

    /// Shows the TCP address that was bound.
    pub fn tcp_address(&self) -> Option<SocketAddr> {
        self.tcp.as_ref()?.local_addr().ok()
    }

    /// Shows the addresses that were bound for TLS.
    pub fn tls_addresses(&self) -> Vec<SocketAddr> {
        let addresses = self.tls.iter().map(|tls| tls.tcp.local_addr());
        addresses.filter_map(Result::ok).collect()
    }
}

fn bind_tcp(key: &'static str, address: SocketAddr) -> Result<TcpListener, Error> {
    let bound = std::net::TcpListener::bind(address).and_then(|listener| {
        listener.set_nonblocking(true)?;
        TcpListener::from_std(listener)
    });
    bound.map_err(|source| Error::Tcp {
        key,
        address,
        source,
    })
}

fn bind_socket(path: &Path) -> Result<UnixListener, Error> {
    let failed = |source| Error::Socket {
        path: path.to_owned(),
        source,
    };
    match std::fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => std::fs::remove_file(path).map_err(failed)?,
        Ok(_) => {
            return Err(Error::NotASocket {
                path: path.to_owned(),
            });
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed(error)),
    }
    let listener = UnixListener::bind(path).map_err(failed)?;
    let mode = std::fs::Permissions::from_mode(SOCKET_MODE);
    std::fs::set_permissions(path, mode).map_err(failed)?;
    Ok(listener)
}

/// A listener with TLS.
#[derive(Debug)]
pub(super) struct TlsListener {
    tcp: TcpListener,
    certs: Arc<Store>,
}

/// A listener that knows who connected.
pub(super) trait Accept: Send + 'static {
    /// A client that has connected.
    type Client: Greet;

    /// Waits for a client; quick, as all that come wait for it.
    fn accept(&self) -> impl Future<Output = io::Result<(Self::Client, Way)>> + Send;
}

/// A client before HTTP.
pub(super) trait Greet: Send + 'static {
    /// What HTTP is spoken on.
    type Io: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// Agrees with it on what comes before HTTP, which may take it a while.
    fn greet(self) -> impl Future<Output = io::Result<Self::Io>> + Send;
}

impl Accept for UnixListener {
    type Client = UnixStream;

    async fn accept(&self) -> io::Result<(UnixStream, Way)> {
        let (stream, _) = Self::accept(self).await?;
        let uid = stream.peer_cred()?.uid();
        Ok((stream, Way::Socket { uid }))
    }
}

impl Greet for UnixStream {
    type Io = Self;

    async fn greet(self) -> io::Result<Self> {
        Ok(self)
    }
}

impl Accept for TcpListener {
    type Client = TcpStream;

    async fn accept(&self) -> io::Result<(TcpStream, Way)> {
        let (stream, from) = Self::accept(self).await?;
        Ok((stream, Way::Tcp { from: from.ip() }))
    }
}

impl Greet for TcpStream {
    type Io = Self;

    async fn greet(self) -> io::Result<Self> {
        Ok(self)
    }
}

impl Accept for TlsListener {
    type Client = Unshaken;

    async fn accept(&self) -> io::Result<(Unshaken, Way)> {
        let (stream, from) = self.tcp.accept().await?;
        let certs = Arc::clone(&self.certs);
        Ok((Unshaken { stream, certs }, Way::Tls { from: from.ip() }))
    }
}

/// A client before its TLS handshake.
#[derive(Debug)]
pub(super) struct Unshaken {
    stream: TcpStream,
    certs: Arc<Store>,
}

impl Greet for Unshaken {
    type Io = TlsStream<TcpStream>;

    async fn greet(self) -> io::Result<TlsStream<TcpStream>> {
        let shaken = tokio::time::timeout(HANDSHAKE_DEADLINE, self.shake_hands()).await;
        shaken.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl Unshaken {
    /// Shakes hands with the certificate of the admin listener as it is at present.
    async fn shake_hands(self) -> io::Result<TlsStream<TcpStream>> {
        let start = LazyConfigAcceptor::new(Default::default(), self.stream).await?;
        let certificate = self.certs.pick_for_admin(&start.client_hello());
        let certificate = certificate.ok_or_else(|| io::Error::other("there is no certificate"))?;
        start.into_stream(certificate.server_of_http1()).await
    }
}
