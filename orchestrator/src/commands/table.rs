//! Rows of the database as a table: drawn for people on a terminal, with tabs for programs in a
//! pipe; or as JSON.

use std::io::{IsTerminal, stdout};

use comfy_table::{Table, presets};
use serde_json::Value;

use super::read::{print_bytes, print_line};
use crate::error::Result;
use printable::{printable, printable_lines};

/// The longest value that is drawn, in characters; a pipe and JSON have it whole.
const LONGEST_VALUE: usize = 60;

/// Prints rows: as one JSON array, or as a table of some columns. Where there are none `nothing` is
/// said: to people, and beside the output that a program reads.
pub(super) fn print_rows(
    rows: Vec<Value>,
    columns: &[&str],
    as_json: bool,
    nothing: &str,
) -> Result<()> {
    print_rows_to_reader(rows, columns, as_json, nothing).map(|_| ())
}

/// The same; false where the reader of our output has gone.
pub(super) fn print_rows_to_reader(
    rows: Vec<Value>,
    columns: &[&str],
    as_json: bool,
    nothing: &str,
) -> Result<bool> {
    if as_json {
        return print_line(&Value::Array(rows));
    }
    match (stdout().is_terminal(), rows.is_empty()) {
        (true, true) => print_text_to_reader(nothing),
        (true, false) => print_text_to_reader(&table(&rows, columns).to_string()),
        (false, true) => {
            eprintln!("{nothing}");
            Ok(true)
        }
        (false, false) => print_text_to_reader(&tab_separated(&rows, columns)),
    }
}

/// Prints a sentence for people, on one line.
pub(super) fn print_sentence(text: &str) -> Result<()> {
    print_text(&printable(text))
}

/// Prints lines for people; a reader of our output that left is no failure.
pub(super) fn print_text(text: &str) -> Result<()> {
    print_text_to_reader(text).map(|_| ())
}

/// The same; false where the reader of our output has gone.
pub(super) fn print_text_to_reader(text: &str) -> Result<bool> {
    print_bytes(format!("{}\n", printable_lines(text)).as_bytes())
}

/// A value on one line; nothing for NULL.
pub(super) fn cell(value: Option<&Value>) -> String {
    let text = match value {
        None | Some(Value::Null) => return String::new(),
        Some(Value::String(text)) => {
            printable(text.lines().next().unwrap_or_default()).into_owned()
        }
        Some(other) => printable(&other.to_string()).into_owned(),
    };
    match text.char_indices().nth(LONGEST_VALUE) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// A line each, the columns' names first. What would break a line or a column is written as in the
/// text format of COPY: `\t`, `\n`, `\r` and `\\`; what a terminal would obey as JSON spells it.
fn tab_separated(rows: &[Value], columns: &[&str]) -> String {
    let mut lines = vec![columns.join("\t")];
    for row in rows {
        let values = columns.iter().map(|column| match row.get(column) {
            None | Some(Value::Null) => String::new(),
            Some(Value::String(text)) => printable(&text.replace('\\', "\\\\")).into_owned(),
            Some(other) => printable(&other.to_string()).into_owned(),
        });
        lines.push(values.collect::<Vec<_>>().join("\t"));
    }
    lines.join("\n")
}

fn table(rows: &[Value], columns: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(columns);
    for row in rows {
        table.add_row(columns.iter().map(|column| cell(row.get(column))));
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_column_the_database_lacks_is_empty_and_a_new_one_does_no_harm() {
        let row = json!({"subscriber_id": "a:b", "position": 7, "lag": null, "brand_new": 1});
        let columns = ["subscriber_id", "position", "lag", "retry_at"];
        let text = table(&[row], &columns).to_string();
        assert!(text.contains("a:b") && text.contains('7'), "{text}");
        assert!(
            !text.contains("null") && !text.contains("brand_new"),
            "{text}"
        );
    }

    #[test]
    fn in_a_pipe_a_row_is_one_line_and_no_value_is_cut() {
        let long = "ä".repeat(100);
        let row = json!({"id": "a", "lag": 7, "error": format!("{long}\n\tat \\x"), "at": null});
        let text = tab_separated(&[row], &["id", "at", "lag", "error"]);
        assert_eq!(
            text,
            format!("id\tat\tlag\terror\na\t\t7\t{long}\\n\\tat \\\\x")
        );
    }

    #[test]
    fn a_long_error_is_cut_to_its_first_line() {
        let error = format!("{}\nCONTEXT: pages of it", "ä".repeat(100));
        let cut = cell(Some(&json!(error)));
        assert_eq!(cut.chars().count(), LONGEST_VALUE + 1);
        assert!(cut.ends_with('…'));
    }
}
