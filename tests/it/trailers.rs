//! Trailers, answers whose length nobody knows beforehand, and answers without content, through
//! both codecs.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io::Write;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Frame};
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};

use pointsman::site::During;

use crate::support::client::Client;
use crate::support::origin::pattern;
use crate::support::track::{HOST, Track};

/// A body of unknown length.
struct Parts(VecDeque<Frame<Bytes>>);

impl Body for Parts {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.pop_front().map(Ok))
    }
}

/// Speaks HTTP/2 without TLS with a proxy.
fn with_http2<F: Future>(track: &Track, what: impl FnOnce(SendRequest<Parts>) -> F) -> F::Output {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_all().build().unwrap().block_on(async {
        let stream = tokio::net::TcpStream::connect(track.address())
            .await
            .unwrap();
        let io = TokioIo::new(stream);
        let (sender, connection) = handshake(TokioExecutor::new(), io).await.unwrap();
        let driven = tokio::spawn(connection);
        let output = what(sender).await;
        driven.abort();
        output
    })
}

fn request(method: &str, path: &str, body: Vec<Frame<Bytes>>) -> hyper::Request<Parts> {
    hyper::Request::builder()
        .method(method)
        .uri(format!("http://{HOST}{path}"))
        .header("trailer", "x-sum")
        .body(Parts(body.into()))
        .unwrap()
}

#[test]
fn trailers_of_an_answer_reach_a_client_of_http_2() {
    let track = Track::lay("20.60");
    let (bytes, trailers) = with_http2(&track, |mut sender| async move {
        let sent = sender.send_request(request("GET", "/trailers", vec![]));
        let body = sent.await.unwrap().into_body().collect().await.unwrap();
        let trailers = body.trailers().cloned().unwrap();
        (body.to_bytes(), trailers)
    });
    assert_eq!(bytes, pattern(12_000));
    assert_eq!(trailers.get("x-sum").unwrap(), "7");
    assert_eq!(trailers.len(), 1, "what frames a message stays out");
}

#[test]
fn trailers_of_an_answer_reach_a_client_of_http_1_that_takes_them() {
    let track = Track::lay("20.61");
    let asked = |te: &str| {
        let mut client = Client::connect(track.address());
        let head = format!("GET /trailers HTTP/1.1\r\nHost: {HOST}\r\nConnection: close, TE\r\n");
        client.send(&format!("{head}{te}\r\n"));
        let mut all = Vec::new();
        loop {
            let some = client.some(64_000).unwrap();
            if some.is_empty() {
                return String::from_utf8_lossy(&all).into_owned();
            }
            all.extend(some);
        }
    };
    let taken = asked("TE: trailers\r\n");
    assert!(taken.ends_with("0\r\nx-sum: 7\r\n\r\n"), "{taken}");
    let not_taken = asked("");
    assert!(not_taken.ends_with("\r\n0\r\n\r\n"), "{not_taken}");
}

#[test]
fn trailers_of_a_request_reach_the_origin() {
    let track = Track::lay("20.62");
    with_http2(&track, |mut sender| async move {
        let mut after = hyper::HeaderMap::new();
        after.insert("x-sum", "9".parse().unwrap());
        let parts = vec![Frame::data("12".into()), Frame::trailers(after)];
        let answer = sender.send_request(request("POST", "/echo/2", parts)).await;
        answer.unwrap().into_body().collect().await.unwrap();
    });
    let mut client = Client::connect(track.address());
    let head = format!("POST /echo/1 HTTP/1.1\r\nHost: {HOST}\r\nTrailer: X-Sum\r\n");
    let body = "2\r\n12\r\n0\r\nX-Sum: 9\r\n\r\n";
    let whole = format!("{head}Transfer-Encoding: chunked\r\n\r\n{body}");
    client.stream.write_all(whole.as_bytes()).unwrap();
    assert_eq!(client.answer("POST").unwrap().text(), "2 99");
    for path in ["/echo/1", "/echo/2"] {
        assert_eq!(track.live.seen_at(path)[0].trailers, ["x-sum: 9"], "{path}");
    }
}

#[test]
fn answers_of_unknown_length_do_not_count_as_given_up() {
    let track = Track::lay("20.63");
    with_http2(&track, |mut sender| async move {
        // More than a client may give up on one connection.
        for turn in 0..300 {
            let sent = sender.send_request(request("GET", "/chunked/10", vec![]));
            let answer = sent.await.unwrap_or_else(|why| panic!("{turn}: {why}"));
            let body = answer.into_body().collect().await.unwrap();
            assert_eq!(body.to_bytes(), pattern(10));
        }
    });
}

#[test]
fn our_own_answer_to_head_has_its_length_and_no_content() {
    let track = Track::lay("20.64");
    track.gates().hold(During::Page);
    let (status, length, body) = with_http2(&track, |mut sender| async move {
        let answer = sender
            .send_request(request("HEAD", "/", vec![]))
            .await
            .unwrap();
        let length = answer.headers()["content-length"].clone();
        let status = answer.status().as_u16();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        (status, length, body)
    });
    assert_eq!((status, body.len()), (503, 0));
    let mut client = Client::connect(track.address());
    client.send(&format!("HEAD / HTTP/1.1\r\nHost: {HOST}\r\n\r\n"));
    let answer = client.answer("HEAD").unwrap();
    assert_eq!(answer.header("content-length"), length.to_str().unwrap());
    assert_ne!(answer.header("content-length"), "0");
    track.gates().release();
    assert_eq!(
        client.get(HOST, "/").unwrap().text(),
        "live",
        "nothing is left over"
    );
}
