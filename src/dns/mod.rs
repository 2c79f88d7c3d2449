//! The DNS listeners: sockets around the answer engine of `zone`.
//!
//! For: UDP and TCP (RFC 1035 §4.2, RFC 7766) on the addresses of `listen.dns`. Not for: what is
//! answered, which is `zone`'s, and which snapshot is current, which is the switchboard's.
//!
//! ```text
//! threads x addresses:  recvmmsg ─> turn { load ─> zone::answer ─> sendmmsg }      udp
//! one thread:           accept ─> frames ─> turn { load ─> zone::answer ─> write }  tcp
//!                                            └ begin … end: a flip waits for these
//! ```
//!
//! Invariants: a turn begins before the snapshot is loaded and ends after the answer was handed to
//! the kernel, and nothing waits within a turn, so that no old answer leaves after a flip is
//! acknowledged and no client can stall one; what a slow TCP client has not taken when the zones
//! change is never sent. Every buffer, connection and wait has a limit. A crash leaves nothing
//! behind. Tests: `dns` in `tests/it`.

mod tcp;
mod udp;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use tokio::sync::watch;

use crate::switchboard::Switchboard;
use crate::telemetry::dns::{DnsDrop, DnsMetrics, DnsTransport};
use crate::zone::Dropped;

/// Why the listeners did not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An address cannot be had: the operator has to change it or to free it.
    #[error("cannot listen on {address} for DNS over {transport} (`listen.dns`): {source}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// `UDP` or `TCP`.
        transport: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The system has no threads or descriptors left.
    #[error("cannot start the DNS workers: {0}")]
    Start(#[from] io::Error),
}

/// The running listeners; dropping it tells them to end, without waiting.
#[derive(Debug)]
pub struct Handle {
    addresses: Vec<SocketAddr>,
    udp_stop: Arc<AtomicBool>,
    tcp_stop: watch::Sender<bool>,
    threads: Vec<JoinHandle<()>>,
}

/// Binds every address for UDP and TCP and starts the workers: `threads` for the UDP of each
/// address, at least one, and one for all TCP. Port 0 takes a free port, the same for both.
///
/// # Errors
/// [`Error::Bind`] names the address; nothing goes on listening after an error.
pub fn spawn(
    listen: &[SocketAddr],
    threads: usize,
    board: &Arc<Switchboard>,
    metrics: &DnsMetrics,
) -> Result<Handle, Error> {
    let (tcp_stop, tcp_stopped) = watch::channel(false);
    let mut handle = Handle {
        addresses: Vec::new(),
        udp_stop: Arc::default(),
        tcp_stop,
        threads: Vec::new(),
    };
    // All sockets first: a busy address must not leave half of the workers running.
    let mut listeners = Vec::new();
    let mut sockets = Vec::new();
    for wanted in listen {
        let listener = tcp::bind(*wanted).map_err(|source| bind_error(*wanted, "TCP", source))?;
        let address = listener.local_addr()?;
        for _ in 0..threads.max(1) {
            let socket = udp::bind(address).map_err(|source| bind_error(address, "UDP", source))?;
            sockets.push((address, socket));
        }
        handle.addresses.push(address);
        listeners.push(listener);
    }
    for (index, (address, socket)) in sockets.into_iter().enumerate() {
        let worker = udp::Worker {
            socket,
            board: Arc::clone(board),
            turns: board.turns(&format!("dns udp {address} {index}")),
            counters: metrics.worker(DnsTransport::Udp),
            stop: Arc::clone(&handle.udp_stop),
        };
        let thread = std::thread::Builder::new().name(format!("dns-udp-{index}"));
        handle.threads.push(thread.spawn(move || worker.run())?);
    }
    let turns = board.turns("dns tcp");
    let counters = metrics.worker(DnsTransport::Tcp);
    let server = tcp::Server::new(listeners, Arc::clone(board), turns, counters, tcp_stopped)?;
    let thread = std::thread::Builder::new().name("dns-tcp".into());
    handle.threads.push(thread.spawn(move || server.run())?);
    Ok(handle)
}

fn bind_error(address: SocketAddr, transport: &'static str, source: io::Error) -> Error {
    Error::Bind {
        address,
        transport,
        source,
    }
}

impl Handle {
    /// Shows the addresses in use, in the order they were given, with the ports that were taken.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Ends every worker and waits for them, at most some 200 ms.
    pub fn stop(mut self) {
        self.tell();
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a DNS worker ended by a panic: please report this");
            }
        }
    }

    fn tell(&self) {
        self.udp_stop.store(true, Ordering::Relaxed);
        self.tcp_stop.send_replace(true);
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.tell();
    }
}

/// Under which reason a packet that the engine dropped is counted.
fn counted_as(dropped: Dropped) -> DnsDrop {
    match dropped {
        Dropped::Short => DnsDrop::Short,
        Dropped::Response => DnsDrop::Response,
        Dropped::NoRoom => DnsDrop::TooLong,
    }
}
