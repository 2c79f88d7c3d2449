//! `pointsman check`: is the file good?

use std::path::{Path, PathBuf};

use crate::site::{Epoch, Position, Positions};
use crate::table::{Diagnostic, Table};
use crate::zone;

use super::exit::Exit;
use super::files;
use super::out;
use crate::control::Disk;

/// Check a route table without running anything.
///
/// Every mistake is said at once, with its place and what to write instead. Exit code 0: good;
/// 2: it has mistakes, or cannot be read.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  pointsman check routes.yaml && sudo cp routes.yaml /etc/pointsman/"
)]
pub(super) struct Args {
    /// The route table [default: ./routes.yaml, then /etc/pointsman/routes.yaml]
    file: Option<PathBuf>,
}

/// Checks, and says what it found.
pub(super) fn check(args: &Args) -> Exit {
    let file = files::routes(args.file.as_deref());
    match load(&file) {
        Ok(table) => {
            for warning in &table.warnings {
                out::complain(&format!("warning: {warning}"));
            }
            out::say(&summary(&file, &table));
            Exit::Settled
        }
        Err(problems) => {
            for problem in &problems {
                out::complain(problem);
            }
            let mistakes = if problems.len() == 1 {
                "mistake"
            } else {
                "mistakes"
            };
            out::complain(&format!(
                "{}: {} {mistakes}; a daemon that runs would go on with its last good table",
                file.display(),
                problems.len()
            ));
            Exit::Usage
        }
    }
}

/// Loads the file and compiles its zones, as the daemon would.
fn load(file: &Path) -> Result<Table, Vec<String>> {
    let text = std::fs::read_to_string(file)
        .map_err(|error| vec![format!("{}: cannot be read: {error}", file.display())])?;
    let said =
        |mistakes: Vec<Diagnostic>| mistakes.iter().map(ToString::to_string).collect::<Vec<_>>();
    let table = Table::load(file, &text, &Disk).map_err(said)?;
    zone::contents(&table, &first_positions(&table)).map_err(said)?;
    Ok(table)
}

/// Where the sites would be at a first start: the zones need addresses of some side.
fn first_positions(table: &Table) -> Positions {
    let positions = table.sites.iter().map(|site| {
        let word = table.words.get(&site.name);
        let asked = word.and_then(|word| word.active.clone());
        let active = asked.or_else(|| site.sides.first().map(|side| side.name.clone()));
        let epoch = Epoch(1);
        (site.name.clone(), Position { active, epoch })
    });
    Positions(positions.collect())
}

fn summary(file: &Path, table: &Table) -> String {
    let sites: Vec<_> = table.sites.iter().map(|site| site.name.as_str()).collect();
    let zones: Vec<_> = table.dns.zones.keys().map(String::as_str).collect();
    format!(
        "{}: good: sites {}; zones {}",
        file.display(),
        listed(&sites),
        listed(&zones)
    )
}

fn listed(names: &[&str]) -> String {
    /// More names than this do not help anybody who reads one line.
    const SHOWN: usize = 8;
    match names.len() {
        0 => "none".into(),
        count if count <= SHOWN => names.join(", "),
        count => format!("{}, … ({count})", names[..SHOWN].join(", ")),
    }
}
