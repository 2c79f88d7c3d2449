//! Pointsman's own two figures, each the distribution over many rounds: from the pointer store to
//! the first byte of a held request at the new side, and from the edit of the file to the
//! acknowledgement with nothing in flight. Both are of whole parts on loopback.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::support::daemon::{OneSite, Place};
use crate::support::origin::Origin;
use crate::support::track::{HOST, Track};
use crate::support::wait::until;

const PUBLISH_ROUNDS: usize = 200;
const EDIT_ROUNDS: usize = 40;

pub(crate) fn measure() {
    report("pointer store -> held request at the new side", publish());
    report(
        "edit of the file -> acknowledged, nothing in flight",
        edit(),
    );
}

/// Holds a request, moves the site, and looks when the request arrives.
fn publish() -> Vec<Duration> {
    let track = Track::lay("21.1");
    let mut took = Vec::with_capacity(PUBLISH_ROUNDS);
    for round in 0..PUBLISH_ROUNDS {
        let (side, new) = if round % 2 == 0 {
            ("backup", &track.backup)
        } else {
            ("live", &track.live)
        };
        let gates = track.gates();
        gates.hold(pointsman::site::During::Hold);
        let mut client = track.client();
        client.send(&format!("GET / HTTP/1.1\r\nHost: {HOST}\r\n\r\n"));
        until("it is held", || (gates.waiting() == 1).then_some(()));
        let before = new.seen().len();
        let began = Instant::now();
        track.publish(Some(side), 2 + round as u64);
        gates.close();
        assert_eq!(client.answer("GET").unwrap().text(), side);
        took.push(new.seen()[before].began.duration_since(began));
    }
    took
}

/// Edits the word of a running daemon's file, and waits for the acknowledgement.
fn edit() -> Vec<Duration> {
    let place = Place::new();
    place.write(&OneSite::default());
    let _live = Origin::start(&place.origin("live"), "live");
    let _backup = Origin::start(&place.origin("backup"), "backup");
    let _daemon = place.start();
    let admin: SocketAddr = format!("{}:9901", place.ip).parse().unwrap();
    let mut took = Vec::with_capacity(EDIT_ROUNDS);
    for round in 1..=EDIT_ROUNDS {
        let (from, to) = if round % 2 == 1 {
            ("live", "backup")
        } else {
            ("backup", "live")
        };
        place.sed(&format!("s/active: {from}/active: {to}/"));
        let began = Instant::now();
        until("settled", || {
            let flip = get(admin, &format!("/api/v1/flips/{round}"));
            flip.contains("\"outcome\":\"settled\"").then_some(())
        });
        took.push(began.elapsed());
    }
    took
}

fn get(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: admin\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn report(what: &str, mut took: Vec<Duration>) {
    took.sort();
    let at = |share: f64| took[((took.len() - 1) as f64 * share) as usize];
    println!(
        "{what}: median {:?}, p90 {:?}, p99 {:?}, max {:?} ({} rounds)",
        at(0.5),
        at(0.9),
        at(0.99),
        at(1.0),
        took.len()
    );
}
