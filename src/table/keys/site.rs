//! A site, its sides, names and paths.

use crate::site::{Access, Storage};

use super::check::PREFLIGHT;
use super::form::{
    A_NAME, A_PREFIX, A_SIDE, ADDRESS, AN_ADDRESS, FILE, FROM, HOST, HOUR, ORIGIN, SECOND, SIDE,
    SITE_HOST, between, key,
};
use super::freshness::FRESHNESS;
use super::policy::{FLIP, MAINTENANCE, READ_ONLY, TIMEOUTS};
use super::standby::STANDBY;
use super::{Key, Need, Shape};

/// `sites.<site>`.
pub(super) const SITE: &[Key] = &[
    key(
        "hosts",
        Shape::List {
            of: &Shape::Form(&SITE_HOST),
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
        "tls",
        Shape::Keys(TLS),
        Need::LeftOut("one of the folder `certs`"),
        "A certificate of the site's own.",
    ),
    key(
        "redirect",
        Shape::Words(&["https"]),
        Need::LeftOut("they are served"),
        "Where requests without TLS are sent, with status 308.",
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
        "storage",
        Shape::Words(Storage::WORDS),
        Need::Default("separate"),
        "Where the sides keep what users write: each for itself, or both in one place.",
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
        "What is checked of the sides, all the time and before one takes over.",
    ),
    key(
        "freshness",
        Shape::Keys(FRESHNESS),
        Need::LeftOut("sides are not compared"),
        "A marker that tells how new the data of a side are.",
    ),
    key(
        "standby",
        Shape::Keys(STANDBY),
        Need::LeftOut("nothing is asked of it"),
        "What a side that does not serve answers by itself; another answer raises the alarm.",
    ),
    key(
        "maintenance",
        Shape::Keys(MAINTENANCE),
        Need::LeftOut("its defaults"),
        "What users see while they cannot be served.",
    ),
    key(
        "read_only",
        Shape::Keys(READ_ONLY),
        Need::LeftOut("nothing is written"),
        "What may be written all the same while `access` is `read-only`.",
    ),
    key(
        "timeouts",
        Shape::Keys(TIMEOUTS),
        Need::LeftOut("its defaults"),
        "How long an origin may take.",
    ),
];

const TLS: &[Key] = &[
    key(
        "cert",
        Shape::Form(&FILE),
        Need::Required,
        "The chain in PEM, the site's own certificate first.",
    ),
    key(
        "key",
        Shape::Form(&FILE),
        Need::Required,
        "The private key in PEM.",
    ),
];

const ORIGIN_TLS: &[Key] = &[
    key(
        "ca",
        Shape::Form(&FILE),
        Need::Required,
        "The authorities that may vouch for the origins, in PEM.",
    ),
    key(
        "server_name",
        Shape::Form(&HOST),
        Need::LeftOut("the host of the origin"),
        "The name that their certificate must be for.",
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
        "tls",
        Shape::Keys(ORIGIN_TLS),
        Need::LeftOut("`http://` origins only"),
        "Whom the `https://` origins of the side are believed to be.",
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
