//! The users: kept-alive connections of HTTP/1.1 that read, and now and then write.

use std::io::{BufRead, BufReader, Error, ErrorKind, Read, Result, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::counts::Side;
use crate::support::origin::is_open;
use crate::support::track::HOST;

/// After this a user has gone.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the users saw.
#[derive(Default)]
pub(crate) struct Saw {
    /// How long each answer took that was one.
    pub(crate) waited: Vec<Duration>,
    /// What was no answer of a side, in words.
    pub(crate) failed: Vec<String>,
}

/// Users at work.
pub(crate) struct Clients {
    over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Saw>>,
}

impl Clients {
    /// Starts this many; the same turn makes the same requests.
    pub(crate) fn start(address: SocketAddr, count: usize, turn: usize) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let threads = (0..count).map(|number| {
            let over = Arc::clone(&over);
            let dice = Dice((turn * count + number + 1) as u64);
            thread::spawn(move || ask_on(address, dice, &over))
        });
        Self {
            threads: threads.collect(),
            over,
        }
    }

    /// Lets each end the request it is at.
    pub(crate) fn end(self) -> Saw {
        self.over.store(true, Ordering::Release);
        let mut all = Saw::default();
        for thread in self.threads {
            let saw = thread.join().unwrap();
            all.waited.extend(saw.waited);
            all.failed.extend(saw.failed);
        }
        all
    }
}

fn ask_on(address: SocketAddr, mut dice: Dice, over: &AtomicBool) -> Saw {
    let mut saw = Saw::default();
    let mut kept = None;
    while !over.load(Ordering::Acquire) {
        thread::sleep(Duration::from_micros(dice.below(4_000)));
        if dice.one_in(50) {
            kept = None;
        }
        let (path, body_bytes) = next_request(&mut dice);
        let began = Instant::now();
        match ask(&mut kept, address, &path, body_bytes) {
            Ok(()) => saw.waited.push(began.elapsed()),
            Err(error) => {
                kept = None;
                saw.failed.push(error.to_string());
            }
        }
    }
    saw
}

/// Most take 2 to 5 ms at their origin and some 20; most are reads.
fn next_request(dice: &mut Dice) -> (String, Option<usize>) {
    let milliseconds = if dice.one_in(20) {
        20
    } else {
        2 + dice.below(4)
    };
    let body_bytes = match dice.below(500) {
        0 => Some(1_000_000),
        1..25 => Some(64 * 1024),
        25..75 => Some(200),
        _ => None,
    };
    (format!("/work/{milliseconds}"), body_bytes)
}

/// Asks once, without a second try; on the connection that was kept, if it is still open.
fn ask(
    kept: &mut Option<Connection>,
    address: SocketAddr,
    path: &str,
    body_bytes: Option<usize>,
) -> Result<()> {
    // As every client does that keeps connections: one that was closed meanwhile is not used.
    if kept
        .as_ref()
        .is_some_and(|connection| !connection.is_open())
    {
        *kept = None;
    }
    let connection = match kept {
        Some(connection) => connection,
        None => kept.insert(Connection::open(address)?),
    };
    connection.send(path, body_bytes)?;
    let answer = connection.answer()?;
    if answer.status >= 500 {
        return Err(Error::other(format!("status {}", answer.status)));
    }
    let posted = body_bytes.unwrap_or(0);
    let is_of = |side: Side| {
        answer
            .body
            .starts_with(&format!("{} {posted}\n", side.name()))
    };
    if !is_of(Side::Live) && !is_of(Side::Backup) {
        return Err(Error::other("an answer of neither side"));
    }
    if answer.is_last {
        *kept = None;
    }
    Ok(())
}

struct Connection {
    stream: TcpStream,
    reader: BufReader<TcpStream>,
}

struct Answer {
    status: u16,
    is_last: bool,
    body: String,
}

impl Connection {
    fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let reader = BufReader::new(stream.try_clone()?);
        Ok(Self { stream, reader })
    }

    fn is_open(&self) -> bool {
        is_open(&self.stream)
    }

    fn send(&mut self, path: &str, body_bytes: Option<usize>) -> Result<()> {
        let mut request = match body_bytes {
            None => format!("GET {path} HTTP/1.1\r\nHost: {HOST}\r\n\r\n"),
            Some(length) => {
                format!("POST {path} HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: {length}\r\n\r\n")
            }
        }
        .into_bytes();
        request.resize(request.len() + body_bytes.unwrap_or(0), b'x');
        self.stream.write_all(&request)
    }

    fn answer(&mut self) -> Result<Answer> {
        let first = self.line()?;
        let status = first.split(' ').nth(1).and_then(|word| word.parse().ok());
        let mut answer = Answer {
            status: status.ok_or(ErrorKind::InvalidData)?,
            is_last: false,
            body: String::new(),
        };
        let mut length = 0;
        loop {
            let line = self.line()?.to_ascii_lowercase();
            match line.split_once(':') {
                Some(("content-length", value)) => length = value.trim().parse().unwrap_or(0),
                Some(("connection", value)) => answer.is_last = value.trim() == "close",
                Some(_) => {}
                None => break,
            }
        }
        let body = &mut answer.body;
        if (&mut self.reader).take(length).read_to_string(body)? as u64 != length {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        Ok(answer)
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        if self.reader.read_line(&mut line)? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        line.truncate(line.trim_end().len());
        Ok(line)
    }
}

/// Random enough, and the same in every run (SplitMix64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }

    fn one_in(&mut self, many: u64) -> bool {
        self.below(many) == 0
    }
}
