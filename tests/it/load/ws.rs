//! A WebSocket's life: opened, in use, ended by a flip, opened again.

use std::io::Write;
use std::time::{Duration, Instant};

use crate::support::client::Client;

use super::tally::Asked;
use super::{DRAIN_FOR, Load, Rest};

const ASK: &str = "GET /upgrade HTTP/1.1\r\nHost: www.ispot.example\r\nConnection: Upgrade\r\n\
                   Upgrade: websocket\r\n\r\n";

/// The first byte of a Close frame (RFC 6455 §5.5.1), as [`read`] shows what is no text.
const CLOSE: &str = "\u{fffd}";

/// How long a client thinks between two messages.
const PAUSE: Duration = Duration::from_millis(2);

/// One tunnel, as its client saw it.
#[derive(Debug)]
pub(super) struct Tunnel {
    opened: Instant,
    /// As its origin named itself.
    side: String,
    /// When each message was sent that came back.
    sent: Vec<Instant>,
    ended: Instant,
}

/// Opens one tunnel after the other, and sends messages through each.
pub(super) fn client(load: &Load, number: usize) {
    while !load.is_over() {
        let mut connection = Client::connect(load.http);
        let asked = Asked::tunnel();
        connection.send(ASK);
        match connection.head() {
            Ok((101, _)) => {
                let tunnel = talk(load, &mut connection, number);
                load.tally.tunnels.lock().unwrap().push(tunnel);
            }
            Ok((status, headers)) => {
                let retry_after = headers.iter().any(|(name, _)| name == "retry-after");
                load.tally.answered(asked, status, retry_after, b"");
                std::thread::sleep(PAUSE);
            }
            Err(error) => load.tally.failed(format!("WebSocket {number}: {error}")),
        }
    }
}

fn talk(load: &Load, connection: &mut Client, number: usize) -> Tunnel {
    let mut tunnel = Tunnel {
        opened: Instant::now(),
        side: String::new(),
        sent: Vec::new(),
        ended: Instant::now(),
    };
    let mut colon = read(connection, 1);
    while let Some(letter) = colon.filter(|letter| letter != ":") {
        if letter == CLOSE {
            // A flip ended it before its origin had spoken; what comes after that is in no frames.
            tunnel.ended = Instant::now();
            return tunnel;
        }
        tunnel.side += &letter;
        colon = read(connection, 1);
    }
    while !load.is_over() {
        let (now, message) = (
            Instant::now(),
            format!("{number:02}-{:06}", tunnel.sent.len()),
        );
        if connection.stream.write_all(message.as_bytes()).is_err() {
            break;
        }
        match read(connection, message.len()) {
            Some(echo) => assert_eq!(echo, message, "another's bytes"),
            None => break,
        }
        tunnel.sent.push(now);
        std::thread::sleep(PAUSE);
    }
    tunnel.ended = Instant::now();
    tunnel
}

/// Reads so many bytes; `None` when the tunnel ends before.
fn read(connection: &mut Client, length: usize) -> Option<String> {
    let mut text = String::new();
    while text.len() < length {
        let some = connection.some(length - text.len()).ok()?;
        if some.is_empty() {
            return None;
        }
        text += &String::from_utf8_lossy(&some);
    }
    Some(text)
}

/// Every tunnel that was open when a flip began was ended within the drain's deadline, and nothing
/// that was sent after the acknowledgement came back from the old side.
pub(super) fn assert_ended_in_time(tunnels: &[Tunnel], rests: &[Rest]) {
    // Most of the eight come back before the next flip; a busy machine keeps some waiting.
    assert!(
        tunnels.len() >= 4 * rests.len(),
        "only {} tunnels over {} flips",
        tunnels.len(),
        rests.len()
    );
    for rest in rests {
        let mut open = tunnels
            .iter()
            .filter(|tunnel| tunnel.opened < rest.asked && tunnel.ended > rest.asked);
        assert!(
            open.all(|tunnel| tunnel.ended < rest.asked + DRAIN_FOR),
            "{tunnels:#?}"
        );
        let span = rest.acknowledged..rest.next_flip;
        let stale = tunnels
            .iter()
            .filter(|tunnel| tunnel.side != rest.side)
            .flat_map(|tunnel| &tunnel.sent)
            .filter(|sent| span.contains(*sent));
        assert_eq!(stale.count(), 0, "{} was acknowledged", rest.side);
    }
}
