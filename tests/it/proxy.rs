//! What the proxy does to a request, seen from both ends by raw sockets.

use std::io::Write;
use std::net::TcpListener;
use std::time::Duration;

use pointsman::proxy::Limits;
use pointsman::site::During;

use crate::support::client::until;
use crate::support::origin::pattern;
use crate::support::track::{HOST, Track};

#[test]
fn a_request_goes_to_the_active_side_and_the_host_is_kept() {
    let track = Track::lay("20.1");
    let answer = track
        .client()
        .get("www.ISPOT.example.:80", "/page?q=1")
        .unwrap();
    assert_eq!((answer.status, answer.text()), (200, "live".into()));
    let seen = &track.live.seen_at("/page?q=1")[0];
    assert_eq!(seen.header("host"), "www.ISPOT.example.:80");
    assert!(track.backup.seen().is_empty());
    let sample =
        "pointsman_http_requests_total{code=\"200\",method=\"GET\",side=\"live\",site=\"ispot\"}";
    until("the request is counted", || track.metric(sample) == 1.0);
}

#[test]
fn an_absolute_target_overrides_the_host_field() {
    let track = Track::lay("20.2");
    let mut client = track.client();
    client.send("GET http://ispot.example/there HTTP/1.1\r\nHost: other.example\r\n\r\n");
    assert_eq!(client.answer("GET").unwrap().status, 200);
    assert_eq!(
        track.live.seen_at("/there")[0].header("host"),
        "ispot.example"
    );
}

#[test]
fn an_unknown_host_gets_404_and_a_bad_one_400() {
    let track = Track::lay("20.3");
    let answer = track.client().get("nobody.example", "/").unwrap();
    assert_eq!(answer.status, 404);
    assert_eq!(answer.text(), "No site is served under this name.\n");
    for request in [
        "GET / HTTP/1.1\r\n\r\n".to_owned(),
        format!("GET / HTTP/1.1\r\nHost: {HOST}\r\nHost: {HOST}\r\n\r\n"),
        "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n".to_owned(),
        format!(
            "GET / HTTP/1.1\r\nHost: {}example\r\n\r\n",
            "a.".repeat(200)
        ),
    ] {
        let mut client = track.client();
        client.send(&request);
        assert_eq!(client.answer("GET").unwrap().status, 400, "{request}");
    }
    let mut client = track.client();
    client.send(&format!(
        "CONNECT {HOST}:80 HTTP/1.1\r\nHost: {HOST}\r\n\r\n"
    ));
    assert_eq!(client.answer("CONNECT").unwrap().status, 501);
    assert!(track.live.seen().is_empty());
}

#[test]
fn fields_for_the_next_hop_go_no_further() {
    let track = Track::lay("20.4");
    let mut client = track.client();
    client.send(&format!(
        "GET /hop HTTP/1.1\r\nHost: {HOST}\r\nConnection: keep-alive, X-Mine\r\nX-Mine: 1\r\n\
         Keep-Alive: timeout=5\r\nTE: gzip, trailers\r\nProxy-Authorization: x\r\n\
         Upgrade: websocket\r\nPointsman-Side: forged\r\nVia: 1.0 before\r\n\
         X-Forwarded-For: 192.0.2.1\r\nX-Kept: yes\r\n\r\n"
    ));
    let answer = client.answer("GET").unwrap();
    let seen = &track.live.seen_at("/hop")[0];
    for gone in [
        "connection",
        "x-mine",
        "keep-alive",
        "proxy-authorization",
        "upgrade",
    ] {
        assert_eq!(seen.header(gone), "", "{gone}");
    }
    assert_eq!(seen.header("te"), "trailers");
    assert_eq!(seen.header("x-kept"), "yes");
    assert_eq!(seen.header("via"), "1.0 before, 1.1 pointsman");
    assert_eq!(seen.header("x-forwarded-for"), "192.0.2.1, 127.0.0.1");
    assert_eq!(seen.header("x-forwarded-proto"), "http");
    assert_eq!(seen.header("x-forwarded-host"), HOST);
    assert_eq!(seen.header("x-request-id").len(), 32);
    let told = ["site", "side", "epoch"].map(|it| seen.header(&format!("pointsman-{it}")));
    assert_eq!(told, ["ispot", "live", "1"]);
    assert_eq!(answer.header("via"), "1.0 other, 1.1 pointsman");
    for gone in ["x-hop", "keep-alive", "connection"] {
        assert_eq!(answer.header(gone), "", "{gone}");
    }
}

