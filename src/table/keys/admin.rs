//! `admin`: the API from other hosts.

use super::form::{DIGEST, FILE, TOKEN, key};
use super::{Key, Need, Shape};
use crate::site::Scope;

/// `admin:`.
pub(super) const ADMIN: &[Key] = &[
    key(
        "tls",
        Shape::Keys(TLS),
        Need::LeftOut("one of the folder `certs`"),
        "The certificate of `listen.admin_tls`.",
    ),
    key(
        "tokens",
        Shape::List {
            of: &Shape::Keys(A_TOKEN),
            least: 0,
        },
        Need::LeftOut("nobody"),
        "Who may use the API over TCP; `pointsman token` makes one.",
    ),
];

const TLS: &[Key] = &[
    key(
        "cert",
        Shape::Form(&FILE),
        Need::Required,
        "The chain in PEM, the listener's own certificate first.",
    ),
    key(
        "key",
        Shape::Form(&FILE),
        Need::Required,
        "The private key in PEM.",
    ),
];

const A_TOKEN: &[Key] = &[
    key(
        "name",
        Shape::Form(&TOKEN),
        Need::Required,
        "What its holder is called in the journal.",
    ),
    key(
        "scope",
        Shape::Words(Scope::WORDS),
        Need::Required,
        "What its holder may do.",
    ),
    key(
        "sha256",
        Shape::Form(&DIGEST),
        Need::Required,
        "The SHA-256 of its secret, in hexadecimal.",
    ),
];
