//! Wrong tables: every kind of mistake is found at its exact place, and all of them at once.
//!
//! Each file in `mistakes/` begins with what is expected of it, a line per mistake and in their
//! order: `# expect: LINE:COLUMN KEY | part of the message or remedy` (`-` for no key).

use std::path::{Path, PathBuf};

use pointsman::table::{Diagnostic, Table};

use crate::support::table::NoFiles;

/// One line of expectations.
#[derive(Debug)]
pub(crate) struct Expected {
    pub(crate) place: String,
    pub(crate) key: String,
    pub(crate) part: String,
}

/// Reads what a file expects of itself.
pub(crate) fn expected(text: &str) -> Vec<Expected> {
    let lines = text.lines().filter_map(|line| {
        let line = line.trim_start_matches('\u{feff}');
        line.strip_prefix("# expect: ")
    });
    lines
        .map(|line| {
            let (place, rest) = line.split_once(' ').unwrap();
            let (key, part) = rest.split_once(" | ").unwrap();
            Expected {
                place: place.into(),
                key: key.trim_matches('-').into(),
                part: part.into(),
            }
        })
        .collect()
}

fn meets(found: &Diagnostic, expected: &Expected) -> bool {
    let said = format!("{}; {}", found.message, found.remedy);
    format!("{}:{}", found.line, found.column) == expected.place
        && found.key == expected.key
        && said.contains(&expected.part)
}

/// Lists the files with mistakes.
pub(crate) fn files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/mistakes");
    let entries = std::fs::read_dir(folder).unwrap();
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn found_in(path: &Path, text: &str) -> Vec<Diagnostic> {
    match Table::load(path, text, &NoFiles) {
        Ok(_) => Vec::new(),
        Err(found) => found,
    }
}

#[test]
fn every_mistake_is_found_at_its_line_column_and_key_with_its_remedy() {
    let mut wrong = String::new();
    for path in files() {
        let text = std::fs::read_to_string(&path).unwrap();
        let (expected, found) = (expected(&text), found_in(&path, &text));
        let all = expected.len() == found.len()
            && !expected.is_empty()
            && found
                .iter()
                .zip(&expected)
                .all(|(found, expected)| meets(found, expected));
        if !all {
            wrong += &format!("\n{} expects {expected:#?}\nfound:\n", path.display());
            for one in found {
                wrong += &format!("  {one}\n");
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn there_are_at_least_twenty_five_kinds_and_one_file_shows_five_at_once() {
    let counts = files().into_iter().map(|path| {
        let text = std::fs::read_to_string(path).unwrap();
        expected(&text).len()
    });
    let counts: Vec<usize> = counts.collect();
    assert!(counts.len() >= 25, "{} files", counts.len());
    assert!(counts.contains(&5), "{counts:?}");
}

#[test]
fn an_empty_file_is_a_mistake() {
    for text in [
        "",
        "\n\n",
        "# only a comment\n",
        "---\n",
        "\u{feff}",
        "~",
        "---\n...\n",
    ] {
        let found = found_in(Path::new("routes.yaml"), text);
        assert_eq!(found.len(), 1, "{text:?}: {found:?}");
        assert!(found[0].message.contains("empty"), "{text:?}: {found:?}");
    }
}

#[test]
fn a_mistake_is_printed_so_that_an_editor_can_jump_to_it() {
    let text = "version: 1\nlisten: {http: [127.0.0.1:80]}\nstate: s\nsites:\n  a:\n    \
                hosts: [a.example]\n    actve: live\n    sides: {live: {web: [http://b]}}\n";
    let found = found_in(Path::new("etc/routes.yaml"), text);
    let printed: Vec<String> = found.iter().map(ToString::to_string).collect();
    let line = "etc/routes.yaml:7:5: sites.a.actve: unknown key; did you mean `active`?";
    assert_eq!(printed, [line]);
}
