//! An origin that records what reaches it: real sockets, a thread per connection, and answers
//! that are chosen by the path.
//!
//! | path | answer |
//! |---|---|
//! | `/observations` | GET lists, POST adds its body as one line |
//! | `/size/N`, `/chunked/N` | N bytes, counted or chunked |
//! | `/trailers` | some chunks, then the field `x-sum` |
//! | `/upgrade` | 101, its name, and then every byte back |
//! | `/upgrade/wait` | the same, after the time of `/wait` |
//! | `/websocket` | 101, and its name in a frame, at once and whenever it hears something |
//! | `/websocket/half` | 101, and the first half of a frame that never ends |
//! | `/echo` | the length and the sum of the bytes of the request's body |
//! | `/busy/N` | the name of the side, after N ms of work |
//! | `/wait` | nothing until [`Origin::let_go`], or until the peer is gone |
//! | `/stall` | half of an answer, then like `/wait` |
//! | `/status/N` | that status, without a body |
//! | `/hop` | fields that are meant for the next hop only |
//! | `/close` | `Connection: close` |
//! | `/die` | none: the connection is closed after the request |
//! | any other | the name of the side |

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

/// One request, as it was seen here.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) began: Instant,
    /// When the last write of the answer began, for its peer may go on before it returns; `None`
    /// while it is in work.
    pub(crate) ended: Option<Instant>,
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
    /// The lines after the body, once it has been read.
    pub(crate) trailers: Vec<String>,
    /// Counts the connections of this origin.
    pub(crate) connection: usize,
}

impl Seen {
    /// Tells whether it is a check of ours.
    fn is_check(&self) -> bool {
        self.header("user-agent") == "pointsman-check"
    }

    /// The values of a header, joined with `|`; empty when there is none.
    pub(crate) fn header(&self, name: &str) -> String {
        let same = self
            .headers
            .iter()
            .filter(|(other, _)| other.eq_ignore_ascii_case(name));
        same.map(|(_, value)| value.as_str())
            .collect::<Vec<_>>()
            .join("|")
    }
}

/// A recording origin; dropping it closes every socket.
#[derive(Debug)]
pub(crate) struct Origin {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    side: String,
    log: Mutex<Vec<Seen>>,
    observations: Mutex<Vec<String>>,
    let_go: Mutex<bool>,
    woken: Condvar,
    sockets: Mutex<BTreeMap<usize, TcpStream>>,
    over: AtomicBool,
}

impl Origin {
    /// Listens on an address (`127.0.9.1:0`) as an origin of the given side.
    pub(crate) fn start(address: &str, side: &str) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            side: side.into(),
            ..Shared::default()
        });
        let of_thread = Arc::clone(&shared);
        std::thread::spawn(move || {
            for (number, stream) in listener.incoming().enumerate() {
                let Ok(stream) = stream else { continue };
                if of_thread.over.load(Ordering::Acquire) {
                    return;
                }
                let clone = stream.try_clone().unwrap();
                of_thread.sockets.lock().unwrap().insert(number, clone);
                let shared = Arc::clone(&of_thread);
                std::thread::spawn(move || {
                    // A peer that leaves in the middle is part of what is tested.
                    let _ = serve(&shared, stream, number);
                    shared.sockets.lock().unwrap().remove(&number);
                });
            }
        });
        Self { address, shared }
    }

    /// Every request so far, in the order of their heads; but for those of checks, which are made
    /// all the time.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        let log = self.shared.log.lock().unwrap();
        log.iter()
            .filter(|seen| !seen.is_check())
            .cloned()
            .collect()
    }

    /// Counts those; a loop that waits should not copy them all each time.
    pub(crate) fn count(&self) -> usize {
        let log = self.shared.log.lock().unwrap();
        log.iter().filter(|seen| !seen.is_check()).count()
    }

    /// The requests of checks for one path.
    pub(crate) fn checked_at(&self, path: &str) -> Vec<Seen> {
        let log = self.shared.log.lock().unwrap();
        let checks = log
            .iter()
            .filter(|seen| seen.is_check() && seen.path == path);
        checks.cloned().collect()
    }

    /// The requests of one path, but for those of checks.
    pub(crate) fn seen_at(&self, path: &str) -> Vec<Seen> {
        self.seen()
            .into_iter()
            .filter(|seen| seen.path == path)
            .collect()
    }

    /// What was posted to `/observations`, in the order it came.
    pub(crate) fn observations(&self) -> Vec<String> {
        self.shared.observations.lock().unwrap().clone()
    }

    /// Lets every `/wait` and `/stall` go on, those to come included.
    pub(crate) fn let_go(&self) {
        *self.shared.let_go.lock().unwrap() = true;
        self.shared.woken.notify_all();
    }

    /// Counts the connections whose other end is still open, at this instant.
    pub(crate) fn open_connections(&self) -> usize {
        let sockets = self.shared.sockets.lock().unwrap();
        sockets.values().filter(|socket| is_open(socket)).count()
    }

    /// Closes every connection from this end, as an origin does that restarts.
    pub(crate) fn close_connections(&self) {
        for socket in self.shared.sockets.lock().unwrap().values() {
            let _ = socket.shutdown(std::net::Shutdown::Both);
        }
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::Release);
        self.let_go();
        self.close_connections();
        // Wakes the listening thread, which then sees that it is over.
        let _ = TcpStream::connect(self.address);
    }
}

