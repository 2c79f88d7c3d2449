//! The admin side over both its listeners, with an actor that plays flips.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use http::StatusCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

use super::*;
use crate::admin::{FlipView, Tls};
use crate::certs::Store;
use crate::control::standin;
use crate::site::{Epoch, Position, Positions, SideName, SiteName};
use crate::table::{ReadFile, Table};
use crate::telemetry::Metrics;

struct Admin {
    server: Server,
    tcp: SocketAddr,
    folder: tempfile::TempDir,
}

/// Two sites, `ispot` and `lost`, and nothing that is read from the disk.
fn table() -> Table {
    let text = "version: 1\nlisten: {http: [127.0.0.1:0]}\nstate: state\nsites:\n";
    let site = |name: &str| {
        format!(
            "  {name}:\n    hosts: [www.{name}.example]\n    active: live\n    sides:\n      \
             live: {{web: [http://127.0.0.1:1]}}\n      backup: {{web: [http://127.0.0.1:2]}}\n"
        )
    };
    let text = [text, &site("ispot"), &site("lost")].concat();
    Table::load("routes.yaml".as_ref(), &text, &NoFiles).unwrap()
}

fn no_tls() -> Tls {
    Tls {
        addresses: Vec::new(),
        certs: Store::empty().unwrap(),
    }
}

struct NoFiles;

impl ReadFile for NoFiles {
    fn read(&self, _: &Path) -> io::Result<String> {
        Err(io::ErrorKind::NotFound.into())
    }
}

/// Starts an admin side whose site `ispot` is on `live`, and whose site `lost` is in doubt.
fn admin() -> Admin {
    let folder = tempfile::tempdir().unwrap();
    let table = Arc::new(table());
    let at = |active: Option<&str>| Position {
        active: active.map(SideName::new),
        epoch: Epoch(4),
    };
    let positions = Positions(BTreeMap::from([
        (SiteName::new("ispot"), at(Some("live"))),
        (SiteName::new("lost"), at(None)),
    ]));
    let mut status = standin::status(&table, "routes.yaml".as_ref());
    for site in standin::sites(&mut status.sites).skip(1).take(1) {
        site.active = None;
    }
    let parts = Parts {
        handle: standin::handle(status),
        metrics: Metrics::new().unwrap(),
        switchboard: standin::switchboard(&table, &positions),
    };
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let listeners =
        Listeners::bind(&folder.path().join("admin.sock"), Some(any), &no_tls()).unwrap();
    let tcp = listeners.tcp_address().unwrap();
    Admin {
        server: spawn(listeners, parts).unwrap(),
        tcp,
        folder,
    }
}

impl Admin {
    async fn over_socket(&self, method: &str, path: &str, body: &str) -> (StatusCode, String) {
        let stream = UnixStream::connect(self.folder.path().join("admin.sock")).await;
        exchange(stream.unwrap(), method, path, body).await
    }

    async fn over_tcp(&self, method: &str, path: &str, body: &str) -> (StatusCode, String) {
        let stream = TcpStream::connect(self.tcp).await.unwrap();
        exchange(stream, method, path, body).await
    }
}

async fn exchange(
    mut stream: impl AsyncReadExt + AsyncWriteExt + Unpin,
    method: &str,
    path: &str,
    body: &str,
) -> (StatusCode, String) {
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: admin\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    let read = stream.read_to_string(&mut answer);
    tokio::time::timeout(Duration::from_secs(10), read)
        .await
        .unwrap()
        .unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    (status, answer)
}

#[tokio::test]
async fn a_flip_asked_over_the_socket_is_followed_to_its_outcome() {
    let admin = admin();

    let body = r#"{"moves": [{"site": "ispot", "to": "backup"}], "reason": "disk"}"#;
    let (asked, answer) = admin.over_socket("POST", "/api/v1/flips", body).await;
    let (_, events) = admin.over_socket("GET", "/api/v1/flips/1/events", "").await;

    assert_eq!(asked, StatusCode::ACCEPTED, "{answer}");
    assert!(answer.contains("location: /api/v1/flips/1\r\n"), "{answer}");
    let last = events
        .lines()
        .rfind(|line| line.starts_with("data: "))
        .unwrap();
    let flip: FlipView = serde_json::from_str(&last["data: ".len()..]).unwrap();
    assert_eq!(flip.status.outcome, Some(crate::control::Outcome::Settled));
    assert_eq!(
        flip.status.who.uid,
        Some(nix::unistd::Uid::effective().as_raw())
    );
    admin.server.stop().await;
}

