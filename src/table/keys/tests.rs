//! What is declared holds: the defaults, and both ends of every range.

use std::path::Path;

use serde_json::{Value, json};

use super::super::model::{ReadFile, Table};
use super::{Key, Need, ROOT, Shape};

/// A file for whatever the table names.
struct AnyFile;

impl ReadFile for AnyFile {
    fn read(&self, _: &Path) -> std::io::Result<String> {
        Ok("text".into())
    }
}

/// A table in which every mapping is there, with as little in each as there may be.
fn least() -> Value {
    json!({
        "version": 1,
        "listen": {"http": ["127.0.0.1:8080"]},
        "state": "./state",
        "dns": {"addresses": ["127.0.0.1"], "zones": {"ispot.example": {}}},
        "sites": {"ispot": {
            "hosts": ["www.ispot.example"],
            "sides": {"live": {"web": ["http://127.0.0.1:9101"], "names": {"db": "127.0.0.1"}}},
            "names": {"db.ispot.example": {"from": "db"}},
            "paths": {"/quiz": {"access": "open"}},
            "flip": {"hold": {}, "drain": {}, "quiet": {"get": "/"}, "hooks": {
                "before": [{"run": ["true"]}], "sync": [{"run": ["true"]}],
                "after": [{"run": ["true"]}], "restore": [{"run": ["true"]}],
            }},
            "preflight": {"checks": [{"name": "home", "get": "/"}]},
            "freshness": {"get": "/", "json": "/id", "kind": "number"},
            "standby": {"expect": {"get": "/"}},
            "maintenance": {},
            "read_only": {},
            "timeouts": {},
        }},
    })
}

/// The name that the table above has where the operator chooses one.
fn chosen(name: &str) -> &str {
    match name {
        "<zone>" => "ispot.example",
        "<site>" => "ispot",
        "<side>" => "live",
        "<name>" => "db.ispot.example",
        "</prefix>" => "/quiz",
        other => other,
    }
}

/// Every key, with the JSON pointer of its mapping in the table above.
fn keys(shape: &'static Shape, pointer: &str) -> Vec<(String, &'static Key)> {
    let mut found = Vec::new();
    match shape {
        Shape::List { of, .. } => found.extend(keys(of, &format!("{pointer}/0"))),
        Shape::Named { name, of } => {
            let step = chosen(name.says).replace('/', "~1");
            found.extend(keys(of, &format!("{pointer}/{step}")));
        }
        Shape::Keys(own) | Shape::Short(_, own) => {
            for key in *own {
                found.push((pointer.to_owned(), key));
                found.extend(keys(&key.shape, &format!("{pointer}/{}", key.name)));
            }
        }
        Shape::Either(shapes) => {
            found.extend(shapes.iter().flat_map(|shape| keys(shape, pointer)));
        }
        Shape::Text
        | Shape::Flag
        | Shape::Words(_)
        | Shape::Number { .. }
        | Shape::Duration { .. }
        | Shape::Size { .. }
        | Shape::Form(_) => {}
    }
    found
}

/// Loads the table above with one key written as said, or left out.
fn load_with(pointer: &str, key: &Key, value: Option<&str>) -> Result<Table, String> {
    let mut table = least();
    let mapping = table.pointer_mut(pointer).and_then(Value::as_object_mut);
    let mapping = mapping.unwrap_or_else(|| panic!("{pointer} is not in the table of this test"));
    if let Some(value) = value {
        mapping.insert(key.name.into(), value.into());
    }
    if key.name == "linger" {
        // One stands in the place of the other.
        mapping.remove("quiet");
    }
    Table::load(Path::new("routes.yaml"), &table.to_string(), &AnyFile)
        .map_err(|mistakes| format!("{pointer}/{}: {}", key.name, mistakes[0]))
}

#[test]
fn a_key_that_is_left_out_has_its_declared_default() {
    let mut defaults = 0;

    for (pointer, key) in keys(&ROOT, "") {
        if let Need::Default(value) = key.need {
            defaults += 1;
            let left_out = load_with(&pointer, key, None);
            assert!(left_out.is_ok(), "{left_out:?}");
            assert_eq!(load_with(&pointer, key, Some(value)), left_out);
        }
    }

    assert!(defaults >= 12, "{defaults} defaults were looked at");
}

#[test]
fn each_range_ends_where_it_is_declared_to_end() {
    let mut ranges = 0;

    for (pointer, key) in keys(&ROOT, "") {
        let (inside, outside) = match key.shape {
            Shape::Number { least, most } => (
                [least.to_string(), most.to_string()],
                [least.wrapping_sub(1).to_string(), (most + 1).to_string()],
            ),
            Shape::Duration { least, most } => (
                [least, most].map(|bound| format!("{}ms", bound.as_millis())),
                [
                    // Below no time at all there is nothing; a sign is none of the form.
                    format!("{}ms", i128::try_from(least.as_millis()).unwrap_or(0) - 1),
                    format!("{}ms", most.as_millis() + 1),
                ],
            ),
            Shape::Size { least, most } => (
                [format!("{least}b"), format!("{most}b")],
                [format!("{}b", least - 1), format!("{}b", most + 1)],
            ),
            Shape::Text
            | Shape::Flag
            | Shape::Words(_)
            | Shape::Form(_)
            | Shape::List { .. }
            | Shape::Keys(_)
            | Shape::Named { .. }
            | Shape::Short(..)
            | Shape::Either(_) => continue,
        };
        ranges += 1;
        for value in inside {
            let loaded = load_with(&pointer, key, Some(&value));
            assert!(loaded.is_ok(), "{value}: {loaded:?}");
        }
        for value in outside {
            let loaded = load_with(&pointer, key, Some(&value));
            assert!(loaded.is_err(), "{pointer}/{}: {value} is taken", key.name);
        }
    }

    assert!(ranges >= 10, "{ranges} ranges were looked at");
}