/// Looks for the end of the stream without waiting and without taking anything.
pub(crate) fn is_open(socket: &TcpStream) -> bool {
    let peeked = peek(socket);
    matches!(peeked, Ok(1..) | Err(std::io::ErrorKind::WouldBlock))
}

fn peek(socket: &TcpStream) -> Result<usize, std::io::ErrorKind> {
    let socket = socket2::SockRef::from(socket);
    let mut byte = [std::mem::MaybeUninit::uninit(); 1];
    let flags = libc::MSG_PEEK | libc::MSG_DONTWAIT;
    socket
        .recv_with_flags(&mut byte, flags)
        .map_err(|error| error.kind())
}

fn serve(shared: &Shared, stream: TcpStream, connection: usize) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut stream = Noted {
        stream,
        last_write: Instant::now(),
    };
    while let Some((method, path, headers)) = read_head(&mut reader)? {
        let index = {
            let mut log = shared.log.lock().unwrap();
            log.push(Seen {
                began: Instant::now(),
                ended: None,
                method: method.clone(),
                path: path.clone(),
                headers: headers.clone(),
                trailers: Vec::new(),
                connection,
            });
            log.len() - 1
        };
        let (body, trailers) = read_body(&mut reader, &headers)?;
        shared.log.lock().unwrap()[index].trailers = trailers;
        if path.starts_with("/upgrade") || path.starts_with("/websocket") {
            if path.ends_with("/wait") && !wait(shared, &stream.stream) {
                return Ok(());
            }
            let done = switch(shared, &path, &mut reader, &mut stream);
            shared.log.lock().unwrap()[index].ended = Some(stream.last_write);
            return done;
        }
        let goes_on = answer(shared, &mut stream, &method, &path, &body)?;
        shared.log.lock().unwrap()[index].ended = Some(stream.last_write);
        if !goes_on {
            return Ok(());
        }
    }
    Ok(())
}

/// A socket that notes when it was last written to.
struct Noted {
    stream: TcpStream,
    last_write: Instant,
}

impl Write for Noted {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.last_write = Instant::now();
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.stream.flush()
    }
}

pub(crate) type Head = (String, String, Vec<(String, String)>);

pub(crate) fn read_head(reader: &mut impl BufRead) -> std::io::Result<Option<Head>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split_whitespace().map(str::to_owned);
    let (method, path) = (
        words.next().unwrap_or_default(),
        words.next().unwrap_or_default(),
    );
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let line = line.trim_end();
        if line.is_empty() {
            return Ok(Some((method, path, headers)));
        }
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        headers.push((name.to_owned(), value.trim().to_owned()));
    }
}

/// Reads a body and the lines of its trailers.
pub(crate) fn read_body(
    reader: &mut impl BufRead,
    headers: &[(String, String)],
) -> std::io::Result<(Vec<u8>, Vec<String>)> {
    let find = |name: &str| {
        headers
            .iter()
            .find(|(other, _)| other.eq_ignore_ascii_case(name))
    };
    let mut body = Vec::new();
    if find("transfer-encoding").is_some() {
        loop {
            let mut size = String::new();
            reader.read_line(&mut size)?;
            let size = usize::from_str_radix(size.trim(), 16).unwrap_or(0);
            if size == 0 {
                let mut lines = reader.lines().take_while(|line| {
                    let is_end = line.as_ref().is_ok_and(String::is_empty);
                    !is_end
                });
                return Ok((body, lines.by_ref().collect::<Result<_, _>>()?));
            }
            let mut chunk = vec![0; size + 2];
            reader.read_exact(&mut chunk)?;
            body.extend_from_slice(&chunk[..size]);
        }
    }
    let length = find("content-length").map_or(0, |(_, length)| length.parse().unwrap());
    body.resize(length, 0);
    reader.read_exact(&mut body)?;
    Ok((body, Vec::new()))
}

