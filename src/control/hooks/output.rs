//! What a hook writes, in a fixed amount of memory: its first part, its last part, its last line.

use std::collections::VecDeque;

/// Bytes that are kept of the beginning, and of the end.
const PART_BYTES: usize = 32 * 1024;

/// Characters that are kept of one line in the journal.
const LINE_KEPT: usize = 1_000;

/// Characters of one line in a message or in the status.
const LINE_SHOWN: usize = 200;

/// The output of a hook.
#[derive(Debug, Default)]
pub(super) struct Output {
    first: Vec<u8>,
    last: VecDeque<u8>,
    /// Bytes that lay between the two.
    dropped: u64,
}

impl Output {
    /// Takes what was read.
    pub(super) fn take(&mut self, bytes: &[u8]) {
        let room = PART_BYTES - self.first.len();
        let (first, rest) = bytes.split_at(bytes.len().min(room));
        self.first.extend_from_slice(first);
        let (passed, rest) = rest.split_at(rest.len().saturating_sub(PART_BYTES));
        let over = (self.last.len() + rest.len()).saturating_sub(PART_BYTES);
        self.last.drain(..over);
        self.last.extend(rest);
        self.dropped += (passed.len() + over) as u64;
    }

    /// Shows all that is kept, as text without anything that would move a terminal's cursor.
    pub(super) fn text(&self) -> String {
        let mut first = lines(&self.first);
        let (front, back) = self.last.as_slices();
        let last = lines(&[front, back].concat());
        if self.dropped > 0 {
            first.push(format!("[{} bytes are left out here]", self.dropped));
            first.extend(last);
            return first.join("\n");
        }
        // Nothing lies between the two, so a line may reach from the one into the other.
        lines(&[self.first.as_slice(), front, back].concat()).join("\n")
    }

    /// Shows the last lines that say something, each short enough for a message.
    pub(super) fn last_lines(&self, most: usize) -> Vec<String> {
        // The longest that is shown of a line, and a line end, in the longest letters of UTF-8.
        let reach = most * (LINE_SHOWN + 1) * 4;
        let kept = self.first.iter().chain(&self.last);
        let skipped = (self.first.len() + self.last.len()).saturating_sub(reach);
        let tail: Vec<u8> = kept.skip(skipped).copied().collect();
        let mut lines = lines(&tail);
        lines.retain(|line| !line.trim().is_empty());
        let from = lines.len().saturating_sub(most);
        let shown = lines.drain(from..);
        shown.map(|line| cut(line.trim(), LINE_SHOWN)).collect()
    }
}

/// Splits bytes into lines of text; a carriage return, with which progress is shown, ends one too.
fn lines(bytes: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(bytes).replace("\r\n", "\n");
    let mut lines: Vec<String> = text
        .split(['\n', '\r'])
        .map(|line| cut(line, LINE_KEPT))
        .collect();
    while lines.last().is_some_and(String::is_empty) {
        lines.pop();
    }
    lines
}

fn cut(line: &str, most: usize) -> String {
    let is_shown = |letter: char| !letter.is_control() || letter == '\t';
    let mut letters = line.chars().filter(|letter| is_shown(*letter));
    let mut cut: String = letters.by_ref().take(most).collect();
    if letters.next().is_some() {
        cut.push('…');
    }
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_and_the_last_part_of_a_long_output_are_kept_and_no_more() {
        let mut output = Output::default();
        output.take(b"begins\n");
        for _ in 0..1_000 {
            output.take(&[b'x'; 10_000]);
            output.take(b"\n");
        }
        output.take(b"ends\n");

        let text = output.text();

        assert!(output.first.len() + output.last.len() <= 2 * PART_BYTES);
        assert!(text.len() < 2 * PART_BYTES + 100, "{}", text.len());
        assert!(text.starts_with("begins\n") && text.ends_with("\nends"));
        let kept = (output.first.len() + output.last.len()) as u64;
        let left_out = 10_001_012 - kept;
        assert!(text.contains(&format!("[{left_out} bytes are left out here]")));
        assert_eq!(output.last_lines(1), ["ends"]);
    }

    #[test]
    fn a_short_output_is_kept_whole_without_what_would_change_a_terminal() {
        let mut output = Output::default();
        output.take("one\r\n\u{1b}[31mred\0\n 10 %\r 20 %\r".as_bytes());
        output.take(&[0xff, b'\n', b'\n']);

        assert_eq!(output.text(), "one\n[31mred\n 10 %\n 20 %\n\u{fffd}");
        assert_eq!(output.last_lines(2), ["20 %", "\u{fffd}"]);
        assert_eq!(Output::default().text(), "");
    }

    #[test]
    fn a_line_that_never_ends_is_cut_and_one_across_both_parts_is_one_line() {
        let mut output = Output::default();
        output.take(&[b'a'; PART_BYTES - 2]);
        output.take(b"\nbridge\n");

        let text = output.text();

        assert!(text.ends_with("a…\nbridge"), "{}", &text[text.len() - 40..]);
        assert_eq!(output.last_lines(9).len(), 2);
        assert!(output.last_lines(9)[0].chars().count() <= LINE_SHOWN + 1);
    }
}
