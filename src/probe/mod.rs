//! One check with a deadline: a request of its own, on a connection of its own.
//!
//! For: what a preflight asks of an origin, and what is asked of a listener after a flip. Not for:
//! trying again or judging a side; who asks does that.
//!
//! ```text
//! HttpProbe ──> connect ─> TLS ─> request ─> status ─> body (at most 1 MiB) ──> Passed | Failed
//!               └──────────────────── one deadline ─────────────────────┘
//! ```
//!
//! Invariants: nothing outlives the call, the connection included; only what the probe asks for is
//! read. A crash leaves nothing behind. Tests: at the end of each file.

mod http;

use std::time::Duration;

use ::http::StatusCode;

pub use http::{HttpProbe, ProbeTls, USER_AGENT, http};

/// A check that passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passed {
    /// From before the connection to the last byte that was looked at.
    pub elapsed: Duration,
}

/// Why a check failed; its text is what an operator is shown.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failed {
    /// It took too long.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    /// No connection: `connection refused`, or the name is not known.
    #[error("{0}")]
    Connect(String),
    /// The other end did not prove who it is.
    #[error("TLS: {0}")]
    Tls(String),
    /// The connection broke off, or what came was not HTTP.
    #[error("the answer broke off: {0}")]
    Broken(String),
    /// The check itself cannot be sent; the table is at fault.
    #[error("the check cannot be sent: {0}")]
    Unsendable(String),
    /// Another status than the one expected.
    #[error("answered {} instead of {}", .got.as_u16(), .expected.as_u16())]
    Status {
        /// What it answered.
        got: StatusCode,
        /// What would have passed.
        expected: StatusCode,
    },
    /// The expected text is not there.
    #[error("{}", without(*.whole, .text))]
    Body {
        /// The text.
        text: String,
        /// All of the body was looked at, and not only its first 1 MiB.
        whole: bool,
    },
}

fn without(whole: bool, text: &str) -> String {
    let body = if whole {
        "the body"
    } else {
        "the first 1 MiB of the body"
    };
    format!("{body} does not hold {text:?}")
}
