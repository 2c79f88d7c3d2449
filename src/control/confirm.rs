//! Confirming: each own listener is asked, as a client would, which epoch it serves.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use http::{Method, StatusCode};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};

use crate::certs::{self, Store};
use crate::probe::{self, Body, Expect, HttpProbe, Probe, ProbeTls};
use crate::site::{Epoch, SiteName};
use crate::table::Table;
use crate::zone;

/// How long one listener may take; they are ours and on this machine.
const TIMEOUT: Duration = Duration::from_secs(2);

/// How often a DNS query is sent before its listener counts as silent: UDP may lose one.
const DNS_TRIES: u32 = 3;

/// Asks every listener for the epoch of each site.
///
/// # Errors
/// The first listener that shows another epoch, or none.
pub(super) async fn listeners(
    table: Arc<Table>,
    certs: Arc<Store>,
    expected: Vec<(SiteName, Epoch)>,
) -> Result<(), String> {
    for (name, epoch) in &expected {
        let Some(site) = table.sites.iter().find(|site| site.name == *name) else {
            continue;
        };
        let host = site.hosts[0].as_str();
        for address in &table.listen.http {
            http(reachable(*address), host, None, *epoch)
                .await
                .map_err(|why| format!("listener {address} did not confirm {name}: {why}"))?;
        }
        // What no certificate is for is not served there, and would be answered 421.
        let https = table.listen.https.iter().filter(|_| certs.covers(host));
        for address in https {
            let tls = own_tls(&certs, host)?;
            http(reachable(*address), host, Some(tls), *epoch)
                .await
                .map_err(|why| format!("https listener {address} did not confirm {name}: {why}"))?;
        }
        for owner in zone::flip_names(&table, site) {
            for address in &table.listen.dns {
                dns(reachable(*address), &owner, *epoch)
                    .await
                    .map_err(|why| {
                        format!("dns listener {address} did not confirm {name}: {why}")
                    })?;
            }
        }
    }
    Ok(())
}

/// Sets a probe up to ask our own listener for a host by its name.
fn own_tls(certs: &Arc<Store>, host: &str) -> Result<ProbeTls, String> {
    let config = certs::listener_config(certs).map_err(|error| error.to_string())?;
    let server_name = ServerName::try_from(host.to_owned()).map_err(|error| error.to_string())?;
    Ok(ProbeTls {
        config,
        server_name,
    })
}

async fn http(
    address: SocketAddr,
    host: &str,
    tls: Option<ProbeTls>,
    epoch: Epoch,
) -> Result<(), String> {
    let probe = HttpProbe {
        address: address.to_string(),
        tls,
        host: host.into(),
        method: Method::GET,
        path: "/.well-known/pointsman".into(),
        expect: Expect {
            body: vec![Body::Holds(format!("\"epoch\":{epoch},"))],
            ..Expect::status(StatusCode::OK)
        },
    };
    probe::run(&Probe::Http(Box::new(probe)), TIMEOUT)
        .await
        .map(|_| ())
        .map_err(|failed| failed.to_string())
}

/// Asks over UDP and over TCP: the two are served by different workers.
async fn dns(address: SocketAddr, name: &str, epoch: Epoch) -> Result<(), String> {
    let query = txt_query(name);
    let mut over_udp = Err(String::new());
    for _ in 0..DNS_TRIES {
        over_udp = within(ask_udp(address, &query)).await;
        if over_udp.is_ok() {
            break;
        }
    }
    shows(&over_udp?, name, epoch)?;
    let over_tcp = within(ask_tcp(address, &query)).await;
    shows(
        &over_tcp.map_err(|why| format!("over TCP: {why}"))?,
        name,
        epoch,
    )
}

async fn within(answer: impl Future<Output = std::io::Result<Vec<u8>>>) -> Result<Vec<u8>, String> {
    match tokio::time::timeout(TIMEOUT, answer).await {
        Ok(answered) => answered.map_err(|error| error.to_string()),
        Err(_) => Err(format!("no answer within {TIMEOUT:?}")),
    }
}

fn shows(answer: &[u8], name: &str, epoch: Epoch) -> Result<(), String> {
    let wanted = format!("epoch={epoch} ");
    let shown = answer
        .windows(wanted.len())
        .any(|text| text == wanted.as_bytes());
    if shown {
        Ok(())
    } else {
        Err(format!("{name} TXT has no {wanted:?}"))
    }
}

/// Writes one TXT question (RFC 1035 §4.1).
fn txt_query(name: &str) -> Vec<u8> {
    // The id need not be secret: the sockets are connected to listeners of our own.
    let mut query = vec![0x50, 0x4d, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        // A label of the table is at most 63 octets (RFC 1035 §2.3.4).
        query.push(u8::try_from(label.len()).unwrap_or(63));
        query.extend_from_slice(label.as_bytes());
    }
    query.extend_from_slice(&[0, 0, 16, 0, 1]);
    query
}

