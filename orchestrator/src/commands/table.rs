//! Rows of the database as a table for people, or as JSON.

use std::io::{ErrorKind, Write, stdout};

use comfy_table::{Table, presets};
use serde_json::Value;

use super::read::print_line;
use crate::error::{Error, Result};

/// The longest value in a table, in characters; JSON has it whole.
const LONGEST_VALUE: usize = 60;

/// Prints rows: as one JSON array, or as a table of some columns; `nothing` is
/// said where there are none.
pub(super) fn print_rows(
    rows: Vec<Value>,
    columns: &[&str],
    as_json: bool,
    nothing: &str,
) -> Result<()> {
    if as_json {
        return print_line(&Value::Array(rows)).map(|_| ());
    }
    if rows.is_empty() {
        return print_text(nothing);
    }
    print_text(&table(&rows, columns).to_string())
}

/// Prints a line for people; a reader of our output that left is no failure.
pub(super) fn print_text(text: &str) -> Result<()> {
    match writeln!(stdout(), "{text}") {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Error::io("write to standard output")(error))
        }
        _ => Ok(()),
    }
}

/// A value on one line; nothing for NULL.
pub(super) fn cell(value: Option<&Value>) -> String {
    let text = match value {
        None | Some(Value::Null) => return String::new(),
        Some(Value::String(text)) => text.lines().next().unwrap_or_default().to_owned(),
        Some(other) => other.to_string(),
    };
    match text.char_indices().nth(LONGEST_VALUE) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
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
    fn a_long_error_is_cut_to_its_first_line() {
        let error = format!("{}\nCONTEXT: pages of it", "ä".repeat(100));
        let cut = cell(Some(&json!(error)));
        assert_eq!(cut.chars().count(), LONGEST_VALUE + 1);
        assert!(cut.ends_with('…'));
    }
}
