//! What others wrote, made safe to print: a terminal obeys control characters, and text that runs backwards fakes lines.
//!
//! Everything that the binary prints goes through here: [`line()`] for words, [`json`] for JSON, which stays JSON.

use std::{borrow::Cow, fmt::Write as _};

use tautline_protocol::is_bidi_control;

/// Words on one line: C0 (a new line, too), DEL, C1 and bidirectional controls are written as Rust writes them, `\u{1b}`.
#[must_use]
pub fn line(text: &str) -> Cow<'_, str> {
    escaped(text, |c, safe| safe.extend(c.escape_default()))
}

/// JSON on one line, which means what it meant: white space between its tokens becomes a blank, and within a string each
/// such character its JSON escape.
#[must_use]
pub fn json(text: &str) -> Cow<'_, str> {
    escaped(text, |c, safe| match c {
        // Not within a string, where JSON forbids them.
        '\n' | '\r' | '\t' => safe.push(' '),
        _ => write!(safe, "\\u{:04x}", u32::from(c)).expect("a String takes everything"),
    })
}

/// Words on one line that may carry the colours of our own log: `ESC [ … m`, and no other sequence.
#[must_use]
pub fn coloured_line(text: &str) -> Cow<'_, str> {
    let mut safe = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('\u{1b}') {
        let (before, sequence) = rest.split_at(at);
        let parameters = sequence.strip_prefix("\u{1b}[").unwrap_or_default();
        let length = parameters.bytes().take_while(|b| b.is_ascii_digit() || *b == b';').count();
        let end = if parameters[length..].starts_with('m') { "\u{1b}[".len() + length + 1 } else { 0 };
        safe += &line(before);
        match end {
            0 => safe += "\\u{1b}",
            _ => safe += &sequence[..end],
        }
        rest = &sequence[end.max(1)..];
    }
    if safe.is_empty() { line(rest) } else { Cow::Owned(safe + &line(rest)) }
}

fn escaped(text: &str, escape: impl Fn(char, &mut String)) -> Cow<'_, str> {
    let Some(first) = text.find(is_unsafe) else { return Cow::Borrowed(text) };
    let mut safe = String::with_capacity(text.len() + 16);
    safe.push_str(&text[..first]);
    for c in text[first..].chars() {
        if is_unsafe(c) { escape(c, &mut safe) } else { safe.push(c) }
    }
    Cow::Owned(safe)
}

fn is_unsafe(c: char) -> bool {
    c.is_control() || is_bidi_control(c)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// Sets the title, writes the clipboard (C1), goes back a line, rubs out, and runs backwards.
    const HOSTILE: &str =
        "\u{1b}]0;owned\u{7} \u{9d}52;c;eA==\u{9c} \r\n \u{7f} \u{202e}gnp.exe\u{2069}\u{61c}";

    fn is_safe(text: &str) -> bool {
        !text.contains(is_unsafe)
    }

    #[test]
    fn words_keep_no_control_character() {
        assert_eq!(line("Grüße, 房间 7"), "Grüße, 房间 7");
        assert_eq!(line("a\u{1b}[2Jb\n\u{9b}c\u{202e}"), "a\\u{1b}[2Jb\\n\\u{9b}c\\u{202e}");
        assert!(is_safe(&line(HOSTILE)));
    }

    #[test]
    fn escaped_json_keeps_its_meaning_on_one_line() {
        let text = "{\"a\":\n\t\"\u{9b}2J\u{7f}\u{202e}\", \"b\":  1.50}";
        let safe = json(text);
        assert_eq!(safe, "{\"a\":  \"\\u009b2J\\u007f\\u202e\", \"b\":  1.50}");
        assert_eq!(
            serde_json::from_str::<Value>(&safe).unwrap(),
            serde_json::from_str::<Value>(text).unwrap()
        );
        assert_eq!(json(&json!("房间").to_string()), "\"房间\"");
    }

    #[test]
    fn a_coloured_line_keeps_colours_and_nothing_else() {
        let coloured = "\u{1b}[2mnow\u{1b}[0m \u{1b}[31mERROR\u{1b}[0m plain";
        assert_eq!(coloured_line(coloured), coloured);
        assert_eq!(coloured_line("a\u{1b}]0;b\u{1b}[2J\u{1b}[3"), "a\\u{1b}]0;b\\u{1b}[2J\\u{1b}[3");
        assert_eq!(coloured_line("\u{1b}[1mbold\u{1b}"), "\u{1b}[1mbold\\u{1b}");
        let hostile = coloured_line(HOSTILE);
        assert!(is_safe(&hostile), "{hostile}");
    }
}
