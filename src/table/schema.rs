//! The schema: how a value of each shape is taken; which keys a mapping may have, `keys` says.
//!
//! A reader that meets a mistake reports it and gives `None`, and the walk goes on, so that all
//! mistakes of a file show at once.

use super::diagnostic::{Report, did_you_mean};
use super::keys::{Key, Shape};
use super::tree::{Entry, Node, Place, Value};

/// A value with the path of keys that leads to it.
#[derive(Debug)]
pub(super) struct At<'n> {
    pub(super) node: &'n Node<'n>,
    pub(super) key: String,
    /// What is declared to stand here.
    pub(super) shape: &'static Shape,
}

/// What is wrong with a scalar, and what to write instead.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    pub(super) message: String,
    pub(super) remedy: String,
}

impl Wrong {
    pub(super) fn new(message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            remedy: remedy.into(),
        }
    }
}

impl<'n> At<'n> {
    /// Reports a mistake at the value itself.
    pub(super) fn wrong(&self, report: &mut Report, wrong: Wrong) {
        report.mistake(self.node.place, &self.key, wrong.message, wrong.remedy);
    }

    fn wrong_shape(&self, report: &mut Report, expected: &str, example: &str) {
        let found = match &self.node.value {
            Value::Refused => return,
            Value::Empty => "nothing",
            Value::Null => "null",
            Value::Text(_) => "a single value",
            Value::List(_) => "a list",
            Value::Map(_) => "a mapping",
        };
        let message = format!("here belongs {expected}, not {found}");
        self.wrong(report, Wrong::new(message, format!("write {example}")));
    }

    /// Takes a single value as text.
    pub(super) fn text(&self, report: &mut Report) -> Option<&'n str> {
        if let Value::Text(text) = &self.node.value {
            return Some(text);
        }
        let key = self.key.rsplit(['.', '[']).next().unwrap_or_default();
        let key = key.trim_end_matches(|letter: char| letter == ']' || letter.is_ascii_digit());
        let example = if key.is_empty() {
            "one value here".to_owned()
        } else {
            format!("one value: `{key}: …`")
        };
        self.wrong_shape(report, "a single value", &example);
        None
    }

    /// Takes a single value and makes something of it.
    pub(super) fn parse<T>(
        &self,
        report: &mut Report,
        reader: impl FnOnce(&str) -> Result<T, Wrong>,
    ) -> Option<T> {
        match reader(self.text(report)?) {
            Ok(value) => Some(value),
            Err(wrong) => {
                self.wrong(report, wrong);
                None
            }
        }
    }

    /// Takes the items of a list.
    pub(super) fn list(&self, report: &mut Report) -> Option<Vec<Self>> {
        let Value::List(items) = &self.node.value else {
            let example = match &self.node.value {
                Value::Text(text) => format!("`[{text}]`"),
                Value::Empty | Value::Null | Value::List(_) | Value::Map(_) | Value::Refused => {
                    "`[…, …]`".to_owned()
                }
            };
            self.wrong_shape(report, "a list", &example);
            return None;
        };
        let at = |(index, node)| At {
            node,
            key: format!("{}[{index}]", self.key),
            shape: self.shape.inner(""),
        };
        Some(items.iter().enumerate().map(at).collect())
    }

    /// Takes a mapping whose keys are names that the operator chose.
    pub(super) fn entries(&self, report: &mut Report) -> Option<&'n [Entry<'n>]> {
        let Value::Map(entries) = &self.node.value else {
            self.wrong_shape(report, "a mapping", "`key: value` lines, or `{key: value}`");
            return None;
        };
        Some(entries)
    }

    /// Goes to the value of one entry.
    pub(super) fn under(&self, entry: &'n Entry<'n>) -> Self {
        let dot = if self.key.is_empty() { "" } else { "." };
        At {
            node: &entry.node,
            key: format!("{}{dot}{}", self.key, entry.key),
            shape: self.shape.inner(&entry.key),
        }
    }

    /// Takes a mapping of its declared keys; every other key is reported.
    pub(super) fn fields(&self, report: &mut Report) -> Option<Fields<'n>> {
        let entries = self.entries(report)?;
        let known = self.shape.keys();
        for entry in entries {
            if !known.iter().any(|key| key.name == entry.key) {
                let key = self.under(entry).key;
                let remedy = did_you_mean(&entry.key, known.iter().map(|key| key.name));
                report.mistake(entry.place, &key, "unknown key", remedy);
            }
        }
        Some(Fields {
            place: self.node.place,
            key: self.key.clone(),
            known,
            entries,
        })
    }
}

/// A mapping of fixed keys.
#[derive(Debug)]
pub(super) struct Fields<'n> {
    place: Place,
    key: String,
    known: &'static [Key],
    entries: &'n [Entry<'n>],
}

impl<'n> Fields<'n> {
    /// Finds a key that may be left out; `~` stands for left out, nothing at all is a mistake.
    pub(super) fn find(&self, report: &mut Report, name: &str) -> Option<At<'n>> {
        let declared = self.known.iter().find(|key| key.name == name);
        debug_assert!(declared.is_some(), "{name} is read and not declared");
        let entry = self.entries.iter().find(|entry| entry.key == name)?;
        let key = self.path_of(name);
        match &entry.node.value {
            Value::Null => None,
            Value::Empty => {
                let remedy = format!("write a value, or leave `{name}` out");
                report.mistake(entry.place, &key, "has no value", remedy);
                None
            }
            Value::Text(_) | Value::List(_) | Value::Map(_) | Value::Refused => Some(At {
                node: &entry.node,
                key,
                shape: &declared?.shape,
            }),
        }
    }

    /// Finds a key that must be there; `example` shows how it is written.
    pub(super) fn need(&self, report: &mut Report, name: &str, example: &str) -> Option<At<'n>> {
        let left_out = match self.entries.iter().find(|entry| entry.key == name) {
            None => true,
            Some(entry) => matches!(entry.node.value, Value::Null),
        };
        if left_out {
            let remedy = format!("write `{example}`");
            report.mistake(self.place, &self.path_of(name), "is missing", remedy);
            return None;
        }
        self.find(report, name)
    }

    /// Reads a single value, or takes the default when it is left out or wrong.
    pub(super) fn value_or<T>(
        &self,
        report: &mut Report,
        name: &str,
        default: T,
        reader: impl FnOnce(&str) -> Result<T, Wrong>,
    ) -> T {
        let at = self.find(report, name);
        at.and_then(|at| at.parse(report, reader))
            .unwrap_or(default)
    }

    fn path_of(&self, name: &str) -> String {
        let dot = if self.key.is_empty() { "" } else { "." };
        format!("{}{dot}{name}", self.key)
    }
}
