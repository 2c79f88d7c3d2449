//! The keys as a JSON Schema, for editors that complete and check while one types.
//!
//! It admits every table that loads, as far as one can say without looking from key to key;
//! `pointsman check` has the last word.

use serde_json::{Map, Value, json};

use super::{Form, Key, Need, ROOT, Shape};

/// The dialect that it is written in.
const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

/// What a duration looks like; its bounds cannot be said.
const DURATION: &str = "^[0-9]+(ms|s|m|h)$";

/// What a size looks like.
const SIZE: &str = "^[0-9]+(b|kb|mb|gb)$";

/// Writes the schema.
pub(in crate::table) fn json_schema() -> Value {
    let mut schema = of(&ROOT);
    schema.insert("$schema".into(), DIALECT.into());
    schema.insert("title".into(), "Pointsman route table".into());
    Value::Object(schema)
}

fn of(shape: &Shape) -> Map<String, Value> {
    let schema = match shape {
        // A number or `yes` that stands for itself needs no quotes in a table.
        Shape::Text => json!({"type": ["string", "number", "boolean"]}),
        Shape::Flag => json!({"type": "boolean"}),
        Shape::Words(words) => json!({"type": "string", "enum": words}),
        Shape::Number { least, most } => {
            json!({"type": "integer", "minimum": least, "maximum": most})
        }
        Shape::Duration { .. } => json!({"type": "string", "pattern": DURATION}),
        Shape::Size { .. } => json!({"type": "string", "pattern": SIZE}),
        Shape::Form(form) => single(form),
        Shape::List { of: inner, least } => {
            json!({"type": "array", "items": of(inner), "minItems": least})
        }
        Shape::Keys(keys) => mapping(keys),
        Shape::Named { name, of: inner } => json!({
            "type": "object",
            "propertyNames": {"pattern": name.pattern},
            "additionalProperties": optional(of(inner), inner.keys()),
        }),
        Shape::Short(form, keys) => json!({"anyOf": [single(form), mapping(keys)]}),
        Shape::Either(shapes) => {
            let each = shapes.iter().map(|shape| Value::Object(of(shape)));
            json!({"anyOf": each.collect::<Vec<_>>()})
        }
    };
    let Value::Object(schema) = schema else {
        return Map::new();
    };
    schema
}

fn single(form: &Form) -> Value {
    json!({"type": "string", "pattern": form.pattern})
}

fn mapping(keys: &[Key]) -> Value {
    let properties = keys.iter().map(|key| {
        let mut schema = match key.need {
            Need::Required => of(&key.shape),
            Need::Default(_) | Need::LeftOut(_) => nullable(of(&key.shape)),
        };
        schema.insert("description".into(), key.about.into());
        if let Need::Default(value) = key.need {
            schema.insert("default".into(), typed(&key.shape, value));
        }
        (key.name.to_owned(), Value::Object(schema))
    });
    let required = keys.iter().filter(|key| matches!(key.need, Need::Required));
    let required: Vec<_> = required.map(|key| key.name).collect();
    json!({
        "type": "object",
        "properties": properties.collect::<Map<_, _>>(),
        "required": required,
        "additionalProperties": false,
    })
}

/// A mapping in which nothing has to be said may be left empty: `ispot.example:`.
fn optional(schema: Map<String, Value>, keys: &[Key]) -> Map<String, Value> {
    let demands = keys.iter().any(|key| matches!(key.need, Need::Required));
    if demands || keys.is_empty() {
        schema
    } else {
        nullable(schema)
    }
}

/// `~` stands for a key that is left out.
fn nullable(mut schema: Map<String, Value>) -> Map<String, Value> {
    match schema.get_mut("type") {
        Some(Value::Array(types)) => types.push("null".into()),
        Some(one) => *one = json!([one.clone(), "null"]),
        None => {}
    }
    if let Some(Value::Array(any)) = schema.get_mut("anyOf") {
        any.push(json!({"type": "null"}));
    }
    if let Some(Value::Array(words)) = schema.get_mut("enum") {
        words.push(Value::Null);
    }
    schema
}

fn typed(shape: &Shape, value: &str) -> Value {
    match (shape, value.parse::<u32>()) {
        (Shape::Number { .. } | Shape::Either([Shape::Number { .. }, ..]), Ok(number)) => {
            number.into()
        }
        _ => value.into(),
    }
}
