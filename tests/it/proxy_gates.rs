//! What becomes of requests while the points are moved: page, hold, cut, and the new side.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use pointsman::proxy::Limits;
use pointsman::site::{Access, During};
use pointsman::switchboard::{Cut, Kind};
use pointsman::table::Network;

use crate::support::client::{Client, until};
use crate::support::track::{HOST, Track};

#[test]
fn held_requests_wait_and_go_to_the_new_side_only() {
    let track = Track::lay("20.15");
    let gates = track.gates();
    gates.hold(During::Hold);
    let address = track.address();
    let waiting: Vec<_> = [Kind::Read, Kind::Write]
        .into_iter()
        .map(|kind| {
            std::thread::spawn(move || {
                let mut client = Client::connect(address);
                match kind {
                    Kind::Read => client.get(HOST, "/held").unwrap(),
                    Kind::Write => client.post(HOST, "/observations", b"held").unwrap(),
                }
            })
        })
        .collect();
    until("both wait", || gates.waiting() == 2);
    // The places of the site are taken, so the next one gets the page.
    assert_eq!(track.client().get(HOST, "/third").unwrap().status, 503);
    let full = "pointsman_hold_evicted_total{reason=\"full\",site=\"ispot\"}";
    assert_eq!(track.metric(full), 1.0);
    track.flip("backup", 2, During::Hold);
    for answer in waiting {
        assert_eq!(answer.join().unwrap().header("x-side"), "backup");
    }
    assert!(track.live.seen().is_empty());
    assert_eq!(track.backup.observations(), ["held"]);
    assert_eq!(gates.waiting(), 0);
}

#[test]
fn a_hold_ends_with_the_page_after_its_time() {
    let track = Track::lay_with("20.16", Limits::default(), |site, _| {
        site.flip.hold_for = Duration::from_millis(50);
    });
    track.gates().hold(During::Hold);
    assert_eq!(track.client().get(HOST, "/").unwrap().status, 503);
    let timeout = "pointsman_hold_evicted_total{reason=\"timeout\",site=\"ispot\"}";
    assert_eq!(track.metric(timeout), 1.0);
    track.gates().release();
    assert_eq!(track.client().get(HOST, "/").unwrap().text(), "live");
}

#[test]
fn a_held_client_that_leaves_gives_its_place_back() {
    let track = Track::lay("20.17");
    let gates = track.gates();
    gates.hold(During::Hold);
    let mut client = track.client();
    client.send(&format!("GET / HTTP/1.1\r\nHost: {HOST}\r\n\r\n"));
    until("it waits", || gates.waiting() == 1);
    drop(client);
    until("it has left", || gates.waiting() == 0);
}

#[test]
fn the_page_is_html_for_browsers_and_text_for_programs() {
    let track = Track::lay("20.18");
    track.gates().hold(During::Page);
    let mut client = track.client();
    client.send(&format!(
        "GET / HTTP/1.1\r\nHost: {HOST}\r\nAccept: text/html,*/*;q=0.8\r\n\r\n"
    ));
    let html = client.answer("GET").unwrap();
    assert_eq!(html.status, 503);
    assert_eq!(html.header("retry-after"), "7");
    assert_eq!(html.header("cache-control"), "no-store");
    assert_eq!(html.header("content-type"), "text/html; charset=utf-8");
    assert!(html.text().starts_with("<!doctype html>") && html.text().contains(HOST));
    let text = client.get(HOST, "/").unwrap();
    assert_eq!(text.header("content-type"), "text/plain; charset=utf-8");
    assert!(
        text.text().ends_with("Please try again in 7 s.\n"),
        "{}",
        text.text()
    );
    track.gates().release();
    assert_eq!(
        client.get(HOST, "/").unwrap().text(),
        "live",
        "the connection was kept"
    );
}

#[test]
fn read_only_pauses_writes_and_maintenance_everything() {
    let read_only = Track::lay_with("20.19", Limits::default(), |_, words| {
        words.access = Access::ReadOnly;
    });
    assert_eq!(read_only.client().get(HOST, "/").unwrap().text(), "live");
    let paused = read_only
        .client()
        .post(HOST, "/observations", b"x")
        .unwrap();
    assert_eq!(paused.status, 503);
    assert!(
        paused.text().contains("Writing is paused"),
        "{}",
        paused.text()
    );
    assert!(read_only.live.observations().is_empty());
    assert_eq!(read_only.client().get(HOST, "/shut/x").unwrap().status, 503);
    assert_eq!(
        read_only.client().get(HOST, "/shutter").unwrap().status,
        200
    );
}

