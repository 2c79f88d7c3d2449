//! The keys themselves, from the outside in.

use std::time::Duration;

use crate::site::{Access, DrainThen, During};

use super::{Form, Key, Need, Shape};

const MILLISECOND: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);

const LISTENER: Form = form("`ip:port`", r"^(\[[0-9A-Fa-f:.%]+\]|[0-9.]+):[0-9]{1,5}$");
const ADDRESS: Form = form("IP address", r"^[0-9A-Fa-f:.]+$");
const ORIGIN: Form = form("`http://host:port`", r"^http://[^/?#@]+$");
const HOST: Form = form("host name", r"^[A-Za-z0-9.-]+$");
const FILE: Form = form("path of a file", r".");
const FOLDER: Form = form("path of a folder", r".");
const TARGET: Form = form("path, `/` first", r"^/[^# ]*$");
const SIDE: Form = form("name of a side", LABEL);
const FROM: Form = form("a key of the sides' `names`", r".");
const CHECK: Form = form("name", r".");

/// Names that go into metrics, URLs and shell commands unquoted.
const LABEL: &str = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$";

const A_ZONE: Form = form("<zone>", r"^[A-Za-z0-9._-]+$");
const A_SITE: Form = form("<site>", LABEL);
const A_SIDE: Form = form("<side>", LABEL);
const A_NAME: Form = form("<name>", r"^[A-Za-z0-9._-]+$");
const A_PREFIX: Form = form("</prefix>", r"^/[^?#\s]*[^/?#\s]/*$");
const AN_ADDRESS: Form = form("<key>", r".");

const fn form(says: &'static str, pattern: &'static str) -> Form {
    Form { says, pattern }
}

const fn key(name: &'static str, shape: Shape, need: Need, about: &'static str) -> Key {
    Key {
        name,
        shape,
        need,
        about,
    }
}

const fn between(least: Duration, most: Duration) -> Shape {
    Shape::Duration { least, most }
}

const fn times(count: u64, unit: Duration) -> Duration {
    // Overflow would stop the compiler, as these are constants.
    Duration::from_secs(unit.as_secs() * count)
}

/// The file.
pub(in crate::table) const ROOT: Shape = Shape::Keys(&[
    key(
        "version",
        Shape::Number { least: 1, most: 1 },
        Need::Required,
        "The version of this format.",
    ),
    key(
        "listen",
        Shape::Keys(LISTEN),
        Need::Required,
        "The addresses to listen on; a change needs a restart.",
    ),
    key(
        "state",
        Shape::Form(&FOLDER),
        Need::Required,
        "The folder of the journal and the socket; a change needs a restart.",
    ),
    key(
        "dns",
        Shape::Keys(DNS),
        Need::LeftOut("no zones"),
        "What is answered by DNS.",
    ),
    key(
        "sites",
        Shape::Named {
            name: &A_SITE,
            of: &Shape::Keys(SITE),
        },
        Need::Required,
        "The sites, at least one.",
    ),
]);

const LISTEN: &[Key] = &[
    key(
        "http",
        Shape::List {
            of: &Shape::Form(&LISTENER),
            least: 1,
        },
        Need::Required,
        "Plain HTTP.",
    ),
    key(
        "dns",
        Shape::List {
            of: &Shape::Form(&LISTENER),
            least: 0,
        },
        Need::LeftOut("no DNS"),
        "DNS, over UDP and TCP.",
    ),
    key(
        "admin",
        Shape::Form(&LISTENER),
        Need::LeftOut("the unix socket only"),
        "The read-only API, the status page and `/metrics`.",
    ),
];

const DNS: &[Key] = &[
    key(
        "addresses",
        Shape::List {
            of: &Shape::Form(&ADDRESS),
            least: 1,
        },
        Need::LeftOut("required with zones"),
        "The addresses that clients reach this proxy at; what the hosts of sites answer with.",
    ),
    key(
        "zones",
        Shape::Named {
            name: &A_ZONE,
            of: &Shape::Keys(ZONE),
        },
        Need::LeftOut("no zones"),
        "The zones that are answered for, with authority.",
    ),
];

const ZONE: &[Key] = &[
    key(
        "ns",
        Shape::List {
            of: &Shape::Form(&HOST),
            least: 1,
        },
        Need::LeftOut("`ns1.<zone>`"),
        "The name servers of the zone.",
    ),
    key(
        "file",
        Shape::Form(&FILE),
        Need::LeftOut("no more records"),
        "A master file (RFC 1035 section 5) with more records of the zone.",
    ),
];

