//! Mistakes: each with its place, its key path and what to write instead.

use std::fmt;
use std::path::{Path, PathBuf};

use super::tree::Place;

/// One mistake: where it is, what is wrong, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// The file, as the operator named it.
    pub file: PathBuf,
    /// 1-based line.
    pub line: usize,
    /// 1-based column, in characters.
    pub column: usize,
    /// For example `sites.ispot.sides.live.web[0]`; empty for the whole file.
    pub key: String,
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub remedy: String,
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.file.display();
        write!(f, "{file}:{}:{}: ", self.line, self.column)?;
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        write!(f, "{}; {}", self.message, self.remedy)
    }
}

/// Gathers the mistakes and the warnings of one file.
#[derive(Debug)]
pub(super) struct Report {
    file: PathBuf,
    mistakes: Vec<Diagnostic>,
    warnings: Vec<Diagnostic>,
}

impl Report {
    pub(super) fn new(file: &Path) -> Self {
        Self {
            file: file.into(),
            mistakes: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// Notes a mistake: the table will not be loaded.
    pub(super) fn mistake(
        &mut self,
        place: Place,
        key: &str,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        let found = self.diagnostic(place, key, message.into(), remedy.into());
        self.mistakes.push(found);
    }

    /// Notes what is allowed but probably not meant.
    pub(super) fn warning(
        &mut self,
        place: Place,
        key: &str,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        let found = self.diagnostic(place, key, message.into(), remedy.into());
        self.warnings.push(found);
    }

    fn diagnostic(&self, place: Place, key: &str, message: String, remedy: String) -> Diagnostic {
        Diagnostic {
            file: self.file.clone(),
            line: place.line,
            column: place.column,
            key: key.into(),
            message,
            remedy,
        }
    }

    /// Gives the warnings, or every mistake, in the order of their places.
    pub(super) fn finish(self) -> Result<Vec<Diagnostic>, Vec<Diagnostic>> {
        if self.mistakes.is_empty() {
            Ok(in_order(self.warnings))
        } else {
            Err(in_order(self.mistakes))
        }
    }
}

/// Sorts by place; what is found at one place stays in the order of finding.
pub(super) fn in_order(mut found: Vec<Diagnostic>) -> Vec<Diagnostic> {
    found.sort_by_key(|one| (one.line, one.column));
    found
}

/// Words a remedy: the nearest of the allowed words, or all of them.
pub(super) fn did_you_mean<'a>(
    given: &str,
    allowed: impl Iterator<Item = &'a str> + Clone,
) -> String {
    match nearest(given, allowed.clone()) {
        Some(word) => format!("did you mean `{word}`?"),
        None => format!("write one of: {}", allowed.collect::<Vec<_>>().join(", ")),
    }
}

/// Finds the word that is a slip of the finger away: at most a third of its letters.
fn nearest<'a>(given: &str, allowed: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    // A word longer than any key is no slip; the bound keeps the distance cheap.
    const LETTERS_MAX: usize = 64;
    if given.chars().count() > LETTERS_MAX {
        return None;
    }
    let given = given.to_lowercase();
    allowed
        .map(|word| (distance(&given, &word.to_lowercase()), word))
        .filter(|(slips, word)| *slips <= (word.chars().count() / 3).max(1))
        .min_by_key(|(slips, _)| *slips)
        .map(|(_, word)| word)
}

/// Counts the letters to change, add, drop or swap (optimal string alignment distance).
fn distance(one: &str, other: &str) -> usize {
    let one: Vec<char> = one.chars().collect();
    let other: Vec<char> = other.chars().collect();
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=other.len()).collect();
    for (i, letter) in one.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, against) in other.iter().enumerate() {
            let change = last[j] + usize::from(letter != against);
            let mut least = change.min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *letter == other[j - 1] && one[i - 1] == *against {
                least = least.min(before_last[j - 1] + 1);
            }
            row.push(least);
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_finds_its_word_and_another_word_does_not() {
        let keys = ["active", "access", "hosts"];
        for (given, found) in [
            ("actve", Some("active")),
            ("Active", Some("active")),
            ("acitve", Some("active")),
            ("host", Some("hosts")),
            ("linger", None),
        ] {
            assert_eq!(nearest(given, keys.into_iter()), found, "{given}");
        }
    }

    #[test]
    fn distance_counts_a_swap_as_one() {
        for (one, other, slips) in [
            ("", "abc", 3),
            ("abc", "abc", 0),
            ("acb", "abc", 1),
            ("ab", "abc", 1),
        ] {
            assert_eq!(distance(one, other), slips, "{one} {other}");
        }
    }
}
