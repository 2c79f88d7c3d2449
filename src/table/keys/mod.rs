//! Every key of `routes.yaml`, declared once.
//!
//! For: the one list that the loader reads by, that `pointsman schema` prints, and that
//! `docs/routes.md` is held against. Not for: what a value means, or whether it fits the others
//! (`resolve` says that).
//!
//! ```text
//! root, site, policy ─┬─> schema: which keys a mapping may have (others are unknown)
//!                     ├─> json: a JSON Schema for editors
//!                     └─> rows: what docs/routes.md has to say
//! ```
//!
//! Invariants: `resolve` can read no key that is not declared, because the mapping that it stands
//! in would report it as unknown; defaults and bounds are those that `resolve` goes by.
//!
//! A crash leaves nothing behind. Tests: `tests.rs` beside this file (defaults, bounds), and
//! `tests/it/docs.rs` (the page, the JSON Schema, and examples that load).

mod admin;
mod check;
mod form;
mod freshness;
mod hooks;
mod json;
mod policy;
mod root;
mod site;
mod standby;
#[cfg(test)]
mod tests;

use std::time::Duration;

use super::scalar::{Bound, Bytes};

pub(super) use check::TYPES;
pub(super) use json::json_schema;
pub(super) use root::ROOT;

/// What a value looks like.
#[derive(Debug)]
pub(super) enum Shape {
    /// Any single value.
    Text,
    /// One of some words.
    Words(&'static [&'static str]),
    /// A whole number, both bounds included.
    Number { least: u32, most: u32 },
    /// A time with its unit, both bounds included.
    Duration { least: Duration, most: Duration },
    /// Bytes with their unit, both bounds included.
    Size { least: u64, most: u64 },
    /// A single value of a certain form.
    Form(&'static Form),
    /// A list of at least so many.
    List { of: &'static Self, least: usize },
    /// A mapping of fixed keys.
    Keys(&'static [Key]),
    /// A mapping whose keys are names that the operator chooses.
    Named {
        name: &'static Form,
        of: &'static Self,
    },
    /// A single value as the short way to write a mapping.
    Short(&'static Form, &'static [Key]),
    /// `true` or `false`.
    Flag,
    /// One of several; at most one of them has keys, and at most one is a list.
    Either(&'static [Self]),
}

/// How a single value of some kind is written.
#[derive(Debug)]
pub(super) struct Form {
    /// In words, for people; in `<…>` when it stands for a key.
    pub(super) says: &'static str,
    /// As a regular expression (ECMA-262); it may admit more than `scalar`, never less.
    pub(super) pattern: &'static str,
}

/// A key of a mapping.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) name: &'static str,
    pub(super) shape: Shape,
    pub(super) need: Need,
    /// What it is for, in one sentence.
    pub(super) about: &'static str,
}

/// Whether a key must be there.
#[derive(Clone, Copy, Debug)]
pub(super) enum Need {
    /// It must.
    Required,
    /// It need not, and then has this value, as it would be written.
    Default(&'static str),
    /// It need not; what holds then, in words.
    LeftOut(&'static str),
}

impl Shape {
    /// Shows the fixed keys of a mapping; none when it is something else.
    pub(super) fn keys(&self) -> &'static [Key] {
        match self {
            Self::Keys(keys) | Self::Short(_, keys) => keys,
            Self::Either(shapes) => {
                let mut keys = shapes.iter().map(Self::keys);
                keys.find(|keys| !keys.is_empty()).unwrap_or_default()
            }
            Self::Text
            | Self::Flag
            | Self::Words(_)
            | Self::Number { .. }
            | Self::Duration { .. }
            | Self::Size { .. }
            | Self::Form(_)
            | Self::List { .. }
            | Self::Named { .. } => &[],
        }
    }

    /// Shows what stands one step further in: an item, or the value under a key.
    pub(super) fn inner(&self, name: &str) -> &'static Self {
        match self {
            Self::List { of, .. } | Self::Named { of, .. } => of,
            Self::Keys(keys) | Self::Short(_, keys) => {
                let key = keys.iter().find(|key| key.name == name);
                key.map_or(&Self::Text, |key| &key.shape)
            }
            Self::Either(shapes) => {
                let holds = |shape: &&Self| matches!(shape, Self::List { .. } | Self::Keys(_));
                let found = shapes.iter().find(holds);
                found.map_or(&Self::Text, |shape| shape.inner(name))
            }
            Self::Text
            | Self::Flag
            | Self::Words(_)
            | Self::Number { .. }
            | Self::Duration { .. }
            | Self::Size { .. }
            | Self::Form(_) => &Self::Text,
        }
    }

    /// Tells whether two lists have the very same items.
    fn holds_as(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::List { of: one, .. }, Self::List { of: other, .. }) => {
                std::ptr::eq(*one, *other) && !one.keys().is_empty()
            }
            _ => false,
        }
    }

    /// Says what is written there, as a cell of `docs/routes.md`.
    fn says(&self) -> String {
        match self {
            Self::Text => "text".into(),
            Self::Flag => "`true`, `false`".into(),
            Self::Words(words) => {
                let words: Vec<_> = words.iter().map(|word| format!("`{word}`")).collect();
                words.join(", ")
            }
            Self::Number { least, most } if least == most => format!("`{least}`"),
            Self::Number { least, most } => format!("number, {least} to {most}"),
            Self::Duration { least, most } => {
                format!("duration, {} to {}", Bound(*least), Bound(*most))
            }
            Self::Size { least, most } => format!("size, {} to {}", Bytes(*least), Bytes(*most)),
            Self::Form(form) => form.says.into(),
            Self::List { of, .. } => format!("list: {}", of.says()),
            Self::Keys(_) => "mapping".into(),
            Self::Named { name, .. } => format!("mapping by `{}`", name.says),
            Self::Short(form, _) => format!("{}, or mapping", form.says),
            Self::Either(shapes) => {
                let says: Vec<_> = shapes.iter().map(Self::says).collect();
                says.join(", or ")
            }
        }
    }
}

