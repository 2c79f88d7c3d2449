//! The spanned tree: YAML as text, lists and mappings, each with its place in the file.
//!
//! Scalars stay text: what `30s` or `null` means is decided where the key is known. Anchors,
//! aliases, tags and merge keys are refused, so that a word stands in one place only and a small
//! file cannot stand for a large one.

use std::borrow::Cow;
use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span, StrInput};

use super::diagnostic::Report;

/// Levels of lists and mappings; the deepest key of a table is at 8. Deeper is refused, which
/// also bounds the recursion of everything that walks the tree.
const DEPTH_MAX: usize = 12;

/// Below this size duplicate keys are sought by comparing all with all, without allocating.
const SMALL_MAP: usize = 16;

/// Where something begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// 1-based.
    pub(super) line: usize,
    /// 1-based, in characters.
    pub(super) column: usize,
    /// Characters from the beginning of the text, a byte order mark not counted.
    pub(super) at: usize,
}

impl Place {
    /// The beginning of the file, for what is wrong with the whole.
    pub(super) const START: Self = Self {
        line: 1,
        column: 1,
        at: 0,
    };

    fn of(span: Span) -> Self {
        Self {
            line: span.start.line(),
            column: span.start.col() + 1,
            at: span.start.index(),
        }
    }
}

/// A value and its place.
#[derive(Debug)]
pub(super) struct Node<'t> {
    pub(super) place: Place,
    pub(super) value: Value<'t>,
}

/// A value.
#[derive(Debug)]
pub(super) enum Value<'t> {
    /// Nothing after the colon.
    Empty,
    /// `~` or `null`.
    Null,
    /// Any other scalar, quoted or not.
    Text(Cow<'t, str>),
    /// A list.
    List(Vec<Node<'t>>),
    /// A mapping in the order of the file, without duplicate keys.
    Map(Vec<Entry<'t>>),
    /// Something refused and reported already; readers pass over it in silence.
    Refused,
}

/// One key of a mapping, with its value.
#[derive(Debug)]
pub(super) struct Entry<'t> {
    pub(super) place: Place,
    pub(super) key: Cow<'t, str>,
    pub(super) node: Node<'t>,
}

/// The file is at fault in a way that leaves nothing to go on with; it is reported.
struct Stop;

/// Parses a text; `None` when it is empty or, after a report, no YAML.
pub(super) fn parse<'t>(text: &'t str, report: &mut Report) -> Option<Node<'t>> {
    let mut builder = Builder {
        parser: Parser::new_from_str(text),
        path: Vec::new(),
        report,
    };
    builder.document().unwrap_or(None)
}

struct Builder<'t, 'r> {
    parser: Parser<'t, StrInput<'t>>,
    path: Vec<Cow<'t, str>>,
    report: &'r mut Report,
}

