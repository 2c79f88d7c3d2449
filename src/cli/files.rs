//! Finding and reading routes.yaml and what it names.

use std::path::{Path, PathBuf};

/// Where the file is looked for when none is named, in this order.
const DEFAULTS: [&str; 2] = ["routes.yaml", "/etc/pointsman/routes.yaml"];

/// Picks the file: the one that was named, else the first default that exists, else the first.
pub(super) fn routes(named: Option<&Path>) -> PathBuf {
    let found = || DEFAULTS.iter().map(Path::new).find(|path| path.exists());
    let default = || found().unwrap_or(Path::new(DEFAULTS[0]));
    named.unwrap_or_else(default).to_owned()
}
