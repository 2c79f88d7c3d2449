//! Text to entries: comments, quotes and parentheses (RFC 1035 §5.1).

use super::Mistake;

/// One word of an entry, escapes still in it: a name needs to know which dots were escaped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) text: String,
    pub(super) quoted: bool,
    pub(super) line: usize,
    pub(super) column: usize,
}

/// One entry: a line, or several inside parentheses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Entry {
    /// It began with a blank: the owner is that of the entry before.
    pub(super) indented: bool,
    pub(super) tokens: Vec<Token>,
}

impl Token {
    /// Makes a mistake of this place.
    pub(super) fn mistake(&self, message: String, remedy: &'static str) -> Mistake {
        Mistake {
            line: self.line,
            column: self.column,
            message,
            remedy,
        }
    }
}

/// Where the lexer is, and what it has so far.
struct Lexer<'a> {
    chars: std::iter::Peekable<std::str::Chars<'a>>,
    line: usize,
    column: usize,
    entry: Entry,
    entries: Vec<Entry>,
    mistakes: Vec<Mistake>,
    /// Place of the open parenthesis.
    open: Option<(usize, usize)>,
}

/// Splits a text into its entries; empty lines are none.
pub(super) fn entries(text: &str) -> (Vec<Entry>, Vec<Mistake>) {
    let mut lexer = Lexer {
        chars: text
            .strip_prefix('\u{feff}')
            .unwrap_or(text)
            .chars()
            .peekable(),
        line: 1,
        column: 1,
        entry: Entry::default(),
        entries: Vec::new(),
        mistakes: Vec::new(),
        open: None,
    };
    lexer.run();
    (lexer.entries, lexer.mistakes)
}

impl Lexer<'_> {
    fn run(&mut self) {
        while let Some(next) = self.chars.peek().copied() {
            match next {
                '\n' => {
                    self.take();
                    self.end_of_line();
                }
                ';' => {
                    while self.chars.peek().is_some_and(|next| *next != '\n') {
                        self.take();
                    }
                }
                '(' | ')' => self.parenthesis(next),
                '"' => self.quoted(),
                blank if blank.is_whitespace() => {
                    let starts_line = self.column == 1 && self.open.is_none();
                    self.entry.indented |= starts_line && blank != '\r';
                    self.take();
                }
                _ => self.word(),
            }
        }
        if let Some(place) = self.open.take() {
            self.wrong(place, "this parenthesis is never closed", "close it with )");
        }
        self.end_of_line();
    }

    fn end_of_line(&mut self) {
        if self.open.is_none() {
            let entry = std::mem::take(&mut self.entry);
            if !entry.tokens.is_empty() {
                self.entries.push(entry);
            }
        }
    }

    fn parenthesis(&mut self, which: char) {
        let here = (self.line, self.column);
        self.take();
        match (which, self.open) {
            ('(', None) => self.open = Some(here),
            ('(', Some(_)) => self.wrong(here, "a parenthesis within a parenthesis", "take it out"),
            (_, Some(_)) => self.open = None,
            (_, None) => self.wrong(here, "no parenthesis is open here", "take it out"),
        }
    }

    fn quoted(&mut self) {
        let here = (self.line, self.column);
        self.take();
        let mut text = String::new();
        loop {
            match self.chars.peek().copied() {
                Some('"') => {
                    self.take();
                    break;
                }
                Some('\n') | None => {
                    self.wrong(here, "this quote is never closed", "close it with \"");
                    break;
                }
                Some(_) => self.take_into(&mut text),
            }
        }
        self.push(here, text, true);
    }

    fn word(&mut self) {
        let here = (self.line, self.column);
        let mut text = String::new();
        while let Some(next) = self.chars.peek() {
            if next.is_whitespace() || matches!(next, '(' | ')' | ';' | '"') {
                break;
            }
            self.take_into(&mut text);
        }
        self.push(here, text, false);
    }

    /// Takes one character, and the one it escapes.
    fn take_into(&mut self, text: &mut String) {
        let taken = self.take();
        text.extend(taken);
        if taken == Some('\\') && self.chars.peek().is_some_and(|next| *next != '\n') {
            text.extend(self.take());
        }
    }

    fn push(&mut self, (line, column): (usize, usize), text: String, quoted: bool) {
        self.entry.tokens.push(Token {
            text,
            quoted,
            line,
            column,
        });
    }

    fn take(&mut self) -> Option<char> {
        let taken = self.chars.next()?;
        if taken == '\n' {
            self.line += 1;
            self.column = 1;
        } else {
            self.column += 1;
        }
        Some(taken)
    }

    fn wrong(&mut self, (line, column): (usize, usize), message: &str, remedy: &'static str) {
        self.mistakes.push(Mistake {
            line,
            column,
            message: message.into(),
            remedy,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<Vec<String>> {
        let (entries, mistakes) = entries(text);
        assert_eq!(mistakes, []);
        entries
            .into_iter()
            .map(|entry| entry.tokens.into_iter().map(|token| token.text).collect())
            .collect()
    }

    #[test]
    fn parentheses_join_lines_and_comments_vanish() {
        assert_eq!(
            words("a SOA ( 1 ; one\n 2 ) ; two\n\n ; nothing\n\tNS b\r\n"),
            [vec!["a", "SOA", "1", "2"], vec!["NS", "b"]]
        );
    }

    #[test]
    fn quotes_keep_blanks_semicolons_and_escapes() {
        assert_eq!(
            words("a TXT \"x; (y)\" \"say \\\"hi\\\"\" z\\;w"),
            [vec!["a", "TXT", "x; (y)", "say \\\"hi\\\"", "z\\;w"]]
        );
    }

    #[test]
    fn what_is_never_closed_is_pointed_at() {
        let (_, mistakes) = entries("a TXT \"x\nb SOA (\n 1\n");
        let places: Vec<_> = mistakes
            .iter()
            .map(|wrong| (wrong.line, wrong.column))
            .collect();
        assert_eq!(places, [(1, 7), (2, 7)]);
    }
}
