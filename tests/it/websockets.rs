//! WebSockets that a flip or a stop ends: what their clients are told, and between which bytes.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use pointsman::proxy::Limits;
use pointsman::site::During;
use pointsman::switchboard::Cut;
use pointsman::table::OriginAddr;

use crate::support::client::{Client, PATIENCE, until};
use crate::support::daemon::OneSite;
use crate::support::origin::pattern;
use crate::support::stage::Stage;
use crate::support::track::{HOST, Track};

/// A tunnel of which the test is both ends.
struct Line {
    track: Track,
    client: Client,
    origin: TcpStream,
}

impl Line {
    fn lay(net: &str, protocol: &str) -> Self {
        let listener = TcpListener::bind(format!("127.{net}.4:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let track = Track::lay_with(net, Limits::default(), |site, _| {
            site.sides[0].web = vec![OriginAddr {
                host: address.ip().to_string(),
                port: address.port(),
                tls: None,
            }];
        });
        let mut client = track.client();
        client.send(&ask("/", protocol));
        let (mut origin, _) = listener.accept().unwrap();
        origin.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut head = BufReader::new(origin.try_clone().unwrap()).lines();
        while !head.next().unwrap().unwrap().is_empty() {}
        let head = format!("Connection: upgrade\r\nUpgrade: {protocol}\r\n\r\n");
        write!(origin, "HTTP/1.1 101 Switching Protocols\r\n{head}").unwrap();
        assert_eq!(client.head().unwrap().0, 101);
        Self {
            track,
            client,
            origin,
        }
    }

    /// Sends bytes from the origin, and waits until the client has them.
    fn pass(&mut self, bytes: &[u8]) {
        self.origin.write_all(bytes).unwrap();
        assert_eq!(read(&mut self.client, bytes.len()), bytes);
    }

    /// Ends the tunnel as a hold does.
    fn hold(&self) {
        let gates = self.track.gates();
        gates.hold(During::Hold);
        gates.order_cut(Cut::Tunnels);
        self.track.nudge();
    }

    fn is_at_work(&self) -> bool {
        self.track.gates().in_flight() > 0
    }

    fn origin_is_closed(&self) -> bool {
        let mut byte = [0];
        !matches!(self.origin.peek(&mut byte), Ok(1))
    }
}

fn ask(path: &str, protocol: &str) -> String {
    let switch = format!("Connection: Upgrade\r\nUpgrade: {protocol}\r\n");
    format!("GET {path} HTTP/1.1\r\nHost: {HOST}\r\n{switch}\r\n")
}

fn read(client: &mut Client, length: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while bytes.len() < length {
        let some = client.some(length - bytes.len()).unwrap();
        assert!(!some.is_empty(), "it ended after {} bytes", bytes.len());
        bytes.extend(some);
    }
    bytes
}

/// A whole message as a server sends it (RFC 6455 §5.2).
fn message(length: u16) -> Vec<u8> {
    let [high, low] = length.to_be_bytes();
    let head = if length < 126 {
        vec![0x82, low]
    } else {
        vec![0x82, 126, high, low]
    };
    [head, pattern(length.into())].concat()
}

/// The code of a stream that is one Close frame (RFC 6455 §5.5.1) and nothing else.
#[track_caller]
fn close_code(bytes: &[u8]) -> u16 {
    let [0x88, length, high, low, reason @ ..] = bytes else {
        panic!("no Close frame: {bytes:?}");
    };
    assert_eq!(usize::from(*length), 2 + reason.len(), "{bytes:?}");
    assert!(std::str::from_utf8(reason).is_ok(), "{bytes:?}");
    u16::from_be_bytes([*high, *low])
}

#[test]
fn a_client_is_told_by_1012_that_its_site_moves() {
    let mut line = Line::lay("26.80", "WebSocket");
    line.pass(&message(5));
    line.hold();
    assert_eq!(close_code(&line.client.rest().unwrap()), 1012);
    until("its permit has ended", || !line.is_at_work());
    assert!(line.origin_is_closed());
}

