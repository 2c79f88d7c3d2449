//! A picture of a few lines on a terminal, painted again over itself.
//!
//! It needs nothing but the sequences of ECMA-48 that every terminal knows, and takes no other
//! screen: the last picture stays where a person can scroll back to it.

use std::io::{self, Write as _};

/// The size of a terminal that does not tell.
const SIZE: (usize, usize) = (80, 24);

/// The picture as it was last painted.
#[derive(Debug)]
pub(super) struct Screen {
    /// Lines on the terminal, of which the cursor is below the last.
    lines: usize,
}

impl Screen {
    /// Hides the cursor, until this is dropped.
    pub(super) fn new() -> Self {
        put("\x1b[?25l");
        Self { lines: 0 }
    }

    /// Paints these lines over the ones before, as far as they fit.
    pub(super) fn paint(&mut self, lines: &[String]) {
        let (columns, rows) = size();
        let fit = lines.len().min(rows.saturating_sub(1));
        let mut text = String::new();
        if self.lines > 0 {
            text += &format!("\x1b[{}A", self.lines.min(rows.saturating_sub(1)));
        }
        for line in &lines[..fit] {
            text += &cut(line, columns);
            // What is left of a longer line before it.
            text += "\x1b[K\n";
        }
        text += "\x1b[J";
        put(&text);
        self.lines = fit;
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        put("\x1b[?25h");
    }
}

/// The columns and rows of the terminal.
fn size() -> (usize, usize) {
    terminal_size::terminal_size().map_or(SIZE, |(width, height)| {
        (usize::from(width.0), usize::from(height.0))
    })
}

/// Shortens a line to the columns that there are.
fn cut(line: &str, columns: usize) -> String {
    if line.chars().count() <= columns {
        return line.to_owned();
    }
    let kept = line.chars().take(columns.saturating_sub(1));
    kept.chain(['…']).collect()
}

fn put(text: &str) {
    let mut stdout = io::stdout().lock();
    // A terminal that is gone ends the process by its signal.
    let _ = stdout.write_all(text.as_bytes());
    let _ = stdout.flush();
}
