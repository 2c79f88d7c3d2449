//! Certificates and keys: which one answers a client, and whom an origin is believed.
//!
//! For: the chains and keys of `certs/*.pem` and of `tls:` in the table, found by the name a client
//! asks for, or by the admin listener that it comes to; and the trust that `https://` origins are checked against. Not for: deciding when to
//! look at the files again (only `control` does), or handshakes (`proxy` makes them).
//!
//! ```text
//! certs/*.pem, sites.*.tls ──> folder ──> certificate ──> Store ──pick by SNI──> proxy::tls
//!                              (stamps)   (chain, key)      │
//!                   control ──look again──────────────────> ┤ ──> status, metrics
//! sides.*.tls: {ca, server_name} ──> Trust ──> proxy and probes of https:// origins
//! ```
//!
//! Invariants:
//! - what handshakes pick from is replaced whole, in one pointer store; a connection keeps the
//!   certificate that it began with;
//! - a certificate that cannot be used never takes the place of one that can: the last good one
//!   goes on answering, and the problem is shown until it is gone;
//! - a key is never printed, and leaves this folder only inside rustls.
//!
//! A crash leaves nothing behind, as nothing is written here. Tests: `tls` in `tests/it`, and those
//! beside the code.

mod certificate;
mod folder;
mod names;
mod own;
mod store;
mod trust;

use std::sync::{Arc, OnceLock};

use rustls::crypto::CryptoProvider;

pub use certificate::{Certificate, Unusable};
pub use own::listener_config;
pub use store::{Shown, Store};
pub use trust::{Trust, UntrustedError, client_config};

/// The one implementation of TLS's cryptography.
fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    let made = || Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    Arc::clone(PROVIDER.get_or_init(made))
}