impl<'t> Builder<'t, '_> {
    fn document(&mut self) -> Result<Option<Node<'t>>, Stop> {
        let mut root = None;
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamEnd => return Ok(root),
                Event::Nothing | Event::StreamStart | Event::DocumentEnd => {}
                Event::DocumentStart(_) if root.is_none() => {
                    let (event, span) = self.next()?;
                    root = Some(self.node(event, span, 0)?);
                }
                Event::DocumentStart(_) => {
                    let message = "a second document begins here";
                    let remedy = "keep one document in the file: take out this `---`";
                    self.report.mistake(Place::of(span), "", message, remedy);
                    return Ok(root);
                }
                Event::Alias(_)
                | Event::Scalar(..)
                | Event::SequenceStart(..)
                | Event::SequenceEnd
                | Event::MappingStart(..)
                | Event::MappingEnd => return Ok(root),
            }
        }
    }

    fn next(&mut self) -> Result<(Event<'t>, Span), Stop> {
        match self.parser.next_event() {
            Some(Ok(event)) => Ok(event),
            Some(Err(error)) => Err(self.no_yaml(&error)),
            None => Err(Stop),
        }
    }

    fn no_yaml(&mut self, error: &ScanError) -> Stop {
        let marker = *error.marker();
        let place = Place::of(Span::empty(marker));
        let message = format!("this is no YAML: {}", error.info());
        let remedy = "look for a tab, a missing space after `:`, or an open quote or bracket here \
                      or just above";
        let key = self.key();
        self.report.mistake(place, &key, message, remedy);
        Stop
    }

    fn node(&mut self, event: Event<'t>, span: Span, depth: usize) -> Result<Node<'t>, Stop> {
        let place = Place::of(span);
        if depth > DEPTH_MAX {
            let message = format!("is nested more than {DEPTH_MAX} levels deep");
            let key = self.key();
            let remedy = "look for a bracket or an indent too many";
            self.report.mistake(place, &key, message, remedy);
            return Err(Stop);
        }
        let value = match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.refuse_marks(place, anchor, tag.is_some());
                scalar(text, style)
            }
            Event::SequenceStart(anchor, tag) => {
                self.refuse_marks(place, anchor, tag.is_some());
                self.list(depth)?
            }
            Event::MappingStart(anchor, tag) => {
                self.refuse_marks(place, anchor, tag.is_some());
                self.map(depth)?
            }
            Event::Alias(_) => {
                let key = self.key();
                let message = "an alias stands for something written elsewhere";
                self.report
                    .mistake(place, &key, message, "write the value out");
                Value::Refused
            }
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd
            | Event::SequenceEnd
            | Event::MappingEnd => Value::Empty,
        };
        Ok(Node { place, value })
    }

    fn refuse_marks(&mut self, place: Place, anchor: usize, tag: bool) {
        let key = self.key_if(anchor > 0 || tag);
        if anchor > 0 {
            let remedy = "take out the `&name`, and write the value out where it is used";
            self.report.mistake(place, &key, "has an anchor", remedy);
        }
        if tag {
            let remedy = "take it out: the key says what kind of value this is";
            self.report.mistake(place, &key, "has a tag", remedy);
        }
    }

    fn list(&mut self, depth: usize) -> Result<Value<'t>, Stop> {
        let mut items = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::SequenceEnd) {
                return Ok(Value::List(items));
            }
            self.path.push(Cow::Owned(format!("[{}]", items.len())));
            items.push(self.node(event, span, depth + 1)?);
            self.path.pop();
        }
    }

    fn map(&mut self, depth: usize) -> Result<Value<'t>, Stop> {
        let mut entries = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::MappingEnd) {
                break;
            }
            let merge = is_merge(&event);
            let key_node = self.node(event, span, depth + 1)?;
            let place = key_node.place;
            let key = self.key_text(key_node);
            self.path.push(key.clone().unwrap_or_default());
            if merge {
                let path = self.key();
                let remedy = "write the keys out";
                let message = "a merge key takes keys from elsewhere";
                self.report.mistake(place, &path, message, remedy);
            }
            let (event, span) = self.next()?;
            let node = self.node(event, span, depth + 1)?;
            self.path.pop();
            if let Some(key) = key.filter(|_| !merge) {
                entries.push(Entry { place, key, node });
            }
        }
        Ok(Value::Map(self.without_duplicates(entries)))
    }

    /// Takes the text of a key; anything but text is reported.
    fn key_text(&mut self, node: Node<'t>) -> Option<Cow<'t, str>> {
        match node.value {
            Value::Text(text) => Some(text),
            Value::Null => Some(Cow::Borrowed("null")),
            Value::Empty | Value::List(_) | Value::Map(_) => {
                let path = self.key();
                let remedy = "write a plain word before the colon";
                self.report
                    .mistake(node.place, &path, "this key is no text", remedy);
                None
            }
            Value::Refused => None,
        }
    }

    /// Keeps the first of each key and reports the others.
    fn without_duplicates(&mut self, entries: Vec<Entry<'t>>) -> Vec<Entry<'t>> {
        if entries.len() <= SMALL_MAP && !has_duplicates(&entries) {
            return entries;
        }
        let mut kept: Vec<Entry<'t>> = Vec::with_capacity(entries.len());
        let mut seen: HashMap<Cow<'t, str>, usize> = HashMap::new();
        let large = entries.len() > SMALL_MAP;
        for entry in entries {
            let first = if large {
                seen.insert(entry.key.clone(), entry.place.line)
            } else {
                let same = kept.iter().find(|other| other.key == entry.key);
                same.map(|other| other.place.line)
            };
            let Some(line) = first else {
                kept.push(entry);
                continue;
            };
            self.path.push(entry.key.clone());
            let path = self.key();
            self.path.pop();
            let message = format!("is written twice; the first is in line {line}");
            self.report
                .mistake(entry.place, &path, message, "keep one of the two");
        }
        kept
    }

    fn key(&self) -> String {
        let mut path = String::new();
        for step in &self.path {
            if !path.is_empty() && !step.starts_with('[') {
                path.push('.');
            }
            path.push_str(step);
        }
        path
    }

    fn key_if(&self, wanted: bool) -> String {
        if wanted { self.key() } else { String::new() }
    }
}

fn has_duplicates(entries: &[Entry<'_>]) -> bool {
    let mut each = entries.iter().enumerate();
    each.any(|(at, entry)| entries[..at].iter().any(|other| other.key == entry.key))
}

fn is_merge(event: &Event<'_>) -> bool {
    matches!(event, Event::Scalar(text, ScalarStyle::Plain, _, _) if text == "<<")
}

fn scalar(text: Cow<'_, str>, style: ScalarStyle) -> Value<'_> {
    match (style, text.as_ref()) {
        (ScalarStyle::Plain, "") => Value::Empty,
        (ScalarStyle::Plain, "~" | "null" | "Null" | "NULL") => Value::Null,
        _ => Value::Text(text),
    }
}
