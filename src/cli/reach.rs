//! Where the daemon is reached: over its unix socket, or from another host by URL and token.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use http::uri::{Scheme, Uri};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;

use crate::certs::client_config;

use super::socket;

/// The files in which systems keep the authorities that browsers trust: Debian, Fedora, Alpine.
const BUNDLES: [&str; 3] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
];

/// The longest token file, in bytes; a secret has 46.
const TOKEN_BYTES_MAX: u64 = 256;

/// How long a connection may be silent before the other host is asked whether it is there.
const KEEPALIVE_AFTER: Duration = Duration::from_secs(15);

/// Where the daemon is, as the command line says it.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct Args {
    /// The daemon's socket [default: $POINTSMAN_SOCKET, else admin.sock in the state directory of
    /// ./routes.yaml or /etc/pointsman/routes.yaml]
    #[arg(long, global = true, value_name = "PATH", conflicts_with = "url")]
    socket: Option<PathBuf>,
    /// The daemon on another host, as https://HOST:PORT of its `listen.admin_tls`
    /// [default: $POINTSMAN_URL]
    #[arg(long, global = true, value_name = "URL")]
    url: Option<String>,
    /// The file of the token for --url, which nobody else may read [default: $POINTSMAN_TOKEN_FILE]
    #[arg(long, global = true, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Who may vouch for --url, in PEM [default: $POINTSMAN_CA, else whom the system trusts]
    #[arg(long, global = true, value_name = "FILE")]
    ca: Option<PathBuf>,
}

/// What is wrong with how the daemon is to be reached; the command line is at fault.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Wrong(String);

impl Args {
    /// Finds out where the daemon is reached; nothing is connected yet.
    ///
    /// What the command line says comes before the environment, and there a URL before a socket.
    ///
    /// # Errors
    /// The URL, the token file or the bundle of authorities is no good.
    pub(super) fn reached(&self) -> Result<Reached, Wrong> {
        let url = self.url.clone().or_else(|| {
            let environment = || std::env::var("POINTSMAN_URL").ok();
            let unsaid = self.socket.is_none();
            unsaid.then(environment)?.filter(|url| !url.is_empty())
        });
        let Some(url) = url else {
            return Ok(Reached::Socket(socket::find(self.socket.as_deref())));
        };
        let token_file = named(self.token_file.as_deref(), "POINTSMAN_TOKEN_FILE");
        let ca = named(self.ca.as_deref(), "POINTSMAN_CA");
        Host::new(&url, token_file.as_deref(), ca.as_deref())
            .map(|host| Reached::Host(Arc::new(host)))
    }
}

fn named(said: Option<&Path>, variable: &str) -> Option<PathBuf> {
    let environment = || std::env::var_os(variable).filter(|path| !path.is_empty());
    said.map(Path::to_owned)
        .or_else(|| environment().map(PathBuf::from))
}

/// Where the daemon is reached.
#[derive(Clone, Debug)]
pub(super) enum Reached {
    /// On this machine.
    Socket(PathBuf),
    /// At a URL.
    Host(Arc<Host>),
}

/// A stream that HTTP is spoken on.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

impl Reached {
    /// Connects.
    ///
    /// # Errors
    /// What the system or TLS said.
    pub(super) async fn connect(&self) -> io::Result<Box<dyn Stream>> {
        match self {
            Self::Socket(path) => Ok(Box::new(UnixStream::connect(path).await?)),
            Self::Host(host) => host.connect().await,
        }
    }

    /// The value of `Host`.
    pub(super) fn host(&self) -> &str {
        match self {
            Self::Socket(_) => "pointsman",
            Self::Host(host) => &host.authority,
        }
    }

    /// The value of `Authorization`, if there is a token.
    pub(super) fn authorization(&self) -> Option<&HeaderValue> {
        match self {
            Self::Socket(_) => None,
            Self::Host(host) => host.authorization.as_ref(),
        }
    }

    /// Says what may help when nobody answers there.
    pub(super) fn remedy(&self) -> &'static str {
        match self {
            Self::Socket(_) => {
                "Is it running? `systemctl status pointsman`, or start it with `pointsman run`.\n  \
                 Is its socket elsewhere? Name it with --socket or in $POINTSMAN_SOCKET."
            }
            Self::Host(_) => {
                "Is that its `listen.admin_tls`, and may this host reach it?\n  \
                 Is its certificate for this name, and by somebody whom the system trusts, or whom \
                 --ca or $POINTSMAN_CA names?"
            }
        }
    }
}

impl fmt::Display for Reached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(path) => path.display().fmt(f),
            Self::Host(host) => {
                let scheme = if host.tls.is_some() { "https" } else { "http" };
                write!(f, "{scheme}://{}", host.authority)
            }
        }
    }
}

/// A daemon at a URL.
#[derive(Debug)]
pub(super) struct Host {
    /// Host and port, as they were written.
    authority: String,
    /// The host, without the brackets of an IPv6 address.
    name: String,
    port: u16,
    /// `None` without TLS.
    tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
    /// Marked as sensitive, so that its `Debug` does not print it.
    authorization: Option<HeaderValue>,
}

