//! DNS over TCP (RFC 7766): all connections on one thread.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::task::{JoinSet, LocalSet};
use tokio::time::{Instant, sleep, timeout_at};

use crate::switchboard::{self, Switchboard, Turns};
use crate::telemetry::dns::{DnsCounters, DnsDrop};
use crate::zone::{AnswerLease, Given, Reply, Transport, Zones, answer_noting};

use super::counted_as;

/// Connections served at once; one more is closed at once, and its client comes again.
const CONNECTIONS_MAX: usize = 512;

/// How long a connection may wait for its next whole query (RFC 7766 §6.2.3 leaves it to us).
const IDLE: Duration = Duration::from_secs(10);

/// How long a client may take to make room for an answer; then the connection is closed.
const WRITE_DEADLINE: Duration = Duration::from_secs(2);

/// Bytes of the longest query taken, its length apart; who sends a longer one is cut off.
const QUERY_BYTES_MAX: usize = 4096;

/// Bytes of an answer with its length (RFC 1035 §4.2.2).
const FRAME_BYTES_MAX: usize = 2 + 65535;

/// Answers are gathered up to so many bytes for one write; the last may go over it.
const GATHER_BYTES: usize = 16 * 1024;

/// Connections the kernel keeps for us until they are accepted.
const BACKLOG: i32 = 256;

/// How long accepting rests when descriptors have run out, so that it does not spin.
const REST: Duration = Duration::from_millis(50);

/// Binds an address.
pub(super) fn bind(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // Connections of a daemon before this one may still be in TIME_WAIT.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// The listeners and the runtime of their thread.
pub(super) struct Server {
    runtime: Runtime,
    listeners: Vec<TcpListener>,
    desk: Desk,
    stopped: watch::Receiver<bool>,
}

/// What every connection answers from.
struct Desk {
    board: Arc<Switchboard>,
    turns: Turns,
    counters: Arc<DnsCounters>,
    open: Cell<usize>,
    /// Where answers are written before they go out; used within turns only.
    scratch: RefCell<Box<[u8]>>,
}

/// What was answered and did not go out yet.
struct Unsent {
    bytes: Vec<u8>,
    zones: Arc<Zones>,
    /// What it may give out of direct names, with the TTL in seconds.
    given: Vec<(Arc<AnswerLease>, u32)>,
}

/// Why a connection is closed by us.
enum Close {
    Done,
    Because(DnsDrop),
}

impl From<io::Error> for Close {
    fn from(_: io::Error) -> Self {
        Self::Done
    }
}

impl Server {
    /// Takes bound listeners over.
    ///
    /// # Errors
    /// The system has no descriptors left.
    pub(super) fn new(
        listeners: Vec<std::net::TcpListener>,
        board: Arc<Switchboard>,
        turns: Turns,
        counters: Arc<DnsCounters>,
        stopped: watch::Receiver<bool>,
    ) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let listeners = {
            let _entered = runtime.enter();
            listeners
                .into_iter()
                .map(TcpListener::from_std)
                .collect::<io::Result<_>>()?
        };
        let desk = Desk {
            board,
            turns,
            counters,
            open: Cell::new(0),
            scratch: RefCell::new(vec![0; GATHER_BYTES + FRAME_BYTES_MAX].into()),
        };
        Ok(Self {
            runtime,
            listeners,
            desk,
            stopped,
        })
    }

    /// Serves until told to end; open connections are closed then.
    pub(super) fn run(self) {
        let Self {
            runtime,
            listeners,
            desk,
            mut stopped,
        } = self;
        let desk = Rc::new(desk);
        let local = LocalSet::new();
        local.block_on(&runtime, async move {
            let mut accepting = JoinSet::new();
            for listener in listeners {
                accepting.spawn_local(accept(listener, Rc::clone(&desk)));
            }
            // An error means that the handle is gone, which is an end as well.
            let _ = stopped.wait_for(|stop| *stop).await;
        });
    }
}