async fn ask_udp(address: SocketAddr, query: &[u8]) -> std::io::Result<Vec<u8>> {
    let any: SocketAddr = match address {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(address).await?;
    socket.send(query).await?;
    let mut answer = vec![0; 1232];
    let length = socket.recv(&mut answer).await?;
    answer.truncate(length);
    Ok(answer)
}

/// Over TCP each message has its length in front (RFC 1035 §4.2.2).
async fn ask_tcp(address: SocketAddr, query: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(address).await?;
    let length = u16::try_from(query.len()).map_err(std::io::Error::other)?;
    stream
        .write_all(&[&length.to_be_bytes(), query].concat())
        .await?;
    let mut answer = vec![0; usize::from(stream.read_u16().await?)];
    stream.read_exact(&mut answer).await?;
    Ok(answer)
}

/// A listener on every address is asked on the loopback one.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip @ (IpAddr::V4(_) | IpAddr::V6(_)) => ip,
    };
    SocketAddr::new(ip, address.port())
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, UdpSocket};

    use crate::table::ReadFile;

    use super::*;

    struct NoFiles;

    impl ReadFile for NoFiles {
        fn read(&self, _: &std::path::Path) -> std::io::Result<String> {
            Err(std::io::ErrorKind::NotFound.into())
        }
    }

    /// One site whose listeners are these.
    fn table(listen: &str) -> Arc<Table> {
        let text = format!(
            "version: 1\nlisten: {{{listen}}}\nstate: state\ndns:\n  addresses: [127.0.0.1]\n  \
             zones: {{ispot.example: {{}}}}\nsites:\n  ispot:\n    hosts: [www.ispot.example]\n    \
             active: live\n    sides: {{live: {{web: [http://127.0.0.1:1]}}}}\n"
        );
        let table = Table::load("routes.yaml".as_ref(), &text, &NoFiles);
        Arc::new(table.expect("a table"))
    }

    fn asked(table: Arc<Table>) -> Result<(), String> {
        let certs = Store::empty().expect("no certificates");
        let expected = vec![(SiteName::new("ispot"), Epoch(3))];
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().build().expect("a runtime");
        runtime.block_on(listeners(table, certs, expected))
    }

    /// A listener that answers one request with an epoch, as ours do.
    fn shows_over_http(epoch: u32) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has free ports");
        let address = listener.local_addr().expect("it is bound");
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("it is asked");
            let _ = stream.read(&mut [0; 1024]);
            let body = format!("{{\"site\":\"ispot\",\"epoch\":{epoch},\"side\":\"live\"}}");
            let length = body.len();
            // Who has seen enough leaves.
            let _ = write!(
                stream,
                "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}"
            );
        });
        address
    }

    #[test]
    fn a_listener_that_shows_another_epoch_is_named() {
        let right = shows_over_http(3);
        assert_eq!(asked(table(&format!("http: [{right}]"))), Ok(()));
        let (right, wrong) = (shows_over_http(3), shows_over_http(2));
        let why =
            asked(table(&format!("http: [{right}, {wrong}]"))).expect_err("it is not confirmed");
        assert!(
            why.contains(&format!("{wrong} did not confirm ispot")),
            "{why}"
        );
    }

    #[test]
    fn a_listener_that_is_silent_is_named() {
        let free = TcpListener::bind("127.0.0.1:0").expect("loopback has free ports");
        let gone = free.local_addr().expect("it is bound");
        drop(free);
        let why = asked(table(&format!("http: [{gone}]"))).expect_err("it is not confirmed");
        assert!(why.contains("connection refused"), "{why}");
    }

    #[test]
    fn a_dns_listener_that_shows_another_epoch_is_named() {
        let right = shows_over_http(3);
        let socket = UdpSocket::bind("127.0.0.1:0").expect("loopback has free ports");
        let dns = socket.local_addr().expect("it is bound");
        std::thread::spawn(move || {
            let mut query = [0; 512];
            let (length, asker) = socket.recv_from(&mut query).expect("it is asked");
            let answer = [&query[..length], b"side=live epoch=2 "].concat();
            socket.send_to(&answer, asker).expect("it is answered");
        });
        let why = asked(table(&format!("http: [{right}], dns: [{dns}]")))
            .expect_err("it is not confirmed");
        assert!(
            why.contains(&format!("dns listener {dns} did not confirm ispot"))
                && why.contains("epoch=3"),
            "{why}"
        );
    }
}
