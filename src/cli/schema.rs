//! `pointsman schema`: the keys of routes.yaml, for editors.

use crate::table::Table;

use super::exit::Exit;
use super::out;

/// Print a JSON Schema of routes.yaml, with which editors complete and check while one types.
///
/// Editors with the YAML language server take it from a first line in the table:
/// `# yaml-language-server: $schema=routes.schema.json`. It knows keys and forms; `pointsman
/// check` has the last word.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  pointsman schema > routes.schema.json")]
pub(super) struct Args {}

/// Prints it.
pub(super) fn schema(_: &Args) -> Exit {
    out::say(&format!("{:#}", Table::json_schema()));
    Exit::Settled
}