/// Accepts for ever; dropped, it closes its connections.
async fn accept(listener: TcpListener, desk: Rc<Desk>) {
    let mut connections = JoinSet::new();
    loop {
        // Both arms are cancel-safe: no connection is lost between two rounds.
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) if desk.open.get() < CONNECTIONS_MAX => {
                    let seat = Seat::take(&desk);
                    connections.spawn_local(connection(stream, seat));
                }
                Ok(_) => desk.counters.dropped(DnsDrop::ConnectionLimit),
                Err(error) => {
                    tracing::debug!(%error, "accepting a DNS connection failed");
                    sleep(REST).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

/// One of the [`CONNECTIONS_MAX`] places; dropping it gives it back.
struct Seat(Rc<Desk>);

impl Seat {
    fn take(desk: &Rc<Desk>) -> Self {
        desk.open.set(desk.open.get() + 1);
        desk.counters.connections(desk.open.get());
        Self(Rc::clone(desk))
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.open.set(self.0.open.get() - 1);
        self.0.counters.connections(self.0.open.get());
    }
}

async fn connection(stream: TcpStream, seat: Seat) {
    // Without it an answer may wait for the acknowledgement of the one before.
    let _ = stream.set_nodelay(true);
    if let Err(Close::Because(why)) = serve(&stream, &seat.0).await {
        seat.0.counters.dropped(why);
    }
}

/// Answers query after query, also those sent before the answer to the first (RFC 7766 §6.2.1.1).
async fn serve(stream: &TcpStream, desk: &Desk) -> Result<(), Close> {
    let mut input = [0; 2 + QUERY_BYTES_MAX];
    let mut filled = 0;
    loop {
        let deadline = Instant::now() + IDLE;
        while frame(&input[..filled])?.is_none() {
            let ready = timeout_at(deadline, stream.readable()).await;
            ready.map_err(|_| Close::Done)??;
            match stream.try_read(&mut input[filled..]) {
                Ok(0) => return Err(Close::Done),
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error.into()),
            }
        }
        let (used, unsent) = desk.turn(stream, &input[..filled])?;
        input.copy_within(used..filled, 0);
        filled -= used;
        if let Some(unsent) = unsent {
            desk.rest(stream, unsent).await?;
        }
        // A client that never stops asking must not keep the others waiting.
        tokio::task::yield_now().await;
    }
}

/// Finds the first whole query in what was read.
fn frame(input: &[u8]) -> Result<Option<&[u8]>, Close> {
    let Some((length, rest)) = input.split_first_chunk::<2>() else {
        return Ok(None);
    };
    let length = usize::from(u16::from_be_bytes(*length));
    if length > QUERY_BYTES_MAX {
        return Err(Close::Because(DnsDrop::TooLong));
    }
    Ok(rest.get(..length))
}

impl Desk {
    /// Answers the whole queries in `input` from one snapshot and hands them to the kernel; gives
    /// the bytes used, and what the kernel did not take. Nothing in a turn waits.
    fn turn(&self, stream: &TcpStream, input: &[u8]) -> Result<(usize, Option<Unsent>), Close> {
        self.turns.begin();
        let snapshot = self.board.load();
        let mut scratch = self.scratch.borrow_mut();
        let mut given = Given::default();
        let answered = self.answers(&snapshot.zones, input, &mut scratch, &mut given);
        let result = answered.and_then(|(used, len)| {
            let sending = given.sending();
            let written = stream.try_write(&scratch[..len]);
            // Within the turn: who waits for its end finds all that was given out noted.
            sending.sent(switchboard::sent);
            let sent = sent(written)?;
            let unsent = (sent < len).then(|| Unsent {
                bytes: scratch[sent..len].into(),
                zones: Arc::clone(&snapshot.zones),
                given: sending.kept(),
            });
            Ok((used, unsent))
        });
        drop(snapshot);
        self.turns.end();
        result
    }

    /// Writes the answers, each behind its length; gives the bytes read and written.
    fn answers<'z>(
        &self,
        zones: &'z Zones,
        input: &[u8],
        out: &mut [u8],
        given: &mut Given<'z>,
    ) -> Result<(usize, usize), Close> {
        let (mut used, mut len) = (0, 0);
        while let (Some(query), 0..GATHER_BYTES) = (frame(&input[used..])?, len) {
            self.counters.request();
            used += 2 + query.len();
            let room = &mut out[len + 2..];
            match answer_noting(zones, query, Transport::Tcp, room, given) {
                Reply::Send { len: bytes, rcode } => {
                    self.counters.response(rcode.number());
                    let length = u16::try_from(bytes).map_err(|_| Close::Done)?;
                    out[len..len + 2].copy_from_slice(&length.to_be_bytes());
                    len += 2 + bytes;
                }
                Reply::Drop(dropped) => return Err(Close::Because(counted_as(dropped))),
            }
        }
        Ok((used, len))
    }

    /// Sends the rest of an answer as the client makes room, as long as it is still true: a flip
    /// does not wait for a slow client, so what it changed may not go out any more.
    async fn rest(&self, stream: &TcpStream, mut unsent: Unsent) -> Result<(), Close> {
        let deadline = Instant::now() + WRITE_DEADLINE;
        while !unsent.bytes.is_empty() {
            let ready = timeout_at(deadline, stream.writable()).await;
            ready.map_err(|_| Close::Because(DnsDrop::Slow))??;
            self.turns.begin();
            let same = Arc::ptr_eq(&self.board.load().zones, &unsent.zones);
            let written = same.then(|| stream.try_write(&unsent.bytes));
            if same {
                let now_ms = switchboard::sent().ms;
                let given = unsent.given.iter();
                given.for_each(|(lease, ttl_s)| lease.assume(*ttl_s, now_ms));
            }
            self.turns.end();
            let sent = sent(written.ok_or(Close::Because(DnsDrop::Slow))?)?;
            unsent.bytes.drain(..sent);
        }
        Ok(())
    }
}

/// Counts what the kernel took; a full buffer takes nothing.
fn sent(written: io::Result<usize>) -> io::Result<usize> {
    match written {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
        written => written,
    }
}
