//! How single values are written, and short ways to declare keys.

use std::time::Duration;

use super::{Form, Key, Need, Shape};

pub(super) const MILLISECOND: Duration = Duration::from_millis(1);
pub(super) const SECOND: Duration = Duration::from_secs(1);
pub(super) const MINUTE: Duration = Duration::from_secs(60);
pub(super) const HOUR: Duration = Duration::from_secs(3_600);

pub(super) const LISTENER: Form = form("`ip:port`", r"^(\[[0-9A-Fa-f:.%]+\]|[0-9.]+):[0-9]{1,5}$");
pub(super) const ADDRESS: Form = form("IP address", r"^[0-9A-Fa-f:.]+$");
pub(super) const NETWORK: Form = form(
    "`address/bits`, or an IP address",
    r"^[0-9A-Fa-f:.]+(/[0-9]{1,3})?$",
);
pub(super) const ORIGIN: Form = form(
    "`http://host:port` or `https://host:port`",
    r"^https?://[^/?#@]+$",
);
pub(super) const HOST: Form = form("host name", r"^[A-Za-z0-9.-]+$");
pub(super) const SITE_HOST: Form = form("host name, or `*.` and one", r"^(\*\.)?[A-Za-z0-9.-]+$");
pub(super) const FILE: Form = form("path of a file", r".");
pub(super) const FOLDER: Form = form("path of a folder", r".");
pub(super) const TARGET: Form = form("path, `/` first", r"^/[^# ]*$");
pub(super) const SIDE: Form = form("name of a side", LABEL);
pub(super) const FROM: Form = form("a key of the sides' `names`", r".");
pub(super) const CHECK: Form = form("name", r".");
pub(super) const STATUS_CLASS: Form = form("`2xx` to `5xx`", r"^[2-5]xx$");
pub(super) const PATTERN: Form = form("regular expression", r".");
pub(super) const POINTER: Form = form("pointer, `/` first", r"^/");
pub(super) const PEER: Form = form(
    "`origin`, or `host:port`",
    r"^(origin|[^/?#@]+:[0-9]{1,5})$",
);
pub(super) const SERVER: Form = form("`host`, or `host:port`", r"^[^/?#@]+$");

/// Names that go into metrics, URLs and shell commands unquoted.
pub(super) const LABEL: &str = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$";

pub(super) const A_FIELD: Form = form("<field>", r"^[!-9;-~]+$");
pub(super) const A_ZONE: Form = form("<zone>", r"^[A-Za-z0-9._-]+$");
pub(super) const A_SITE: Form = form("<site>", LABEL);
pub(super) const A_GROUP: Form = form("<group>", LABEL);
pub(super) const KEY_ID: Form = form("name of a key", LABEL);
pub(super) const SITE_NAME: Form = form("name of a site", LABEL);
pub(super) const A_SIDE: Form = form("<side>", LABEL);
pub(super) const A_NAME: Form = form("<name>", r"^[A-Za-z0-9._-]+$");
pub(super) const PREFIX: Form = form("path prefix", r"^/[^?#\s]*[^/?#\s]/*$");
pub(super) const A_PREFIX: Form = form("</prefix>", r"^/[^?#\s]*[^/?#\s]/*$");
pub(super) const AN_ADDRESS: Form = form("<key>", r".");

pub(super) const TOKEN: Form = form("name of a token", LABEL);
pub(super) const DIGEST: Form = form("64 hexadecimal digits", r"^[0-9A-Fa-f]{64}$");

pub(super) const fn form(says: &'static str, pattern: &'static str) -> Form {
    Form { says, pattern }
}

pub(super) const fn key(name: &'static str, shape: Shape, need: Need, about: &'static str) -> Key {
    Key {
        name,
        shape,
        need,
        about,
    }
}

pub(super) const fn between(least: Duration, most: Duration) -> Shape {
    Shape::Duration { least, most }
}

pub(super) const fn times(count: u64, unit: Duration) -> Duration {
    // Overflow would stop the compiler, as these are constants.
    Duration::from_secs(unit.as_secs() * count)
}
