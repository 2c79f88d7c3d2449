//! A client of HTTP/2 that writes and reads frames (RFC 9113 §4), also such as no client should.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Instant;

use super::client::PATIENCE;
use super::track::HOST;

/// What a connection begins with (RFC 9113 §3.4).
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const PRIORITY: u8 = 2;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

/// The flag of an acknowledgement.
pub(crate) const ACK: u8 = 1;
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

/// `CANCEL` (RFC 9113 §7).
pub(crate) const CANCEL: [u8; 4] = [0, 0, 0, 8];

/// One frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

/// A connection.
#[derive(Debug)]
pub(crate) struct Frames {
    pub(crate) socket: TcpStream,
}

impl Frame {
    pub(crate) fn new(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Self {
        Self {
            kind,
            flags,
            stream,
            payload: payload.to_vec(),
        }
    }

    /// The head of a request for a path.
    pub(crate) fn request(method: &str, stream: u32, path: &str) -> Self {
        // RFC 7541 §6: two of the static table, then two fields with names of it.
        let method = if method == "GET" { 0x82 } else { 0x83 };
        let mut block = vec![method, 0x86];
        for (name, value) in [(0x01, HOST), (0x04, path)] {
            block.extend([name, u8::try_from(value.len()).unwrap()]);
            block.extend(value.as_bytes());
        }
        let flags = if method == 0x82 { END_STREAM } else { 0 };
        Self::new(HEADERS, flags | END_HEADERS, stream, &block)
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let length = u32::try_from(self.payload.len()).unwrap().to_be_bytes();
        let mut bytes = length[1..].to_vec();
        bytes.extend([self.kind, self.flags]);
        bytes.extend(self.stream.to_be_bytes());
        bytes.extend(&self.payload);
        bytes
    }

    /// Tells whether it is the head of an answer with status 200, which has a number in HPACK.
    pub(crate) fn is_ok(&self, stream: u32) -> bool {
        self.kind == HEADERS && self.stream == stream && self.payload.first() == Some(&0x88)
    }

    /// Of a GOAWAY: the last stream that is answered, and why it came.
    pub(crate) fn goes_away(&self) -> Option<(u32, u32)> {
        let number = |at: usize| u32::from_be_bytes(self.payload[at..at + 4].try_into().unwrap());
        (self.kind == GOAWAY).then(|| (number(0), number(4)))
    }
}

impl Frames {
    /// Connects and says the preface, with settings of the test's own.
    pub(crate) fn connect(address: SocketAddr, settings: &[u8]) -> Self {
        let socket = TcpStream::connect(address).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.set_write_timeout(Some(PATIENCE)).unwrap();
        socket.set_nodelay(true).unwrap();
        let mut frames = Self { socket };
        frames.socket.write_all(PREFACE).unwrap();
        frames.send(&Frame::new(SETTINGS, 0, 0, settings));
        frames
    }

    pub(crate) fn send(&mut self, frame: &Frame) {
        self.socket.write_all(&frame.bytes()).unwrap();
    }

    /// Reads a frame; `None` when the connection is ended. Settings and pings are acknowledged.
    pub(crate) fn next(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        read(&mut self.socket, &mut head)?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; length as usize];
        read(&mut self.socket, &mut payload)?;
        let stream = u32::from_be_bytes(head[5..].try_into().unwrap());
        let frame = Frame::new(head[3], head[4], stream, &payload);
        if matches!(frame.kind, SETTINGS | PING) && frame.flags & ACK == 0 {
            let said = if frame.kind == PING {
                &payload[..]
            } else {
                &[]
            };
            let ack = Frame::new(frame.kind, ACK, 0, said);
            // An end of the connection is seen when the next frame is read.
            let _ = self.socket.write_all(&ack.bytes());
        }
        Some(frame)
    }

    /// Reads until a frame is as is wanted; `None` when the connection is ended before.
    pub(crate) fn find(&mut self, mut is: impl FnMut(&Frame) -> bool) -> Option<Frame> {
        loop {
            let frame = self.next()?;
            if is(&frame) {
                return Some(frame);
            }
        }
    }

    /// Reads to the end of the connection.
    pub(crate) fn rest(&mut self) -> Vec<Frame> {
        std::iter::from_fn(|| self.next()).collect()
    }

    /// Sends the same bytes again and again until the connection is ended; how often.
    pub(crate) fn flood(&mut self, bytes: &[u8]) -> usize {
        let began = Instant::now();
        for count in 0.. {
            if self.socket.write_all(bytes).is_err() {
                return count;
            }
            assert!(began.elapsed() < PATIENCE, "it goes on and on");
        }
        unreachable!("counting ends when the connection does");
    }

    /// Takes what comes on another thread, so that answers to a flood do not pile up.
    pub(crate) fn drained(&self) -> std::thread::JoinHandle<()> {
        let mut socket = self.socket.try_clone().unwrap();
        std::thread::spawn(move || {
            let mut taken = [0; 65536];
            while socket.read(&mut taken).is_ok_and(|count| count > 0) {}
        })
    }
}

impl Drop for Frames {
    fn drop(&mut self) {
        // Wakes a thread that takes what comes.
        let _ = self.socket.shutdown(Shutdown::Both);
    }
}

/// Fills a buffer; `None` at the end of the connection, however it comes.
fn read(socket: &mut TcpStream, buffer: &mut [u8]) -> Option<()> {
    match socket.read_exact(buffer) {
        Ok(()) => Some(()),
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
            panic!("nothing came within {PATIENCE:?}")
        }
        Err(_) => None,
    }
}
