//! Those on hold: bounded in memory and number, let go oldest first and at a pace.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{JoinHandle, spawn};
use std::time::{Duration, Instant};

use pointsman::proxy::Limits;
use pointsman::site::During;

use crate::support::client::{Answer, Client, until};
use crate::support::track::{HOST, Track};

/// A track on which many may wait, and so many of them go on per second.
fn track(net: &str, release_rate: u32) -> Track {
    Track::lay_with(net, Limits::default(), |site, _| {
        site.flip.hold_requests = 100;
        site.flip.release_rate = release_rate;
    })
}

fn ask(address: SocketAddr, path: String) -> JoinHandle<Answer> {
    spawn(move || Client::connect(address).get(HOST, &path).unwrap())
}

/// Has so many wait, one after the other, each at a path with its number.
fn have_wait(track: &Track, count: usize) -> Vec<JoinHandle<Answer>> {
    let before = track.gates().waiting();
    let waiting = (0..count).map(|number| {
        let asked = ask(track.address(), format!("/{number}"));
        let gates = track.gates();
        until("it waits", || gates.waiting() == before + number + 1);
        asked
    });
    waiting.collect()
}

fn evicted(track: &Track, reason: &str) -> f64 {
    let sample = format!("pointsman_hold_evicted_total{{reason=\"{reason}\",site=\"ispot\"}}");
    track.metric(&sample)
}

#[test]
fn what_overflows_the_memory_of_a_hold_gets_the_page() {
    let track = Track::lay_with("22.1", Limits::default(), |site, _| {
        site.flip.hold_requests = 100;
        site.flip.hold_bytes = 10_000;
    });
    let gates = track.gates();
    gates.hold(During::Hold);
    let small = have_wait(&track, 1);
    let long = format!("/{}", "x".repeat(7_000));
    let first = ask(track.address(), long.clone());
    until("it waits", || gates.waiting() == 2);
    let over = track.client().get(HOST, &long).unwrap();
    assert_eq!(over.status, 503, "14 kB are more than 10");
    assert_eq!(evicted(&track, "full"), 1.0);
    gates.release();
    for answer in small.into_iter().chain([first]) {
        assert_eq!(answer.join().unwrap().text(), "live");
    }
    // What those who went on kept is free again.
    gates.hold(During::Hold);
    let again = ask(track.address(), long);
    until("it waits", || gates.waiting() == 1);
    gates.release();
    assert_eq!(again.join().unwrap().text(), "live");
}

#[test]
fn those_on_hold_go_on_oldest_first_and_no_faster_than_the_site_allows() {
    let track = track("22.2", 20);
    track.gates().hold(During::Hold);
    let waiting = have_wait(&track, 8);
    track.flip("backup", 2, During::Hold);
    for answer in waiting {
        assert_eq!(answer.join().unwrap().header("x-side"), "backup");
    }
    let seen = track.backup.seen();
    let paths: Vec<_> = seen.iter().map(|seen| seen.path.clone()).collect();
    assert_eq!(paths, ["/0", "/1", "/2", "/3", "/4", "/5", "/6", "/7"]);
    let took = seen[7].began.duration_since(seen[0].began);
    // Seven gaps of 50 ms, with room for the first to come late.
    assert!(took >= Duration::from_millis(250), "{took:?}");
}

#[test]
fn who_comes_while_they_go_on_goes_after_them_and_the_line_ends() {
    let track = track("22.3", 20);
    track.gates().hold(During::Hold);
    let waiting = have_wait(&track, 8);
    track.flip("backup", 2, During::Hold);
    let late: Vec<_> = ["/late", "/later"]
        .map(|path| ask(track.address(), path.into()))
        .into();
    for answer in waiting.into_iter().chain(late) {
        assert_eq!(answer.join().unwrap().header("x-side"), "backup");
    }
    let seen = track.backup.seen();
    let last: Vec<_> = seen[8..].iter().map(|seen| seen.path.as_str()).collect();
    assert!(
        last.contains(&"/late") && last.contains(&"/later"),
        "{last:?}"
    );
    // Nobody is made to wait any more.
    let began = Instant::now();
    for _ in 0..20 {
        assert_eq!(track.client().get(HOST, "/").unwrap().text(), "backup");
    }
    let pace = Duration::from_millis(20 * 50);
    assert!(began.elapsed() < pace, "they go at the pace of a release");
}

