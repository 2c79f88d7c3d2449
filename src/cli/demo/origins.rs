//! The origin servers of the demo: one per loopback address that a side of the table names.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context as _;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Query, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::get;
use serde::Deserialize;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinHandle;

use crate::table::{Side, Site, Table};

use super::pages;

/// The observations that a side keeps; the oldest goes when another comes.
const OBSERVATIONS_MAX: usize = 50;

/// The longest observation, in characters; what is over is cut off.
const OBSERVATION_CHARS_MAX: usize = 200;

/// The most connections of one origin; whoever comes then waits in the kernel.
const CONNECTIONS_MAX: usize = 256;

/// The largest body that is read.
const BODY_BYTES_MAX: usize = 16 * 1024;

/// The running origins.
#[derive(Debug)]
pub(super) struct Origins {
    stopping: watch::Sender<bool>,
    running: Vec<(String, JoinHandle<io::Result<()>>)>,
}

impl Origins {
    /// Starts a server on each loopback address of each side.
    ///
    /// # Errors
    /// An address is in use; the message names its key in the file.
    pub(super) fn start(table: &Table) -> anyhow::Result<Self> {
        let (stopping, stop) = watch::channel(false);
        let mut running = Vec::new();
        for (site, side) in table
            .sites
            .iter()
            .flat_map(|site| site.sides.iter().map(move |side| (site, side)))
        {
            for (index, origin) in side.web.iter().enumerate() {
                let Some(address) = loopback(&origin.host, origin.port) else {
                    continue;
                };
                let listener = bind(address).with_context(|| {
                    let (site, side) = (&site.name, &side.name);
                    format!("`sites.{site}.sides.{side}.web[{index}]`: the demo's origin server cannot listen on {address}; is another demo running?")
                })?;
                let mut stop = stop.clone();
                let serving =
                    axum::serve(listener, router(site, side)).with_graceful_shutdown(async move {
                        // A sender that is gone stops the server as well.
                        let _ = stop.wait_for(|stopping| *stopping).await;
                    });
                let line = format!("  {:8} {:8} http://{address}", site.name, side.name);
                running.push((line, tokio::spawn(serving.into_future())));
            }
        }
        Ok(Self { stopping, running })
    }

    /// Lists the origins, a line each.
    pub(super) fn listing(&self) -> String {
        let lines: Vec<_> = self.running.iter().map(|(line, _)| line.as_str()).collect();
        format!(
            "The sites' own servers, in this process:\n{}\n",
            lines.join("\n")
        )
    }

    /// Stops them all.
    pub(super) async fn stop(self) {
        // Nobody left to be told is as good as told.
        let _ = self.stopping.send(true);
        for (_, server) in self.running {
            // The demo ends: a client that keeps its connection open is not waited for.
            let _ = tokio::time::timeout(std::time::Duration::from_millis(500), server).await;
        }
    }
}

fn loopback(host: &str, port: u16) -> Option<SocketAddr> {
    let ip: IpAddr = host.parse().ok()?;
    ip.is_loopback().then_some(SocketAddr::new(ip, port))
}

fn bind(address: SocketAddr) -> io::Result<Limited> {
    let listener = std::net::TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    Ok(Limited {
        listener: TcpListener::from_std(listener)?,
        places: Arc::new(Semaphore::new(CONNECTIONS_MAX)),
    })
}

/// What a side of the demo knows.
#[derive(Clone, Debug)]
pub(super) struct Origin {
    /// The site's name.
    pub(super) site: String,
    /// The side's name.
    pub(super) side: String,
    /// The first side of a site has the one colour, the others the other.
    pub(super) rank: usize,
    observations: Arc<Mutex<VecDeque<String>>>,
}

impl Origin {
    fn new(site: &Site, side: &Side) -> Self {
        let rank = site.sides.iter().position(|known| known.name == side.name);
        let rank = rank.unwrap_or(0);
        // As after last night's copy: the newest item of the first side is not on the others.
        let seeds = pages::SEEDS.iter().skip(usize::from(rank > 0));
        Self {
            site: site.name.to_string(),
            side: side.name.to_string(),
            rank,
            observations: Arc::new(Mutex::new(seeds.map(ToString::to_string).collect())),
        }
    }

    fn observe(&self, text: &str) {
        let text: String = text.trim().chars().take(OBSERVATION_CHARS_MAX).collect();
        let mut list = self
            .observations
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        list.push_front(text);
        list.truncate(OBSERVATIONS_MAX);
    }

    /// The observations, the newest first.
    pub(super) fn observed(&self) -> Vec<String> {
        let list = self
            .observations
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        list.iter().cloned().collect()
    }
}

fn router(site: &Site, side: &Side) -> Router {
    let router = Router::new().route("/", get(home));
    let router = match site.name.as_str() {
        "megalab" => router.route("/quiz", get(quiz).post(answer)),
        _ => router.route("/observations", get(observations).post(observe)),
    };
    router
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(Origin::new(site, side))
}

