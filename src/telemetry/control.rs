//! Metrics of the control plane: few events, so plain shared counters.

use std::sync::Arc;
use std::time::Duration;

use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, Opts, Registry};

use super::names;

/// From the time of a pointer store to the longest drain that anyone should wait for, in seconds.
const PHASE_BUCKETS: [f64; 9] = [0.001, 0.005, 0.025, 0.1, 0.5, 2.0, 10.0, 30.0, 120.0];

/// What the control plane counts.
#[derive(Debug)]
pub struct ControlMetrics {
    flips: IntCounterVec,
    phases: HistogramVec,
}

impl ControlMetrics {
    /// Registers them.
    ///
    /// # Errors
    /// A name was registered twice: a bug.
    pub fn register(registry: &Registry) -> Result<Arc<Self>, prometheus::Error> {
        let flips = Opts::new(names::FLIPS_TOTAL, "Flips that ended, by how they ended.");
        let phases = HistogramOpts::new(
            names::FLIP_PHASE_SECONDS,
            "How long flips stayed in each phase, in seconds.",
        );
        let metrics = Self {
            flips: IntCounterVec::new(flips, &["result"])?,
            phases: HistogramVec::new(phases.buckets(PHASE_BUCKETS.to_vec()), &["phase"])?,
        };
        registry.register(Box::new(metrics.flips.clone()))?;
        registry.register(Box::new(metrics.phases.clone()))?;
        Ok(Arc::new(metrics))
    }

    /// Shows these results from zero on: an increase from nothing at all is none to Prometheus.
    pub fn count_from_zero(&self, results: &[&str]) {
        for result in results {
            self.flips.with_label_values(&[result]);
        }
    }

    /// Counts a flip that ended.
    pub fn flip_ended(&self, result: &str) {
        self.flips.with_label_values(&[result]).inc();
    }

    /// Notes how long a flip stayed in a phase.
    pub fn phase_took(&self, phase: &str, took: Duration) {
        self.phases
            .with_label_values(&[phase])
            .observe(took.as_secs_f64());
    }
}