#[test]
fn operators_look_behind_the_page_and_what_they_write_is_counted() {
    let bypassed = "pointsman_access_bypass_writes_total{site=\"ispot\"}";
    let elsewhere = |bits| Network {
        first: "127.0.0.1".parse().unwrap(),
        bits,
    };
    for (networks, status) in [(vec![elsewhere(32)], 200), (Vec::new(), 503)] {
        let track = Track::lay_with("20.31", Limits::default(), |site, words| {
            words.access = Access::Maintenance;
            site.maintenance.bypass = networks;
        });
        assert_eq!(track.client().get(HOST, "/").unwrap().status, status);
        assert_eq!(track.client().get(HOST, "/shut/x").unwrap().status, status);
        let written = track.client().post(HOST, "/observations", b"x").unwrap();
        assert_eq!(written.status, status);
        let expected = if status == 200 { 1.0 } else { 0.0 };
        assert_eq!(track.metric(bypassed), expected);
        // A held gate holds them like everybody else.
        track.gates().hold(During::Page);
        assert_eq!(track.client().get(HOST, "/").unwrap().status, 503);
    }
}

#[test]
fn what_is_allowed_may_be_written_while_a_site_is_read_only_and_not_in_maintenance() {
    let writes = |net: &str, access| {
        let track = Track::lay_with(net, Limits::default(), |site, words| {
            words.access = access;
            site.writable = vec!["/observations/login".into()];
        });
        [
            "/observations/login",
            "/observations",
            "/observations/login/../x",
        ]
        .map(|path| track.client().post(HOST, path, b"x").unwrap().status)
    };
    assert_eq!(writes("20.32", Access::ReadOnly), [200, 503, 503]);
    assert_eq!(writes("20.33", Access::Maintenance), [503, 503, 503]);
}

#[test]
fn a_part_of_a_site_is_shut_for_what_came_before_too_when_it_is_cut() {
    let track = Track::lay_with("20.34", Limits::default(), |site, _| {
        site.paths[0].prefix = "/wait".into();
    });
    let part = {
        let snapshot = track.board.current();
        Arc::clone(&snapshot.sites()[0].parts()[0].gates)
    };
    part.set_access(Access::Open);
    let mut inside = Client::kept_waiting_at(track.address(), HOST, "/wait", &track.live);
    let mut outside = Client::kept_waiting_at(track.address(), HOST, "/stall", &track.live);
    part.set_access(Access::Maintenance);
    assert_eq!(track.client().get(HOST, "/wait/x").unwrap().status, 503);
    assert_eq!(part.in_flight(), 1, "what is in may end");
    part.order_access_cut(Cut::Everything);
    track.nudge();
    assert_eq!(inside.answer("GET").unwrap().status, 503);
    until("it is gone", || part.in_flight() == 0);
    track.live.let_go();
    assert_eq!(outside.answer("GET").unwrap().status, 200);
}

#[test]
fn doubt_is_the_page() {
    let track = Track::lay("20.20");
    track.publish(None, 1);
    assert_eq!(track.client().get(HOST, "/").unwrap().status, 503);
    assert!(track.live.seen().is_empty() && track.backup.seen().is_empty());
}

#[test]
fn a_lane_that_is_closed_without_another_is_the_page_and_an_alarm() {
    let track = Track::lay("20.30");
    track.gates().close();
    assert_eq!(track.client().get(HOST, "/").unwrap().status, 503);
    let twice = "pointsman_lane_closed_twice_total{site=\"ispot\"}";
    assert_eq!(track.metric(twice), 1.0);
    assert!(track.live.seen().is_empty());
}

#[test]
fn a_listener_says_where_it_points_even_when_held() {
    let track = Track::lay("20.21");
    track.gates().hold(During::Hold);
    let answer = track.client().get(HOST, "/.well-known/pointsman").unwrap();
    assert_eq!(
        answer.text(),
        "{\"site\":\"ispot\",\"side\":\"live\",\"epoch\":1,\"generation\":1}\n"
    );
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(
        track
            .client()
            .get("x.example", "/.well-known/pointsman")
            .unwrap()
            .status,
        404
    );
}

