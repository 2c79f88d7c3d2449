//! DNS over UDP: one thread a socket, packets by the batch, no allocation.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};

use crate::switchboard::{self, Switchboard, Turns};
use crate::sys::{self, Batch};
use crate::telemetry::dns::{DnsCounters, DnsDrop};
use crate::zone::{Given, Reply, Transport, Zones, answer_noting};

use super::counted_as;

/// How often a worker without queries looks whether it is to end.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// How long a worker rests after an error of the socket itself, so that it does not spin.
const REST: Duration = Duration::from_millis(10);

/// Asked of the kernel for bursts, in bytes; what it grants may be less, and then packets that
/// overflow are lost as on any network.
const RECEIVE_BUFFER_BYTES: usize = 1 << 20;

/// Binds one of the sockets of an address; the kernel spreads the clients over them.
pub(super) fn bind(address: SocketAddr) -> io::Result<UdpSocket> {
    let domain = Domain::for_address(address);
    let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_port(true)?;
    // Best effort: the default serves as well, only with shorter bursts.
    let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER_BYTES);
    socket.set_read_timeout(Some(LOOK_EVERY))?;
    socket.bind(&address.into())?;
    let socket = UdpSocket::from(socket);
    // A socket of one address answers from it anyway.
    if address.ip().is_unspecified() {
        sys::tell_destination(&socket, address.is_ipv6())?;
    }
    Ok(socket)
}

/// One thread's part.
pub(super) struct Worker {
    pub(super) socket: UdpSocket,
    pub(super) board: Arc<Switchboard>,
    pub(super) turns: Turns,
    pub(super) counters: Arc<DnsCounters>,
    pub(super) stop: Arc<AtomicBool>,
}

impl Worker {
    /// Serves until told to end.
    pub(super) fn run(self) {
        let mut batch = Batch::new();
        while !self.stop.load(Ordering::Relaxed) {
            match batch.receive(&self.socket) {
                Ok(count) => self.turn(&mut batch, count),
                // Nothing came, or a signal did: time to look at the stop flag.
                Err(error) if is_pause(&error) => {}
                Err(error) => {
                    tracing::debug!(%error, "receiving DNS packets failed");
                    std::thread::sleep(REST);
                }
            }
        }
    }

    /// Answers a batch from one snapshot; nothing in a turn waits.
    fn turn(&self, batch: &mut Batch, count: usize) {
        self.turns.begin();
        let snapshot = self.board.load();
        let mut given = Given::default();
        for at in 0..count {
            if let Some(len) = self.one(&snapshot.zones, batch, at, &mut given) {
                batch.answer(at, len);
            }
        }
        let sending = given.sending();
        let refused = batch.send(&self.socket, count);
        // Within the turn: who waits for its end finds all that was given out noted.
        sending.sent(switchboard::sent);
        drop(sending);
        drop(snapshot);
        self.turns.end();
        (0..refused).for_each(|_| self.counters.dropped(DnsDrop::Send));
    }

    fn one<'z>(
        &self,
        zones: &'z Zones,
        batch: &mut Batch,
        at: usize,
        given: &mut Given<'z>,
    ) -> Option<usize> {
        self.counters.request();
        let packet = batch.packet(at);
        let dropped = if packet.port == 0 {
            DnsDrop::PortZero
        } else if packet.cut {
            DnsDrop::TooLong
        } else {
            match answer_noting(zones, packet.bytes, Transport::Udp, packet.answer, given) {
                Reply::Send { len, rcode } => {
                    self.counters.response(rcode.number());
                    return Some(len);
                }
                Reply::Drop(dropped) => counted_as(dropped),
            }
        };
        self.counters.dropped(dropped);
        None
    }
}

fn is_pause(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
    )
}
