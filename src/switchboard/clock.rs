//! The clock of answer leases: one for those who answer and for those who wait.

use std::sync::LazyLock;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::zone::Sent;

/// When the process began to count. The clock stands still while the machine is suspended, so a
/// lease that was running then is waited for again: that is too long, never too short.
static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Tells the time as leases count it, in milliseconds since some instant of this process.
pub fn now_ms() -> u64 {
    u64::try_from(BEGAN.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// Tells the time at which an answer has been sent.
pub fn sent() -> Sent {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let unix_ms = since.map_or(0, |since| since.as_millis());
    Sent {
        // One more, as the part of a millisecond that is cut off must not shorten a lease.
        ms: now_ms() + 1,
        unix_ms: u64::try_from(unix_ms).unwrap_or(u64::MAX),
    }
}
