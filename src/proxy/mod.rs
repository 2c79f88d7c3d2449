//! The reverse proxy: every request goes to the active side of its site, and to no other.
//!
//! For: HTTP from clients to origins, by the snapshot and the gates of the switchboard. Not for:
//! deciding where a site is, checking origins, or names; it never imports what decides.
//!
//! ```text
//!            listener ──> h1::server ──head, body──> service ──> forward ──> upstream ──> pool
//! client <──────────────────────────────────────────  │ ▲                      │          │
//!                                    hold, page, error┘ └── switchboard        └─> h1::client ──> origin
//!                                    health, access         (snapshot, gates)
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
//! - a request that is held or refused has not had its body read;
//! - no type of a codec is known outside of its folder.
//!
//! A crash leaves nothing behind. Tests: `proxy` and `flips` in `tests/it`.

mod access;
mod body;
mod error;
mod forward;
mod h1;
mod head;
mod health;
mod hold;
mod listener;
mod page;
mod pool;
mod service;
mod upstream;
mod worker;

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::switchboard::Switchboard;
use crate::telemetry::http::HttpMetrics;

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
}

impl Default for Limits {
    /// 15 s for a head, 75 s of idling (what nginx gives), 16,384 connections per worker (what
    /// fits the usual limit of open files, with one to an origin for each).
    fn default() -> Self {
        Self {
            head_within: Duration::from_secs(15),
            idle_for: Duration::from_secs(75),
            connections: 16_384,
        }
    }
}

/// Why the proxy did not start; the operator's file or machine is at fault.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An address of `listen.http` cannot be bound.
    #[error("cannot listen on {address} (listen.http)")]
    Listen {
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

/// The running proxy; dropping it stops it at once, without waiting.
#[derive(Debug)]
pub struct Handle {
    addresses: Vec<SocketAddr>,
    stop: watch::Sender<Option<Instant>>,
    threads: Vec<JoinHandle<()>>,
}

/// Binds every address for every worker and starts the workers.
///
/// Port 0 gives all workers the same free port; see [`Handle::addresses`].
///
/// # Errors
/// An address cannot be bound, or a thread not be made; nothing is left running then.
pub fn spawn(
    listen: &[SocketAddr],
    workers: usize,
    board: &Arc<Switchboard>,
    metrics: &HttpMetrics,
    limits: Limits,
) -> Result<Handle, Error> {
    let workers = workers.max(1);
    let mut addresses = Vec::with_capacity(listen.len());
    let mut listeners: Vec<Vec<TcpListener>> = (0..workers).map(|_| Vec::new()).collect();
    for &wanted in listen {
        let mut address = wanted;
        for of_worker in &mut listeners {
            let listener = bind(address)?;
            address = local_address(&listener, wanted)?;
            of_worker.push(listener);
        }
        addresses.push(address);
    }
    let (stop, stopped) = watch::channel(None);
    let mut handle = Handle {
        addresses,
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

fn bind(address: SocketAddr) -> Result<TcpListener, Error> {
    listener::bind(address).map_err(|source| Error::Listen { address, source })
}

fn local_address(listener: &TcpListener, wanted: SocketAddr) -> Result<SocketAddr, Error> {
    let local = listener.local_addr();
    local.map_err(|source| Error::Listen {
        address: wanted,
        source,
    })
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
    /// Shows the addresses that are bound, in the order of `listen.http`.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
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
