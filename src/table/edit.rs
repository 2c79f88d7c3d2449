//! The edit of one word: `active` of one site, with layout and comments kept to the byte.

use std::path::Path;

use crate::site::{SideName, SiteName};

use super::diagnostic::Report;
use super::diff::entry;
use super::scalar;
use super::tree::{self, Entry, Node, Value};

/// Why a word was not rewritten; the text is as it was.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// The file is at fault: it has a mistake that hides where the word is.
    #[error("the file cannot be edited: {0}")]
    Unreadable(String),
    /// The file has no such site.
    #[error("the file has no site {0}")]
    NoSite(SiteName),
    /// The site leaves `active` out, so there is no word to rewrite.
    #[error("site {0} has no `active` in the file")]
    NoWord(SiteName),
    /// The word is written in a way that cannot be spliced, such as a block or with escapes.
    #[error("`active` of site {0} is not written as one plain or quoted word")]
    NotPlain(SiteName),
    /// The caller is at fault: no side may be called so.
    #[error("{0:?} cannot be the name of a side")]
    BadName(SideName),
    /// The result was not the same table with one word changed: a bug.
    #[error("the edit would have changed more than `active` of site {0}")]
    Bug(SiteName),
}

/// Rewrites the `active` of one site and nothing else, quotes kept.
///
/// The result is parsed again and compared: it differs from the text in that word only.
///
/// # Errors
/// See [`EditError`]; a text with anchors, aliases, tags, merge or duplicate keys is refused.
pub fn splice_active(
    text: &str,
    site: &SiteName,
    new_side: &SideName,
) -> Result<String, EditError> {
    if scalar::label(new_side.as_str()).is_err() {
        return Err(EditError::BadName(new_side.clone()));
    }
    let bare = text.strip_prefix('\u{feff}').unwrap_or(text);
    let before = parse(bare)?;
    let node = word_node(&before, site)?;
    let Value::Text(old) = &node.value else {
        return Err(EditError::NoWord(site.clone()));
    };
    if old == new_side.as_str() {
        return Ok(text.to_owned());
    }
    let begin = byte_of(bare, node.place.at);
    let (head, tail) = bare.split_at(begin);
    let (quote, rest) = match tail.as_bytes().first() {
        Some(b'"') => ("\"", tail.strip_prefix('"')),
        Some(b'\'') => ("'", tail.strip_prefix('\'')),
        _ => ("", Some(tail)),
    };
    let rest = rest.and_then(|rest| rest.strip_prefix(old.as_ref()));
    let Some(rest) = rest.and_then(|rest| rest.strip_prefix(quote)) else {
        return Err(EditError::NotPlain(site.clone()));
    };
    let quote = if quote.is_empty() && needs_quotes(new_side.as_str()) {
        "\""
    } else {
        quote
    };
    let mark = &text[..text.len() - bare.len()];
    let edited = format!("{head}{quote}{new_side}{quote}{rest}");
    let after = parse(&edited)?;
    if !differs_there_only(&before, &after, site, new_side) {
        return Err(EditError::Bug(site.clone()));
    }
    Ok(format!("{mark}{edited}"))
}

/// Reads the `active` of one site from a text; `None` when it is not there.
pub fn active_word(text: &str, site: &SiteName) -> Option<SideName> {
    let bare = text.strip_prefix('\u{feff}').unwrap_or(text);
    let root = parse(bare).ok()?;
    match &word_node(&root, site).ok()?.value {
        Value::Text(word) => Some(SideName::new(word)),
        Value::Empty | Value::Null | Value::List(_) | Value::Map(_) | Value::Refused => None,
    }
}

fn parse(text: &str) -> Result<Node<'_>, EditError> {
    let mut report = Report::new(Path::new("routes.yaml"));
    let root = tree::parse(text, &mut report);
    if let Err(mistakes) = report.finish() {
        let first = mistakes.first().map(ToString::to_string);
        return Err(EditError::Unreadable(first.unwrap_or_default()));
    }
    root.ok_or_else(|| EditError::Unreadable("it is empty".to_owned()))
}

fn word_node<'n, 't>(root: &'n Node<'t>, site: &SiteName) -> Result<&'n Node<'t>, EditError> {
    let site_entry = entry(root, "sites").and_then(|sites| entry(&sites.node, site.as_str()));
    let site_entry = site_entry.ok_or_else(|| EditError::NoSite(site.clone()))?;
    let word = entry(&site_entry.node, "active");
    let word = word.ok_or_else(|| EditError::NoWord(site.clone()))?;
    Ok(&word.node)
}

fn byte_of(text: &str, characters: usize) -> usize {
    let place = text.char_indices().nth(characters);
    place.map_or(text.len(), |(byte, _)| byte)
}

/// Words that YAML 1.1 or 1.2 takes for something else than text when they stand unquoted.
fn needs_quotes(word: &str) -> bool {
    const SPECIAL: [&str; 9] = ["null", "true", "false", "yes", "no", "on", "off", "y", "n"];
    let number = word.starts_with(|letter: char| letter.is_ascii_digit());
    number
        || SPECIAL
            .iter()
            .any(|special| word.eq_ignore_ascii_case(special))
}

fn differs_there_only(
    before: &Node<'_>,
    after: &Node<'_>,
    site: &SiteName,
    new: &SideName,
) -> bool {
    let changed = match word_node(after, site) {
        Ok(node) => matches!(&node.value, Value::Text(word) if word == new.as_str()),
        Err(_) => false,
    };
    changed && same(before, after, &["sites", site.as_str(), "active"])
}

/// Compares two values, places apart; at the end of the path anything goes.
fn same(one: &Node<'_>, other: &Node<'_>, but: &[&str]) -> bool {
    match (&one.value, &other.value) {
        (Value::Map(one), Value::Map(other)) => {
            let mut pairs = one.iter().zip(other);
            one.len() == other.len() && pairs.all(|(one, other)| same_entry(one, other, but))
        }
        (Value::List(one), Value::List(other)) => {
            let mut pairs = one.iter().zip(other);
            one.len() == other.len() && pairs.all(|(one, other)| same(one, other, &[]))
        }
        (Value::Text(one), Value::Text(other)) => one == other,
        (Value::Empty, Value::Empty) | (Value::Null, Value::Null) => true,
        _ => false,
    }
}

fn same_entry(one: &Entry<'_>, other: &Entry<'_>, but: &[&str]) -> bool {
    if one.key != other.key {
        return false;
    }
    match but {
        [last] if one.key == *last => true,
        [step, rest @ ..] if one.key == *step => same(&one.node, &other.node, rest),
        _ => same(&one.node, &other.node, &[]),
    }
}
