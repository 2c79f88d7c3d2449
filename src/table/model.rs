//! What a table holds: plain values, one struct for each mapping of `routes.yaml`.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::site::{
    Access, DrainThen, During, GroupName, OnHold, Scope, SideName, SiteName, Storage, Tunnels,
};

use super::check::{Check, Preflight};
use super::chunks::Chunks;
use super::diagnostic::Diagnostic;
use super::fence::FenceKey;
use super::freshness::Freshness;
use super::hooks::Hooks;
use super::matcher::Matcher;
use super::path;
use super::standby::Standby;

/// A loaded table: everything but who is active, which only the journal knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// The addresses to listen on.
    pub listen: Listen,
    /// The directory of the journal, absolute or relative to the working directory.
    pub state: PathBuf,
    /// The directory of certificates, absolute or relative to the working directory.
    pub certs: PathBuf,
    /// Who may use the API from other hosts.
    pub admin: Arc<Admin>,
    /// What is said by DNS.
    pub dns: Dns,
    /// The sites in the order of their names; [`Table::route`] speaks of them by index.
    pub sites: Chunks<Arc<Site>>,
    /// The sites that are flipped together, in the order of the file; no group is empty.
    pub groups: Arc<BTreeMap<GroupName, Vec<SiteName>>>,
    /// Who answers for hosts that no site has.
    pub default_site: Option<SiteName>,
    /// The keys that sign what origins are told, the first one alone; none signs when it is empty.
    pub fence: Vec<FenceKey>,
    /// The words that ask for a move or for other access, of each of the sites.
    pub words: Arc<BTreeMap<SiteName, Words>>,
    /// Finds the site of a host; made of `sites`.
    pub matcher: Arc<Matcher>,
    /// What is allowed but probably not meant, in the order of their places.
    pub warnings: Vec<Diagnostic>,
}

/// `listen:` the addresses of each listener.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listen {
    /// Plain HTTP.
    pub http: Vec<SocketAddr>,
    /// HTTP over TLS.
    pub https: Vec<SocketAddr>,
    /// DNS over UDP and TCP.
    pub dns: Vec<SocketAddr>,
    /// The admin API and `/metrics`, without TLS; the unix socket is always there too.
    pub admin: Option<SocketAddr>,
    /// The admin API over TLS, for the holders of tokens.
    pub admin_tls: Vec<SocketAddr>,
}

/// `admin:` who may use the API from other hosts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Admin {
    /// The certificate of `listen.admin_tls`; `None` for one of the folder of all.
    pub tls: Option<CertFiles>,
    /// The tokens, each with a name and a digest of its own.
    pub tokens: Vec<Token>,
}

/// A token, known by the digest of its secret: the secret itself is nowhere on this side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// What its holder is called in the journal.
    pub name: String,
    /// What its holder may do.
    pub scope: Scope,
    /// The SHA-256 of the secret.
    pub digest: [u8; 32],
}

/// `dns:` the zones and the proxy's own addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dns {
    /// What the names of sites answer with.
    pub addresses: Vec<IpAddr>,
    /// The zones, by lower-case name without a final dot.
    pub zones: BTreeMap<String, ZoneTable>,
}

/// One zone of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZoneTable {
    /// Name servers, lower case without a final dot; never empty (default `ns1.<zone>`).
    pub ns: Vec<String>,
    /// A master file that adds records (RFC 1035 §5).
    pub file: Option<LoadedFile>,
}

/// A file the table names, with its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadedFile {
    /// Where it was read from.
    pub path: PathBuf,
    /// What it says.
    pub text: Arc<str>,
}

/// The words an operator edits to ask for something.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Words {
    /// `active:`; `None` when left out: then only the command line and the API move the site.
    pub active: Option<SideName>,
    /// `access:` of the whole site.
    pub access: Access,
    /// `reason:` beside `active`, for the journal.
    pub reason: Option<String>,
}

