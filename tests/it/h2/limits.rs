//! What one connection may have and for how long.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use pointsman::proxy::Limits;

use crate::support::client::until;
use crate::support::h2_frames::{
    DATA, END_STREAM, Frame, Frames, HEADERS, PREFACE, RST_STREAM, SETTINGS, WINDOW_UPDATE,
};
use crate::support::track::Track;

use super::floods::assert_serves_others;

/// How many streams a connection may have open.
const STREAMS_MAX: usize = 128;

/// A proxy that does not wait for long.
fn impatient(net: &str) -> Track {
    let limits = Limits {
        head_within: Duration::from_millis(300),
        idle_for: Duration::from_millis(300),
        ..Limits::default()
    };
    Track::lay_with(net, limits, |_, _| {})
}

#[test]
fn of_too_many_streams_those_beyond_the_limit_are_refused_and_the_others_answered() {
    let track = Track::lay("20.80");
    let mut client = Frames::connect(track.address(), &[]);
    let streams: Vec<u32> = (0..STREAMS_MAX as u32 + 40).map(|at| 2 * at + 1).collect();
    for &stream in &streams {
        client.send(&Frame::request("GET", stream, "/wait"));
    }
    // RFC 9113 §8.7: REFUSED_STREAM, by which a client knows that it may ask again.
    for &stream in &streams[STREAMS_MAX..] {
        let refused = client.find(|frame| frame.kind == RST_STREAM).unwrap();
        assert_eq!(
            (refused.stream, &refused.payload[..]),
            (stream, &[0, 0, 0, 7][..])
        );
    }
    until("all others are at the origin", || {
        track.live.seen_at("/wait").len() == STREAMS_MAX
    });
    assert_serves_others(&track);
    track.live.let_go();
    let mut ended = 0;
    while ended < STREAMS_MAX {
        let frame = client.next().unwrap();
        assert!(
            frame.kind != HEADERS || frame.is_ok(frame.stream),
            "{frame:?}"
        );
        ended += usize::from(frame.kind == DATA && frame.flags & END_STREAM > 0);
    }
    assert_eq!(track.live.seen_at("/wait").len(), STREAMS_MAX);
}

#[test]
fn a_client_that_takes_nothing_of_an_answer_loses_its_connection_and_the_origin_is_free() {
    let track = impatient("20.81");
    // SETTINGS_INITIAL_WINDOW_SIZE (RFC 9113 §6.5.2): nothing at all, and a little.
    for window in [0, 10] {
        let mut client = Frames::connect(track.address(), &[0, 4, 0, 0, 0, window]);
        client.send(&Frame::request("GET", 1, "/size/1000000"));
        let rest = client.rest();
        assert!(rest.iter().any(|frame| frame.is_ok(1)), "{rest:?}");
        let taken = rest.iter().filter(|frame| frame.kind == DATA);
        let taken: usize = taken.map(|frame| frame.payload.len()).sum();
        assert_eq!(taken, usize::from(window));
        until("the origin is free", || {
            track.gates().in_flight() == 0 && track.live.open_connections() == 0
        });
    }
    assert_serves_others(&track);
}

#[test]
fn a_client_that_takes_an_answer_byte_by_byte_loses_its_connection() {
    let track = impatient("20.88");
    let mut client = Frames::connect(track.address(), &[0, 4, 0, 0, 0, 0]);
    client.send(&Frame::request("GET", 1, "/size/1000000"));
    let mut writer = client.socket.try_clone().unwrap();
    let reading = std::thread::spawn(move || client.rest());
    let byte = Frame::new(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1]).bytes();
    until("the connection is ended", || {
        std::thread::sleep(Duration::from_millis(20));
        writer.write_all(&byte).is_err()
    });
    reading.join().unwrap();
    until("the origin is free", || track.gates().in_flight() == 0);
}

#[test]
fn a_client_that_sends_nothing_of_a_body_loses_its_connection() {
    let track = impatient("20.82");
    let mut client = Frames::connect(track.address(), &[]);
    client.send(&Frame::request("POST", 1, "/echo"));
    client.send(&Frame::new(DATA, 0, 1, b"some"));
    client.rest();
    until("the origin is free", || {
        track.gates().in_flight() == 0 && track.live.open_connections() == 0
    });
    assert_serves_others(&track);
}

#[test]
fn a_client_that_asks_for_nothing_is_told_to_go_away() {
    let track = impatient("20.83");
    let mut client = Frames::connect(track.address(), &[]);
    let rest = client.rest();
    let told = rest.iter().filter_map(Frame::goes_away).next_back();
    assert_eq!(told, Some((0, 0)), "{rest:?}");
}

#[test]
fn a_preface_that_is_none_ends_the_connection_and_reaches_nobody() {
    let track = Track::lay("20.84");
    let settings = Frame::new(SETTINGS, 0, 0, &[]).bytes();
    let request = Frame::request("GET", 1, "/").bytes();
    let mut wrong_end = PREFACE.to_vec();
    wrong_end[20] ^= 1;
    let preface = PREFACE.to_vec();
    for (what, bytes) in [
        ("one bit is wrong", [wrong_end, settings, request].concat()),
        ("a frame is too long", [preface, vec![0xff; 90]].concat()),
    ] {
        let mut socket = TcpStream::connect(track.address()).unwrap();
        socket
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        socket.write_all(&bytes).unwrap();
        let mut said = Vec::new();
        let ended = socket.read_to_end(&mut said);
        let is_reset = |error: std::io::Error| error.kind() == std::io::ErrorKind::ConnectionReset;
        assert!(ended.is_ok() || ended.is_err_and(is_reset), "{what}");
    }
    assert_eq!(track.live.seen().len(), 0);
    assert_serves_others(&track);
}

#[test]
fn a_connection_on_which_many_writes_are_refused_goes_on() {
    let track = Track::lay("20.89");
    let mut client = Frames::connect(track.address(), &[]);
    // More than there may be resets; the body comes when the answer is there already.
    let streams = (0..300).map(|at| 2 * at + 1);
    for stream in streams {
        client.send(&Frame::request("POST", stream, "/shut/x"));
        let answered = client.find(|frame| {
            let ends = frame.kind == DATA && frame.flags & END_STREAM > 0;
            assert_ne!(frame.kind, RST_STREAM, "stream {stream}: {frame:?}");
            assert_eq!(frame.goes_away(), None, "stream {stream}");
            ends && frame.stream == stream
        });
        answered.unwrap();
        client.send(&Frame::new(DATA, END_STREAM, stream, b"owl"));
    }
    assert!(track.live.seen().is_empty());
}
