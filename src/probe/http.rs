//! A check by HTTP: one request on a connection of its own.

use std::sync::Arc;

use http::{Method, header};
use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;

use super::connect::connect;
use super::{Expect, Failed};

/// How much of a body is looked at, in bytes; text further down is as good as missing.
const BODY_MAX: usize = 1024 * 1024;

/// What an origin sees as `User-Agent`, so that its log can tell checks from users.
pub const USER_AGENT: &str = "pointsman-check";

/// How the other end of a check proves who it is.
#[derive(Clone, Debug)]
pub struct ProbeTls {
    /// Whom to believe.
    pub config: Arc<ClientConfig>,
    /// The name that the other end must have.
    pub server_name: ServerName<'static>,
}

/// One HTTP check.
#[derive(Clone, Debug)]
pub struct HttpProbe {
    /// Where to connect: `host:port`, an IPv6 address in brackets.
    pub address: String,
    /// `None` for plain HTTP.
    pub tls: Option<ProbeTls>,
    /// The `Host` field.
    pub host: String,
    /// The method; a safe one, for a check must change nothing.
    pub method: Method,
    /// The request target, beginning with `/`.
    pub path: String,
    /// What the answer must be like.
    pub expect: Expect,
}

/// Asks, and judges the answer.
///
/// # Errors
/// The first thing that was not as expected.
pub(super) async fn check(probe: &HttpProbe) -> Result<(), Failed> {
    answer(probe, Look::AsExpected).await.map(drop)
}

/// How much of an answer is looked at.
#[derive(Clone, Copy, Debug)]
pub(super) enum Look {
    /// What there is an expectation of.
    AsExpected,
    /// The body too, which must be whole.
    Body,
}

/// Asks, judges the answer, and gives what was read of its body.
///
/// # Errors
/// The first thing that was not as expected, or that the body is more than is looked at.
pub(super) async fn answer(probe: &HttpProbe, look: Look) -> Result<Vec<u8>, Failed> {
    let request = request(probe).map_err(|error| Failed::Unsendable(error.to_string()))?;
    let stream = connect(&probe.address).await?;
    let Some(tls) = &probe.tls else {
        return ask(probe, look, request, stream).await;
    };
    let connector = TlsConnector::from(Arc::clone(&tls.config));
    let shaken = connector.connect(tls.server_name.clone(), stream).await;
    let stream = shaken.map_err(|error| Failed::Tls(error.to_string()))?;
    ask(probe, look, request, stream).await
}

async fn ask(
    probe: &HttpProbe,
    look: Look,
    request: hyper::Request<Empty<Bytes>>,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
) -> Result<Vec<u8>, Failed> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| Failed::Broken(error.to_string()))?;
    let mut connection = std::pin::pin!(connection);
    let mut exchange = std::pin::pin!(async {
        let response = sender.send_request(request).await;
        judge(probe, look, response.map_err(broken)?).await
    });
    // The connection only drives the exchange; where it ends first, the exchange says why.
    tokio::select! {
        biased;
        judged = exchange.as_mut() => return judged,
        _ = connection.as_mut() => {}
    }
    exchange.await
}

fn request(probe: &HttpProbe) -> Result<hyper::Request<Empty<Bytes>>, http::Error> {
    hyper::Request::builder()
        .method(&probe.method)
        .uri(&probe.path)
        .header(header::HOST, &probe.host)
        .header(header::USER_AGENT, USER_AGENT)
        .header(header::ACCEPT, "*/*")
        .header(header::CONNECTION, "close")
        .body(Empty::new())
}