/// One site, without its words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// Its name, the key under `sites:`.
    pub name: SiteName,
    /// Host names, lower case without port or final dot; never empty. The first is canonical; the
    /// others may begin with `*.`, for every name below.
    pub hosts: Vec<String>,
    /// A certificate of its own; its SANs in the folder of all decide otherwise.
    pub tls: Option<CertFiles>,
    /// What becomes of requests that come without TLS.
    pub redirect: Redirect,
    /// Its sides, at least one, in the order of the file.
    pub sides: Vec<Side>,
    /// DNS names that answer with an address of the active side.
    pub names: Vec<FollowingName>,
    /// Parts with an access of their own, the longest prefix first.
    pub paths: Vec<PathRule>,
    /// Prefixes of paths that may be written to while the rest may only be read (`access`).
    pub writable: Vec<String>,
    /// Where its sides keep what users write.
    pub storage: Storage,
    /// How it flips.
    pub flip: FlipPolicy,
    /// What is checked of its sides, all the time and before one takes over.
    pub preflight: Preflight,
    /// What tells how new the data of a side are.
    pub freshness: Option<Box<Freshness>>,
    /// What its sides answer while they do not serve.
    pub standby: Option<Box<Standby>>,
    /// What users see while they cannot be served.
    pub maintenance: Maintenance,
    /// How long an origin may take.
    pub timeouts: Timeouts,
}

impl Site {
    /// Looks up a side by name.
    pub fn side(&self, name: &SideName) -> Option<&Side> {
        self.sides.iter().find(|side| side.name == *name)
    }

    /// Tells the longest TTL of its direct names, in seconds; `None` when it has none.
    pub fn answer_ttl_s(&self) -> Option<u32> {
        let ttls = self.names.iter().map(|name| name.ttl.as_secs());
        ttls.max()
            .map(|ttl_s| u32::try_from(ttl_s).unwrap_or(u32::MAX))
    }

    /// Finds the rule that a path lies under, by position in `paths`: that of the longest prefix;
    /// several, if the path can be read in several ways.
    pub fn rules_at(&self, path: &str) -> Vec<usize> {
        if self.paths.is_empty() {
            return Vec::new();
        }
        // The whole server (RFC 9112 §3.2.4) is what a rule for all of it covers.
        let path = if path == "*" { "/" } else { path };
        let readings = path::readings(path);
        let found =
            readings.filter_map(|read| self.paths.iter().position(|rule| rule.covers(&read)));
        found.collect()
    }

    /// Tells whether a path may be written to while the rest may only be read; if it can be read
    /// in several ways, by each of them.
    pub fn writes_at(&self, path: &str) -> bool {
        let is_writable = |read: std::borrow::Cow<'_, str>| {
            let mut prefixes = self.writable.iter();
            prefixes.any(|prefix| path::lies_under(&read, prefix))
        };
        !self.writable.is_empty() && path::readings(path).all(is_writable)
    }
}

/// A named set of machines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Side {
    /// `live`, `backup`, or any other name.
    pub name: SideName,
    /// Its web servers, at least one.
    pub web: Vec<OriginAddr>,
    /// Named addresses, for [`FollowingName`]s: `{db: 127.0.1.11}`.
    pub names: BTreeMap<String, IpAddr>,
}

/// `redirect:` what becomes of requests that come without TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Redirect {
    /// They are served like all others.
    #[default]
    Never,
    /// They are sent to the same place over TLS.
    Https,
}

/// The files of a certificate and its key; only `certs` reads them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertFiles {
    /// The chain, the site's own certificate first.
    pub cert: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// Whom an origin is believed to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OriginTls {
    /// The authorities that may vouch for it, in PEM.
    pub ca: LoadedFile,
    /// The name that its certificate must be for; the host of its address when left out.
    pub server_name: Option<String>,
}

/// The address of an origin server.
///
/// A host name is looked up when a connection is made; an address needs no look-up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OriginAddr {
    /// A host name or an IP address without brackets.
    pub host: String,
    /// The TCP port.
    pub port: u16,
    /// How it is checked; `None` for plain HTTP.
    pub tls: Option<Arc<OriginTls>>,
}

impl OriginAddr {
    /// Writes it as `host:port`, an IPv6 address in brackets (RFC 3986 §3.2.2).
    pub fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// Tells whether two are one server, however each is spoken to.
    pub fn is_at(&self, other: &Self) -> bool {
        self.port == other.port && self.host == other.host
    }
}

impl std::fmt::Display for OriginAddr {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        write!(f, "{scheme}://{}", self.authority())
    }
}

