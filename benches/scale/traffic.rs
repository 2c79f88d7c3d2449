//! Requests at a steady rate, and an origin that costs next to nothing.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Kept-alive connections that ask at the same time.
const CONNECTIONS: u32 = 8;

/// Requests each of them makes in a second: 2,000 together, well below what the machine can do.
const RATE: u32 = 250;

/// Answers every request with its name, a thread to a connection, until the process ends.
pub(crate) fn origin(address: &str, says: &'static str) {
    let listener = TcpListener::bind(address).unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || answer(stream, says));
        }
    });
}

fn answer(mut stream: TcpStream, says: &str) {
    stream.set_nodelay(true).unwrap();
    let response = format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{says}",
        says.len()
    );
    let mut request = [0; 4096];
    let mut length = 0;
    while let Ok(more @ 1..) = stream.read(&mut request[length..]) {
        length += more;
        if request[..length].ends_with(b"\r\n\r\n") {
            length = 0;
            if stream.write_all(response.as_bytes()).is_err() {
                return;
            }
        }
    }
}

/// One connection to the proxy.
pub(crate) struct Client {
    stream: TcpStream,
    answer: Vec<u8>,
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> std::io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        Ok(Self {
            stream,
            answer: vec![0; 16 * 1024],
        })
    }

    /// Asks, and shows all of the answer.
    pub(crate) fn get(&mut self, host: &str, path: &str) -> std::io::Result<String> {
        let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        self.stream.write_all(request.as_bytes())?;
        let mut length = 0;
        loop {
            let more = self.stream.read(&mut self.answer[length..])?;
            if more == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            length += more;
            let text = String::from_utf8_lossy(&self.answer[..length]);
            if let Some((head, body)) = text.split_once("\r\n\r\n")
                && body.len() >= content_length(head)
            {
                return Ok(text.into_owned());
            }
        }
    }
}

fn content_length(head: &str) -> usize {
    let mut fields = head.lines().filter_map(|line| line.split_once(':'));
    let found = fields.find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    found.map_or(0, |(_, value)| value.trim().parse().unwrap())
}

/// Requests that go on until they are ended.
pub(crate) struct Traffic {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Vec<Duration>>>,
}

impl Traffic {
    pub(crate) fn start(address: SocketAddr, host: &str) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let threads = (0..CONNECTIONS).map(|number| {
            let (stop, host) = (Arc::clone(&stop), host.to_owned());
            thread::spawn(move || ask(address, &host, number, &stop))
        });
        Self {
            threads: threads.collect(),
            stop,
        }
    }

    /// Ends it, and gives what each request took, sorted.
    pub(crate) fn end(self) -> Vec<Duration> {
        self.stop.store(true, Ordering::Release);
        let took = self
            .threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap());
        let mut took: Vec<Duration> = took.collect();
        took.sort();
        took
    }
}

/// Asks at its rate; a request that is late is made at once, and is not made up for.
fn ask(address: SocketAddr, host: &str, number: u32, stop: &AtomicBool) -> Vec<Duration> {
    let mut client = Client::connect(address).unwrap();
    let pause = Duration::from_secs(1) / RATE;
    let mut next = Instant::now() + pause * number / CONNECTIONS;
    let mut took = Vec::new();
    while !stop.load(Ordering::Acquire) {
        thread::sleep(next.saturating_duration_since(Instant::now()));
        let began = Instant::now();
        client.get(host, "/").unwrap();
        took.push(began.elapsed());
        next = (next + pause).max(Instant::now());
    }
    took
}
