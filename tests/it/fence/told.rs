//! What arrives at origins, whatever their clients say.

use std::sync::atomic::{AtomicBool, Ordering};

use pointsman::site::During;

use crate::support::client::{Client, until};
use crate::support::daemon::OneSite;
use crate::support::h2_frames::{END_HEADERS, END_STREAM, Frame, Frames, HEADERS};
use crate::support::origin::Seen;
use crate::support::stage::Stage;
use crate::support::track::{HOST, Track};

/// Site, side and epoch, as one request told them.
fn told(seen: &Seen) -> [String; 3] {
    ["site", "side", "epoch"].map(|it| seen.header(&format!("pointsman-{it}")))
}

/// Every field of a request whose name begins like ours.
fn in_our_name(seen: &Seen) -> Vec<(String, String)> {
    let mut ours: Vec<_> = seen
        .headers
        .iter()
        .map(|(name, value)| (name.to_lowercase(), value.clone()))
        .filter(|(name, _)| name.starts_with("pointsman"))
        .collect();
    ours.sort();
    ours
}

fn truth() -> Vec<(String, String)> {
    let pairs = [("epoch", "1"), ("side", "live"), ("site", "ispot")];
    pairs
        .map(|(name, value)| (format!("pointsman-{name}"), value.to_owned()))
        .into()
}

#[test]
fn what_a_client_says_in_our_name_never_arrives() {
    let track = Track::lay("20.160");
    let mut client = track.client();
    client.send(&format!(
        "POST /echo HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 0\r\n\
         Connection: keep-alive, Pointsman-Side\r\n\
         Pointsman-Side: backup\r\npointsman-side: backup\r\nPOINTSMAN-SIDE: backup\r\n\
         Pointsman_Side: backup\r\nPointsman-Epoch: 9\r\nPointsman-Epoch: 8\r\n\
         Pointsman-Signature: a.1.00\r\nPointsman-Anything: 1\r\nX-Kept: yes\r\n\r\n"
    ));
    assert_eq!(client.answer("POST").unwrap().status, 200);

    let seen = &track.live.seen_at("/echo")[0];
    assert_eq!(in_our_name(seen), truth());
    assert_eq!(seen.header("x-kept"), "yes");
}

#[test]
fn nor_does_it_over_http_2() {
    let track = Track::lay("20.161");
    let mut client = Frames::connect(track.address(), &[]);
    let mut asked = Frame::request("GET", 1, "/h2");
    for (name, value) in [
        ("pointsman-side", "backup"),
        ("pointsman-side", "backup"),
        ("pointsman_epoch", "9"),
    ] {
        // RFC 7541 §6.2.2: a field that is in no table, name and value as they are.
        asked.payload.push(0);
        for text in [name, value] {
            asked.payload.push(u8::try_from(text.len()).unwrap());
            asked.payload.extend(text.as_bytes());
        }
    }
    client.send(&Frame::new(
        HEADERS,
        END_STREAM | END_HEADERS,
        1,
        &asked.payload,
    ));
    until("it is at the origin", || {
        !track.live.seen_at("/h2").is_empty()
    });

    assert_eq!(in_our_name(&track.live.seen_at("/h2")[0]), truth());
}

#[test]
fn a_websocket_tells_the_same() {
    let track = Track::lay("20.162");
    let mut client = track.client();
    client.send(&format!(
        "GET /upgrade HTTP/1.1\r\nHost: {HOST}\r\nConnection: upgrade\r\n\
         Upgrade: websocket\r\nPointsman-Side: backup\r\n\r\n"
    ));
    assert_eq!(client.head().unwrap().0, 101);

    assert_eq!(in_our_name(&track.live.seen_at("/upgrade")[0]), truth());
}

#[test]
fn what_is_told_changes_with_the_lane_on_a_connection_that_stays() {
    let track = Track::lay("20.163");
    let mut client = track.client();
    for (side, epoch, origin) in [
        ("live", "1", &track.live),
        ("backup", "2", &track.backup),
        ("live", "3", &track.live),
    ] {
        if epoch != "1" {
            track.flip(side, epoch.parse().unwrap(), During::Hold);
        }
        let path = format!("/epoch/{epoch}");
        assert_eq!(client.get(HOST, &path).unwrap().text(), side);
        assert_eq!(told(&origin.seen_at(&path)[0]), ["ispot", side, epoch]);
    }
}

#[test]
fn through_flips_each_request_tells_the_epoch_of_the_side_that_it_reaches() {
    let stage =
        Stage::with(&OneSite::flipping("{during: hold, drain: {for: 10s}}").without_names());
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut client = Client::connect(stage.place.http().parse().unwrap());
                while !is_over.load(Ordering::Acquire) {
                    client.post(HOST, "/echo", b"x").unwrap();
                }
            });
        }
        for (to, at) in [
            ("backup", &stage.backup),
            ("live", &stage.live),
            ("backup", &stage.backup),
        ] {
            let before = at.count();
            let (code, said) = stage.place.flip(to);
            assert_eq!(code, 0, "{said}");
            until("users are at the new side", || at.count() > before + 20);
        }
        is_over.store(true, Ordering::Release);
    });

    for (origin, side, epochs) in [
        (&stage.live, "live", ["1", "3"]),
        (&stage.backup, "backup", ["2", "4"]),
    ] {
        let seen = origin.seen_at("/echo");
        let told: Vec<_> = seen.iter().map(told).collect();
        assert!(told.len() > 10, "{side} was asked {} times", told.len());
        for [_, said, epoch] in &told {
            assert!(said == side && epochs.contains(&epoch.as_str()), "{told:?}");
        }
    }
}
