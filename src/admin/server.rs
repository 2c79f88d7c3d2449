//! The two listeners of the admin side, and the life of their connections.

use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::{JoinHandle, JoinSet};

use super::peer::Peer;
use super::scrape::Published;
use super::{Parts, api};

/// The most connections at once, over both listeners; whoever comes then waits in the kernel.
pub const CONNECTIONS_MAX: usize = 128;

/// How long a client may take for a request head, and how long it may stay silent between two.
const HEAD_DEADLINE: Duration = Duration::from_secs(30);

/// The largest request head.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// How long a stop waits for answers under way; what is left then is dropped.
const STOP_DEADLINE: Duration = Duration::from_secs(3);

/// The pause after a failed accept: descriptors that ran out do not come back at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Reading and writing by the owner and the group of the state directory; nobody else.
const SOCKET_MODE: u32 = 0o660;

/// Why the admin side cannot start; the operator is at fault, or another daemon, unless said
/// otherwise.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The TCP address.
    #[error("`listen.admin`: cannot listen on {address}: {source}")]
    Tcp {
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
    socket: UnixListener,
    socket_path: PathBuf,
    tcp: Option<TcpListener>,
}

impl Listeners {
    /// Binds the unix socket, and the TCP address if there is one; inside a runtime.
    ///
    /// The caller holds the lock of the state directory, so a socket that is there already was
    /// left by a daemon that is gone, and is replaced.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn bind(socket_path: &Path, tcp: Option<SocketAddr>) -> Result<Self, Error> {
        let tcp = tcp.map(bind_tcp).transpose()?;
        Ok(Self {
            socket: bind_socket(socket_path)?,
            socket_path: socket_path.to_owned(),
            tcp,
        })
    }

    /// Shows the TCP address that was bound.
    pub fn tcp_address(&self) -> Option<SocketAddr> {
        self.tcp.as_ref()?.local_addr().ok()
    }
}

fn bind_tcp(address: SocketAddr) -> Result<TcpListener, Error> {
    let bound = std::net::TcpListener::bind(address).and_then(|listener| {
        listener.set_nonblocking(true)?;
        TcpListener::from_std(listener)
    });
    bound.map_err(|source| Error::Tcp { address, source })
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

/// The running admin side.
#[derive(Debug)]
pub struct Server {
    stopping: watch::Sender<bool>,
    listening: Vec<JoinHandle<()>>,
    socket_path: PathBuf,
}

/// Serves on the listeners until [`Server::stop`]; on the runtime of the caller.
///
/// # Errors
/// [`Error::Metrics`]
pub fn spawn(listeners: Listeners, parts: Parts) -> Result<Server, Error> {
    let published = Published::new(&parts)?;
    parts.metrics.registry().register(Box::new(published))?;
    let (stopping, stop) = watch::channel(false);
    let shared = Shared {
        router: api::router(parts, stop.clone()),
        places: Arc::new(Semaphore::new(CONNECTIONS_MAX)),
        stop,
    };
    let mut listening = vec![tokio::spawn(serve(listeners.socket, shared.clone()))];
    listening.extend(listeners.tcp.map(|tcp| tokio::spawn(serve(tcp, shared))));
    Ok(Server {
        stopping,
        listening,
        socket_path: listeners.socket_path,
    })
}

impl Server {
    /// Stops: no new connections, event streams end, answers under way get 3 s.
    ///
    /// # Cancel safety
    /// Safe: the listeners end by themselves; only the socket's file may stay.
    pub async fn stop(self) {
        // Nobody listening any more is as good as everybody told.
        let _ = self.stopping.send(true);
        for listener in self.listening {
            // A listener that panicked has stopped too; its message was printed.
            let _ = listener.await;
        }
        // A file that is gone already was all that this wanted.
        let _ = std::fs::remove_file(&self.socket_path);
    }
}

#[derive(Clone, Debug)]
struct Shared {
    router: Router,
    places: Arc<Semaphore>,
    stop: watch::Receiver<bool>,
}

/// A listener that knows who connected.
trait Accept: Send + 'static {
    type Io: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    fn accept(&self) -> impl Future<Output = io::Result<(Self::Io, Peer)>> + Send;
}

impl Accept for UnixListener {
    type Io = tokio::net::UnixStream;

    async fn accept(&self) -> io::Result<(Self::Io, Peer)> {
        let (stream, _) = Self::accept(self).await?;
        let uid = stream.peer_cred()?.uid();
        Ok((stream, Peer::Socket { uid }))
    }
}

impl Accept for TcpListener {
    type Io = tokio::net::TcpStream;

    async fn accept(&self) -> io::Result<(Self::Io, Peer)> {
        let (stream, _) = Self::accept(self).await?;
        Ok((stream, Peer::Tcp))
    }
}

async fn serve(listener: impl Accept, mut shared: Shared) {
    let mut connections = JoinSet::new();
    while let Some((io, peer, place)) = next(&listener, &mut shared, &mut connections).await {
        let router = shared.router.clone();
        let stop = shared.stop.clone();
        connections.spawn(connection(io, peer, router, stop, place));
    }
    drop(listener);
    let all = async { while connections.join_next().await.is_some() {} };
    // What is over the deadline is dropped with the set.
    let _ = tokio::time::timeout(STOP_DEADLINE, all).await;
}

/// Waits for a place and a client for it; `None` when the server stops.
async fn next<L: Accept>(
    listener: &L,
    shared: &mut Shared,
    connections: &mut JoinSet<()>,
) -> Option<(L::Io, Peer, OwnedSemaphorePermit)> {
    let places = Arc::clone(&shared.places);
    let client = async {
        let place = places.acquire_owned().await.ok()?;
        loop {
            match listener.accept().await {
                Ok((io, peer)) => return Some((io, peer, place)),
                Err(error) => {
                    tracing::warn!(%error, "the admin side could not accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    };
    let mut client = std::pin::pin!(client);
    loop {
        // The client's future is kept over the turns of this loop, so nobody accepted is lost.
        tokio::select! {
            () = stopped(&mut shared.stop) => return None,
            found = &mut client => return found,
            // Ended connections are taken out as they end, so the set holds only living ones.
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connection(
    io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    peer: Peer,
    router: Router,
    mut stop: watch::Receiver<bool>,
    place: OwnedSemaphorePermit,
) {
    let inner = TowerToHyperService::new(router);
    let service = service_fn(move |request| admit(inner.clone(), peer, request));
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_DEADLINE)
        .max_buf_size(HEAD_BYTES_MAX);
    let mut served = std::pin::pin!(builder.serve_connection(TokioIo::new(io), service));
    let ended = tokio::select! {
        ended = &mut served => ended,
        () = stopped(&mut stop) => {
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "an admin connection ended early");
    }
    drop(place);
}

/// Waits until the server stops, or nobody is left who could stop it.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stopping| *stopping).await;
}

/// Lets a request through to the router, with who asks: handlers that write look at it.
async fn admit(
    router: TowerToHyperService<Router>,
    peer: Peer,
    mut request: hyper::Request<Incoming>,
) -> Result<axum::response::Response, std::convert::Infallible> {
    request.extensions_mut().insert(peer);
    router.call(request).await
}

#[cfg(test)]
#[path = "server_tests.rs"]
#[expect(clippy::unwrap_used, reason = "a test stops where it fails")]
mod tests;
