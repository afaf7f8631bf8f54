//! What came from the database, or from people, on its way to a log, a terminal or a page.
//!
//! Whoever may name a subscription, raise an error or write a message chooses that text. In it a line
//! break would forge a line, an escape sequence would move the cursor or change the window, and a
//! mark of direction would show another text than there is. They are shown, not obeyed: as JSON
//! spells them (`\n`, `\u001b`, `\u202e`), so that JSON stays JSON.

#![cfg_attr(test, allow(clippy::unwrap_used))]

use std::{borrow::Cow, fmt::Write};

/// The text with everything that a terminal or a log would obey spelled out, on one line.
pub fn printable(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_obeyed) {
        return Cow::Borrowed(text);
    }
    let mut spelled = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        match character {
            '\n' => spelled.push_str("\\n"),
            '\r' => spelled.push_str("\\r"),
            '\t' => spelled.push_str("\\t"),
            other if is_obeyed(other) => {
                for unit in other.encode_utf16(&mut [0; 2]) {
                    let _ = write!(spelled, "\\u{unit:04x}");
                }
            }
            other => spelled.push(other),
        }
    }
    Cow::Owned(spelled)
}

/// The same of a text of several lines and columns, which we have laid out: lines stay lines, and
/// tabs tabs.
pub fn printable_lines(text: &str) -> String {
    let columns = |line: &str| {
        let columns: Vec<_> = line.split('\t').map(printable).collect();
        columns.join("\t")
    };
    let lines: Vec<_> = text.lines().map(columns).collect();
    lines.join("\n")
}

/// The same of the text between the tags of a document that is well formed, as `maud` makes it. What
/// stands in the tags stays: an attribute may be a value that a form sends back.
pub fn printable_html(document: &str) -> Cow<'_, str> {
    let is_kept = |character| matches!(character, '\n' | '\t');
    if !document
        .chars()
        .any(|character| is_obeyed(character) && !is_kept(character))
    {
        return Cow::Borrowed(document);
    }
    let mut spelled = String::with_capacity(document.len() + 16);
    let (mut is_tag, mut is_quoted) = (false, false);
    for character in document.chars() {
        match character {
            '"' if is_tag => is_quoted = !is_quoted,
            '<' if !is_tag => is_tag = true,
            '>' if !is_quoted => is_tag = false,
            _ => {}
        }
        match character {
            other if is_tag || is_kept(other) => spelled.push(other),
            other => spelled.push_str(&printable(other.encode_utf8(&mut [0; 4]))),
        }
    }
    Cow::Owned(spelled)
}

/// Control characters, marks of direction, line and paragraph separators, invisible tags.
fn is_obeyed(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{061c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{2069}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_be_obeyed_is_spelled_and_all_else_is_as_it_was() {
        for (text, spelled) in [
            ("größer, 日本, 👩 \"x\" \\", "größer, 日本, 👩 \"x\" \\"),
            ("a\nb\tc\rd", "a\\nb\\tc\\rd"),
            ("\u{1b}[31m\u{7f}\u{9b}0m", "\\u001b[31m\\u007f\\u009b0m"),
            ("a\u{202e}b\u{2066}c", "a\\u202eb\\u2066c"),
            ("\u{2028}\u{feff}\u{e0041}", "\\u2028\\ufeff\\udb40\\udc41"),
        ] {
            assert_eq!(printable(text), spelled);
        }
        assert_eq!(printable_lines("a\tb\nc\u{1b}"), "a\tb\nc\\u001b");
    }

    #[test]
    fn a_document_shows_what_its_text_hides_and_keeps_what_its_forms_send() {
        let document = "<input value=\"a>\u{202e}\n\">\n<p>\u{202e}\u{1b} &lt;</p>";
        let spelled = "<input value=\"a>\u{202e}\n\">\n<p>\\u202e\\u001b &lt;</p>";
        assert_eq!(printable_html(document), spelled);
        let plain = "<p title=\"größe\">größer\n日本</p>";
        assert!(matches!(printable_html(plain), Cow::Borrowed(same) if same == plain));
    }

    #[test]
    fn json_stays_the_same_json() {
        let value = serde_json::json!({"id": "a\u{9b}\u{202e}\u{e0041}\n"});
        let text = value.to_string();
        let read: serde_json::Value = serde_json::from_str(&printable(&text)).unwrap();
        assert_eq!(read, value);
    }
}
