//! Upgraded connections, seen from both ends by raw sockets: bytes, permits, and how they end.

use std::io::Write;
use std::time::Duration;

use pointsman::proxy::Limits;
use pointsman::site::{Access, During};
use pointsman::switchboard::Cut;

use crate::support::client::{Client, until};
use crate::support::origin::pattern;
use crate::support::track::{HOST, Track};

const UPGRADE: &str = "Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n";

/// Asks for a tunnel; what follows the head may be sent along.
fn ask(track: &Track, path: &str, early: &str) -> Client {
    let mut client = track.client();
    client.send(&format!(
        "GET {path} HTTP/1.1\r\nHost: {HOST}\r\n{UPGRADE}\r\n{early}"
    ));
    client
}

fn tunnel(track: &Track) -> Client {
    let mut client = ask(track, "/upgrade", "");
    let (status, headers) = client.head().unwrap();
    assert_eq!(status, 101, "{headers:?}");
    client
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

fn closed(track: &Track, reason: &str) -> f64 {
    let labels = format!("{{reason=\"{reason}\",side=\"live\",site=\"ispot\"}}");
    track.metric(&format!("pointsman_http_tunnels_closed_total{labels}"))
}

#[test]
fn an_upgrade_is_passed_on_and_bytes_flow_both_ways() {
    let track = Track::lay("20.70");
    let mut client = ask(&track, "/upgrade", "early");
    let (status, headers) = client.head().unwrap();
    let field = |name: &str| headers.iter().find(|(other, _)| other == name).unwrap();
    assert_eq!(status, 101);
    assert_eq!(field("connection").1, "upgrade");
    assert_eq!(field("upgrade").1, "websocket");
    // The origin speaks first, and then says what it hears.
    assert_eq!(read(&mut client, 10), b"live:early");
    let bytes = pattern(3_000_000);
    let mut half = client.stream.try_clone().unwrap();
    let sent = bytes.clone();
    let sending = std::thread::spawn(move || half.write_all(&sent).unwrap());
    assert!(
        read(&mut client, bytes.len()) == bytes,
        "bytes were changed"
    );
    sending.join().unwrap();
    let seen = &track.live.seen_at("/upgrade")[0];
    assert_eq!(seen.header("upgrade"), "websocket");
    assert_eq!(seen.header("connection"), "upgrade");
    assert_eq!(seen.header("pointsman-side"), "live");
}

#[test]
fn a_tunnel_is_a_write_in_flight_until_its_client_leaves() {
    let track = Track::lay("20.71");
    let gates = track.gates();
    let mut client = tunnel(&track);
    assert_eq!((gates.reads.in_flight(), gates.writes.in_flight()), (0, 1));
    // What it has not read would make its leaving a reset.
    assert_eq!(read(&mut client, 5), b"live:");
    drop(client);
    until("its permit has ended", || gates.in_flight() == 0);
    assert_eq!(track.live.open_connections(), 0, "the socket goes first");
    until("it is counted", || closed(&track, "closed") == 1.0);
}

#[test]
fn a_tunnel_ends_when_its_origin_ends_it() {
    let track = Track::lay("20.72");
    let mut client = tunnel(&track);
    read(&mut client, 5);
    track.live.close_connections();
    assert!(client.is_closed());
    drop(client);
    until("its permit has ended", || track.gates().in_flight() == 0);
}

#[test]
fn a_hold_ends_tunnels_and_leaves_what_else_is_in_flight() {
    let track = Track::lay("20.73");
    let gates = track.gates();
    let mut client = tunnel(&track);
    read(&mut client, 5);
    let mut write = Client::kept_waiting(track.address(), "POST", HOST, &track.live);
    gates.hold(During::Hold);
    gates.order_cut(Cut::Tunnels);
    track.nudge();
    assert!(
        client.is_closed(),
        "told in words of TCP, as it speaks in no frames"
    );
    until("its permit has ended", || gates.writes.in_flight() == 1);
    assert_eq!(closed(&track, "flip"), 1.0);
    track.live.let_go();
    assert_eq!(write.answer("POST").unwrap().status, 200);
}

#[test]
fn a_tunnel_ends_with_its_lane() {
    let track = Track::lay("20.69");
    let mut client = tunnel(&track);
    read(&mut client, 5);
    // As when its site is taken out of the table.
    track.gates().close();
    track.nudge();
    assert!(client.is_closed());
    until("its permit has ended", || track.gates().in_flight() == 0);
}

#[test]
fn an_upgrade_that_is_on_its_way_at_a_hold_is_answered_and_then_ended() {
    let track = Track::lay("20.74");
    let gates = track.gates();
    let mut client = ask(&track, "/upgrade/wait", "");
    until("it is at the origin", || {
        !track.live.seen_at("/upgrade/wait").is_empty()
    });
    gates.hold(During::Hold);
    gates.order_cut(Cut::Tunnels);
    track.nudge();
    track.live.let_go();
    assert_eq!(client.head().unwrap().0, 101);
    until("its permit has ended", || gates.in_flight() == 0);
    // Nothing of the tunnel but its end, by a Close frame (RFC 6455 §5.5.1).
    let rest = client.rest().unwrap();
    assert_eq!(rest[0], 0x88, "{rest:?}");
}

#[test]
fn a_tunnel_that_carries_nothing_is_ended() {
    let track = Track::lay_with("20.75", Limits::default(), |site, _| {
        site.timeouts.tunnel = Duration::from_millis(100);
    });
    let mut client = tunnel(&track);
    read(&mut client, 5);
    assert!(client.is_closed());
    until("it is counted", || closed(&track, "idle") == 1.0);
}

#[test]
fn a_stop_ends_tunnels_at_once() {
    let mut track = Track::lay("20.76");
    let mut client = tunnel(&track);
    read(&mut client, 5);
    let stopping = track.stop(Duration::from_secs(3600));
    assert!(client.is_closed());
    stopping.join().unwrap();
}

#[test]
fn an_upgrade_that_is_refused_is_an_answer_like_any_other() {
    let track = Track::lay("20.77");
    let mut client = ask(&track, "/size/4", "");
    assert_eq!(client.answer("GET").unwrap().body, pattern(4));
    until("its permit has ended", || track.gates().in_flight() == 0);
    assert_eq!(client.get(HOST, "/").unwrap().text(), "live");
}

#[test]
fn what_may_not_be_switched_to_is_not_passed_on() {
    let track = Track::lay("20.78");
    for (path, head) in [
        ("/h2c", "Connection: Upgrade\r\nUpgrade: h2c\r\n"),
        ("/two", "Connection: Upgrade\r\nUpgrade: websocket, H2C\r\n"),
        (
            "/tls",
            "Connection: Upgrade\r\nUpgrade: TLS/1.0, HTTP/1.1\r\n",
        ),
        ("/h2", "Connection: Upgrade\r\nUpgrade: HTTP/2.0\r\n"),
        ("/unmeant", "Upgrade: websocket\r\n"),
        (
            "/body",
            "Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 2\r\n",
        ),
    ] {
        let mut client = track.client();
        client.send(&format!(
            "GET {path} HTTP/1.1\r\nHost: {HOST}\r\n{head}\r\nab"
        ));
        assert_eq!(client.answer("GET").unwrap().status, 200, "{path}");
        assert_eq!(track.live.seen_at(path)[0].header("upgrade"), "", "{path}");
    }
}

#[test]
fn an_origin_that_switches_unasked_is_a_bad_gateway() {
    let track = Track::lay("20.79");
    let mut client = track.client();
    let answer = client.get(HOST, "/upgrade").unwrap();
    assert_eq!(answer.status, 502);
    assert_eq!(client.get(HOST, "/").unwrap().text(), "live");
    until("its permit has ended", || track.gates().in_flight() == 0);
}

#[test]
fn an_origin_that_switches_to_what_it_was_not_offered_is_a_bad_gateway() {
    let track = Track::lay("20.68");
    let mut client = track.client();
    client.send(&format!(
        "GET /upgrade HTTP/1.1\r\nHost: {HOST}\r\nConnection: upgrade\r\nUpgrade: other\r\n\r\n"
    ));
    assert_eq!(client.answer("GET").unwrap().status, 502);
    until("its permit has ended", || track.gates().in_flight() == 0);
}

#[test]
fn a_read_that_offers_another_http_is_a_read() {
    let track = Track::lay_with("20.67", Limits::default(), |_, words| {
        words.access = Access::ReadOnly;
    });
    let h2c = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n";
    for (head, status) in [(h2c, 200), (UPGRADE, 503)] {
        let mut client = track.client();
        client.send(&format!("GET / HTTP/1.1\r\nHost: {HOST}\r\n{head}\r\n"));
        assert_eq!(client.answer("GET").unwrap().status, status, "{head}");
    }
}
