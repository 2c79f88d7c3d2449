//! `pointsman check`: is the file good?

use std::path::{Path, PathBuf};

use crate::certs::Store;
use crate::site::{Epoch, Position, Positions};
use crate::table::{Diagnostic, ReadFile as _, Table};
use crate::zone;

use super::exit::Exit;
use super::{Output, files, out};
use crate::control::{Disk, missing_programs};

/// Check a route table without running anything.
///
/// Every mistake is said at once, with its place and what to write instead. Exit code 0: good;
/// 2: it has mistakes, or cannot be read. As JSON: a list of {file, line, column, key, message,
/// remedy, severity}, empty when there is nothing to say.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  pointsman check routes.yaml && sudo cp routes.yaml /etc/pointsman/\n  \
                  pointsman check -o json | jq -r '.[] | \"\\(.line): \\(.message)\"'"
)]
pub(super) struct Args {
    /// The route table [default: ./routes.yaml, then /etc/pointsman/routes.yaml]
    file: Option<PathBuf>,
    /// How the answer is written
    #[arg(short, long, value_enum, default_value = "table")]
    output: Output,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
enum Severity {
    /// The table is not taken.
    Error,
    /// It is taken, and probably not meant.
    Warning,
}

/// One line of the JSON list; the names are those that editors and CI systems know.
#[derive(Debug, serde::Serialize)]
struct Finding<'d> {
    file: String,
    line: usize,
    column: usize,
    key: &'d str,
    message: &'d str,
    remedy: &'d str,
    severity: Severity,
}

/// Checks, and says what it found.
pub(super) fn check(args: &Args) -> Exit {
    let file = files::routes(args.file.as_deref());
    let loaded = load(&file);
    let missing = missing(&file, &loaded);
    match args.output {
        Output::Table => in_words(&file, &loaded, &missing),
        Output::Json => out::say(&as_json(&loaded, &missing)),
    }
    match loaded {
        Ok(_) => Exit::Settled,
        Err(_) => Exit::Usage,
    }
}

/// Finds the hooks that could not be run here. They are warnings: the daemon may be on another
/// machine.
fn missing(file: &Path, loaded: &Result<Table, Vec<Diagnostic>>) -> Vec<Diagnostic> {
    let (Ok(table), Ok(text)) = (loaded, Disk.read(file)) else {
        return Vec::new();
    };
    missing_programs(table, file, &text)
}

fn in_words(file: &Path, loaded: &Result<Table, Vec<Diagnostic>>, missing: &[Diagnostic]) {
    match loaded {
        Ok(table) => {
            for warning in table.warnings.iter().chain(missing) {
                out::complain(&format!("warning: {warning}"));
            }
            for warning in certificates(table) {
                out::complain(&format!("warning: {warning}"));
            }
            out::say(&summary(file, table));
        }
        Err(mistakes) => {
            for mistake in mistakes {
                out::complain(&mistake.to_string());
            }
            let count = mistakes.len();
            let noun = if count == 1 { "mistake" } else { "mistakes" };
            out::complain(&format!(
                "{}: {count} {noun}; a daemon that runs would go on with its last good table",
                file.display(),
            ));
        }
    }
}

fn as_json(loaded: &Result<Table, Vec<Diagnostic>>, missing: &[Diagnostic]) -> String {
    let (found, severity) = match loaded {
        Ok(table) => (&table.warnings, Severity::Warning),
        Err(mistakes) => (mistakes, Severity::Error),
    };
    let findings = found.iter().chain(missing).map(|one| Finding {
        file: one.file.display().to_string(),
        line: one.line,
        column: one.column,
        key: &one.key,
        message: &one.message,
        remedy: &one.remedy,
        severity,
    });
    let findings = findings.map(|finding| serde_json::json!(finding)).collect();
    format!("{:#}", serde_json::Value::Array(findings))
}

/// Loads the file and compiles its zones, as the daemon would.
fn load(file: &Path) -> Result<Table, Vec<Diagnostic>> {
    let text = Disk.read(file).map_err(|error| {
        vec![Diagnostic {
            file: file.into(),
            line: 1,
            column: 1,
            key: String::new(),
            message: format!("cannot be read: {error}"),
            remedy: "name a readable file".into(),
        }]
    })?;
    let table = Table::load(file, &text, &Disk)?;
    zone::contents(&table, &first_positions(&table))?;
    Ok(table)
}

/// Loads the certificates as the daemon would, and says what is wrong with each.
///
/// They are warnings: they may be renewed while the table stays as it is, and whoever checks a file
/// need not be allowed to read keys.
fn certificates(table: &Table) -> Vec<String> {
    let store = match Store::empty() {
        Ok(store) => store,
        Err(error) => return vec![format!("TLS cannot be set up: {error}")],
    };
    store.follow(table);
    let listens = !table.listen.https.is_empty();
    let uncovered = table.sites.iter().filter_map(|site| {
        let host = site.hosts.iter().find(|host| !store.covers(host))?;
        let (name, folder) = (&site.name, table.certs.display());
        listens.then(|| format!("sites.{name}: no certificate in {folder} is for {host}"))
    });
    let problems = store.shown().into_iter().filter_map(|shown| {
        let problem = shown.problem?;
        Some(format!("certificate {}: {problem}", shown.label))
    });
    let none = (listens && store.is_empty())
        .then(|| "no certificate can be used: the daemon will not start without one".to_owned());
    let admin = (!table.listen.admin_tls.is_empty() && store.is_empty_for_admin()).then(|| {
        let remedy = "write `admin: {tls: {cert: …, key: …}}`";
        format!("listen.admin_tls: no certificate can answer there: {remedy}")
    });
    let none = none.into_iter().chain(admin);
    none.chain(problems).chain(uncovered).collect()
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
