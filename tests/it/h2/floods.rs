//! Floods: much is sent that costs the client little. Each ends the connection, nobody else's.

use std::io::Write;
use std::time::Instant;

use pointsman::site::During;

use crate::support::client::until;
use crate::support::h2_frames::{
    CANCEL, CONTINUATION, DATA, END_STREAM, Frame, Frames, HEADERS, PING, PRIORITY, RST_STREAM,
    SETTINGS,
};
use crate::support::track::{HOST, Track};

/// `ENHANCE_YOUR_CALM` (RFC 9113 §7).
const CALM: u32 = 11;

/// Many connections, so that every worker has some of them, and each is answered.
pub(super) fn assert_serves_others(track: &Track) {
    for _ in 0..16 {
        let answer = track.client().get(HOST, "/").unwrap();
        assert_eq!((answer.status, answer.text().as_str()), (200, "live"));
    }
}

/// Nothing is left of a flood: no permit, and no connection but those of others.
fn assert_nothing_is_left(track: &Track) {
    until("nothing is in flight", || track.gates().in_flight() == 0);
    assert_serves_others(track);
}

#[test]
fn streams_that_are_reset_at_once_end_the_connection_and_hardly_reach_the_origin() {
    let track = Track::lay("20.85");
    let mut client = Frames::connect(track.address(), &[]);
    let mut sent = 0;
    for stream in (1..40_000).step_by(2) {
        let mut both = Frame::request("GET", stream, "/wait").bytes();
        both.extend(Frame::new(RST_STREAM, 0, stream, &CANCEL).bytes());
        if client.socket.write_all(&both).is_err() {
            break;
        }
        sent += 1;
    }
    let told = client
        .rest()
        .iter()
        .filter_map(Frame::goes_away)
        .next_back();
    assert!(told.is_none_or(|(_, why)| why == CALM), "{told:?}");
    assert_nothing_is_left(&track);
    let reached = track.live.seen_at("/wait").len();
    println!("{sent} streams were sent, {reached} reached the origin");
    assert!(reached <= 160, "{reached} reached the origin");
}

#[test]
fn streams_that_are_given_up_one_by_one_end_the_connection_after_so_many() {
    let track = Track::lay("20.86");
    let mut client = Frames::connect(track.address(), &[]);
    let mut reached = 0;
    for stream in (1..2_000).step_by(2) {
        let asked = Frame::request("GET", stream, "/wait").bytes();
        let given_up = Frame::new(RST_STREAM, 0, stream, &CANCEL).bytes();
        if client.socket.write_all(&asked).is_err() {
            break;
        }
        let mut is_ended = false;
        until("it is at the origin, or the connection ended", || {
            is_ended = is_closed(&client);
            is_ended || track.live.seen_at("/wait").len() > reached
        });
        if is_ended || client.socket.write_all(&given_up).is_err() {
            break;
        }
        reached += 1;
    }
    assert!(
        (100..=128).contains(&reached),
        "{reached} reached the origin"
    );
    assert_nothing_is_left(&track);
}

/// Tells whether the other end has closed; what it has said before is taken.
fn is_closed(client: &Frames) -> bool {
    let mut taken = [0; 65536];
    client.socket.set_nonblocking(true).unwrap();
    let read = std::io::Read::read(&mut &client.socket, &mut taken);
    client.socket.set_nonblocking(false).unwrap();
    match read {
        Ok(count) => count == 0,
        Err(error) => error.kind() != std::io::ErrorKind::WouldBlock,
    }
}