#[test]
fn who_comes_after_a_hold_was_taken_back_goes_after_those_in_line() {
    let track = track("22.8", 10);
    let gates = track.gates();
    gates.hold(During::Hold);
    let waiting = have_wait(&track, 4);
    gates.release();
    // Three of the four are still in line: their turns are 100 ms apart.
    let late = ask(track.address(), "/late".into());
    for answer in waiting.into_iter().chain([late]) {
        assert_eq!(answer.join().unwrap().text(), "live");
    }
    let seen = track.live.seen();
    let paths: Vec<_> = seen.iter().map(|seen| seen.path.as_str()).collect();
    assert_eq!(paths, ["/0", "/1", "/2", "/3", "/late"]);
}

#[test]
fn nobody_waits_for_a_part_of_the_site_that_he_may_not_enter_then() {
    let track = track("22.9", 1_000);
    let gates = track.gates();
    gates.hold(During::Hold);
    let answer = track.client().get(HOST, "/shut/1").unwrap();
    assert_eq!(answer.status, 503);
    assert_eq!(evicted(&track, "timeout"), 0.0, "it did not wait first");
}

#[test]
fn a_hold_in_the_middle_of_a_release_lets_nobody_in_and_keeps_the_order() {
    let track = track("22.4", 2);
    track.gates().hold(During::Hold);
    let waiting = have_wait(&track, 4);
    track.flip("backup", 2, During::Hold);
    until("the first has gone on", || track.backup.seen().len() == 1);
    // All those who have not gone on yet are held again, and move with the site.
    track.flip("live", 3, During::Hold);
    let moved = track.backup.seen().len();
    let answers: Vec<_> = waiting
        .into_iter()
        .map(|waiting| waiting.join().unwrap())
        .collect();
    assert_eq!(track.backup.seen().len(), moved, "nobody was let in since");
    assert!(
        answers[moved..]
            .iter()
            .all(|answer| answer.text() == "live"),
        "{moved} went on"
    );
    let paths: Vec<_> = track
        .live
        .seen()
        .iter()
        .map(|seen| seen.path.clone())
        .collect();
    let expected: Vec<_> = (moved..4).map(|number| format!("/{number}")).collect();
    assert_eq!(paths, expected);
}

#[test]
fn a_held_client_that_leaves_is_counted() {
    let track = track("22.5", 1_000);
    let gates = track.gates();
    gates.hold(During::Hold);
    let mut client = track.client();
    client.send(&format!("GET / HTTP/1.1\r\nHost: {HOST}\r\n\r\n"));
    until("it waits", || gates.waiting() == 1);
    drop(client);
    until("it has left", || evicted(&track, "client_gone") == 1.0);
    assert_eq!(gates.waiting(), 0);
}

#[test]
fn who_is_on_hold_when_the_daemon_stops_gets_the_page() {
    let mut track = track("22.6", 1_000);
    let gates = track.gates();
    gates.hold(During::Hold);
    let waiting = have_wait(&track, 1);
    let stopped = track.stop(Duration::from_secs(20));
    for answer in waiting {
        assert_eq!(answer.join().unwrap().status, 503);
    }
    stopped.join().unwrap();
    assert_eq!(evicted(&track, "shutdown"), 1.0);
}

#[test]
fn a_held_post_makes_its_client_wait_with_the_body() {
    const BODY: usize = 64 * 1024 * 1024;
    let track = track("22.7", 1_000);
    let gates = track.gates();
    gates.hold(During::Hold);
    let mut stream = TcpStream::connect(track.address()).unwrap();
    let mut answers = Client::over(stream.try_clone().unwrap());
    let sent = Arc::new(AtomicUsize::new(0));
    let so_far = Arc::clone(&sent);
    let sender = spawn(move || {
        write!(
            stream,
            "POST /count HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: {BODY}\r\n\r\n"
        )
        .unwrap();
        let piece = vec![b'x'; 64 * 1024];
        for _ in 0..BODY / piece.len() {
            stream.write_all(&piece).unwrap();
            so_far.fetch_add(piece.len(), Ordering::Relaxed);
        }
    });
    until("it waits", || gates.waiting() == 1);
    let mut looks = (usize::MAX, 0);
    until("the client is stopped", || {
        let sent = sent.load(Ordering::Relaxed);
        looks = (sent, if sent == looks.0 { looks.1 + 1 } else { 0 });
        std::thread::sleep(Duration::from_millis(10));
        looks.1 == 20
    });
    // The rest is in the kernel's buffers, on both sides of the connection.
    assert!(looks.0 < BODY / 2, "{} bytes were taken", looks.0);
    assert!(track.live.seen().is_empty());
    gates.release();
    assert_eq!(answers.answer("POST").unwrap().status, 200);
    sender.join().unwrap();
    assert_eq!(sent.load(Ordering::Relaxed), BODY);
}
