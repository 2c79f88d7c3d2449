//! docs/routes.md and the JSON Schema: every key, and examples that load.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use pointsman::table::{KeyRow, ReadFile, Table};
use serde_json::Value;

use crate::support::daemon::POINTSMAN;
use crate::support::yaml;

/// What the examples of the page are laid over: as little as a table may have.
const BASE: &str = "
version: 1
listen: {http: [127.0.0.1:8080]}
state: ./state
sites:
  ispot:
    hosts: [www.ispot.example]
    active: live
    sides: {live: {web: [http://127.0.0.1:9101]}, backup: {web: [http://127.0.0.1:9102]}}
";

/// One section of the page: a mapping, the rows of its table, its examples.
#[derive(Debug)]
struct Section {
    mapping: String,
    rows: Vec<String>,
    examples: Vec<Value>,
}

/// Files that an example names: a zone file is empty of records, a page is a page, and so on.
struct NamedFiles;

impl ReadFile for NamedFiles {
    fn read(&self, path: &Path) -> std::io::Result<String> {
        let kind = path.extension().and_then(|end| end.to_str());
        Ok(match kind {
            Some("html") => "<html></html>".into(),
            Some("crt") => some_authority(),
            Some("key") => "0".repeat(64),
            _ => String::new(),
        })
    }
}

/// An authority that nobody knows, in PEM.
fn some_authority() -> String {
    let made = rcgen::generate_simple_self_signed(vec!["ca.example".into()]);
    made.unwrap().cert.pem()
}

#[test]
fn each_key_is_explained_with_its_form_and_its_default() {
    let page = page();
    let sections = sections(&page);

    let expected: BTreeSet<_> = Table::keys().iter().map(row).collect();
    let rows = sections.iter().flat_map(|section| {
        let rows = section.rows.iter();
        rows.map(|row| format!("{}: {row}", section.mapping))
    });
    let written: BTreeSet<_> = rows.collect();

    let missing: Vec<_> = expected.difference(&written).collect();
    let stale: Vec<_> = written.difference(&expected).collect();
    assert!(expected.len() > 40, "{expected:?}");
    assert!(
        missing.is_empty() && stale.is_empty(),
        "docs/routes.md lacks {missing:#?}\nand has what is not so: {stale:#?}"
    );
}

#[test]
fn each_key_stands_in_an_example_of_its_own_section() {
    let page = page();
    let sections = sections(&page);
    let mut missing = Vec::new();

    for KeyRow { mapping, key, .. } in Table::keys() {
        let path = [&mapping, key.as_str()].map(str::to_owned).join(".");
        let shown = sections
            .iter()
            .filter(|section| section.mapping == mapping)
            .flat_map(|section| &section.examples)
            .any(|example| holds(example, path.trim_start_matches('.')));
        if !shown {
            missing.push(path);
        }
    }

    assert!(missing.is_empty(), "no example shows {missing:#?}");
}

#[test]
fn each_example_of_the_page_loads() {
    let mut wrong = Vec::new();

    for example in examples() {
        let text = example.to_string();
        match Table::load(Path::new("routes.yaml"), &text, &NamedFiles) {
            Ok(table) if table.warnings.is_empty() => {}
            Ok(table) => wrong.push(format!("{example:#}: {:#?}", table.warnings)),
            Err(mistakes) => wrong.push(format!("{example:#}: {mistakes:#?}")),
        }
    }

    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_json_schema_takes_what_loads() {
    let mut tables = examples();
    tables.push(yaml::to_json(&read("routes.yaml")));

    let refused = yaml::refused(&json_schema(), &tables);

    assert!(refused.is_empty(), "{refused:#?}");
}

#[test]
fn the_json_schema_refuses_what_it_can_see() {
    let files = [
        "access_bad_word",
        "check_path",
        "duration_bad",
        "hold_out_of_range",
        "host_with_scheme",
        "hosts_empty",
        "listen_bad",
        "missing_hosts_and_sides",
        "missing_listen_state_sites",
        "name_kind_unknown",
        "origin_with_path",
        "path_without_access",
        "site_name_bad",
        "unknown_key_side",
        "unknown_key_site",
        "unknown_key_top",
        "version_not_1",
        "wrong_type_list",
        "wrong_type_mapping",
        "wrong_type_single",
    ];
    let tables = files.map(|name| yaml::to_json(&read(&format!("tests/it/mistakes/{name}.yaml"))));

    let refused = yaml::refused(&json_schema(), &tables);

    let refused: BTreeSet<_> = refused.iter().map(|(index, _)| files[*index]).collect();
    assert_eq!(refused, BTreeSet::from(files));
}

#[test]
fn the_json_schema_says_what_each_key_is_for() {
    let schema = json_schema();

    assert_eq!(
        schema["$schema"],
        "https://json-schema.org/draft/2020-12/schema"
    );
    let site = &schema["properties"]["sites"]["additionalProperties"]["properties"];
    let active = site["active"]["description"].as_str();
    assert!(active.is_some_and(|about| about.contains("move the site")));
    assert_eq!(
        site["flip"]["properties"]["hold"]["properties"]["requests"]["default"],
        1000
    );
}

/// The row that a key has to have, as [`sections`] reads rows.
fn row(key: &KeyRow) -> String {
    let KeyRow {
        mapping,
        value,
        default,
        ..
    } = key;
    format!("{mapping}: `{}` | {value} | {default}", key.key)
}

/// Tells whether an example has a path: `<…>` is any key, `[]` any item.
fn holds(value: &Value, path: &str) -> bool {
    let (step, rest) = path.split_once('.').unwrap_or((path, ""));
    let name = step.trim_end_matches("[]");
    let entries = value.as_object().into_iter().flatten();
    let mut found = entries
        .filter(|(key, _)| name.starts_with('<') || *key == name)
        .flat_map(|(_, value)| match value.as_array() {
            Some(items) if step.ends_with("[]") => items.iter().collect(),
            _ => vec![value],
        });
    found.any(|value| rest.is_empty() || holds(value, rest))
}

/// Every example, laid over the base.
fn examples() -> Vec<Value> {
    let page = page();
    let examples = sections(&page).into_iter().flat_map(|section| {
        assert!(
            !section.examples.is_empty(),
            "{} has no example",
            section.mapping
        );
        section.examples
    });
    let whole = examples.map(|example| {
        let mut whole = yaml::to_json(BASE);
        yaml::lay_over(&mut whole, example);
        whole
    });
    whole.collect()
}

/// Reads the sections whose heading names a mapping: ``## `sites.<site>` ``; the file has no name.
fn sections(page: &str) -> Vec<Section> {
    let parts = page.split("\n## ").skip(1).filter_map(|part| {
        let (heading, text) = part.split_once('\n')?;
        let mapping = match heading {
            "The file" => "",
            heading => heading.strip_prefix('`')?.strip_suffix('`')?,
        };
        let rows = text.lines().filter(|line| line.starts_with("| `"));
        let blocks = text.split("```yaml\n").skip(1);
        Some(Section {
            mapping: mapping.into(),
            rows: rows.map(first_cells).collect(),
            examples: blocks
                .map(|block| yaml::to_json(block.split("```").next().unwrap()))
                .collect(),
        })
    });
    parts.collect()
}

/// The cells but the last, which is free to explain.
fn first_cells(row: &str) -> String {
    let cells: Vec<_> = row.trim_matches('|').split(" | ").map(str::trim).collect();
    cells[..3].join(" | ")
}

fn json_schema() -> Value {
    let printed = Command::new(POINTSMAN).arg("schema").output().unwrap();
    serde_json::from_slice(&printed.stdout).unwrap()
}

fn page() -> String {
    read("docs/routes.md")
}

fn read(file: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap()
}
