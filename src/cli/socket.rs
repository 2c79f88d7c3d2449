//! Where the daemon's socket is.

use std::path::{Path, PathBuf};

use crate::table::Table;

use super::files;
use crate::control::Disk;

/// Names the socket, when `--socket` does not.
const VARIABLE: &str = "POINTSMAN_SOCKET";

/// The name of the socket in the state directory.
const NAME: &str = "admin.sock";

/// Finds the socket: `--socket`, else the variable, else beside the journal of the default file.
pub(super) fn find(named: Option<&Path>) -> PathBuf {
    if let Some(path) = named {
        return path.to_owned();
    }
    if let Some(path) = std::env::var_os(VARIABLE).filter(|path| !path.is_empty()) {
        return path.into();
    }
    let file = files::routes(None);
    let text = std::fs::read_to_string(&file).unwrap_or_default();
    let state = match Table::load(&file, &text, &Disk) {
        Ok(table) => table.state,
        // `status` is asked for most of all when the file has a mistake somewhere.
        Err(_) => state_of_broken(&file, &text),
    };
    state.join(NAME)
}

/// Picks `state:` out of a file that cannot be loaded; relative to the file, as everything in it.
fn state_of_broken(file: &Path, text: &str) -> PathBuf {
    let written = text.lines().find_map(|line| line.strip_prefix("state:"));
    let word = written.unwrap_or("").split(" #").next().unwrap_or("");
    let word = word.trim().trim_matches(['"', '\'']);
    let word = if word.is_empty() { "state" } else { word };
    let folder = file.parent().unwrap_or(Path::new(""));
    folder.join(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_file_still_tells_where_the_state_is() {
        let text = "version: 1\nstate: './here'   # the journal\nsites: [\n";

        let state = state_of_broken(Path::new("/etc/p/routes.yaml"), text);

        assert_eq!(state, Path::new("/etc/p/./here"));
    }

    #[test]
    fn the_word_of_the_command_line_wins() {
        assert_eq!(
            find(Some(Path::new("/run/p.sock"))),
            Path::new("/run/p.sock")
        );
    }
}
