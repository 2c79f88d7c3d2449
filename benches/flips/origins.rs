//! The two sides of the site: origins that take their time over each request, and note when they
//! were at work on which.

use std::io::{BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crate::counts::{Side, Worked};
use crate::support::origin::{is_open, read_body, read_head};
use crate::support::wait::until;

/// What Pointsman's checks ask for; it is answered at once and is no request of a user.
pub(crate) const CHECK: &str = "/up";

/// How often an origin at work looks whether its connection is still there.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// Bytes that follow the first line of each answer.
const ANSWER_BYTES: usize = 1000;

/// Both origins; they work until the process ends.
#[derive(Clone, Default)]
pub(crate) struct Origins {
    log: Arc<Log>,
}

#[derive(Default)]
struct Log {
    in_work: AtomicUsize,
    done: Mutex<Vec<Worked>>,
}

impl Origins {
    /// Listens as one of the sides.
    pub(crate) fn listen(&self, address: &str, side: Side) {
        let listener = TcpListener::bind(address).unwrap();
        let log = Arc::clone(&self.log);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let log = Arc::clone(&log);
                // A peer that leaves in the middle is part of what is measured.
                thread::spawn(move || serve(&log, stream, side));
            }
        });
    }

    /// Waits until nothing is in work, and hands over what was worked on since the last time.
    pub(crate) fn take(&self) -> Vec<Worked> {
        until("the origins are idle", || {
            let in_work = self.log.in_work.load(Ordering::Acquire);
            (in_work == 0).then_some(())
        });
        std::mem::take(&mut *self.log.done.lock().unwrap())
    }
}

fn serve(log: &Log, mut stream: TcpStream, side: Side) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream.try_clone()?);
    while let Some((_, path, headers)) = read_head(&mut reader)? {
        if path == CHECK {
            answer(&mut stream, side, 0)?;
            continue;
        }
        log.in_work.fetch_add(1, Ordering::AcqRel);
        let began = Instant::now();
        let body = read_body(&mut reader, &headers);
        let cut = match body {
            Ok(_) => work(&stream, began + time_asked_for(&path)),
            Err(_) => Some(began),
        };
        let worked = Worked {
            side,
            began,
            ended: Instant::now(),
            cut,
        };
        // Noted before the answer is written: its reader may go on before the write returns.
        log.done.lock().unwrap().push(worked);
        log.in_work.fetch_sub(1, Ordering::AcqRel);
        let (body, _) = body?;
        answer(&mut stream, side, body.len())?;
    }
    Ok(())
}

/// The clients choose, so that the mix is the same for everybody: `/work/20` is 20 ms.
fn time_asked_for(path: &str) -> Duration {
    let milliseconds = path.strip_prefix("/work/").and_then(|ms| ms.parse().ok());
    Duration::from_millis(milliseconds.unwrap_or(0))
}

/// Is at work for a while; tells when the connection was last seen open, if it was closed meanwhile.
///
/// So a cut is dated early, by as much as two looks are apart: in favour of who cuts.
fn work(stream: &TcpStream, until: Instant) -> Option<Instant> {
    let mut seen_open = Instant::now();
    let mut cut = None;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return cut;
        }
        thread::sleep(left.min(LOOK_EVERY));
        if cut.is_none() {
            let now = Instant::now();
            if is_open(stream) {
                seen_open = now;
            } else {
                cut = Some(seen_open);
            }
        }
    }
}

/// Says which side this is and how much of a body it was sent.
fn answer(stream: &mut TcpStream, side: Side, posted: usize) -> std::io::Result<()> {
    let first = format!("{} {posted}\n", side.name());
    let length = first.len() + ANSWER_BYTES;
    let mut bytes =
        format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{first}").into_bytes();
    bytes.resize(bytes.len() + ANSWER_BYTES, b'.');
    stream.write_all(&bytes)
}