impl Host {
    fn new(url: &str, token_file: Option<&Path>, ca: Option<&Path>) -> Result<Self, Wrong> {
        let example = "write https://HOST:PORT, such as https://pointsman.example:9902";
        let wrong = |why: &str| Wrong(format!("--url: {why}; {example}"));
        let uri: Uri = url.parse().map_err(|_| wrong("this is no URL"))?;
        let authority = uri.authority().ok_or_else(|| wrong("it names no host"))?;
        if authority.as_str().contains('@') {
            return Err(wrong("a URL is no place for a secret"));
        }
        if uri.path().len() > 1 || uri.query().is_some() {
            return Err(wrong("it has a path"));
        }
        let name = authority.host();
        let name = name
            .trim_start_matches('[')
            .trim_end_matches(']')
            .to_owned();
        let is_https = uri.scheme() == Some(&Scheme::HTTPS);
        if !is_https && uri.scheme() != Some(&Scheme::HTTP) {
            return Err(wrong("it is not https"));
        }
        if !is_https && !is_loopback(&name) {
            return Err(wrong("without TLS anybody on the way could read the token"));
        }
        if is_https && token_file.is_none() {
            let remedy = "name the file of one with --token-file or in $POINTSMAN_TOKEN_FILE; \
                          `pointsman token` makes one on the machine of the daemon";
            return Err(Wrong(format!("--url takes a token: {remedy}")));
        }
        let tls = if is_https {
            let server_name = ServerName::try_from(name.clone());
            let server_name =
                server_name.map_err(|_| wrong("its host is no name that a certificate is for"))?;
            Some((believing(ca)?, server_name))
        } else {
            None
        };
        Ok(Self {
            authority: authority.as_str().to_owned(),
            name,
            port: authority
                .port_u16()
                .unwrap_or(if is_https { 443 } else { 80 }),
            tls,
            authorization: token_file.map(authorization).transpose()?,
        })
    }

    async fn connect(&self) -> io::Result<Box<dyn Stream>> {
        let stream = TcpStream::connect((self.name.as_str(), self.port)).await?;
        stream.set_nodelay(true)?;
        // A drain may take an hour, in which the other host may go away without a word.
        let keepalive = TcpKeepalive::new().with_time(KEEPALIVE_AFTER);
        SockRef::from(&stream).set_tcp_keepalive(&keepalive)?;
        match &self.tls {
            None => Ok(Box::new(stream)),
            Some((config, name)) => {
                let connector = TlsConnector::from(Arc::clone(config));
                Ok(Box::new(connector.connect(name.clone(), stream).await?))
            }
        }
    }
}

fn is_loopback(name: &str) -> bool {
    let address: Result<IpAddr, _> = name.parse();
    address.map_or(name.eq_ignore_ascii_case("localhost"), |address| {
        address.is_loopback()
    })
}

/// Sets TLS up with those whom a bundle names, or whom the system trusts.
fn believing(ca: Option<&Path>) -> Result<Arc<ClientConfig>, Wrong> {
    let unsaid = || {
        let bundles = BUNDLES.iter().map(Path::new);
        bundles.into_iter().find(|bundle| bundle.exists())
    };
    let Some(file) = ca.or_else(unsaid) else {
        let why = "this system has no bundle of trusted authorities: name one with --ca";
        return Err(Wrong(why.into()));
    };
    let wrong = |why: &dyn fmt::Display| {
        let remedy = "name a file of certificates in PEM";
        Wrong(format!("--ca: {}: {why}; {remedy}", file.display()))
    };
    let bundle = std::fs::read_to_string(file).map_err(|error| wrong(&error))?;
    if !bundle.contains("-----BEGIN CERTIFICATE-----") {
        return Err(wrong(&"there is no certificate in it"));
    }
    let config = client_config(&bundle).map_err(|error| wrong(&error))?;
    Ok(Arc::new(config))
}

/// Reads a token from a file that nobody else can read.
fn authorization(file: &Path) -> Result<HeaderValue, Wrong> {
    let name = file.display();
    let wrong = |why: &dyn fmt::Display| Wrong(format!("--token-file: {name}: {why}"));
    let opened = File::open(file).map_err(|error| wrong(&error))?;
    // Of the file that was opened, whatever is put in its place meanwhile.
    let about = opened.metadata().map_err(|error| wrong(&error))?;
    if !about.is_file() {
        return Err(wrong(&"it is no file"));
    }
    let mode = about.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        let why = format!("others may read it (mode {mode:03o}): `chmod 600 {name}`");
        return Err(wrong(&why));
    }
    let mut text = String::new();
    let read = opened.take(TOKEN_BYTES_MAX + 1).read_to_string(&mut text);
    let is_too_long = read.map_err(|error| wrong(&error))? as u64 > TOKEN_BYTES_MAX;
    let secret = text.trim();
    let is_plain = secret.bytes().all(|byte| byte.is_ascii_graphic());
    if is_too_long || secret.is_empty() || !is_plain {
        return Err(wrong(
            &"it holds no token, as `pointsman token NAME --out FILE` writes it",
        ));
    }
    let value = HeaderValue::from_str(&format!("Bearer {secret}"));
    let mut value = value.map_err(|_| wrong(&"it holds no token"))?;
    value.set_sensitive(true);
    Ok(value)
}