#[test]
fn big_bodies_arrive_whole_both_ways() {
    let track = Track::lay("20.5");
    let mut client = track.client();
    for length in [1, 65_536, 3_000_000] {
        let answer = client.get(HOST, &format!("/size/{length}")).unwrap();
        assert!(answer.body == pattern(length), "counted {length}");
        let answer = client.get(HOST, &format!("/chunked/{length}")).unwrap();
        assert!(answer.body == pattern(length), "chunked {length}");
        let body = pattern(length);
        let sum: u64 = body.iter().map(|&byte| u64::from(byte)).sum();
        let answer = client.post(HOST, "/echo", &body).unwrap();
        assert_eq!(answer.text(), format!("{length} {sum}"));
    }
    // All of it over one connection on either side.
    let connections = track.live.seen().iter().map(|seen| seen.connection).max();
    assert_eq!(connections, Some(0));
}

#[test]
fn a_chunked_request_stays_whole_with_any_method() {
    let track = Track::lay("20.6");
    for method in ["POST", "GET", "DELETE"] {
        let mut client = track.client();
        client.send(&format!(
            "{method} /echo HTTP/1.1\r\nHost: {HOST}\r\nTransfer-Encoding: chunked\r\n\r\n\
             3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
        ));
        assert_eq!(client.answer(method).unwrap().text(), "5 495", "{method}");
    }
}

#[test]
fn a_slow_reader_slows_the_origin_down() {
    let track = Track::lay("20.7");
    let mut client = track.client();
    // More than every buffer between origin and client can take.
    let length = 64_000_000;
    client.send(&format!(
        "GET /size/{length} HTTP/1.1\r\nHost: {HOST}\r\n\r\n"
    ));
    let (status, _) = client.head().unwrap();
    assert_eq!(status, 200);
    let mut read = client.some(1024).unwrap().len();
    let gates = track.gates();
    assert_eq!(gates.in_flight(), 1);
    assert!(
        track.live.seen()[0].ended.is_none(),
        "the origin got rid of it all"
    );
    while read < length {
        read += client.some(1 << 20).unwrap().len();
    }
    until("the exchange ends", || gates.in_flight() == 0);
}

#[test]
fn answers_without_a_body_have_none() {
    let track = Track::lay("20.8");
    let mut client = track.client();
    client.send(&format!("HEAD /size/1000 HTTP/1.1\r\nHost: {HOST}\r\n\r\n"));
    let answer = client.answer("HEAD").unwrap();
    assert_eq!(
        (answer.status, answer.header("content-length")),
        (200, "1000".into())
    );
    for status in [204, 304] {
        let answer = client.get(HOST, &format!("/status/{status}")).unwrap();
        assert_eq!(answer.status, status);
        assert_eq!(answer.header("transfer-encoding"), "");
    }
    assert_eq!(client.get(HOST, "/after").unwrap().text(), "live");
    assert_eq!(
        track.live.seen_at("/after")[0].connection,
        0,
        "the connection was kept"
    );
}

#[test]
fn curl_is_told_to_continue_when_its_body_is_wanted() {
    let track = Track::lay("20.9");
    let scratch = tempfile::NamedTempFile::new().unwrap();
    scratch.as_file().write_all(&pattern(100_000)).unwrap();
    let run = |path: &str| {
        let output = std::process::Command::new("curl")
            .args(["-sv", "--max-time", "15", "--expect100-timeout", "10"])
            .args(["-H", "Expect: 100-continue", "-H", &format!("Host: {HOST}")])
            .arg("--data-binary")
            .arg(format!("@{}", scratch.path().display()))
            .arg(format!("http://{}{path}", track.address()))
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&output.stderr).contains("< HTTP/1.1 100");
        (String::from_utf8_lossy(&output.stdout).into_owned(), told)
    };
    let (text, told) = run("/echo");
    assert!(text.starts_with("100000 "), "{text}");
    assert!(told, "100 (Continue) was not sent");
    assert_eq!(track.live.seen_at("/echo")[0].header("expect"), "");
    track.gates().hold(During::Page);
    let (text, told) = run("/echo");
    assert!(text.starts_with(HOST), "{text}");
    assert!(!told, "the body of a refused request was asked for");
}

