//! The reverse proxy: every request goes to the active side of its site, and to no other.
//!
//! For: HTTP from clients to origins, by the snapshot and the gates of the switchboard. Not for:
//! deciding where a site is, checking origins, or names; it never imports what decides.
//!
//! ```text
//!  listener ─(door: TLS)─> h1, h2 ──head, body──> service ──> forward ──> upstream ──> pool
//! client <──────────────────────────────────────────  │ ▲                      │          │
//!                                    hold, page, error┘ └── switchboard        └─> h1::client ──> origin
//!                                    health, invite, access (snapshot, gates)
//! ```
//!
//! There is a worker per core: a thread with a current-thread runtime, own listeners on the same
//! addresses, own pools, own counters. A request meets another worker's only at the gates.
//!
//! Invariants:
//! - a permit ends when both directions of its exchange have ended, or after the socket to the
//!   origin was closed, never before;
//! - a worker confirms a publication after the idle sockets of closed lanes are closed;
//! - a request is sent a second time only if not one byte of it was sent before;
//! - a request that is held has not had its body read, and one that is refused, at most a little of
//!   it after its answer;
//! - a tunnel keeps its permit until the socket to the origin is closed, and a flip ends it;
//! - what is written behind the bytes of a WebSocket stands between two of its frames;
//! - no type of a codec is known outside of its folder.
//!
//! A crash leaves nothing behind. Tests: `proxy`, `tunnels`, `websockets` and `flips` in
//! `tests/it`.

mod accept;
mod access;
mod admit;
mod body;
mod client;
mod door;
mod error;
mod fault;
mod fence;
mod flow;
mod forward;
mod h1;
mod h2;
mod head;
mod health;
mod hold;
mod invite;
mod listener;
mod outage;
mod page;
mod pool;
mod redirect;
mod service;
mod stream;
mod tunnel;
mod upstream;
mod websocket;
mod worker;

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::certs::Store;
use crate::switchboard::Switchboard;
use crate::telemetry::http::HttpMetrics;

use door::Door;
use worker::Worker;

/// How much patience and room there is for clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How long the head of a request may take; then the connection is closed, at most as long
    /// again later.
    pub head_within: Duration,
    /// How long a connection may lie idle between requests, or take and send nothing in one.
    pub idle_for: Duration,
    /// How many connections a worker keeps open; what is over is closed as it comes.
    pub connections: usize,
    /// How many of them may be in a TLS handshake; what is over is closed as it comes.
    pub handshakes: usize,
}

impl Default for Limits {
    /// 15 s for a head, 75 s of idling (what nginx gives), 16,384 connections per worker (what
    /// fits the usual limit of open files, with one to an origin for each), 1,024 of them in
    /// handshakes (a core signs some thousand times a second, so the last of them waits about 1 s).
    fn default() -> Self {
        Self {
            head_within: Duration::from_secs(15),
            idle_for: Duration::from_secs(75),
            connections: 16_384,
            handshakes: 1_024,
        }
    }
}

/// Why the proxy did not start; the operator's file or machine is at fault.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An address of `listen.http` or `listen.https` cannot be bound.
    #[error("cannot listen on {address} ({key})")]
    Listen {
        /// The key of the file.
        key: &'static str,
        /// The address.
        address: SocketAddr,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// A worker's thread or runtime cannot be made.
    #[error("cannot start worker {name}")]
    Worker {
        /// The worker.
        name: String,
        /// What the operating system said.
        source: std::io::Error,
    },
}

/// What is listened on.
#[derive(Clone, Debug)]
pub struct Listen {
    /// Plain HTTP.
    pub http: Vec<SocketAddr>,
    /// HTTP over TLS.
    pub https: Vec<SocketAddr>,
    /// The certificates that answer there.
    pub certs: Arc<Store>,
}

/// The running proxy; dropping it stops it at once, without waiting.
#[derive(Debug)]
pub struct Handle {
    http: Vec<SocketAddr>,
    https: Vec<SocketAddr>,
    stop: watch::Sender<Option<Instant>>,
    threads: Vec<JoinHandle<()>>,
}

/// Binds every address for every worker and starts the workers.
///
/// Port 0 gives all workers the same free port; see [`Handle::http`].
///
/// # Errors
/// An address cannot be bound, or a thread not be made; nothing is left running then.
pub fn spawn(
    listen: &Listen,
    workers: usize,
    board: &Arc<Switchboard>,
    metrics: &HttpMetrics,
    limits: Limits,
) -> Result<Handle, Error> {
    let workers = workers.max(1);
    let mut listeners: Vec<Vec<(Door, TcpListener)>> = (0..workers).map(|_| Vec::new()).collect();
    let http = open(&Door::Plain, "listen.http", &listen.http, &mut listeners)?;
    let door = Door::Tls(Arc::clone(&listen.certs));
    let https = open(&door, "listen.https", &listen.https, &mut listeners)?;
    let (stop, stopped) = watch::channel(None);
    let mut handle = Handle {
        http,
        https,
        stop,
        threads: Vec::with_capacity(workers),
    };
    for (index, listeners) in listeners.into_iter().enumerate() {
        let name = format!("http-{index}");
        let worker = Worker {
            listeners,
            board: Arc::clone(board),
            confirms: board.confirms(&name),
            shard: metrics.shard(),
            limits,
            stop: stopped.clone(),
        };
        handle.threads.push(start(name, worker)?);
    }
    Ok(handle)
}

/// Binds addresses for every worker; the addresses that are bound, in the same order.
fn open(
    door: &Door,
    key: &'static str,
    addresses: &[SocketAddr],
    of_workers: &mut [Vec<(Door, TcpListener)>],
) -> Result<Vec<SocketAddr>, Error> {
    let mut bound = Vec::with_capacity(addresses.len());
    for &wanted in addresses {
        let failed = |source| Error::Listen {
            key,
            address: wanted,
            source,
        };
        let mut address = wanted;
        for of_worker in of_workers.iter_mut() {
            let listener = listener::bind(address).map_err(failed)?;
            address = listener.local_addr().map_err(failed)?;
            of_worker.push((door.clone(), listener));
        }
        bound.push(address);
    }
    Ok(bound)
}

fn start(name: String, worker: Worker) -> Result<JoinHandle<()>, Error> {
    let started = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .and_then(|runtime| {
            let thread = std::thread::Builder::new().name(name.clone());
            thread.spawn(move || worker.run(&runtime))
        });
    started.map_err(|source| Error::Worker { name, source })
}

impl Handle {
    /// Shows the addresses that are bound for plain HTTP, in the order of `listen.http`.
    pub fn http(&self) -> &[SocketAddr] {
        &self.http
    }

    /// Shows the addresses that are bound for TLS, in the order of `listen.https`.
    pub fn https(&self) -> &[SocketAddr] {
        &self.https
    }

    /// Stops accepting, lets what is in flight end until the deadline, and ends the workers.
    ///
    /// # Cancel safety
    /// The workers stop by the deadline all the same; nobody waits for them then.
    pub async fn stop(mut self, deadline: Instant) {
        self.stop.send_replace(Some(deadline));
        let threads = std::mem::take(&mut self.threads);
        let joined = tokio::task::spawn_blocking(move || {
            for thread in threads {
                if thread.join().is_err() {
                    tracing::error!("a worker ended in a panic: please report this as a bug");
                }
            }
        });
        // It only fails when the runtime is going down, and then nobody waits any more.
        let _ = joined.await;
    }
}
