//! The file, `listen` and `dns`.

use super::admin::ADMIN;
use super::form::{
    A_GROUP, A_SITE, A_ZONE, ADDRESS, FILE, FOLDER, HOST, KEY_ID, LISTENER, SITE_NAME, key,
};
use super::site::SITE;
use super::{Key, Need, Shape};

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
        "certs",
        Shape::Form(&FOLDER),
        Need::Default("certs"),
        "The folder of certificates, `NAME.pem` with `NAME.key.pem`; their names decide who answers.",
    ),
    key(
        "admin",
        Shape::Keys(ADMIN),
        Need::LeftOut("reading only, over TCP"),
        "Who may use the API from other hosts.",
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
    key(
        "groups",
        Shape::Named {
            name: &A_GROUP,
            of: &Shape::List {
                of: &Shape::Form(&SITE_NAME),
                least: 1,
            },
        },
        Need::LeftOut("no groups"),
        "Sites that `pointsman flip --group` moves together, in one swap.",
    ),
    key(
        "default_site",
        Shape::Form(&SITE_NAME),
        Need::LeftOut("404"),
        "The site that answers for hosts that no site has.",
    ),
    key(
        "fence",
        Shape::Keys(FENCE),
        Need::LeftOut("nothing is signed"),
        "The keys by which origins can believe what a request says of its side.",
    ),
]);

const FENCE: &[Key] = &[key(
    "keys",
    Shape::List {
        of: &Shape::Keys(FENCE_KEY),
        least: 1,
    },
    Need::Required,
    "The keys that origins take, at most 4; the first one signs.",
)];

const FENCE_KEY: &[Key] = &[
    key(
        "id",
        Shape::Form(&KEY_ID),
        Need::Required,
        "What signatures call it.",
    ),
    key(
        "file",
        Shape::Form(&FILE),
        Need::Required,
        "The file of the key: 32 to 1024 visible ASCII characters.",
    ),
];

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
        "https",
        Shape::List {
            of: &Shape::Form(&LISTENER),
            least: 0,
        },
        Need::LeftOut("no TLS"),
        "HTTP/2 and HTTP/1.1 over TLS 1.2 and 1.3.",
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
        "The API, the status page and `/metrics`, without TLS: for loopback.",
    ),
    key(
        "admin_tls",
        Shape::List {
            of: &Shape::Form(&LISTENER),
            least: 0,
        },
        Need::LeftOut("the machine itself only"),
        "The API over TLS, for the holders of tokens.",
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
