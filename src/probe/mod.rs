//! One check with a deadline: a request, a connection, a query or a command of its own.
//!
//! For: what is asked of the origins of a side, and of a listener after a flip. Not for: trying
//! again or judging a side; who asks does that.
//!
//! ```text
//! Probe ─┬─ http: connect ─> TLS ─> request ─> status ─> fields ─> body (at most 1 MiB) ─┐
//!        ├─ tcp: connect                                                                 ├─> Passed
//!        ├─ dns: UDP, and TCP for what is too long for it                                │   or Failed
//!        └─ command: a process group of its own ─> exit status                           ┘
//!          └────────────────────────────── one deadline ──────────────────────────────┘
//! ```
//!
//! Invariants: nothing outlives the call: no connection, no process of the group; only what the
//! probe asks for is read, and of that no more than a bound. A crash of the daemon may leave a
//! command, which ends by itself. Tests: at the end of each file, and `tests/it/checks.rs`.

mod command;
mod connect;
mod dns;
mod expect;
mod http;

use std::time::Duration;

use tokio::time::{Instant, timeout_at};

pub use command::CommandProbe;
pub use dns::DnsProbe;
pub use expect::{Body, Expect, Failed, Value};
pub use http::{HttpProbe, ProbeTls, USER_AGENT};

/// One check, whatever it asks.
#[derive(Clone, Debug)]
pub enum Probe {
    /// A request.
    Http(Box<HttpProbe>),
    /// A connection to this `host:port`, closed at once.
    Tcp(String),
    /// A query.
    Dns(DnsProbe),
    /// A command.
    Command(CommandProbe),
}

/// A check that passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passed {
    /// From before the connection to the last byte that was looked at.
    pub elapsed: Duration,
}

/// Makes one check; no redirect is followed.
///
/// # Errors
/// The first thing that was not as expected.
///
/// # Cancel safety
/// Dropping the future closes the connection, and ends the command with its whole group.
pub async fn run(probe: &Probe, timeout: Duration) -> Result<Passed, Failed> {
    let began = Instant::now();
    let checking = async {
        match probe {
            Probe::Http(probe) => http::check(probe).await,
            Probe::Tcp(address) => connect::connect(address).await.map(drop),
            Probe::Dns(probe) => dns::check(probe).await,
            Probe::Command(probe) => command::check(probe).await,
        }
    };
    let checked = timeout_at(began + timeout, checking).await;
    checked.unwrap_or(Err(Failed::Timeout(timeout)))?;
    Ok(Passed {
        elapsed: began.elapsed(),
    })
}

/// Makes one request, and gives the body of its answer, which has at most 1 MiB.
///
/// # Errors
/// The first thing that was not as expected, or that the body is longer.
///
/// # Cancel safety
/// Dropping the future closes the connection.
pub async fn fetch(probe: &HttpProbe, timeout: Duration) -> Result<Vec<u8>, Failed> {
    let fetched = tokio::time::timeout(timeout, http::answer(probe, http::Look::Body)).await;
    fetched.unwrap_or(Err(Failed::Timeout(timeout)))
}
