//! Confirming: each own listener is asked, as a client would, which epoch it serves.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use http::{Method, StatusCode};
use tokio::net::UdpSocket;

use crate::probe::{self, HttpProbe};
use crate::site::{Epoch, SiteName};
use crate::table::Table;

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
    expected: Vec<(SiteName, Epoch)>,
) -> Result<(), String> {
    for (name, epoch) in &expected {
        let Some(site) = table.sites.iter().find(|site| site.name == *name) else {
            continue;
        };
        for address in &table.listen.http {
            http(reachable(*address), &site.hosts[0], *epoch)
                .await
                .map_err(|why| format!("listener {address} did not confirm {name}: {why}"))?;
        }
        for zone in table
            .dns
            .zones
            .keys()
            .filter(|zone| site.hosts.iter().any(|host| inside(host, zone)))
        {
            for address in &table.listen.dns {
                dns(reachable(*address), &format!("_flip.{name}.{zone}"), *epoch)
                    .await
                    .map_err(|why| {
                        format!("dns listener {address} did not confirm {name}: {why}")
                    })?;
            }
        }
    }
    Ok(())
}

async fn http(address: SocketAddr, host: &str, epoch: Epoch) -> Result<(), String> {
    let probe = HttpProbe {
        address: address.to_string(),
        host: host.into(),
        method: Method::GET,
        path: "/.well-known/pointsman".into(),
        expect_status: StatusCode::OK,
        expect_body: Some(format!("\"epoch\":{epoch},")),
        timeout: TIMEOUT,
    };
    probe::http(probe)
        .await
        .map(|_| ())
        .map_err(|failed| failed.to_string())
}

async fn dns(address: SocketAddr, name: &str, epoch: Epoch) -> Result<(), String> {
    let mut why = String::new();
    for _ in 0..DNS_TRIES {
        match tokio::time::timeout(TIMEOUT, ask_txt(address, name)).await {
            Ok(Ok(answer)) => {
                let wanted = format!("epoch={epoch} ");
                let shown = answer
                    .windows(wanted.len())
                    .any(|text| text == wanted.as_bytes());
                return if shown {
                    Ok(())
                } else {
                    Err(format!("{name} TXT has no {wanted:?}"))
                };
            }
            Ok(Err(error)) => why = error.to_string(),
            Err(_) => why = format!("no answer within {TIMEOUT:?}"),
        }
    }
    Err(why)
}

/// Sends one TXT query (RFC 1035 §4.1) and returns the raw answer.
async fn ask_txt(address: SocketAddr, name: &str) -> std::io::Result<Vec<u8>> {
    let any: SocketAddr = match address {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(address).await?;
    // One question; the id need not be secret: the socket is connected to a listener of our own.
    let mut query = vec![0x50, 0x4d, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        // A label of the table is at most 63 octets (RFC 1035 §2.3.4).
        query.push(u8::try_from(label.len()).unwrap_or(63));
        query.extend_from_slice(label.as_bytes());
    }
    query.extend_from_slice(&[0, 0, 16, 0, 1]);
    socket.send(&query).await?;
    let mut answer = vec![0; 1232];
    let length = socket.recv(&mut answer).await?;
    answer.truncate(length);
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

fn inside(host: &str, zone: &str) -> bool {
    host.strip_suffix(zone)
        .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}