async fn judge(
    probe: &HttpProbe,
    look: Look,
    response: hyper::Response<Incoming>,
) -> Result<Vec<u8>, Failed> {
    let expect = &probe.expect;
    expect.judge_head(response.status(), response.headers())?;
    if expect.body.is_empty() && matches!(look, Look::AsExpected) {
        return Ok(Vec::new());
    }
    let mut body = response.into_body();
    let mut seen: Vec<u8> = Vec::new();
    let mut whole = true;
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(broken)?.into_data() else {
            continue;
        };
        let room = BODY_MAX - seen.len();
        seen.extend_from_slice(&data[..data.len().min(room)]);
        if data.len() > room {
            whole = false;
            break;
        }
    }
    expect.judge_body(&seen, whole)?;
    match look {
        Look::Body if !whole => Err(Failed::Value("the body has more than 1 MiB".into())),
        Look::Body | Look::AsExpected => Ok(seen),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the shape map_err wants")]
fn broken(error: hyper::Error) -> Failed {
    Failed::Broken(error.to_string())
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::time::Duration;

    use http::StatusCode;

    use super::super::{Body, Passed, Probe, run};
    use super::*;

    fn there(address: String) -> HttpProbe {
        HttpProbe {
            address,
            tls: None,
            host: "www.ispot.example".into(),
            method: Method::GET,
            path: "/observations?x=1".into(),
            expect: Expect::status(StatusCode::OK),
        }
    }

    fn block_on(probe: HttpProbe, timeout: Duration) -> Result<Passed, Failed> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        runtime.block_on(run(&Probe::Http(Box::new(probe)), timeout))
    }

    /// Answers one connection with the given bytes and returns what was asked.
    fn asked(answer: Vec<u8>, probe: impl FnOnce(&mut HttpProbe)) -> (Result<(), Failed>, String) {
        asked_within(Duration::from_secs(10), answer, probe)
    }

    fn asked_within(
        timeout: Duration,
        answer: Vec<u8>,
        probe: impl FnOnce(&mut HttpProbe),
    ) -> (Result<(), Failed>, String) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has free ports");
        let address = listener.local_addr().expect("it is bound").to_string();
        let mut probe_there = there(address);
        probe(&mut probe_there);
        let origin = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("the probe comes");
            let mut request = vec![0; 4096];
            let read = stream.read(&mut request).expect("the probe asks");
            // A probe that has seen enough leaves, and that is no failure of this origin.
            let _ = stream.write_all(&answer);
            if answer.is_empty() {
                let _ = stream.read(&mut [0; 1]);
            }
            String::from_utf8_lossy(&request[..read]).into_owned()
        });
        let result = block_on(probe_there, timeout).map(|_| ());
        (result, origin.join().expect("the origin is done"))
    }

    fn ok(body: &str) -> Vec<u8> {
        let length = body.len();
        format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}").into_bytes()
    }

    #[test]
    fn a_check_asks_for_what_it_says_and_says_who_it_is() {
        let (result, request) = asked(ok("Latest observations: 3"), |probe| {
            probe.expect.body = vec![Body::Holds("Latest observations".into())];
        });
        assert_eq!(result, Ok(()));
        let request = request.to_ascii_lowercase();
        assert!(
            request.starts_with("get /observations?x=1 http/1.1\r\n"),
            "{request}"
        );
        assert!(request.contains("host: www.ispot.example\r\n"), "{request}");
        assert!(
            request.contains("user-agent: pointsman-check\r\n"),
            "{request}"
        );
    }

    #[test]
    fn another_status_is_named() {
        let answer = b"HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n".to_vec();
        let (result, _) = asked(answer, |_| {});
        let text = result.map_err(|failed| failed.to_string());
        assert_eq!(text, Err("answered 500 instead of 200".into()));
    }

    #[test]
    fn a_missing_text_is_named_and_how_far_was_looked() {
        let want = |probe: &mut HttpProbe| probe.expect.body = vec![Body::Holds("quiz".into())];
        let text = |result: Result<(), Failed>| result.map_err(|failed| failed.to_string());
        let (result, _) = asked(ok("nothing"), want);
        assert_eq!(text(result), Err("the body does not hold \"quiz\"".into()));
        let (result, _) = asked(ok(&("x".repeat(BODY_MAX) + "quiz")), want);
        let long = "the first 1 MiB of the body does not hold \"quiz\"";
        assert_eq!(text(result), Err(long.into()));
        let (result, _) = asked(ok(&("x".repeat(BODY_MAX - 4) + "quiz")), want);
        assert_eq!(text(result), Ok(()));
    }

    #[test]
    fn silence_is_over_at_the_deadline() {
        let short = Duration::from_millis(50);
        let (result, _) = asked_within(short, Vec::new(), |_| {});
        assert_eq!(result, Err(Failed::Timeout(short)));
    }

    #[test]
    fn nobody_listening_is_connection_refused() {
        let free = TcpListener::bind("127.0.0.1:0").expect("loopback has free ports");
        let gone = free.local_addr().expect("it is bound").to_string();
        drop(free);
        let (other, _) = asked(ok(""), |_| {});
        assert_eq!(other, Ok(()));
        let failed = block_on(there(gone), Duration::from_secs(10));
        let words = failed.map_err(|failed| failed.to_string());
        assert_eq!(words, Err("connection refused".into()));
    }
}
