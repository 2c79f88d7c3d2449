//! The commands that run at a flip.

use super::form::{CHECK, HOUR, MILLISECOND, between, key, times};
use super::{Key, Need, Shape};

/// `sites.<site>.flip.hooks`.
pub(super) const HOOKS: &[Key] = &[
    key(
        "before",
        HOOK_LIST,
        Need::LeftOut("none"),
        "Run before anyone is held: what writes without coming through Pointsman is stopped.",
    ),
    key(
        "sync",
        HOOK_LIST,
        Need::LeftOut("none"),
        "Run while nobody writes: the last copy of files and databases.",
    ),
    key(
        "after",
        HOOK_LIST,
        Need::LeftOut("none"),
        "Run when the flip has been acknowledged.",
    ),
    key(
        "restore",
        HOOK_LIST,
        Need::LeftOut("none"),
        "Run on every way back, once a hook of the flip has begun.",
    ),
];

const HOOK_LIST: Shape = Shape::List {
    of: &HOOK,
    least: 0,
};

/// A static, so that its address tells that all four lists hold the same.
static HOOK: Shape = Shape::Either(&[
    Shape::List {
        of: &Shape::Text,
        least: 1,
    },
    Shape::Keys(KEYS),
]);

const KEYS: &[Key] = &[
    key(
        "merges",
        Shape::Flag,
        Need::Default("false"),
        "In `sync`: it adds to what the new side has, and overwrites none of it.",
    ),
    key(
        "run",
        Shape::List {
            of: &Shape::Text,
            least: 1,
        },
        Need::LeftOut("`shell` instead"),
        "A program and its arguments, each word by itself; no shell reads them.",
    ),
    key(
        "shell",
        Shape::Text,
        Need::LeftOut("`run` instead"),
        "A text that `/bin/sh` reads.",
    ),
    key(
        "timeout",
        between(MILLISECOND, times(24, HOUR)),
        Need::Default("10m"),
        "How long it may take; then all of its process group is ended.",
    ),
    key(
        "name",
        Shape::Form(&CHECK),
        Need::LeftOut("the program's name"),
        "What the hook is called in messages.",
    ),
];
