//! Listening sockets: one per worker and address, and the loop that accepts from one.

use std::cell::Cell;
use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpStream;

use crate::telemetry::http::HttpShard;

/// Connections the kernel may keep for us until we accept them.
const BACKLOG: i32 = 1024;
/// How long to wait when descriptors or memory have run out, so that accepting does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Binds an address so that every worker may bind it too; the kernel spreads the connections.
///
/// # Errors
/// What the operating system said.
pub(super) fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    // Accepted sockets inherit it, which saves a call for each.
    socket.set_tcp_nodelay(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Counts a worker's open connections and refuses what is over the limit.
#[derive(Debug)]
pub(super) struct Connections {
    open: Cell<usize>,
    most: usize,
    shard: Arc<HttpShard>,
}

impl Connections {
    pub(super) fn new(most: usize, shard: Arc<HttpShard>) -> Rc<Self> {
        Rc::new(Self {
            open: Cell::new(0),
            most,
            shard,
        })
    }

    /// Takes a place; `None` when all are taken.
    fn place(self: &Rc<Self>) -> Option<Place> {
        if self.open.get() >= self.most {
            self.shard.connection_refused();
            return None;
        }
        self.change(self.open.get() + 1);
        Some(Place(Rc::clone(self)))
    }

    pub(super) fn open(&self) -> usize {
        self.open.get()
    }

    fn change(&self, open: usize) {
        self.open.set(open);
        self.shard.connections(open);
    }
}

/// A connection's place; dropping it gives it back.
#[derive(Debug)]
pub(super) struct Place(Rc<Connections>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.change(self.0.open.get().saturating_sub(1));
    }
}

/// Accepts for as long as it is polled; a connection over the limit is closed at once.
///
/// # Cancel safety
/// Dropping the future closes the listener; connections in its backlog are reset.
pub(super) async fn accept(
    listener: tokio::net::TcpListener,
    connections: Rc<Connections>,
    mut serve: impl FnMut(TcpStream, SocketAddr, Place),
) {
    loop {
        match listener.accept().await {
            Ok((stream, client)) => {
                if let Some(place) = connections.place() {
                    serve(stream, client, place);
                }
            }
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                tracing::error!(%error, "cannot accept connections: raise the limit of open files");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Tells whether an error is about the one connection that was to be accepted (accept(2)).
fn is_of_one_connection(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    [ConnectionAborted, ConnectionReset, Interrupted].contains(&error.kind())
}
