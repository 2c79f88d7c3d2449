//! The style is a test: imports, lengths, words, dependencies.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The longest file of the project, in lines.
const FILE_LINES_MAX: usize = 500;

/// Words that say that something is not done, or nothing at all about what it is.
///
/// Each is put together here, so that this file does not hold it.
const BANNED: [&str; 5] = [
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("todo", "!("),
    concat!("unimplemented", "!("),
    concat!("should_", "panic"),
];

#[test]
fn each_module_imports_only_what_the_architecture_allows() {
    let allowed = import_table(&read("ARCHITECTURE.md"));
    let mut wrong = Vec::new();

    for file in rust_files("src") {
        let Some(module) = module_of(&file) else {
            continue;
        };
        let may = allowed.get(&module);
        for imported in imports(&read_path(&file)) {
            let fine = imported == module || may.is_some_and(|may| may.contains(&imported));
            if !fine {
                wrong.push(format!(
                    "{}: {module} may not import {imported}",
                    file.display()
                ));
            }
        }
    }

    assert!(allowed.len() > 10, "the table was not found: {allowed:?}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn an_import_is_found_however_it_is_written() {
    let source = "use crate::site::SiteName;\nuse crate::{table, zone::Zones as Z};\n\
                  fn f() { crate::probe::run(); }\npub(crate) fn g() {}\n// use crate::dns::x\n";

    let found = imports(source);

    let expected = ["probe", "site", "table", "zone"].map(String::from);
    assert_eq!(found, BTreeSet::from(expected));
}

#[test]
fn no_file_is_too_long() {
    let long: Vec<_> = all_rust_files()
        .into_iter()
        .map(|file| (read_path(&file).lines().count(), file))
        .filter(|(lines, _)| *lines > FILE_LINES_MAX)
        .collect();

    assert!(
        long.is_empty(),
        "more than {FILE_LINES_MAX} lines: {long:?}"
    );
}

#[test]
fn no_word_promises_what_is_not_there() {
    let mut found = Vec::new();

    for (file, number, line) in all_lines() {
        for word in BANNED {
            if line.contains(word) {
                found.push(format!("{}:{number}: {word}", file.display()));
            }
        }
    }

    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn no_test_is_skipped_and_no_lint_silenced_without_a_reason() {
    let ignored = concat!("#[ign", "ore");
    let allow = concat!("[all", "ow(");
    let mut found = Vec::new();

    for file in all_rust_files() {
        let text = read_path(&file);
        if text.contains(ignored) {
            found.push(format!("{}: a test is ignored", file.display()));
        }
        for silenced in text.split(allow).skip(1) {
            let attribute = silenced.split(")]").next().unwrap();
            if !attribute.contains("reason = ") {
                found.push(format!(
                    "{}: allow({attribute}) has no reason",
                    file.display()
                ));
            }
        }
    }

    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn unsafe_code_is_in_sys_only() {
    let unsafe_block = concat!("uns", "afe {");
    let unsafe_item = concat!("uns", "afe fn");
    let unsafe_impl = concat!("uns", "afe impl");

    let found: Vec<_> = rust_files("src")
        .into_iter()
        .filter(|file| !file.to_string_lossy().contains("src/sys/"))
        .filter(|file| {
            let text = read_path(file);
            [unsafe_block, unsafe_item, unsafe_impl]
                .iter()
                .any(|word| text.contains(word))
        })
        .collect();

    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn each_folder_of_source_opens_with_an_essay() {
    let bare: Vec<_> = rust_files("src")
        .into_iter()
        .filter(|file| file.ends_with("mod.rs"))
        .filter(|file| {
            let text = read_path(file);
            let essay = text.lines().take_while(|line| line.starts_with("//!"));
            essay.count() < 5
        })
        .collect();

    assert!(bare.is_empty(), "no essay of at least five lines: {bare:?}");
}

#[test]
fn each_dependency_says_what_it_is_for() {
    let manifest = read("Cargo.toml");
    let mut silent = Vec::new();
    let mut in_dependencies = false;
    let mut before = "";

    for line in manifest.lines() {
        if line.starts_with('[') {
            in_dependencies = line.ends_with("dependencies]");
        } else if in_dependencies
            && line.contains('=')
            && !line.starts_with('#')
            && !before.starts_with("# ")
        {
            silent.push(line);
        }
        before = line;
    }

    assert!(silent.is_empty(), "{silent:?}");
}

#[test]
fn no_crate_is_there_in_two_versions() {
    let duplicates = cargo_tree(&["-d", "-e", "normal,no-proc-macro", "--depth", "0"]);

    assert_eq!(duplicates.trim(), "");
}

#[test]
fn there_is_one_tls_stack_at_most() {
    // Not Cargo.lock: it also names what optional features of others would bring.
    let built = cargo_tree(&["-e", "normal,build", "--prefix", "none"]);
    let names: BTreeSet<_> = built
        .lines()
        .filter_map(|line| line.split(' ').next())
        .collect();

    let others: Vec<_> = ["openssl", "openssl-sys", "native-tls", "ring", "boring"]
        .into_iter()
        .filter(|name| names.contains(name))
        .collect();

    assert!(
        names.contains("tokio"),
        "the names were not found in:\n{built}"
    );
    assert!(others.is_empty(), "{others:?}");
}

#[test]
fn no_path_of_a_machine_is_written_down() {
    let home = ["/ho", "me/"].concat();
    let root = ["/ro", "ot/"].concat();

    let found: Vec<_> = all_lines()
        .into_iter()
        .filter(|(_, _, line)| line.contains(&home) || line.contains(&root))
        .map(|(file, number, _)| format!("{}:{number}", file.display()))
        .collect();

    assert!(found.is_empty(), "{found:?}");
}

fn cargo_tree(arguments: &[&str]) -> String {
    let tree = Command::new(env!("CARGO"))
        .current_dir(root())
        .args([
            "tree",
            "--locked",
            "--offline",
            "--target",
            "x86_64-unknown-linux-gnu",
        ])
        .args(arguments)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&tree.stderr);
    assert!(tree.status.success(), "{said}");
    String::from_utf8_lossy(&tree.stdout).into_owned()
}

/// Reads the rows `| layer | module | may import |`.
fn import_table(text: &str) -> BTreeMap<String, BTreeSet<String>> {
    let rows = text.lines().filter(|line| line.starts_with('|'));
    rows.filter_map(|row| {
        let mut cells = row.trim_matches('|').split('|').map(str::trim).skip(1);
        let (module, may) = (cells.next()?, cells.next()?);
        let may = may.split(',').map(|name| name.trim().to_owned());
        Some((module.to_owned(), may.collect()))
    })
    .collect()
}

/// The top-level module that a file of `src` belongs to; `None` for the roots.
fn module_of(file: &Path) -> Option<String> {
    let below = file.strip_prefix(root().join("src")).ok()?;
    let first = below.iter().next()?.to_str()?;
    let module = first.trim_end_matches(".rs");
    (!matches!(module, "lib" | "main")).then(|| module.to_owned())
}

/// The top-level modules that a source names by a path from the crate's root.
fn imports(source: &str) -> BTreeSet<String> {
    let code: String = source
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .map(|line| format!("{line}\n"))
        .collect();
    let mut found = BTreeSet::new();
    for after in code.split("crate::").skip(1) {
        match after.strip_prefix('{') {
            Some(group) => found.extend(group_heads(group)),
            None => found.extend(first_word(after)),
        }
    }
    found
}

/// The first word of each member of `{a, b::c, d::{e, f}}`; the text begins after the brace.
fn group_heads(group: &str) -> Vec<String> {
    let mut heads = Vec::new();
    let mut depth = 0;
    let mut member = String::new();
    for c in group.chars() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                heads.extend(first_word(member.trim()));
                member.clear();
            }
            c if depth == 0 => member.push(c),
            _ => {}
        }
    }
    heads.extend(first_word(member.trim()));
    heads
}

fn first_word(text: &str) -> Option<String> {
    let word: String = text
        .chars()
        .take_while(|c| c.is_alphanumeric() || *c == '_')
        .collect();
    // What begins with a capital is an item of the crate's root, of which there are none.
    word.starts_with(|c: char| c.is_lowercase()).then_some(word)
}

fn all_lines() -> Vec<(PathBuf, usize, String)> {
    let files = all_rust_files().into_iter();
    files
        .flat_map(|file| {
            let text = read_path(&file);
            let lines: Vec<_> = text.lines().map(str::to_owned).collect();
            (1..)
                .zip(lines)
                .map(move |(number, line)| (file.clone(), number, line))
        })
        .collect()
}

fn all_rust_files() -> Vec<PathBuf> {
    let folders = ["src", "tests", "benches", "fuzz"];
    folders.into_iter().flat_map(rust_files).collect()
}

fn rust_files(folder: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        // A folder of the layout that is not there yet has no files.
        let Ok(entries) = std::fs::read_dir(&folder) else {
            continue;
        };
        for entry in entries {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.ends_with("target") {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(file: &str) -> String {
    read_path(&root().join(file))
}

fn read_path(file: &Path) -> String {
    std::fs::read_to_string(file).unwrap()
}