#[tokio::test]
async fn the_tcp_listener_shows_and_changes_nothing() {
    let admin = admin();

    let (shown, status) = admin.over_tcp("GET", "/api/v1/status", "").await;
    let body = r#"{"moves": [{"site": "ispot"}]}"#;
    let (written, refusal) = admin.over_tcp("POST", "/api/v1/flips", body).await;
    let (cancelled, _) = admin.over_tcp("DELETE", "/api/v1/flips/1", "").await;
    let (_, flips) = admin.over_tcp("GET", "/api/v1/flips", "").await;

    assert_eq!(shown, StatusCode::OK);
    assert!(status.contains(r#""in_flight":0"#), "{status}");
    assert_eq!(written, StatusCode::FORBIDDEN);
    assert!(refusal.contains("unix socket"), "{refusal}");
    assert_eq!(cancelled, StatusCode::FORBIDDEN);
    assert!(flips.ends_with("\r\n\r\n[]"), "{flips}");
    admin.server.stop().await;
}

#[tokio::test]
async fn what_is_wrong_with_a_request_is_said_as_a_problem() {
    let admin = admin();

    let unknown = r#"{"moves": [{"site": "nosuch"}]}"#;
    let typo = r#"{"moves": [{"site": "ispot", "too": "backup"}]}"#;
    let (site, site_text) = admin.over_socket("POST", "/api/v1/flips", unknown).await;
    let (key, key_text) = admin.over_socket("POST", "/api/v1/flips", typo).await;
    let huge = format!("{{\"reason\": \"{}\"}}", "x".repeat(70_000));
    let (size, _) = admin.over_socket("POST", "/api/v1/flips", &huge).await;
    let (path, path_text) = admin.over_socket("GET", "/api/v2", "").await;

    assert_eq!(site, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(
        site_text.contains(r#""code":"unknown-site""#),
        "{site_text}"
    );
    assert_eq!(key, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(key_text.contains("too"), "{key_text}");
    assert_eq!(size, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(path, StatusCode::NOT_FOUND);
    assert!(
        path_text.contains("application/problem+json"),
        "{path_text}"
    );
    admin.server.stop().await;
}

#[tokio::test]
async fn a_site_in_doubt_is_not_ready_and_the_others_are() {
    let admin = admin();

    let (all, _) = admin.over_tcp("GET", "/-/ready", "").await;
    let (known, _) = admin.over_tcp("GET", "/-/ready/ispot", "").await;
    let (doubtful, _) = admin.over_tcp("GET", "/-/ready/lost", "").await;
    let (unknown, _) = admin.over_tcp("GET", "/-/ready/nosuch", "").await;

    assert_eq!(all, StatusCode::OK);
    assert_eq!(known, StatusCode::OK);
    assert_eq!(doubtful, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(unknown, StatusCode::NOT_FOUND);
    admin.server.stop().await;
}

#[tokio::test]
async fn a_scrape_shows_which_side_is_active() {
    let admin = admin();

    let (_, metrics) = admin.over_tcp("GET", "/metrics", "").await;

    for line in [
        r#"pointsman_site_active{side="live",site="ispot"} 1"#,
        r#"pointsman_site_active{side="backup",site="ispot"} 0"#,
        r#"pointsman_http_requests_in_flight{site="ispot"} 0"#,
        "pointsman_table_last_reload_successful 1",
        "pointsman_table_generation 1",
    ] {
        assert!(metrics.contains(line), "{line} is not in\n{metrics}");
    }
    admin.server.stop().await;
}

#[tokio::test]
async fn a_stale_socket_is_replaced_and_another_file_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let stale = folder.path().join("admin.sock");
    drop(std::os::unix::net::UnixListener::bind(&stale).unwrap());
    let file = folder.path().join("precious");
    std::fs::write(&file, "kept").unwrap();

    let replaced = Listeners::bind(&stale, None, &no_tls());
    let refused = Listeners::bind(&file, None, &no_tls());

    assert!(replaced.is_ok(), "{replaced:?}");
    assert!(
        matches!(refused, Err(Error::NotASocket { .. })),
        "{refused:?}"
    );
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "kept");
}

#[tokio::test]
async fn a_busy_address_is_said_with_its_key() {
    let taken = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = taken.local_addr().unwrap();
    let folder = tempfile::tempdir().unwrap();

    let refused = Listeners::bind(&folder.path().join("admin.sock"), Some(address), &no_tls());

    let said = refused.unwrap_err().to_string();
    assert!(
        said.starts_with(&format!("`listen.admin`: cannot listen on {address}")),
        "{said}"
    );
}

#[tokio::test]
async fn stopping_ends_idle_connections_at_once() {
    let admin = admin();
    let mut idle = TcpStream::connect(admin.tcp).await.unwrap();
    let request = b"GET /-/healthy HTTP/1.1\r\nhost: admin\r\n\r\n";
    idle.write_all(request).await.unwrap();
    let mut first = [0; 12];
    idle.read_exact(&mut first).await.unwrap();

    let stopped = tokio::time::timeout(STOP_DEADLINE / 2, admin.server.stop()).await;

    assert_eq!(&first, b"HTTP/1.1 200");
    assert!(stopped.is_ok(), "the idle connection was waited for");
    assert!(!admin.folder.path().join("admin.sock").exists());
}

#[tokio::test]
async fn stopping_ends_the_stream_of_a_flip_that_runs() {
    let admin = admin();
    let body = r#"{"moves": [{"site": "ispot"}]}"#;
    admin.over_socket("POST", "/api/v1/flips", body).await;
    let mut stream = TcpStream::connect(admin.tcp).await.unwrap();
    let request = b"GET /api/v1/flips/1/events HTTP/1.1\r\nhost: admin\r\n\r\n";
    stream.write_all(request).await.unwrap();
    let mut first = [0; 12];
    stream.read_exact(&mut first).await.unwrap();

    admin.server.stop().await;

    let mut rest = String::new();
    stream.read_to_string(&mut rest).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 200");
    assert!(rest.contains(r#""outcome":null"#), "{rest}");
    assert!(!rest.contains(r#""outcome":"settled""#), "{rest}");
}