#[test]
fn what_a_client_still_sends_does_not_reset_the_connection_under_the_close_frame() {
    let mut line = Line::lay("26.81", "websocket");
    let mut half = line.client.stream.try_clone().unwrap();
    // More than the sockets take: some of it is unread when the tunnel ends.
    let sending = std::thread::spawn(move || half.write_all(&pattern(20_000_000)));
    until("something is at the origin", || {
        line.origin.peek(&mut [0]).is_ok()
    });
    line.hold();
    let mut told = read(&mut line.client, 2);
    let length = told[1].into();
    told.extend(read(&mut line.client, length));
    assert_eq!(close_code(&told), 1012);
    assert!(sending.join().unwrap().is_ok(), "it was reset");
}

#[test]
fn a_frame_that_is_on_its_way_is_finished_before_the_close_frame() {
    let mut line = Line::lay("26.82", "websocket");
    let long = message(60_000);
    line.pass(&message(7));
    line.pass(&long[..30_000]);
    line.hold();
    assert!(line.is_at_work(), "the origin is still heard");
    line.origin.write_all(&long[30_000..]).unwrap();
    // It may be closed by then.
    let _ = line.origin.write_all(&message(9));
    assert_eq!(read(&mut line.client, 30_004), long[30_000..]);
    assert_eq!(close_code(&line.client.rest().unwrap()), 1012);
    until("its permit has ended", || !line.is_at_work());
    assert!(line.origin_is_closed(), "the socket goes first");
}

#[test]
fn a_frame_is_finished_for_a_client_that_reads_slowly() {
    let mut line = Line::lay("26.83", "websocket");
    let mut frame = vec![0x82, 127];
    frame.extend(20_000_000_u64.to_be_bytes());
    frame.extend(pattern(20_000_000));
    let mut origin = line.origin.try_clone().unwrap();
    let sent = frame.clone();
    let sending = std::thread::spawn(move || origin.write_all(&sent));
    let mut got = read(&mut line.client, 100_000);
    line.hold();
    got.extend(read(&mut line.client, frame.len() - 100_000));
    assert!(got == frame, "bytes were changed");
    assert_eq!(close_code(&line.client.rest().unwrap()), 1012);
    sending.join().unwrap().unwrap();
}

#[test]
fn nothing_is_put_into_a_frame_that_is_not_finished() {
    let mut line = Line::lay("26.84", "websocket");
    line.pass(&message(1_000)[..500]);
    line.hold();
    assert_eq!(line.client.rest().unwrap(), b"");
    until("its permit has ended", || !line.is_at_work());
    assert!(line.origin_is_closed());
}

#[test]
fn a_cut_of_everything_does_not_wait_for_a_frame() {
    // The wait would be 500 ms; a machine that is busy may make one of them as slow as that.
    let quick = (85..90).any(|net| {
        let mut line = Line::lay(&format!("26.{net}"), "websocket");
        line.pass(&message(1_000)[..500]);
        line.hold();
        assert!(line.is_at_work());
        let ordered = Instant::now();
        line.track.gates().order_cut(Cut::Everything);
        line.track.nudge();
        assert_eq!(line.client.rest().unwrap(), b"");
        ordered.elapsed() < Duration::from_millis(200)
    });
    assert!(quick, "each of them waited");
}

#[test]
fn what_is_no_frame_of_a_server_is_ended_without_one() {
    let mut line = Line::lay("26.90", "websocket");
    // A masked one, which no server may send (RFC 6455 §5.1).
    line.pass(&[0x81, 0x81, 1, 2, 3, 4, 5]);
    line.hold();
    assert_eq!(line.client.rest().unwrap(), b"");
}

#[test]
fn what_is_no_websocket_is_ended_without_a_frame() {
    let mut line = Line::lay("26.91", "other");
    line.pass(&message(5));
    line.hold();
    assert_eq!(line.client.rest().unwrap(), b"");
}

