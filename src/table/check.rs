//! What a check asks, and what passes: `preflight.checks` and `flip.quiet`.

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, Method};
use regex::bytes::{Regex, RegexBuilder};

use super::model::Side;

/// How much memory a compiled regular expression may take, in bytes: each is made anew for the
/// answer that it is held against, so a large one would cost its time at every check.
const PATTERN_BYTES_MAX: usize = 256 * 1024;

/// `preflight:` what must be true of a side, and is looked at all the time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preflight {
    /// How often each check is made on each side.
    pub every: Duration,
    /// All of them must pass before a side takes over.
    pub checks: Vec<Check>,
}

/// One check of a side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What it is called in messages, metrics and on the command line; unique within its site.
    pub name: String,
    /// How long one try may take.
    pub timeout: Duration,
    /// How often it is tried before it counts as failed; at least 1.
    pub tries: u32,
    /// What is asked.
    pub ask: Ask,
}

/// What a check asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// A request, with `Host` = the site's first host; no redirect is followed.
    Http(HttpAsk),
    /// A connection to each origin.
    TcpOrigin,
    /// A connection to something else.
    Tcp(Peer),
    /// A question to a DNS server.
    Dns(DnsAsk),
    /// A command and its arguments, at least the command; it passes when it ends with 0.
    Command(Vec<String>),
}

impl Ask {
    /// Tells whether each origin of a side is asked, rather than the side as a whole.
    pub fn is_of_each_origin(&self) -> bool {
        match self {
            Self::Http(_) | Self::TcpOrigin | Self::Command(_) => true,
            Self::Tcp(_) | Self::Dns(_) => false,
        }
    }
}

/// A request, and what passes as its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpAsk {
    /// The method, always safe.
    pub method: Method,
    /// The request target, beginning with `/`.
    pub path: String,
    /// The statuses that pass; a class is a range of a hundred.
    pub status: Vec<RangeInclusive<u16>>,
    /// Fields that must be there, each with what one of its values must be.
    pub fields: Vec<(HeaderName, Wanted)>,
    /// Text that the body must hold.
    pub body: Option<String>,
    /// What some part of the body must match.
    pub body_pattern: Option<Pattern>,
    /// Where a value is in the body, which is JSON (RFC 6901), and what it must be.
    pub json: Option<(String, Wanted)>,
}

/// What a value must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Anything, as long as it is there.
    Present,
    /// This text.
    Equals(String),
    /// Something that matches.
    Matches(Pattern),
}

/// A regular expression that was found to be sound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(Arc<str>);

impl Pattern {
    /// Takes a text as one.
    ///
    /// # Errors
    /// What is wrong with it, or that it is too large.
    pub fn new(text: &str) -> Result<Self, regex::Error> {
        compile(text).map(|_| Self(text.into()))
    }

    /// Makes what is held against an answer.
    ///
    /// # Errors
    /// It cannot be compiled; since it was once, that is a bug.
    pub fn compile(&self) -> Result<Regex, regex::Error> {
        compile(&self.0)
    }
}

fn compile(text: &str) -> Result<Regex, regex::Error> {
    let mut builder = RegexBuilder::new(text);
    builder.size_limit(PATTERN_BYTES_MAX).build()
}

/// A question to a DNS server, and what passes as its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsAsk {
    /// Whom to ask.
    pub server: Peer,
    /// The name, lower case without a final dot.
    pub name: String,
    /// The type of the records, by its word: `AAAA`.
    pub kind: &'static str,
    /// What one of the records must say; any will do without.
    pub answer: Option<String>,
}

/// Somebody to connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// A host name, an IP address without brackets, or a key of the sides' `names`.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl Peer {
    /// Writes it as `host:port`, an IPv6 address in brackets; a key of the side's `names` stands for
    /// the address there.
    pub fn address(&self, side: &Side) -> String {
        let named = side.names.get(&self.host).copied();
        let address = named.or_else(|| self.host.parse::<IpAddr>().ok());
        address.map_or_else(
            || format!("{}:{}", self.host, self.port),
            |address| SocketAddr::new(address, self.port).to_string(),
        )
    }
}
