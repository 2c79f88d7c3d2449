//! Asking before something is changed.

use std::io::{self, BufRead, IsTerminal};

use super::out;

/// How a confirmation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// The words were typed.
    Confirmed,
    /// Something else was.
    Declined,
}

/// Tells whether there is somebody to ask.
pub(super) fn can_ask() -> bool {
    io::stdin().is_terminal()
}

/// Asks for the words to be typed.
///
/// # Errors
/// The terminal could not be read.
pub(super) fn ask(words: &str) -> io::Result<Answer> {
    out::complain(&format!("Type  {words}  to go on:"));
    let mut typed = String::new();
    io::stdin().lock().read_line(&mut typed)?;
    Ok(answer(words, &typed))
}

/// Compares word by word: how many blanks are between them says nothing.
fn answer(words: &str, typed: &str) -> Answer {
    if typed.split_whitespace().eq(words.split_whitespace()) {
        Answer::Confirmed
    } else {
        Answer::Declined
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_very_words_confirm() {
        assert_eq!(
            answer("ispot megalab", "ispot  megalab\n"),
            Answer::Confirmed
        );
        assert_eq!(answer("ispot", "yes\n"), Answer::Declined);
        assert_eq!(answer("ispot", "\n"), Answer::Declined);
    }
}