#[test]
fn a_pooled_connection_that_is_gone_is_replaced_where_nothing_was_sent() {
    let track = Track::lay("20.10");
    let mut client = track.client();
    // Whether the proxy learns of it before it takes the connection or after is a race: try both.
    for round in 0..60 {
        let body = format!("{round}");
        let answer = client.post(HOST, "/observations", body.as_bytes());
        assert_eq!(answer.unwrap().status, 200, "{round}");
        track.live.close_connections();
    }
    let expected: Vec<_> = (0..60).map(|round| round.to_string()).collect();
    assert_eq!(track.live.observations(), expected);
    assert_eq!(client.get(HOST, "/close").unwrap().text(), "close");
    assert_eq!(client.get(HOST, "/").unwrap().text(), "live");
}

#[test]
fn a_request_that_was_sent_is_never_sent_again() {
    let track = Track::lay("20.11");
    let mut client = track.client();
    assert_eq!(client.get(HOST, "/").unwrap().status, 200);
    let answer = client.get(HOST, "/die").unwrap();
    assert_eq!(answer.status, 502);
    assert_eq!(
        answer.text(),
        "The site ispot cannot be reached: no answer from its side live.\n"
    );
    let seen = track.live.seen_at("/die");
    assert_eq!((seen.len(), seen[0].method.as_str()), (1, "GET"));
    until("the permit is back", || track.gates().in_flight() == 0);
}

#[test]
fn an_origin_that_is_down_is_passed_over_and_all_down_is_502() {
    let down = TcpListener::bind("127.20.12.9:0").unwrap();
    let address = down.local_addr().unwrap();
    drop(down);
    let dead = pointsman::table::OriginAddr {
        host: address.ip().to_string(),
        port: address.port(),
        tls: None,
    };
    let both = dead.clone();
    let track = Track::lay_with("20.12", Limits::default(), |site, _| {
        site.sides[0].web.insert(0, both);
        site.sides[1].web = vec![dead];
    });
    for _ in 0..4 {
        assert_eq!(track.client().get(HOST, "/").unwrap().text(), "live");
    }
    track.flip("backup", 2, During::Hold);
    assert_eq!(track.client().get(HOST, "/").unwrap().status, 502);
    until("the permit is back", || track.gates().in_flight() == 0);
}

#[test]
fn an_origin_that_does_not_answer_in_time_is_504() {
    let track = Track::lay_with("20.13", Limits::default(), |site, _| {
        site.timeouts.response = Duration::from_millis(50);
    });
    let answer = track.client().get(HOST, "/wait").unwrap();
    assert_eq!(answer.status, 504);
    until("the permit is back", || track.gates().in_flight() == 0);
    assert_eq!(track.live.open_connections(), 0);
}

#[test]
fn a_client_that_leaves_frees_its_permit_after_the_socket_is_closed() {
    const ROUNDS: usize = 40;
    let track = Track::lay("20.14");
    // Many times, for the instant between the one and the other is short.
    let mut seen_open = 0;
    for round in 0..ROUNDS {
        let path = ["/wait", "/stall"][round % 2];
        let mut client = track.client();
        client.send(&format!("GET {path} HTTP/1.1\r\nHost: {HOST}\r\n\r\n"));
        until("the origin has it", || track.live.seen().len() == round + 1);
        let gates = track.gates();
        assert_eq!(gates.in_flight(), 1);
        drop(client);
        // Spins without a pause: what is open when the permit is back must show.
        while gates.in_flight() > 0 {
            std::hint::spin_loop();
        }
        seen_open += track.live.open_connections();
        until("the socket is closed", || {
            track.live.open_connections() == 0
        });
    }
    // The kernel of a busy machine may deliver the close of a socket a little later than it was
    // made; the wrong order shows in most rounds.
    assert!(
        seen_open <= ROUNDS / 4,
        "open after the permit in {seen_open} of {ROUNDS} rounds"
    );
}

