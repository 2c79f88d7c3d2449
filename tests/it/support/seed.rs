//! Randomness that a printed number brings back.

use std::time::{Duration, SystemTime};

/// Names the seed of a failure that is to be seen again.
const VARIABLE: &str = "POINTSMAN_SEED";

/// A sequence of numbers that look random, the same for the same seed (SplitMix64).
#[derive(Debug)]
pub(crate) struct Seed(u64);

impl Seed {
    /// Takes the seed that the environment names, else a new one, and prints it.
    pub(crate) fn take(what: &str) -> Self {
        let named = std::env::var(VARIABLE).ok();
        let seed = named.map_or_else(new, |text| text.parse().unwrap());
        println!("{what}: {VARIABLE}={seed} brings this back");
        Self(seed)
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }

    /// One of several.
    pub(crate) fn pick<T: Copy>(&mut self, some: &[T]) -> T {
        let place = self.below(some.len() as u64);
        some[usize::try_from(place).unwrap()]
    }

    /// A time below `end`, by the microsecond.
    pub(crate) fn time_below(&mut self, end: Duration) -> Duration {
        let end = u64::try_from(end.as_micros()).unwrap();
        Duration::from_micros(self.below(end))
    }
}

fn new() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    u64::from(now.unwrap().subsec_nanos())
}