#[test]
fn an_origin_that_has_said_close_has_the_last_word() {
    let mut line = Line::lay("26.92", "websocket");
    line.pass(&[0x88, 2, 0x03, 0xe8]);
    line.hold();
    assert_eq!(line.client.rest().unwrap(), b"");
}

#[test]
fn a_client_is_told_by_1001_that_the_daemon_stops() {
    let mut line = Line::lay("26.93", "websocket");
    line.pass(&message(5));
    let stopping = line.track.stop(Duration::from_secs(3600));
    assert_eq!(close_code(&line.client.rest().unwrap()), 1001);
    drop(line.client);
    stopping.join().unwrap();
}

/// Opens a WebSocket through a daemon, and reads what its origin says first.
fn open(stage: &Stage, path: &str, first: &[u8]) -> Client {
    let mut client = Client::connect(stage.place.http().parse().unwrap());
    client.send(&ask(path, "websocket"));
    assert_eq!(client.head().unwrap().0, 101);
    assert_eq!(read(&mut client, first.len()), first);
    client
}

#[test]
fn with_drain_a_websocket_goes_on_and_the_flip_settles_when_it_has_ended() {
    let flip = "{during: page, websockets: drain, drain: {for: 10m, then: restore}}";
    let stage = Stage::with(&OneSite::flipping(flip));
    let mut client = open(&stage, "/websocket", b"\x81\x04live");
    stage.edit_until_it_drains();
    client.send("still there?");
    assert_eq!(read(&mut client, 6), b"\x81\x04live");
    drop(client);
    let flip = stage.place.flip_ended(1);
    assert_eq!(flip["outcome"], "settled", "{flip}");
}

#[test]
fn with_drain_a_websocket_is_told_by_1012_at_the_deadline_and_does_not_bring_the_flip_back() {
    let flip = "{during: page, websockets: drain, drain: {for: 300ms, then: restore}}";
    let stage = Stage::with(&OneSite::flipping(flip));
    let mut client = open(&stage, "/websocket", b"\x81\x04live");
    let mut stuck = open(&stage, "/websocket/half", b"\x81\x64live");
    let (code, said) = stage.place.flip("backup");
    assert_eq!(code, 0, "{said}");
    assert_eq!(stage.live.open_connections(), 0, "their sockets are closed");
    assert_eq!(close_code(&client.rest().unwrap()), 1012);
    assert_eq!(stuck.rest().unwrap(), b"");
}

#[test]
fn with_close_a_frame_that_is_not_finished_by_the_deadline_does_not_bring_the_flip_back() {
    let flip = "{during: page, websockets: close, drain: {for: 1ms, then: restore}}";
    let stage = Stage::with(&OneSite::flipping(flip));
    let mut stuck = open(&stage, "/websocket/half", b"\x81\x64live");
    let (code, said) = stage.place.flip("backup");
    assert_eq!(code, 0, "{said}");
    assert_eq!(stuck.rest().unwrap(), b"");
}

#[test]
fn with_drain_a_write_beside_a_websocket_brings_the_flip_back_at_the_deadline() {
    let flip = "{during: page, websockets: drain, drain: {for: 300ms, then: restore}}";
    let stage = Stage::with(&OneSite::flipping(flip));
    let mut client = open(&stage, "/websocket", b"\x81\x04live");
    let mut slow = stage.in_flight("POST");
    let (code, said) = stage.place.flip("backup");
    assert_eq!(code, 4, "{said}");
    assert_eq!(close_code(&client.rest().unwrap()), 1012);
    stage.live.let_go();
    assert_eq!(slow.answer("POST").unwrap().text(), "live");
    let mut again = open(&stage, "/websocket", b"\x81\x04live");
    again.send("and it is let be?");
    assert_eq!(read(&mut again, 6), b"\x81\x04live");
}
