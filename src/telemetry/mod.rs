//! Metrics and logs: what is counted, under which name, and how it is printed.
//!
//! Hot counters are per thread and summed at scrape; see [`http`] and [`dns`].

pub mod log;
pub mod names;

use std::sync::Arc;

use prometheus::Registry;

/// Every metric of the process.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
}

impl Metrics {
    /// Registers every metric.
    ///
    /// # Errors
    /// A name was registered twice: a bug.
    pub fn new() -> Result<Arc<Self>, prometheus::Error> {
        let registry = Registry::new();
        Ok(Arc::new(Self { registry }))
    }

    /// The registry, for scraping and for collectors of other modules.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }
}
