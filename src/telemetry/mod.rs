//! Metrics and logs: what is counted, under which name, and how it is printed.
//!
//! Hot counters are per thread and summed at scrape; see [`http`] and [`dns`].

mod control;
pub mod names;

use std::sync::Arc;

use prometheus::Registry;

pub use control::ControlMetrics;

/// Every metric of the process.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// Flips and their phases.
    pub control: Arc<ControlMetrics>,
}

impl Metrics {
    /// Registers every metric.
    ///
    /// # Errors
    /// A name was registered twice: a bug.
    pub fn new() -> Result<Arc<Self>, prometheus::Error> {
        let registry = Registry::new();
        let control = ControlMetrics::register(&registry)?;
        Ok(Arc::new(Self { registry, control }))
    }

    /// The registry, for scraping and for collectors of other modules.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }
}
