//! Metrics of the control plane: few events, so plain shared counters.

use std::sync::Arc;
use std::time::Duration;

use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, Opts, Registry};

use super::names;

/// From the time of a pointer store to the longest drain that anyone should wait for, in seconds.
const PHASE_BUCKETS: [f64; 9] = [0.001, 0.005, 0.025, 0.1, 0.5, 2.0, 10.0, 30.0, 120.0];

/// From a command that does next to nothing to the copy of a large site, in seconds.
const HOOK_BUCKETS: [f64; 9] = [0.05, 0.25, 1.0, 5.0, 30.0, 120.0, 600.0, 1_800.0, 7_200.0];

/// What the control plane counts.
#[derive(Debug)]
pub struct ControlMetrics {
    flips: IntCounterVec,
    phases: HistogramVec,
    hooks: IntCounterVec,
    hook_times: HistogramVec,
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
        let hooks = Opts::new(
            names::FLIP_HOOKS_TOTAL,
            "Hooks that ended, by when they ran and how they ended.",
        );
        let hook_times =
            HistogramOpts::new(names::FLIP_HOOK_SECONDS, "How long hooks ran, in seconds.");
        let metrics = Self {
            hooks: IntCounterVec::new(hooks, &["phase", "result"])?,
            hook_times: HistogramVec::new(hook_times.buckets(HOOK_BUCKETS.to_vec()), &["phase"])?,
            flips: IntCounterVec::new(flips, &["result"])?,
            phases: HistogramVec::new(phases.buckets(PHASE_BUCKETS.to_vec()), &["phase"])?,
        };
        registry.register(Box::new(metrics.flips.clone()))?;
        registry.register(Box::new(metrics.phases.clone()))?;
        registry.register(Box::new(metrics.hooks.clone()))?;
        registry.register(Box::new(metrics.hook_times.clone()))?;
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

    /// Counts a hook that ended.
    pub fn hook_ended(&self, phase: &str, result: &str, took: Duration) {
        self.hooks.with_label_values(&[phase, result]).inc();
        let times = self.hook_times.with_label_values(&[phase]);
        times.observe(took.as_secs_f64());
    }

    /// Notes how long a flip stayed in a phase.
    pub fn phase_took(&self, phase: &str, took: Duration) {
        self.phases
            .with_label_values(&[phase])
            .observe(took.as_secs_f64());
    }
}
