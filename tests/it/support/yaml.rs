//! YAML as JSON values, read by the parser's events; for tables in documents.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a table has three kinds of value; every other event is the same failure"
)]

use std::process::Command;

use saphyr_parser::{Event, Parser, ScalarStyle};
use serde_json::{Map, Value};

/// Reads one document.
pub(crate) fn to_json(text: &str) -> Value {
    let mut events = Parser::new_from_str(text).map(|event| event.unwrap().0);
    loop {
        match events.next().unwrap() {
            Event::StreamStart | Event::DocumentStart(_) => {}
            first => return value(first, &mut events),
        }
    }
}

fn value<'e>(event: Event<'e>, events: &mut impl Iterator<Item = Event<'e>>) -> Value {
    match event {
        Event::Scalar(text, ScalarStyle::Plain, ..) => plain(&text),
        Event::Scalar(text, ..) => Value::String(text.into_owned()),
        Event::SequenceStart(..) => {
            let mut items = Vec::new();
            loop {
                match events.next().unwrap() {
                    Event::SequenceEnd => return Value::Array(items),
                    item => items.push(value(item, events)),
                }
            }
        }
        Event::MappingStart(..) => {
            let mut entries = Map::new();
            loop {
                match events.next().unwrap() {
                    Event::MappingEnd => return Value::Object(entries),
                    Event::Scalar(key, ..) => {
                        let first = events.next().unwrap();
                        entries.insert(key.into_owned(), value(first, events));
                    }
                    other => panic!("a key is a single value, not {other:?}"),
                }
            }
        }
        other => panic!("{other:?} is in no table"),
    }
}

/// Resolves a plain scalar by the core schema (YAML 1.2 §10.3.2), as far as tables go.
fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" => Value::Null,
        "true" | "false" => Value::Bool(text == "true"),
        _ => text
            .parse::<i64>()
            .map_or_else(|_| Value::String(text.into()), Value::from),
    }
}

/// Lays one value over another: mappings are joined, anything else is replaced.
pub(crate) fn lay_over(base: &mut Value, over: Value) {
    match (base, over) {
        (Value::Object(base), Value::Object(over)) => {
            for (key, value) in over {
                lay_over(base.entry(key).or_insert(Value::Null), value);
            }
        }
        (base, over) => *base = over,
    }
}

/// Holds values against a JSON Schema with Debian's validator; what it says of those it refuses.
pub(crate) fn refused(schema: &Value, instances: &[Value]) -> Vec<(usize, String)> {
    let scratch = tempfile::tempdir().unwrap();
    let path = |name: &str| scratch.path().join(name);
    std::fs::write(path("schema.json"), schema.to_string()).unwrap();
    let held = instances.iter().enumerate().map(|(index, instance)| {
        let file = path(&format!("{index}.json"));
        std::fs::write(&file, instance.to_string()).unwrap();
        // By its whole path: a test must not depend on which python comes first.
        let held = Command::new("/usr/bin/jsonschema")
            .arg("-i")
            .args([&file, &path("schema.json")])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&[held.stdout, held.stderr].concat()).into_owned();
        (index, held.status.success(), said)
    });
    held.filter(|(_, taken, _)| !taken)
        .map(|(index, _, said)| (index, said))
        .collect()
}
