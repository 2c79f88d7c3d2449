//! The life of the connections of the admin side.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::{JoinHandle, JoinSet};

use super::auth::Doorkeeper;
use super::listeners::{Accept, Error, Greet, Listeners};
use super::peer::Way;
use super::scrape::Published;
use super::{Parts, api};

/// The most connections at once over the unix socket and TCP, and as many again over TLS, so that
/// strangers take nobody's place on the machine; whoever comes then waits in the kernel.
pub const CONNECTIONS_MAX: usize = 128;

/// How long a client may take for a request head, and how long it may stay silent between two.
const HEAD_DEADLINE: Duration = Duration::from_secs(30);

/// The largest request head.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// How long a stop waits for answers under way; what is left then is dropped.
const STOP_DEADLINE: Duration = Duration::from_secs(3);

/// The pause after a failed accept: descriptors that ran out do not come back at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

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
    let near = Shared {
        doorkeeper: Arc::new(Doorkeeper::new(&parts)),
        router: api::router(parts, stop.clone()),
        places: Arc::new(Semaphore::new(CONNECTIONS_MAX)),
        stop,
    };
    let far = Shared {
        places: Arc::new(Semaphore::new(CONNECTIONS_MAX)),
        ..near.clone()
    };
    let mut listening = vec![tokio::spawn(serve(listeners.socket, near.clone()))];
    listening.extend(listeners.tcp.map(|tcp| tokio::spawn(serve(tcp, near))));
    let tls = listeners.tls.into_iter();
    listening.extend(tls.map(|tls| tokio::spawn(serve(tls, far.clone()))));
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
    doorkeeper: Arc<Doorkeeper>,
    router: Router,
    places: Arc<Semaphore>,
    stop: watch::Receiver<bool>,
}

async fn serve(listener: impl Accept, mut shared: Shared) {
    let mut connections = JoinSet::new();
    while let Some((client, way, place)) = next(&listener, &mut shared, &mut connections).await {
        connections.spawn(connection(client, way, shared.clone(), place));
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
) -> Option<(L::Client, Way, OwnedSemaphorePermit)> {
    let places = Arc::clone(&shared.places);
    let client = async {
        let place = places.acquire_owned().await.ok()?;
        loop {
            match listener.accept().await {
                Ok((client, way)) => return Some((client, way, place)),
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

async fn connection(client: impl Greet, way: Way, mut shared: Shared, place: OwnedSemaphorePermit) {
    let greeted = tokio::select! {
        greeted = client.greet() => greeted,
        () = stopped(&mut shared.stop) => return,
    };
    let io = match greeted {
        Ok(io) => io,
        Err(error) => return shared.doorkeeper.not_greeted(way, &error),
    };
    let inner = TowerToHyperService::new(shared.router);
    let doorkeeper = Arc::clone(&shared.doorkeeper);
    let service =
        service_fn(move |request| admit(Arc::clone(&doorkeeper), inner.clone(), way, request));
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_DEADLINE)
        .max_buf_size(HEAD_BYTES_MAX);
    let mut served = std::pin::pin!(builder.serve_connection(TokioIo::new(io), service));
    let ended = tokio::select! {
        ended = &mut served => ended,
        () = stopped(&mut shared.stop) => {
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

/// Lets a request through to the router if its asker may, with who that is: handlers that write
/// look at it.
async fn admit(
    doorkeeper: Arc<Doorkeeper>,
    router: TowerToHyperService<Router>,
    way: Way,
    mut request: hyper::Request<Incoming>,
) -> Result<axum::response::Response, std::convert::Infallible> {
    let admitted = doorkeeper.admit(
        way,
        request.method(),
        request.uri().path(),
        request.headers(),
    );
    let peer = match admitted {
        Ok(peer) => peer,
        Err(refused) => return Ok(*refused),
    };
    request.extensions_mut().insert(peer.clone());
    let answer = router.call(request).await?;
    Ok(doorkeeper.watch(&peer, answer))
}

#[cfg(test)]
#[path = "server_tests.rs"]
#[expect(clippy::unwrap_used, reason = "a test stops where it fails")]
mod tests;
