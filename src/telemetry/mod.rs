//! Metrics and logs: what is counted, under which name, and how it is printed.
//!
//! For: the registry of every metric, the names in one place, and the log on standard error. Not
//! for: deciding what is worth counting (the module where it happens does), or serving it
//! (`admin` does).
//!
//! ```text
//! proxy, dns, control ──count──> Metrics ──gather──> admin: /metrics
//!                     ──event──> log ──filter──> standard error
//! ```
//!
//! Invariants: a label is a site, a side, a zone or a word of a fixed list, never a path or a
//! client; a metric that is read often is counted per thread and summed at scrape. A crash loses
//! the counts, as Prometheus expects. Tests: the scrapes in `tests/it`.

mod admin;
mod control;
pub mod dns;
pub mod http;
pub mod log;
pub mod names;

use std::sync::Arc;

use prometheus::Registry;

pub use admin::{AdminMetrics, AdminRefused};
pub use control::ControlMetrics;

/// Every metric of the process.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// Who was turned away at the admin listeners.
    pub admin: Arc<AdminMetrics>,
    /// Flips and their phases.
    pub control: Arc<ControlMetrics>,
    /// Requests, connections and origins.
    pub http: Arc<http::HttpMetrics>,
    /// Queries and answers.
    pub dns: Arc<dns::DnsMetrics>,
}

impl Metrics {
    /// Registers every metric.
    ///
    /// # Errors
    /// A name was registered twice: a bug.
    pub fn new() -> Result<Arc<Self>, prometheus::Error> {
        let registry = Registry::new();
        let admin = AdminMetrics::register(&registry)?;
        let control = ControlMetrics::register(&registry)?;
        let http = http::HttpMetrics::register(&registry)?;
        let dns = dns::DnsMetrics::register(&registry)?;
        Ok(Arc::new(Self {
            registry,
            admin,
            control,
            http,
            dns,
        }))
    }

    /// The registry, for scraping and for collectors of other modules.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }
}
