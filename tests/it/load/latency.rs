//! What flips add to the waits of those who are served.

use std::time::{Duration, Instant};

/// The shares that are shown, in thousandths.
const SHARES: [(&str, usize); 3] = [("p50", 500), ("p99", 990), ("p99.9", 999)];

/// Prints the waits before the first flip, those from then on, and the difference.
pub(super) fn report(what: &str, waits: &[(Instant, Duration)], first_flip: Instant) {
    let (calm, flipping): (Vec<_>, Vec<_>) = waits.iter().partition(|(at, _)| *at < first_flip);
    let (calm, flipping) = (sorted(calm), sorted(flipping));
    println!(
        "{what}: waits in ms, {} without flips, {} with",
        calm.len(),
        flipping.len()
    );
    for (share, thousandths) in SHARES {
        let (calm, flipping) = (at(&calm, thousandths), at(&flipping, thousandths));
        let added = flipping - calm;
        println!("  {share:>5}: {calm:8.1} without, {flipping:8.1} with, {added:+8.1} added");
    }
}

fn sorted(waits: Vec<(Instant, Duration)>) -> Vec<Duration> {
    let mut waits: Vec<_> = waits.into_iter().map(|(_, wait)| wait).collect();
    waits.sort();
    waits
}

/// The wait that so many thousandths do not exceed, in milliseconds; 0 when nobody waited.
fn at(sorted: &[Duration], thousandths: usize) -> f64 {
    let place = sorted.len() * thousandths / 1000;
    let wait = sorted.get(place).copied().unwrap_or_default();
    wait.as_secs_f64() * 1000.0
}
