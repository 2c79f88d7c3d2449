//! Who came with wrong tokens: an address that did it too often waits.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

/// So many wrong tokens are a mistake in a script; with more the address has to wait.
const FAILURES_MAX: u32 = 10;

/// How long failures are remembered, from the first of them on.
const WINDOW: Duration = Duration::from_secs(60);

/// Addresses that are remembered; of more, the one that failed first is forgotten. A secret has
/// 256 random bits: this is for the quiet of the log, and is not what keeps them from being guessed.
const ADDRESSES_MAX: usize = 1024;

/// The failures of the last minute, by address.
#[derive(Debug, Default)]
pub(super) struct Failures(HashMap<IpAddr, Failed>);

#[derive(Clone, Copy, Debug)]
struct Failed {
    since: Instant,
    times: u32,
}

impl Failures {
    /// Tells how long an address still has to wait; `None` when it need not.
    pub(super) fn blocked(&self, from: IpAddr, now: Instant) -> Option<Duration> {
        let failed = self.0.get(&network(from))?;
        let left = WINDOW.checked_sub(now.saturating_duration_since(failed.since))?;
        (failed.times >= FAILURES_MAX).then_some(left)
    }

    /// Notes a failure.
    pub(super) fn failed(&mut self, from: IpAddr, now: Instant) {
        let network = network(from);
        let is_old = |failed: &Failed| now.saturating_duration_since(failed.since) > WINDOW;
        if self.0.len() >= ADDRESSES_MAX && !self.0.contains_key(&network) {
            self.0.retain(|_, failed| !is_old(failed));
            if self.0.len() >= ADDRESSES_MAX {
                let oldest = self.0.iter().min_by_key(|(_, failed)| failed.since);
                let oldest = oldest.map(|(network, _)| *network);
                oldest.map(|oldest| self.0.remove(&oldest));
            }
        }
        let first = Failed {
            since: now,
            times: 0,
        };
        let failed = self.0.entry(network).or_insert(first);
        if is_old(failed) {
            *failed = first;
        }
        failed.times = failed.times.saturating_add(1);
    }
}

/// What is counted as one: an address, or the /64 that one machine has all of (RFC 4291 §2.5.4).
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(number: usize) -> IpAddr {
        IpAddr::from(0x0a00_0000_u32.wrapping_add(number as u32).to_be_bytes())
    }

    #[test]
    fn an_address_waits_after_ten_failures_until_the_minute_is_over() {
        let (mut failures, begin) = (Failures::default(), Instant::now());
        for _ in 1..FAILURES_MAX {
            failures.failed(address(1), begin);
        }
        assert_eq!(failures.blocked(address(1), begin), None);

        failures.failed(address(1), begin + WINDOW / 2);

        let left = failures.blocked(address(1), begin + WINDOW / 2);
        assert_eq!(left, Some(WINDOW / 2));
        assert_eq!(failures.blocked(address(2), begin), None);
        let later = begin + WINDOW + Duration::from_millis(1);
        assert_eq!(failures.blocked(address(1), later), None);
        failures.failed(address(1), later);
        assert_eq!(failures.blocked(address(1), later), None);
    }

    #[test]
    fn no_more_addresses_are_remembered_than_the_limit() {
        let (mut failures, begin) = (Failures::default(), Instant::now());

        for number in 0..3 * ADDRESSES_MAX {
            failures.failed(
                address(number),
                begin + Duration::from_micros(number as u64),
            );
        }

        assert_eq!(failures.0.len(), ADDRESSES_MAX);
        assert!(failures.0.contains_key(&address(3 * ADDRESSES_MAX - 1)));
    }

    #[test]
    fn one_machine_has_one_count_over_all_its_addresses() {
        let (mut failures, now) = (Failures::default(), Instant::now());
        for last in 0..FAILURES_MAX {
            let from = format!("2001:db8::{last:x}").parse();
            failures.failed(from.unwrap_or(address(0)), now);
        }

        let mapped = |text: &str| text.parse().unwrap_or(address(0));
        assert!(failures.blocked(mapped("2001:db8::ffff"), now).is_some());
        assert!(failures.blocked(mapped("2001:db8:0:1::1"), now).is_none());
    }
}