async fn home(State(origin): State<Origin>) -> Html<String> {
    Html(pages::home(&origin))
}

async fn observations(State(origin): State<Origin>) -> Html<String> {
    Html(pages::observations(&origin))
}

async fn quiz(State(origin): State<Origin>) -> Html<String> {
    Html(pages::quiz(&origin))
}

#[derive(Debug, Deserialize)]
struct Observation {
    text: String,
}

#[derive(Debug, Deserialize)]
struct Choice {
    shell: String,
}

async fn observe(State(origin): State<Origin>, headers: HeaderMap, body: Bytes) -> Response {
    match posted::<Observation>(&headers, &body) {
        Some((observation, Form::Html)) if !observation.text.trim().is_empty() => {
            origin.observe(&observation.text);
            Redirect::to("/observations").into_response()
        }
        Some((observation, Form::Json)) if !observation.text.trim().is_empty() => {
            origin.observe(&observation.text);
            let line = format!("observed on {} {}\n", origin.site, origin.side);
            (StatusCode::CREATED, line).into_response()
        }
        Some(_) | None => {
            let reason = "post a form with `text`, or JSON {\"text\": …}\n";
            (StatusCode::UNPROCESSABLE_ENTITY, reason).into_response()
        }
    }
}

async fn answer(State(origin): State<Origin>, headers: HeaderMap, body: Bytes) -> Response {
    match posted::<Choice>(&headers, &body) {
        Some((choice, _)) => Html(pages::answer(&origin, &choice.shell)).into_response(),
        None => {
            let reason = "post a form with `shell`, or JSON {\"shell\": …}\n";
            (StatusCode::UNPROCESSABLE_ENTITY, reason).into_response()
        }
    }
}

/// How something was posted.
enum Form {
    Html,
    Json,
}

fn posted<T: serde::de::DeserializeOwned>(headers: &HeaderMap, body: &[u8]) -> Option<(T, Form)> {
    let kind = headers.get(header::CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or("");
    if kind.starts_with("application/json") {
        return Some((serde_json::from_slice(body).ok()?, Form::Json));
    }
    // A form is encoded as a query is, and `+` and `%` are all that it needs in a URI.
    let query = std::str::from_utf8(body).ok()?.trim_end();
    let uri: Uri = format!("/?{}", query.replace(' ', "+")).parse().ok()?;
    let Query(form) = Query::try_from_uri(&uri).ok()?;
    Some((form, Form::Html))
}

/// A listener with a limited number of connections.
struct Limited {
    listener: TcpListener,
    places: Arc<Semaphore>,
}

/// A connection that gives its place back.
struct Placed {
    stream: TcpStream,
    _place: Option<OwnedSemaphorePermit>,
}

impl axum::serve::Listener for Limited {
    type Io = Placed;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Placed, SocketAddr) {
        // The semaphore is never closed, so there is always a place in the end.
        let place = Arc::clone(&self.places).acquire_owned().await.ok();
        let (stream, peer) = axum::serve::Listener::accept(&mut self.listener).await;
        let placed = Placed {
            stream,
            _place: place,
        };
        (placed, peer)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

impl tokio::io::AsyncRead for Placed {
    fn poll_read(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
        buffer: &mut tokio::io::ReadBuf<'_>,
    ) -> std::task::Poll<io::Result<()>> {
        std::pin::Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl tokio::io::AsyncWrite for Placed {
    fn poll_write(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
        bytes: &[u8],
    ) -> std::task::Poll<io::Result<usize>> {
        std::pin::Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<io::Result<()>> {
        std::pin::Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<io::Result<()>> {
        std::pin::Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(kind: &'static str) -> HeaderMap {
        let kind = header::HeaderValue::from_static(kind);
        HeaderMap::from_iter([(header::CONTENT_TYPE, kind)])
    }

    #[test]
    fn an_observation_is_read_from_a_form_and_from_json() {
        let html = posted::<Observation>(
            &form("application/x-www-form-urlencoded"),
            b"text=A+snail%2C+banded",
        );
        let json = posted::<Observation>(&form("application/json"), b"{\"text\":\"A wasp\"}");

        assert_eq!(
            html.map(|(seen, _)| seen.text).as_deref(),
            Some("A snail, banded")
        );
        assert_eq!(json.map(|(seen, _)| seen.text).as_deref(), Some("A wasp"));
    }

    #[test]
    fn only_loopback_addresses_get_a_server() {
        assert!(loopback("127.0.0.1", 9101).is_some());
        assert!(loopback("::1", 9101).is_some());
        assert_eq!(loopback("192.0.2.1", 80), None);
        assert_eq!(loopback("web1.example", 80), None);
    }
}