#[test]
fn two_lengths_in_one_request_are_no_way_in() {
    let track = Track::lay("20.24");
    let smuggled = "GET /smuggled HTTP/1.1\r\nHost: www.ispot.example\r\n\r\n";
    for length in [
        "Content-Length: 5\r\nContent-Length: 6",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        "Transfer-Encoding: chunked, identity",
        "Content-Length: +5",
        "Content-Length : 5",
    ] {
        let mut client = track.client();
        client.send(&format!(
            "POST / HTTP/1.1\r\nHost: {HOST}\r\n{length}\r\n\r\n0\r\n\r\n{smuggled}"
        ));
        assert_eq!(client.answer("POST").unwrap().status, 400, "{length}");
        assert!(client.is_closed(), "{length}");
    }
    assert!(track.live.seen().is_empty(), "{:?}", track.live.seen());
    for length in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 5",
    ] {
        let mut client = track.client();
        client.send(&format!(
            "POST /two HTTP/1.1\r\nHost: {HOST}\r\n{length}\r\n\r\n0\r\n\r\n{smuggled}"
        ));
        assert_eq!(client.answer("POST").unwrap().header("connection"), "close");
        assert!(client.is_closed(), "{length}");
    }
    // By Transfer-Encoding alone, and nothing after it on that connection (RFC 9112 §6.1).
    let seen = track.live.seen();
    assert!(seen.iter().all(|seen| seen.path == "/two"), "{seen:?}");
    assert!(
        seen.iter()
            .all(|seen| seen.header("content-length").is_empty()),
        "{seen:?}"
    );
}

#[test]
fn a_client_that_does_not_ask_is_sent_away() {
    let limits = Limits {
        head_within: Duration::from_millis(50),
        idle_for: Duration::from_millis(50),
        connections: 2,
        ..Limits::default()
    };
    let track = Track::lay_with("20.25", limits, |_, _| {});
    let mut slow = track.client();
    slow.send("GET / HT");
    assert!(slow.is_closed());
    let mut idle = track.client();
    assert_eq!(idle.get(HOST, "/").unwrap().status, 200);
    assert!(idle.is_closed());
}

#[test]
fn connections_over_the_limit_are_refused_and_counted() {
    let limits = Limits {
        connections: 1,
        ..Limits::default()
    };
    let track = Track::lay_with("20.26", limits, |_, _| {});
    let mut clients: Vec<_> = (0..16).map(|_| track.client()).collect();
    // Two workers with a place each; which of them a connection meets is up to the kernel.
    let served = clients
        .iter_mut()
        .filter_map(|client| client.get(HOST, "/").ok())
        .count();
    assert!((1..=2).contains(&served), "{served}");
    let refused = track.metric("pointsman_http_connections_refused_total");
    assert_eq!(refused as usize, 16 - served);
}

#[test]
fn a_graceful_stop_lets_the_last_request_end() {
    let mut track = Track::lay("20.27");
    let mut client = track.client();
    client.send(&format!("GET /wait HTTP/1.1\r\nHost: {HOST}\r\n\r\n"));
    until("the origin has it", || {
        track.live.seen_at("/wait").len() == 1
    });
    let stopping = track.stop(Duration::from_secs(15));
    let address = track.address();
    until("nobody listens", || {
        std::net::TcpStream::connect(address).is_err()
    });
    track.live.let_go();
    let answer = client.answer("GET").unwrap();
    assert_eq!(answer.text(), "live");
    assert_eq!(answer.header("connection"), "close", "it is the last");
    assert!(client.is_closed());
    stopping.join().unwrap();
}

#[test]
fn a_stop_ends_at_its_deadline() {
    let mut track = Track::lay("20.28");
    let mut client = track.client();
    client.send(&format!("GET /wait HTTP/1.1\r\nHost: {HOST}\r\n\r\n"));
    until("the origin has it", || {
        track.live.seen_at("/wait").len() == 1
    });
    let gates = track.gates();
    let stopping = track.stop(Duration::from_millis(50));
    stopping.join().unwrap();
    assert!(client.is_closed());
    assert_eq!(gates.in_flight(), 0);
    assert_eq!(track.live.open_connections(), 0);
}

#[test]
fn a_busy_address_is_an_error_that_names_it() {
    let taken = TcpListener::bind("127.20.29.3:0").unwrap();
    let address = taken.local_addr().unwrap();
    let track = Track::lay("20.29");
    let metrics =
        pointsman::telemetry::http::HttpMetrics::register(&prometheus::Registry::new()).unwrap();
    let listen = pointsman::proxy::Listen {
        http: vec![address],
        https: Vec::new(),
        certs: pointsman::certs::Store::empty().unwrap(),
    };
    let error =
        pointsman::proxy::spawn(&listen, 1, &track.board, &metrics, Limits::default()).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("cannot listen on {address} (listen.http)")
    );
}
