//! One certificate with its chain and key, as it answers handshakes.

use std::net::IpAddr;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::ProducesTickets;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use x509_cert::der::Decode;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{BasicConstraints, SubjectAltName};

use super::provider;

/// What is offered by ALPN (RFC 7301), the preferred one first.
const ALPN: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// A certificate that can answer.
#[derive(Debug)]
pub struct Certificate {
    /// What it is called in the status, in metrics and in messages.
    pub label: String,
    /// The DNS names it is for, lower case; `*.` begins one that is for every name one label below.
    pub names: Vec<String>,
    /// The addresses it is for.
    pub addresses: Vec<IpAddr>,
    /// The first second of its validity, since the Unix epoch.
    pub not_before: u64,
    /// The last second of its validity, since the Unix epoch.
    pub not_after: u64,
    pub(super) key: Arc<CertifiedKey>,
    server: Arc<ServerConfig>,
}

/// Why a file makes no certificate; its text is what an operator is shown.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// It cannot be read.
    #[error("{file} cannot be read: {why}")]
    Unreadable {
        /// The file.
        file: String,
        /// What the operating system said.
        why: String,
    },
    /// There is no certificate in it.
    #[error("there is no certificate in it: write the chain in PEM, the site's own one first")]
    NoCertificate,
    /// What is in it is no certificate.
    #[error("its certificate is damaged: {0}")]
    Damaged(String),
    /// There is no private key for it.
    #[error("it has no private key: write the key into {0}, or into the same file")]
    NoKey(String),
    /// The private key cannot be used.
    #[error("its private key cannot be used: {0}")]
    BadKey(String),
    /// The private key is that of another certificate.
    #[error("its private key does not fit: it belongs to another certificate")]
    KeyDoesNotFit,
    /// It says no name that it is for.
    #[error("it is for no name: a certificate needs a subject alternative name (RFC 9525 §6.3)")]
    NoNames,
    /// It is an authority's own certificate, and not one of a site.
    #[error("it is the certificate of an authority")]
    Authority,
    /// Its time is over.
    #[error("it expired on {0}")]
    Expired(String),
    /// Its time has not come.
    #[error("it is not valid before {0}")]
    NotYet(String),
}

impl Certificate {
    /// Makes a certificate of PEM texts; without `key_text` the key is in the chain's text too.
    ///
    /// # Errors
    /// See [`Unusable`]; dates are looked at by [`Certificate::dated`] only.
    pub(super) fn parse(
        label: &str,
        chain_text: &[u8],
        key_text: Option<&[u8]>,
        key_file: &str,
        ticketer: &Arc<dyn ProducesTickets>,
    ) -> Result<Self, Unusable> {
        let damaged = |error: &dyn std::fmt::Display| Unusable::Damaged(error.to_string());
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(chain_text)
            .collect::<Result<_, _>>()
            .map_err(|error| damaged(&error))?;
        let first = chain.first().ok_or(Unusable::NoCertificate)?;
        let read = Read::from_der(first).map_err(|error| damaged(&error))?;
        let key = match PrivateKeyDer::from_pem_slice(key_text.unwrap_or(chain_text)) {
            Ok(key) => key,
            // An authority's certificate lies about in many a folder, and nobody has its key.
            Err(rustls::pki_types::pem::Error::NoItemsFound) if read.is_authority => {
                return Err(Unusable::Authority);
            }
            Err(rustls::pki_types::pem::Error::NoItemsFound) => {
                return Err(Unusable::NoKey(key_file.into()));
            }
            Err(error) => return Err(Unusable::BadKey(error.to_string())),
        };
        if read.names.is_empty() && read.addresses.is_empty() {
            return Err(Unusable::NoNames);
        }
        let key = CertifiedKey::from_der(chain, key, &provider()).map_err(|error| {
            if matches!(error, rustls::Error::InconsistentKeys(_)) {
                Unusable::KeyDoesNotFit
            } else {
                Unusable::BadKey(error.to_string())
            }
        })?;
        let server =
            server_config(&key, ticketer).map_err(|error| Unusable::BadKey(error.to_string()))?;
        Ok(Self {
            label: label.into(),
            names: read.names,
            addresses: read.addresses,
            not_before: read.not_before,
            not_after: read.not_after,
            key: Arc::new(key),
            server,
        })
    }

