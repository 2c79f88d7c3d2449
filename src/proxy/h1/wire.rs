//! The wire: hyper's connection to an origin, and the permit of what is on it.
//!
//! A task drives it, and whoever gives an exchange up takes the connection out, which closes the
//! socket there and then.

use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use hyper::client::conn::http1::Connection;
use hyper_util::rt::TokioIo;
use tokio::sync::Notify;

use crate::proxy::stream::Stream;
use crate::switchboard::Permit;

use super::convert::Outgoing;

/// What the task of a connection and the line on it share.
pub(in crate::proxy) struct Wire {
    // The order matters: dropped as a whole, the socket goes before the permit.
    connection: RefCell<Option<Connection<TokioIo<Stream>, Outgoing>>>,
    /// The socket on which HTTP is over, where the request asked for another protocol.
    freed: RefCell<Option<Stream>>,
    permit: RefCell<Option<Rc<Permit>>>,
    asks_upgrade: Cell<bool>,
    cut: Cell<bool>,
    /// HTTP is over on it.
    over: Notify,
}

impl Wire {
    pub(super) fn new(connection: Connection<TokioIo<Stream>, Outgoing>) -> Self {
        Self {
            connection: RefCell::new(Some(connection)),
            freed: RefCell::new(None),
            permit: RefCell::new(None),
            asks_upgrade: Cell::new(false),
            cut: Cell::new(false),
            over: Notify::new(),
        }
    }

    /// Seats an exchange: from here its permit ends with it, or with the socket.
    pub(super) fn seat(&self, permit: &Rc<Permit>) {
        *self.permit.borrow_mut() = Some(Rc::clone(permit));
    }

    /// Notes whether the exchange may end in another protocol.
    pub(super) fn expect_upgrade(&self, asks_upgrade: bool) {
        self.asks_upgrade.set(asks_upgrade);
    }

    /// Notes that the origin has answered the exchange on it, or got nothing of it.
    pub(super) fn end_work(&self) {
        if let Some(permit) = &*self.permit.borrow() {
            permit.end_work();
        }
    }

    pub(super) fn take_permit(&self) -> Option<Rc<Permit>> {
        self.permit.borrow_mut().take()
    }

    /// Takes the socket on which HTTP is over.
    pub(super) fn take_freed(&self) -> Option<Stream> {
        self.freed.borrow_mut().take()
    }

    pub(super) fn is_over(&self) -> bool {
        self.connection.borrow().is_none()
    }

    /// Returns when HTTP is over on it; for one that waits.
    pub(super) async fn over(&self) {
        self.over.notified().await;
    }

    pub(super) fn was_cut(&self) -> bool {
        self.cut.get()
    }

    /// Closes the socket, then lets go of the permit.
    pub(super) fn close(&self) {
        // Each borrow ends before the drop, which may run wakers.
        let connection = self.connection.borrow_mut().take();
        drop(connection);
        drop(self.take_freed());
        drop(self.take_permit());
        self.over.notify_one();
    }

    /// Tells whether the exchange on it is to be ended at once.
    pub(in crate::proxy) fn is_to_be_cut(&self) -> bool {
        let permit = self.permit.borrow();
        permit.as_ref().is_some_and(|permit| permit.is_cut())
    }

    /// Closes it by order.
    pub(in crate::proxy) fn cut(&self) {
        self.cut.set(true);
        self.close();
    }

    /// Drives hyper's connection until HTTP is over on it.
    pub(super) fn poll_drive(&self, cx: &mut Context<'_>) -> Poll<()> {
        let done = match self.connection.borrow_mut().as_mut() {
            None => return Poll::Ready(()),
            Some(connection) => Pin::new(connection).poll(cx),
        };
        let Poll::Ready(ended) = done else {
            return Poll::Pending;
        };
        match ended {
            Ok(()) if self.asks_upgrade.get() => self.free(),
            Ok(()) => self.close(),
            Err(error) => {
                tracing::debug!(%error, "connection to an origin ended");
                self.close();
            }
        }
        Poll::Ready(())
    }

    /// Takes the socket out of HTTP, with what was read after the last head.
    fn free(&self) {
        if let Some(connection) = self.connection.borrow_mut().take() {
            let parts = connection.into_parts();
            let stream = parts.io.into_inner().replay(parts.read_buf);
            *self.freed.borrow_mut() = Some(stream);
        }
        self.over.notify_one();
    }
}