/// A DNS name that follows the active side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FollowingName {
    /// The name, lower case without a final dot, inside one of the zones.
    pub owner: String,
    /// The key in each side's `names`.
    pub from: String,
    /// Time to live of the answer, in whole seconds, at least 1 s.
    pub ttl: Duration,
}

/// A part of a site with an access of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathRule {
    /// Begins with `/`; covers itself and what lies below, at segment boundaries.
    pub prefix: String,
    /// What users may do there.
    pub access: Access,
}

impl PathRule {
    /// Tells whether a path is the prefix or lies below it (`/quiz` covers `/quiz/1`, not `/quizz`).
    pub fn covers(&self, path: &str) -> bool {
        path::readings(&self.prefix).any(|prefix| path::lies_under(path, &prefix))
    }
}

/// `flip:` how a site flips.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlipPolicy {
    /// What users get meanwhile.
    pub during: During,
    /// The longest time a request is held.
    pub hold_for: Duration,
    /// How many requests may be held at once; what is over gets the page.
    pub hold_requests: usize,
    /// How many bytes they may keep in memory, all together; what is over gets the page.
    pub hold_bytes: u64,
    /// How many of them go on per second when the hold is over, at least 1.
    pub release_rate: u32,
    /// How long to wait for what is in flight.
    pub drain_for: Duration,
    /// What becomes of what is still in flight then.
    pub drain_then: DrainThen,
    /// How long an origin is given to end what was given up before its answer ended; nothing with
    /// `quiet`.
    pub linger: Duration,
    /// What tells, in its place, that an origin has ended what was given up: this check passes.
    pub quiet: Option<Box<Check>>,
    /// What becomes of WebSockets and other tunnels.
    pub websockets: Tunnels,
    /// What direct names answer while users are held.
    pub on_hold: OnHold,
    /// How long a planned flip waits for guarded jobs of the site.
    pub guard_wait: Duration,
    /// The commands that run at it.
    pub hooks: Hooks,
    /// How long the site stays after a flip before the next planned one.
    pub min_interval: Duration,
    /// A planned flip needs a reason.
    pub require_reason: bool,
}

/// `maintenance:` what users see while they cannot be served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Maintenance {
    /// A page of the site's own; the built-in one otherwise.
    pub page: Option<LoadedFile>,
    /// `Retry-After`, in whole seconds.
    pub retry_after: Duration,
    /// Where operators come from, whom `access` lets through.
    pub bypass: Vec<Network>,
}

/// The addresses that begin with the same bits: `10.0.0.0/8`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    /// Its first address.
    pub first: IpAddr,
    /// How many bits are the same, 0 to 32 or 128.
    pub bits: u8,
}

impl Network {
    /// Tells whether it has an address; never one of the other family.
    pub fn has(&self, address: IpAddr) -> bool {
        match (self.first, address) {
            (IpAddr::V4(first), IpAddr::V4(other)) => {
                let differing = u32::from(first) ^ u32::from(other);
                differing.leading_zeros() >= self.bits.into()
            }
            (IpAddr::V6(first), IpAddr::V6(other)) => {
                let differing = u128::from(first) ^ u128::from(other);
                differing.leading_zeros() >= self.bits.into()
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}

impl Maintenance {
    /// What a page may hold between `{{` and `}}`, to be filled in when it is shown.
    pub const PLACES: [&'static str; 4] = ["host", "message", "retry_after", "title"];
}

/// `timeouts:` how long an origin may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// To accept a connection.
    pub connect: Duration,
    /// From the last byte of the request to the head of the response.
    pub response: Duration,
    /// How long a tunnel (WebSocket) may carry nothing in either direction.
    pub tunnel: Duration,
}

/// Reads the files that a table names; the caller decides where from.
pub trait ReadFile {
    /// Reads a whole file as text.
    ///
    /// # Errors
    /// What the operating system said.
    fn read(&self, path: &std::path::Path) -> std::io::Result<String>;

    /// Reads a whole file as text that nobody else may know.
    ///
    /// # Errors
    /// What the operating system said, or that others may read the file.
    fn read_secret(&self, path: &std::path::Path) -> std::io::Result<String> {
        self.read(path)
    }
}
