//! Who is at the other end of a client connection, and what was agreed with it.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::time::Instant;

use crate::certs::Certificate;

/// The other end of a client connection.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) address: SocketAddr,
    pub(super) channel: Channel,
    /// When it connected.
    pub(super) since: Instant,
}

/// What lies between a client and us.
#[derive(Debug)]
pub(super) enum Channel {
    /// Nothing: its requests can be read on the way.
    Plain,
    /// TLS; this certificate was shown.
    Tls(Arc<Certificate>),
}

/// The client was not shown that we may speak for this host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Misdirected;

impl Client {
    pub(super) fn is_tls(&self) -> bool {
        matches!(self.channel, Channel::Tls(_))
    }

    /// The scheme of the targets that it asks for.
    pub(super) fn scheme(&self) -> &'static str {
        match self.channel {
            Channel::Plain => "http",
            Channel::Tls(_) => "https",
        }
    }

    /// Lets it ask for a host, given without port.
    ///
    /// RFC 9113 §9.1.1: a client may use its connection for every name that the certificate is for.
    /// What is asked for beyond that is not answered by this connection's authority.
    ///
    /// # Errors
    /// [`Misdirected`]: 421 (RFC 9110 §15.5.20).
    pub(super) fn may_ask(&self, host: &str) -> Result<(), Misdirected> {
        match &self.channel {
            Channel::Tls(certificate) if !certificate.covers(host) => Err(Misdirected),
            Channel::Tls(_) | Channel::Plain => Ok(()),
        }
    }
}
