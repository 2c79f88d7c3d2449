//! What is expected of the sides that do not serve: `standby`.

use std::time::Duration;

use super::check::Check;

/// `standby:` what a side answers by itself while it is not active.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standby {
    /// What passes when it is as it should be; asked of each origin, as a direct visitor does.
    pub expect: Check,
    /// How often it is asked.
    pub every: Duration,
}
