//! Connecting, with a bound on the names that are being looked up.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};

use tokio::net::TcpStream;
use tokio::sync::Semaphore;

use super::Failed;

/// How many names are looked up at once. A look-up cannot be called off, and a silent resolver
/// keeps each for half a minute: beyond this, checks wait for one and run into their deadline.
const LOOKUPS_MAX: usize = 32;

static LOOKUPS: Semaphore = Semaphore::const_new(LOOKUPS_MAX);

/// Connects to a `host:port`, an IPv6 address in brackets.
///
/// # Errors
/// [`Failed::Connect`], with what the last of the addresses led to.
pub(super) async fn connect(address: &str) -> Result<TcpStream, Failed> {
    let mut failed = Failed::Connect("the name has no address".into());
    for address in look_up(address).await? {
        match TcpStream::connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => failed = Failed::Connect(plain(&error)),
        }
    }
    Err(failed)
}

/// Finds the addresses of a `host:port`.
///
/// # Errors
/// [`Failed::Connect`]: the name is not known.
pub(super) async fn look_up(address: &str) -> Result<Vec<SocketAddr>, Failed> {
    if let Ok(address) = address.parse() {
        return Ok(vec![address]);
    }
    let unknown = |error: io::Error| Failed::Connect(error.to_string());
    let permit = LOOKUPS.acquire().await;
    let permit = permit.map_err(|error| unknown(io::Error::other(error)))?;
    let address = address.to_owned();
    let looking = tokio::task::spawn_blocking(move || {
        // It is given back when the look-up is over, whether or not anybody still waits for it.
        let _permit = permit;
        Ok(address.to_socket_addrs()?.collect())
    });
    let found = looking
        .await
        .unwrap_or_else(|bug| Err(io::Error::other(bug)));
    found.map_err(unknown)
}

/// What the operating system said; the commonest without its number.
pub(super) fn plain(error: &io::Error) -> String {
    if error.kind() == io::ErrorKind::ConnectionRefused {
        return "connection refused".into();
    }
    error.to_string()
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::time::Duration;

    use super::super::{Failed, Probe, run};

    fn tried(address: &str) -> Result<(), Failed> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let probe = Probe::Tcp(address.into());
        let done = runtime.block_on(run(&probe, Duration::from_secs(10)));
        done.map(|_| ())
    }

    #[test]
    fn a_connection_is_enough_and_nobody_listening_is_said_so() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has free ports");
        let address = listener.local_addr().expect("it is bound");

        assert_eq!(tried(&address.to_string()), Ok(()));
        assert_eq!(tried(&format!("localhost:{}", address.port())), Ok(()));
        drop(listener);
        let refused = Failed::Connect("connection refused".into());
        assert_eq!(tried(&address.to_string()), Err(refused));
        assert!(matches!(
            tried("no.such.name.invalid:80"),
            Err(Failed::Connect(_))
        ));
    }
}