    /// Tells whether a time (seconds since the Unix epoch) lies in its validity (RFC 5280 §4.1.2.5).
    ///
    /// # Errors
    /// [`Unusable::Expired`] and [`Unusable::NotYet`].
    pub fn dated(&self, now: u64) -> Result<(), Unusable> {
        if now > self.not_after {
            return Err(Unusable::Expired(date(self.not_after)));
        }
        if now < self.not_before {
            return Err(Unusable::NotYet(date(self.not_before)));
        }
        Ok(())
    }

    /// Tells whether it is for a host, given without a port; an address may be in brackets.
    ///
    /// A wildcard stands for the whole of the leftmost label and nothing else (RFC 9525 §6.3).
    pub fn covers(&self, host: &str) -> bool {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        if let Ok(address) = bare.parse::<IpAddr>() {
            return self.addresses.contains(&address);
        }
        self.names.iter().any(|name| match name.strip_prefix('*') {
            None => name.eq_ignore_ascii_case(host),
            Some(suffix) => {
                let below = host.find('.').map(|dot| host.split_at(dot));
                below.is_some_and(|(label, rest)| {
                    !label.is_empty() && rest.eq_ignore_ascii_case(suffix)
                })
            }
        })
    }

    /// Shares what rustls needs to answer with it.
    pub fn server(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.server)
    }

    /// Makes what rustls needs to answer with it where HTTP/1.1 is all that is spoken.
    pub fn server_of_http1(&self) -> Arc<ServerConfig> {
        let mut config = ServerConfig::clone(&self.server);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Arc::new(config)
    }
}

/// Writes a time as a date and time of UTC; the number itself when no calendar has it.
fn date(seconds: u64) -> String {
    let stamp = i64::try_from(seconds).map(jiff::Timestamp::from_second);
    match stamp {
        Ok(Ok(stamp)) => stamp.to_string(),
        Ok(Err(_)) | Err(_) => format!("second {seconds}"),
    }
}

fn server_config(
    key: &CertifiedKey,
    ticketer: &Arc<dyn ProducesTickets>,
) -> Result<Arc<ServerConfig>, rustls::Error> {
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(key.clone())));
    config.alpn_protocols = ALPN.map(<[u8]>::to_vec).to_vec();
    // One for all certificates, so that a session outlives the renewal of its certificate.
    config.ticketer = Arc::clone(ticketer);
    Ok(Arc::new(config))
}

/// What is read of a certificate.
struct Read {
    names: Vec<String>,
    addresses: Vec<IpAddr>,
    not_before: u64,
    not_after: u64,
    is_authority: bool,
}

impl Read {
    fn from_der(der: &[u8]) -> Result<Self, x509_cert::der::Error> {
        let certificate = x509_cert::Certificate::from_der(der)?;
        let fields = certificate.tbs_certificate();
        let validity = fields.validity();
        let mut read = Self {
            names: Vec::new(),
            addresses: Vec::new(),
            not_before: validity.not_before.to_unix_duration().as_secs(),
            not_after: validity.not_after.to_unix_duration().as_secs(),
            is_authority: fields
                .get_extension::<BasicConstraints>()?
                .is_some_and(|(_, constraints)| constraints.ca),
        };
        let Some((_, alternatives)) = fields.get_extension::<SubjectAltName>()? else {
            return Ok(read);
        };
        for name in alternatives.0 {
            if let GeneralName::DnsName(name) = &name {
                read.names.push(name.as_str().to_ascii_lowercase());
            }
            if let GeneralName::IpAddress(octets) = &name {
                let octets = octets.as_bytes();
                let v4 = <[u8; 4]>::try_from(octets).map(IpAddr::from);
                let v6 = <[u8; 16]>::try_from(octets).map(IpAddr::from);
                read.addresses.extend(v4.or(v6));
            }
        }
        Ok(read)
    }
}