const SITE: &[Key] = &[
    key(
        "hosts",
        Shape::List {
            of: &Shape::Form(&HOST),
            least: 1,
        },
        Need::Required,
        "The host names of the site; the first is the one that checks ask for.",
    ),
    key(
        "active",
        Shape::Form(&SIDE),
        Need::LeftOut("only `flip` moves the site"),
        "The side that serves: edit this word to move the site.",
    ),
    key(
        "access",
        Shape::Words(Access::WORDS),
        Need::Default("open"),
        "What users may do, apart from any flip.",
    ),
    key(
        "reason",
        Shape::Text,
        Need::LeftOut("none"),
        "Why `active` was edited, for the journal; at most 1000 letters.",
    ),
    key(
        "sides",
        Shape::Named {
            name: &A_SIDE,
            of: &Shape::Keys(SIDES),
        },
        Need::Required,
        "The sides, at least one: named sets of machines, of which one is active.",
    ),
    key(
        "names",
        Shape::Named {
            name: &A_NAME,
            of: &Shape::Short(&FROM, NAMES),
        },
        Need::LeftOut("none"),
        "DNS names that answer with an address of the active side.",
    ),
    key(
        "paths",
        Shape::Named {
            name: &A_PREFIX,
            of: &Shape::Keys(PATHS),
        },
        Need::LeftOut("none"),
        "Parts of the site with an access of their own; the longest prefix counts.",
    ),
    key(
        "flip",
        Shape::Keys(FLIP),
        Need::LeftOut("its defaults"),
        "How the site moves from side to side.",
    ),
    key(
        "preflight",
        Shape::Keys(PREFLIGHT),
        Need::LeftOut("no checks"),
        "What must be true of a side before it takes over.",
    ),
    key(
        "maintenance",
        Shape::Keys(MAINTENANCE),
        Need::LeftOut("its defaults"),
        "What users see while they cannot be served.",
    ),
    key(
        "timeouts",
        Shape::Keys(TIMEOUTS),
        Need::LeftOut("its defaults"),
        "How long an origin may take.",
    ),
];

const SIDES: &[Key] = &[
    key(
        "web",
        Shape::List {
            of: &Shape::Form(&ORIGIN),
            least: 1,
        },
        Need::Required,
        "The origins of the side, asked in turn.",
    ),
    key(
        "names",
        Shape::Named {
            name: &AN_ADDRESS,
            of: &Shape::Form(&ADDRESS),
        },
        Need::LeftOut("none"),
        "Addresses of the side's other machines, for the site's `names`.",
    ),
];

const NAMES: &[Key] = &[
    key(
        "from",
        Shape::Form(&FROM),
        Need::Required,
        "Which of the active side's `names` it answers with.",
    ),
    key(
        "kind",
        Shape::Words(&["direct"]),
        Need::Default("direct"),
        "`direct` answers with the machine's own address.",
    ),
    key(
        "ttl",
        between(SECOND, HOUR),
        Need::Default("5s"),
        "How long clients may keep the answer, in whole seconds.",
    ),
];

const PATHS: &[Key] = &[key(
    "access",
    Shape::Words(Access::WORDS),
    Need::Required,
    "What users may do in that part.",
)];

const FLIP: &[Key] = &[
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

const PREFLIGHT: &[Key] = &[
    key(
        "timeout",
        between(MILLISECOND, times(5, MINUTE)),
        Need::Default("3s"),
        "How long one try of a check may take.",
    ),
    key(
        "tries",
        Shape::Number {
            least: 1,
            most: 100,
        },
        Need::Default("2"),
        "How often a check is tried before it has failed.",
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

const CHECKS: &[Key] = &[
    key(
        "name",
        Shape::Form(&CHECK),
        Need::Required,
        "What the check is called in messages.",
    ),
    key(
        "get",
        Shape::Form(&TARGET),
        Need::LeftOut("`head` instead"),
        "Asks for this with GET.",
    ),
    key(
        "head",
        Shape::Form(&TARGET),
        Need::LeftOut("`get` instead"),
        "Asks for this with HEAD.",
    ),
    key(
        "status",
        Shape::Number {
            least: 200,
            most: 599,
        },
        Need::Default("200"),
        "The status that passes; redirects are not followed.",
    ),
    key(
        "body",
        Shape::Text,
        Need::LeftOut("any body"),
        "Text that the answer to `get` must hold.",
    ),
];

const MAINTENANCE: &[Key] = &[
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
];

const TIMEOUTS: &[Key] = &[
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
];
