//! Trust: how `https://` origins are checked, made once for each `tls:` of a side.

use std::sync::{Arc, Mutex, PoisonError};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};

use crate::table::{OriginAddr, OriginTls};

use super::provider;

/// How many set-ups are kept; beyond it the oldest is made again when it is asked for.
const KEPT_MAX: usize = 1024;

/// The set-ups of `https://` origins, with the TLS sessions that they resume.
#[derive(Debug, Default)]
pub struct Trust {
    /// The newest last.
    kept: Mutex<Vec<(Arc<OriginTls>, Arc<ClientConfig>)>>,
}

/// Why an origin cannot be trusted; the table is at fault.
#[derive(Debug, thiserror::Error)]
pub enum UntrustedError {
    /// The bundle of authorities cannot be used.
    #[error("its `ca` cannot be used: {0}")]
    Authorities(String),
    /// The name is none that a certificate can have.
    #[error("{0} is no name that a certificate can be for")]
    Name(String),
}

impl Trust {
    /// Makes or finds the set-up of an origin; `None` for one without TLS.
    ///
    /// # Errors
    /// See [`UntrustedError`].
    pub fn of(&self, origin: &OriginAddr) -> Result<Option<Checked>, UntrustedError> {
        let Some(tls) = &origin.tls else {
            return Ok(None);
        };
        let name = tls.server_name.as_deref().unwrap_or(&origin.host);
        let server_name =
            ServerName::try_from(name.to_owned()).map_err(|_| UntrustedError::Name(name.into()))?;
        let config = self.config(tls)?;
        Ok(Some(Checked {
            config,
            server_name,
        }))
    }

    fn config(&self, tls: &Arc<OriginTls>) -> Result<Arc<ClientConfig>, UntrustedError> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let same = |(other, _): &&(Arc<OriginTls>, _)| Arc::ptr_eq(other, tls) || **other == **tls;
        if let Some((_, config)) = kept.iter().find(same) {
            return Ok(Arc::clone(config));
        }
        let config = Arc::new(client_config(&tls.ca.text)?);
        if kept.len() >= KEPT_MAX {
            kept.remove(0);
        }
        kept.push((Arc::clone(tls), Arc::clone(&config)));
        Ok(config)
    }
}

/// What a handshake with an origin needs.
#[derive(Clone, Debug)]
pub struct Checked {
    /// The authorities and the versions.
    pub config: Arc<ClientConfig>,
    /// The name that the origin's certificate must be for.
    pub server_name: ServerName<'static>,
}

/// Makes what a client of HTTP/1.1 is set up with that believes the authorities of a bundle, in
/// PEM.
///
/// # Errors
/// [`UntrustedError::Authorities`]
pub fn client_config(bundle: &str) -> Result<ClientConfig, UntrustedError> {
    let wrong = |error: &dyn std::fmt::Display| UntrustedError::Authorities(error.to_string());
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(bundle.as_bytes()).collect();
    let mut roots = RootCertStore::empty();
    // The table was refused if not one of them could be used.
    roots.add_parsable_certificates(read.map_err(|error| wrong(&error))?);
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| wrong(&error))?;
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    // HTTP/1.1 is what is spoken to origins.
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}
