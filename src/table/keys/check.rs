//! The keys of checks: what is asked, and what passes.

use std::time::Duration;

use super::form::{
    A_FIELD, CHECK, HOST, HOUR, MILLISECOND, MINUTE, PATTERN, PEER, POINTER, SERVER, STATUS_CLASS,
    TARGET, between, key, times,
};
use super::{Key, Need, Shape};

/// The types of records that a check may ask for.
pub(in crate::table) const TYPES: &[&str] =
    &["A", "AAAA", "CNAME", "MX", "NS", "PTR", "SOA", "SRV", "TXT"];

/// `sites.<site>.preflight`.
pub(super) const PREFLIGHT: &[Key] = &[
    key(
        "every",
        between(Duration::from_millis(100), HOUR),
        Need::Default("10s"),
        "How often each check is made on each side.",
    ),
    key(
        "timeout",
        between(MILLISECOND, times(5, MINUTE)),
        Need::Default("3s"),
        "How long one try of a check may take, unless it says so itself.",
    ),
    key(
        "tries",
        TRIES,
        Need::Default("2"),
        "How often a check is tried before it has failed, unless it says so itself.",
    ),
    key(
        "checks",
        Shape::List {
            of: &Shape::Keys(CHECKS),
            least: 0,
        },
        Need::LeftOut("none"),
        "The checks: all must pass, on every origin of the side.",
    ),
];

const TRIES: Shape = Shape::Number {
    least: 1,
    most: 100,
};

const CHECKS: &[Key] = &[
    key(
        "name",
        Shape::Form(&CHECK),
        Need::Required,
        "What the check is called in messages, in metrics and on the command line.",
    ),
    GET,
    HEAD,
    STATUS,
    HEADER,
    BODY,
    BODY_REGEX,
    JSON,
    TCP,
    DNS,
    COMMAND,
    TIMEOUT,
    key(
        "tries",
        TRIES,
        Need::LeftOut("as in `preflight`"),
        "How often it is tried before it has failed.",
    ),
];

/// `sites.<site>.flip.quiet`.
pub(super) const QUIET: &[Key] = &[
    GET, HEAD, STATUS, HEADER, BODY, BODY_REGEX, JSON, TCP, DNS, COMMAND, TIMEOUT,
];

/// `sites.<site>.standby.expect`: what a visitor can see.
pub(super) const EXPECT: &[Key] = &[GET, HEAD, STATUS, BODY, BODY_REGEX, TIMEOUT];

const GET: Key = key(
    "get",
    Shape::Form(&TARGET),
    Need::LeftOut("it asks something else"),
    "Asks for this with GET.",
);
const HEAD: Key = key(
    "head",
    Shape::Form(&TARGET),
    Need::LeftOut("it asks something else"),
    "Asks for this with HEAD.",
);
const STATUS: Key = key(
    "status",
    Shape::Either(&[
        ONE_STATUS,
        Shape::Form(&STATUS_CLASS),
        Shape::List {
            of: &Shape::Either(&[ONE_STATUS, Shape::Form(&STATUS_CLASS)]),
            least: 1,
        },
    ]),
    Need::Default("200"),
    "The status that passes, or the list of those that do; redirects are not followed.",
);
const ONE_STATUS: Shape = Shape::Number {
    least: 200,
    most: 599,
};
const HEADER: Key = key(
    "header",
    Shape::Named {
        name: &A_FIELD,
        of: &Shape::Either(&[Shape::Text, Shape::Keys(WANTED)]),
    },
    Need::LeftOut("any"),
    "Fields of the answer, each with the value that passes.",
);
const BODY: Key = key(
    "body",
    Shape::Text,
    Need::LeftOut("any body"),
    "Text that the answer to `get` must hold.",
);
const BODY_REGEX: Key = key(
    "body_regex",
    Shape::Form(&PATTERN),
    Need::LeftOut("any body"),
    "A regular expression that some part of the body must match.",
);
const JSON: Key = key(
    "json",
    Shape::Keys(IN_JSON),
    Need::LeftOut("any body"),
    "A value that the body must have, which is JSON.",
);
const TCP: Key = key(
    "tcp",
    Shape::Form(&PEER),
    Need::LeftOut("it asks something else"),
    "Connects there.",
);
const DNS: Key = key(
    "dns",
    Shape::Keys(IN_DNS),
    Need::LeftOut("it asks something else"),
    "Asks a DNS server.",
);
const COMMAND: Key = key(
    "command",
    Shape::List {
        of: &Shape::Text,
        least: 1,
    },
    Need::LeftOut("it asks something else"),
    "Runs this command, without a shell; it passes when it ends with status 0.",
);
const TIMEOUT: Key = key(
    "timeout",
    between(MILLISECOND, times(5, MINUTE)),
    Need::LeftOut("as in `preflight`"),
    "How long one try may take.",
);

const WANTED: &[Key] = &[EQUALS, MATCHES];

const IN_JSON: &[Key] = &[
    key(
        "pointer",
        Shape::Form(&POINTER),
        Need::Required,
        "Where the value is (RFC 6901).",
    ),
    EQUALS,
    MATCHES,
];

const EQUALS: Key = key(
    "equals",
    Shape::Text,
    Need::LeftOut("anything"),
    "What the value is.",
);
const MATCHES: Key = key(
    "matches",
    Shape::Form(&PATTERN),
    Need::LeftOut("anything"),
    "A regular expression that the value must match.",
);

const IN_DNS: &[Key] = &[
    key(
        "name",
        Shape::Form(&HOST),
        Need::Required,
        "The name that is asked for.",
    ),
    key(
        "type",
        Shape::Words(TYPES),
        Need::Required,
        "The type of the records.",
    ),
    key(
        "server",
        Shape::Form(&SERVER),
        Need::Required,
        "The server that is asked.",
    ),
    key(
        "answer",
        Shape::Text,
        Need::LeftOut("any record"),
        "What one of the records must say.",
    ),
];
