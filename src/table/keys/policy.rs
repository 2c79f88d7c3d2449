//! How a site flips, and tells users to wait.

use std::time::Duration;

use crate::site::{DrainThen, During, OnHold, Tunnels};

use super::check::QUIET;
use super::form::{FILE, HOUR, MILLISECOND, MINUTE, NETWORK, PREFIX, SECOND, between, key, times};
use super::hooks::HOOKS;
use super::{Key, Need, Shape};

/// `sites.<site>.flip`.
pub(super) const FLIP: &[Key] = &[
    key(
        "during",
        Shape::Words(During::WORDS),
        Need::Default("page"),
        "What users get while a flip is in progress.",
    ),
    key(
        "hold",
        Shape::Keys(HOLD),
        Need::LeftOut("its defaults"),
        "The bounds of what waits with `during: hold`; what is over gets the page.",
    ),
    key(
        "drain",
        Shape::Keys(DRAIN),
        Need::LeftOut("its defaults"),
        "What becomes of requests that are in flight when the flip begins.",
    ),
    key(
        "linger",
        between(Duration::ZERO, times(10, MINUTE)),
        Need::Default("5s"),
        "How long an origin is given to end a write that was given up before its answer ended.",
    ),
    key(
        "quiet",
        Shape::Keys(QUIET),
        Need::LeftOut("it waits for `linger`"),
        "A check that passes when an origin is no longer at work on such a write.",
    ),
    key(
        "websockets",
        Shape::Words(Tunnels::WORDS),
        Need::Default("close"),
        "When WebSockets are closed: at once, or at the drain deadline.",
    ),
    key(
        "on_hold",
        Shape::Words(OnHold::WORDS),
        Need::Default("nodata"),
        "What direct names answer while users are held: no address, or the old one.",
    ),
    key(
        "hooks",
        Shape::Keys(HOOKS),
        Need::LeftOut("none"),
        "Commands that run at a flip: to stop what bypasses Pointsman, and to copy the data.",
    ),
    key(
        "guard_wait",
        between(Duration::ZERO, times(24, HOUR)),
        Need::Default("5m"),
        "How long a planned flip waits for guarded jobs of the site to end.",
    ),
    key(
        "min_interval",
        between(Duration::ZERO, times(7 * 24, HOUR)),
        Need::Default("0s"),
        "How long a site stays after a flip before the next planned one.",
    ),
    key(
        "require_reason",
        Shape::Flag,
        Need::Default("false"),
        "Whether a planned flip needs a reason.",
    ),
];

const HOLD: &[Key] = &[
    key(
        "for",
        between(MILLISECOND, times(10, MINUTE)),
        Need::Default("5s"),
        "The longest that a request waits.",
    ),
    key(
        "requests",
        Shape::Number {
            least: 1,
            most: 100_000,
        },
        Need::Default("1000"),
        "How many requests wait at once.",
    ),
    key(
        "bytes",
        Shape::Size {
            least: 64 * 1024,
            most: 16 * 1024 * 1024 * 1024,
        },
        Need::Default("64mb"),
        "How much memory they keep meanwhile, all together.",
    ),
    key(
        "release_rate",
        Shape::Number {
            least: 1,
            most: 1_000_000,
        },
        Need::Default("200"),
        "How many of them go on per second when the hold is over, oldest first.",
    ),
];

const DRAIN: &[Key] = &[
    key(
        "for",
        between(Duration::ZERO, HOUR),
        Need::Default("30s"),
        "How long they may take to end.",
    ),
    key(
        "then",
        Shape::Words(DrainThen::WORDS),
        Need::Default("restore"),
        "What happens at that deadline: `restore` goes back if a write is in flight, `cut` cuts.",
    ),
];

/// `sites.<site>.maintenance`.
pub(super) const MAINTENANCE: &[Key] = &[
    key(
        "page",
        Shape::Form(&FILE),
        Need::LeftOut("the built-in page"),
        "A page of the site's own.",
    ),
    key(
        "retry_after",
        between(SECOND, times(24, HOUR)),
        Need::Default("60s"),
        "When clients are told to come back, in whole seconds.",
    ),
    key(
        "bypass",
        Shape::List {
            of: &Shape::Form(&NETWORK),
            least: 0,
        },
        Need::LeftOut("nobody"),
        "Networks of operators, whom `access` lets through to look behind the page.",
    ),
];

/// `sites.<site>.read_only`.
pub(super) const READ_ONLY: &[Key] = &[key(
    "allow",
    Shape::List {
        of: &Shape::Form(&PREFIX),
        least: 0,
    },
    Need::LeftOut("nothing"),
    "Prefixes of paths that may be written to all the same, such as that of the login.",
)];

/// `sites.<site>.timeouts`.
pub(super) const TIMEOUTS: &[Key] = &[
    key(
        "connect",
        between(MILLISECOND, times(5, MINUTE)),
        Need::Default("5s"),
        "To accept a connection.",
    ),
    key(
        "response",
        between(MILLISECOND, HOUR),
        Need::Default("60s"),
        "From the last byte of the request to the head of the response.",
    ),
    key(
        "tunnel",
        between(SECOND, times(24, HOUR)),
        Need::Default("1h"),
        "How long a WebSocket or other upgraded connection may carry nothing.",
    ),
];