/// One key as `docs/routes.md` has to list it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRow {
    /// The path of the mapping that it stands in: `sites.<site>.flip`; empty for the file.
    pub mapping: String,
    /// The key.
    pub key: String,
    /// What is written there.
    pub value: String,
    /// What holds without it.
    pub default: String,
}

/// Lists every key, a mapping's own before those further in.
pub(super) fn rows() -> Vec<KeyRow> {
    let mut rows = Vec::new();
    gather(&ROOT, "", &mut rows);
    rows
}

fn gather(shape: &Shape, path: &str, rows: &mut Vec<KeyRow>) {
    let below = |step: &str| {
        let dot = if path.is_empty() { "" } else { "." };
        format!("{path}{dot}{step}")
    };
    match shape {
        Shape::List { of, .. } => gather(of, &format!("{path}[]"), rows),
        Shape::Named { name, of } => gather(of, &below(name.says), rows),
        Shape::Keys(keys) | Shape::Short(_, keys) => {
            rows.extend(keys.iter().map(|key| key.row(path)));
            for (at, key) in keys.iter().enumerate() {
                // What several lists side by side hold is listed once, for the first of them.
                let is_known = keys[..at]
                    .iter()
                    .any(|other| key.shape.holds_as(&other.shape));
                if !is_known {
                    gather(&key.shape, &below(key.name), rows);
                }
            }
        }
        Shape::Either(shapes) => {
            for shape in *shapes {
                gather(shape, path, rows);
            }
        }
        Shape::Text
        | Shape::Flag
        | Shape::Words(_)
        | Shape::Number { .. }
        | Shape::Duration { .. }
        | Shape::Size { .. }
        | Shape::Form(_) => {}
    }
}

impl Key {
    fn row(&self, mapping: &str) -> KeyRow {
        KeyRow {
            mapping: mapping.into(),
            key: self.name.into(),
            value: self.shape.says(),
            default: match self.need {
                Need::Required => "required".into(),
                Need::Default(value) => format!("`{value}`"),
                Need::LeftOut(words) => words.into(),
            },
        }
    }
}
