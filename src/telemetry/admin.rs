//! Metrics of the admin side: who was turned away at its TCP listeners.

use std::sync::Arc;

use prometheus::{IntCounterVec, Opts, Registry};

use super::names;

/// Why somebody was turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdminRefused {
    /// Came without a token.
    Missing,
    /// Came with a token that is none.
    Unknown,
    /// The scope of the token is too narrow.
    Scope,
    /// Too many wrong tokens came from the address before.
    Limited,
    /// TLS was not agreed on, or not in time.
    Handshake,
}

impl AdminRefused {
    const ALL: [(Self, &'static str); 5] = [
        (Self::Missing, "missing"),
        (Self::Unknown, "unknown"),
        (Self::Scope, "scope"),
        (Self::Limited, "limited"),
        (Self::Handshake, "handshake"),
    ];
}

/// What the admin side counts.
#[derive(Debug)]
pub struct AdminMetrics {
    refused: IntCounterVec,
}

impl AdminMetrics {
    /// Registers them.
    ///
    /// # Errors
    /// A name was registered twice: a bug.
    pub fn register(registry: &Registry) -> Result<Arc<Self>, prometheus::Error> {
        let refused = Opts::new(
            names::ADMIN_REFUSED_TOTAL,
            "Requests and connections turned away at the admin listeners, by reason.",
        );
        let refused = IntCounterVec::new(refused, &["reason"])?;
        registry.register(Box::new(refused.clone()))?;
        for (_, reason) in AdminRefused::ALL {
            refused.with_label_values(&[reason]);
        }
        Ok(Arc::new(Self { refused }))
    }

    /// Counts somebody who was turned away.
    pub fn refused(&self, why: AdminRefused) {
        let (_, reason) = AdminRefused::ALL[why as usize];
        self.refused.with_label_values(&[reason]).inc();
    }
}