#[test]
fn a_head_that_goes_on_and_on_ends_the_connection_and_reaches_nobody() {
    let track = Track::lay("20.87");
    // A field that is never indexed, over and over; and frames that hold nothing at all.
    let fields = [&[0x10, 1, b'x', 100][..], &[b'y'; 100]]
        .concat()
        .repeat(150);
    for block in [&fields[..], &[]] {
        let mut client = Frames::connect(track.address(), &[]);
        let head = Frame::request("GET", 1, "/").payload;
        client.send(&Frame::new(HEADERS, 1, 1, &head));
        let _taken = client.drained();
        let piece = Frame::new(CONTINUATION, 0, 1, block).bytes();
        let count = client.flood(&piece);
        println!("{count} continuations of {} bytes were sent", block.len());
        // What is sent before the end is seen lies in the buffers of the two sockets.
        assert!(count * piece.len() < 16_000_000, "{count} were sent");
    }
    let mut client = Frames::connect(track.address(), &[]);
    client.send(&Frame::request("GET", 1, "/still-well"));
    assert!(client.find(|frame| frame.is_ok(1)).is_some());
    let seen = track.live.seen();
    assert_eq!(seen.len(), 1, "{seen:?}");
    assert_serves_others(&track);
}

#[test]
fn frames_that_carry_nothing_end_the_connection_though_a_request_is_in_flight_on_it() {
    let track = Track::lay("20.89");
    let floods = [
        ("pings", Frame::new(PING, 0, 0, &[7; 8])),
        ("settings", Frame::new(SETTINGS, 0, 0, &[])),
        ("priorities", Frame::new(PRIORITY, 0, 1, &[0, 0, 0, 0, 9])),
        ("unknown frames", Frame::new(0xbe, 0, 0, &[0; 8])),
    ];
    for takes_what_comes in [true, false] {
        for (what, frame) in &floods {
            let before = track.live.seen_at("/wait").len();
            let mut client = Frames::connect(track.address(), &[]);
            client.send(&Frame::request("GET", 1, "/wait"));
            until("it is at the origin", || {
                track.live.seen_at("/wait").len() > before
            });
            let _taken = takes_what_comes.then(|| client.drained());
            let bytes = frame.bytes().repeat(1_000);
            let began = Instant::now();
            let flooding = std::thread::spawn(move || client.flood(&bytes));
            assert_serves_others(&track);
            let others = began.elapsed();
            let count = flooding.join().unwrap();
            let took = began.elapsed();
            println!("{count} thousand {what} in {took:?}; 16 others were served in {others:?}");
            assert_nothing_is_left(&track);
        }
    }
}

#[test]
fn bodies_that_nobody_reads_and_pings_now_and_then_are_no_flood() {
    let track = Track::lay("20.91");
    let mut client = Frames::connect(track.address(), &[]);
    track.gates().hold(During::Page);
    for stream in (1..101).step_by(2) {
        client.send(&Frame::request("POST", stream, "/echo"));
        for end in [0, 0, 0, END_STREAM] {
            client.send(&Frame::new(DATA, end, stream, &[1; 15_000]));
            client.send(&Frame::new(PING, 0, 0, &[7; 8]));
        }
        let ended = |frame: &Frame| frame.stream == stream && frame.flags & END_STREAM > 0;
        assert!(client.find(ended).is_some(), "stream {stream}");
    }
    track.gates().release();
    client.send(&Frame::request("GET", 101, "/"));
    assert!(client.find(|frame| frame.is_ok(101)).is_some());
}

#[test]
fn pieces_of_a_body_without_a_byte_reach_no_origin() {
    let track = Track::lay("20.90");
    let mut client = Frames::connect(track.address(), &[]);
    client.send(&Frame::request("POST", 1, "/echo"));
    let nothing = Frame::new(DATA, 0, 1, &[]).bytes();
    client.socket.write_all(&nothing.repeat(20)).unwrap();
    client.send(&Frame::new(DATA, 0, 1, b"a"));
    client.socket.write_all(&nothing.repeat(20)).unwrap();
    client.send(&Frame::new(DATA, END_STREAM, 1, b"b"));
    assert!(client.find(|frame| frame.is_ok(1)).is_some());
    let body = client.find(|frame| frame.kind == DATA).unwrap();
    assert_eq!(body.payload, b"2 195");

    client.send(&Frame::request("POST", 3, "/wait"));
    let count = client.flood(&nothing.repeat(1_000));
    println!("{count} thousand empty pieces were sent");
    assert_nothing_is_left(&track);
}
