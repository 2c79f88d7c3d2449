//! Writing to the terminal, or to whoever reads instead.
//!
//! A reader that goes away (`pointsman status | head -1`) is no failure of the command: what is
//! left is not written, and the exit code still says how the command went.

use std::io::{self, Write as _};

/// Writes a line of what was asked for.
pub(super) fn say(line: &str) {
    // Nobody reads any more: see above.
    let _ = writeln!(io::stdout().lock(), "{line}");
}

/// Writes a line about what went wrong, or what somebody should know.
pub(super) fn complain(line: &str) {
    // As above; and there is no third place to write to.
    let _ = writeln!(io::stderr().lock(), "{line}");
}
