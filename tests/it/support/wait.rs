//! Waiting for conditions, and loopback addresses that no other test uses.

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

/// How long a condition may take to come true before a test fails; far above what is expected.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Waits until `look` finds something.
#[track_caller]
pub(crate) fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(
            Instant::now() < deadline,
            "waited {PATIENCE:?} in vain: {what}"
        );
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Picks a loopback address of the test's own, so that every test can use the same ports.
pub(crate) fn own_address() -> Ipv4Addr {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    let [.., high, low] = std::process::id().to_be_bytes();
    // The second octet keeps clear of 127.0 and of what else uses the loopback network.
    Ipv4Addr::new(
        127,
        64 | (high & 0x3f),
        low,
        NEXT.fetch_add(1, Ordering::Relaxed),
    )
}