#[test]
fn a_confirmed_flip_leaves_no_connection_to_the_old_side() {
    let track = Track::lay("20.22");
    let mut clients: Vec<_> = (0..8).map(|_| track.client()).collect();
    for client in &mut clients {
        assert_eq!(client.get(HOST, "/").unwrap().text(), "live");
    }
    assert!(track.live.open_connections() > 0, "connections are pooled");
    track.flip("backup", 2, During::Hold);
    assert_eq!(track.live.open_connections(), 0);
    for client in &mut clients {
        assert_eq!(client.get(HOST, "/").unwrap().text(), "backup");
    }
    assert_eq!(
        track.metric("pointsman_stale_epoch_requests_total{site=\"ispot\"}"),
        0.0
    );
}

#[test]
fn a_cut_ends_what_is_in_flight_of_its_kind() {
    let track = Track::lay("20.23");
    let (mut reader, mut writer) = (track.client(), track.client());
    reader.send(&format!("GET /wait HTTP/1.1\r\nHost: {HOST}\r\n\r\n"));
    writer.send(&format!(
        "POST /wait HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 0\r\n\r\n"
    ));
    until("both are there", || track.live.seen_at("/wait").len() == 2);
    let gates = track.gates();
    gates.hold(During::Page);
    gates.order_cut(Cut::Reads);
    track.nudge();
    assert_eq!(reader.answer("GET").unwrap().status, 503);
    until("the read's permit is back", || gates.reads.in_flight() == 0);
    assert_eq!(gates.writes.in_flight(), 1);
    gates.order_cut(Cut::Everything);
    track.nudge();
    assert_eq!(writer.answer("POST").unwrap().status, 503);
    until("the write's permit is back", || gates.in_flight() == 0);
    assert_eq!(track.live.open_connections(), 0);
}

#[test]
fn twenty_flips_under_load_lose_no_request_and_never_mix_the_sides() {
    let track = Track::lay_with("21.1", Limits::default(), |site, _| {
        site.flip.hold_requests = 1000;
    });
    let over = AtomicBool::new(false);
    let (address, over) = (track.address(), &over);
    let posted: usize = std::thread::scope(|scope| {
        let users: Vec<_> = (0..64)
            .map(|user| scope.spawn(move || use_the_site(address, user, over)))
            .collect();
        for epoch in 2..22 {
            let so_far = track.gates().forwarded().0;
            until("the side is in use", || {
                track.gates().forwarded().0 > so_far + 20
            });
            let side = if epoch % 2 == 0 { "backup" } else { "live" };
            track.flip(side, epoch, During::Hold);
        }
        over.store(true, Ordering::Relaxed);
        users.into_iter().map(|user| user.join().unwrap()).sum()
    });
    let mut observations = track.live.observations();
    observations.extend(track.backup.observations());
    assert_eq!(
        observations.len(),
        posted,
        "each write is on one side, once"
    );
    // A stretch of one side ends before the first request of the other begins.
    let sides = [(&track.live, 0), (&track.backup, 1)];
    let mut seen: Vec<_> = sides
        .iter()
        .flat_map(|(origin, side)| origin.seen().into_iter().map(move |seen| (seen, *side)))
        .collect();
    seen.sort_by_key(|(seen, _)| seen.began);
    let mut last_end = [None, None];
    for (seen, side) in &seen {
        assert!(
            last_end[1 - side] <= Some(seen.began),
            "both sides in work at once"
        );
        last_end[*side] = last_end[*side].max(seen.ended);
    }
    let stale = "pointsman_stale_epoch_requests_total{site=\"ispot\"}";
    assert_eq!(track.metric(stale), 0.0);
}

/// Reads and writes over one connection until it is over; returns how often it wrote.
fn use_the_site(address: std::net::SocketAddr, user: usize, over: &AtomicBool) -> usize {
    let mut client = Client::connect(address);
    let mut posted = 0;
    while !over.load(Ordering::Relaxed) {
        let answer = client.get(HOST, "/page").unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
        let body = format!("{user}-{posted}");
        let answer = client.post(HOST, "/observations", body.as_bytes()).unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
        posted += 1;
    }
    posted
}