fn answer(
    shared: &Shared,
    stream: &mut Noted,
    method: &str,
    path: &str,
    body: &[u8],
) -> std::io::Result<bool> {
    let mut parts = path.trim_start_matches('/').splitn(2, '/');
    let (first, rest) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""));
    let number = || rest.parse::<usize>().unwrap();
    match first {
        "observations" => {
            let mut list = shared.observations.lock().unwrap();
            if method == "POST" {
                list.push(String::from_utf8_lossy(body).into_owned());
            }
            let text = format!("Latest observations\n{}\n", list.join("\n"));
            drop(list);
            reply(shared, stream, method, "200 OK", "", text.as_bytes())?;
        }
        "size" => reply(shared, stream, method, "200 OK", "", &pattern(number()))?,
        "chunked" => chunked(shared, stream, &pattern(number()), "", "")?,
        "trailers" => {
            let named = "Trailer: x-sum, content-length\r\n";
            let after = "X-Sum: 7\r\nContent-Length: 3\r\n";
            chunked(shared, stream, &pattern(12_000), named, after)?;
        }
        "echo" => {
            let sum: u64 = body.iter().map(|&byte| u64::from(byte)).sum();
            let text = format!("{} {sum}", body.len());
            reply(shared, stream, method, "200 OK", "", text.as_bytes())?;
        }
        "busy" => {
            std::thread::sleep(Duration::from_millis(number() as u64));
            reply(shared, stream, method, "200 OK", "", shared.side.as_bytes())?;
        }
        "wait" => {
            if !wait(shared, &stream.stream) {
                return Ok(false);
            }
            reply(shared, stream, method, "200 OK", "", shared.side.as_bytes())?;
        }
        "stall" => {
            let head = format!("HTTP/1.1 200 OK\r\nX-Side: {}\r\n", shared.side);
            write!(stream, "{head}Content-Length: 8\r\n\r\nhalf")?;
            if !wait(shared, &stream.stream) {
                return Ok(false);
            }
            stream.write_all(b"rest")?;
        }
        "status" => {
            let side = &shared.side;
            write!(
                stream,
                "HTTP/1.1 {rest} Reason\r\nX-Side: {side}\r\nETag: \"1\"\r\n\r\n"
            )?;
        }
        "hop" => {
            let hop =
                "Connection: X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=9\r\nVia: 1.0 other\r\n";
            reply(shared, stream, method, "200 OK", hop, b"hop")?;
        }
        "close" => {
            reply(
                shared,
                stream,
                method,
                "200 OK",
                "Connection: close\r\n",
                b"close",
            )?;
            return Ok(false);
        }
        "die" => return Ok(false),
        _ => reply(shared, stream, method, "200 OK", "", shared.side.as_bytes())?,
    }
    Ok(true)
}

fn reply(
    shared: &Shared,
    stream: &mut Noted,
    method: &str,
    status: &str,
    more: &str,
    body: &[u8],
) -> std::io::Result<()> {
    let (side, length) = (&shared.side, body.len());
    let head =
        format!("HTTP/1.1 {status}\r\nX-Side: {side}\r\nContent-Length: {length}\r\n{more}\r\n");
    let mut bytes = head.into_bytes();
    if method != "HEAD" {
        bytes.extend_from_slice(body);
    }
    stream.write_all(&bytes)
}

fn chunked(
    shared: &Shared,
    stream: &mut Noted,
    body: &[u8],
    more: &str,
    after: &str,
) -> std::io::Result<()> {
    let side = &shared.side;
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nX-Side: {side}\r\nTransfer-Encoding: chunked\r\n{more}\r\n"
    )?;
    for chunk in body.chunks(5_000) {
        write!(stream, "{:x}\r\n", chunk.len())?;
        stream.write_all(chunk)?;
        stream.write_all(b"\r\n")?;
    }
    write!(stream, "0\r\n{after}\r\n")
}

/// Speaks first, and answers as its path says until the other end is done.
fn switch(
    shared: &Shared,
    path: &str,
    reader: &mut impl BufRead,
    stream: &mut Noted,
) -> std::io::Result<()> {
    let head = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n";
    let side = shared.side.as_str();
    write!(stream, "{head}\r\n")?;
    match path {
        "/websocket" => loop {
            stream.write_all(&[&[0x81, side.len() as u8], side.as_bytes()].concat())?;
            let heard = reader.fill_buf()?.len();
            if heard == 0 {
                return Ok(());
            }
            reader.consume(heard);
        },
        "/websocket/half" => {
            stream.write_all(&[&[0x81, 100], side.as_bytes()].concat())?;
            std::io::copy(reader, &mut std::io::sink()).map(|_| ())
        }
        _ => {
            write!(stream, "{side}:")?;
            std::io::copy(reader, stream).map(|_| ())
        }
    }
}

/// Waits to be let go; false when the peer is gone first.
fn wait(shared: &Shared, stream: &TcpStream) -> bool {
    let mut let_go = shared.let_go.lock().unwrap();
    while !*let_go {
        if !is_open(stream) {
            return false;
        }
        let look_again = Duration::from_millis(5);
        let_go = shared.woken.wait_timeout(let_go, look_again).unwrap().0;
    }
    true
}

/// Bytes that differ from their neighbours, so that a shift or a gap shows.
pub(crate) fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at % 251) as u8).collect()
}
