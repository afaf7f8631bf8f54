//! Rows of the database as a table: as wide as the terminal for people, with tabs for programs in a
//! pipe; or as JSON.

use comfy_table::{
    CellAlignment, ColumnConstraint, ContentArrangement, Row, Table, Width, presets,
};
use serde_json::Value;

use super::{
    read::{print_bytes, print_line},
    terminal::Size,
    value::{is_time, read_value},
};
use crate::{error::Result, logging::say};
use printable::{printable, printable_lines};

/// The longest value that is drawn, in characters; a pipe and JSON have it whole.
const LONGEST_VALUE: usize = 60;
/// Text is cut to no less than this, in columns of the terminal. With less room it is left out.
const LEAST_TEXT: usize = 12;
/// Blanks on both sides of a column.
const PADDING: usize = 2;

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
    match (Size::of_output(), rows.is_empty()) {
        (Some(_), true) => print_text_to_reader(nothing),
        (Some(size), false) => print_text_to_reader(&draw_rows(&rows, columns, size.columns)),
        (None, true) => {
            say(nothing);
            Ok(true)
        }
        (None, false) => print_text_to_reader(&tab_separated(&rows, columns)),
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

/// A line each, the columns' names first. What would break a line or a column is written as in the
/// text format of COPY: `\t`, `\n`, `\r` and `\\`; what a terminal would obey as JSON spells it.
fn tab_separated(rows: &[Value], columns: &[&str]) -> String {
    let mut lines = vec![columns.join("\t")];
    for row in rows {
        let values = columns.iter().map(|column| {
            let text = row.get(column).map(|value| read_value(column, value));
            printable(&text.unwrap_or_default().replace('\\', "\\\\")).into_owned()
        });
        lines.push(values.collect::<Vec<_>>().join("\t"));
    }
    lines.join("\n")
}

/// A column as it is drawn.
struct Column<'a> {
    name: &'a str,
    /// A value for each row.
    cells: Vec<String>,
    /// Of the longest cell and the name.
    width: usize,
}

impl<'a> Column<'a> {
    fn of(rows: &[Value], name: &'a str) -> Self {
        let cells: Vec<_> = rows.iter().map(|row| cell(name, row.get(name))).collect();
        let mut table = Table::new();
        table.add_row([name]);
        cells.iter().for_each(|cell| {
            table.add_row([cell]);
        });
        let width = table.column_max_content_widths();
        Self {
            name,
            width: width.first().copied().unwrap_or_default().into(),
            cells,
        }
    }

    fn is_empty(&self) -> bool {
        self.cells.iter().all(String::is_empty)
    }

    fn is_of_numbers(&self) -> bool {
        let mut cells = self.cells.iter().filter(|cell| !cell.is_empty());
        cells.all(|cell| cell.trim_start_matches('~').parse::<f64>().is_ok())
    }

    fn is_long(&self) -> bool {
        self.may_be_cut() && self.width > 2 * LEAST_TEXT
    }

    /// Half a number, or half a time, would be another one.
    fn may_be_cut(&self) -> bool {
        !is_time(self.name) && !self.is_of_numbers()
    }
}

/// The columns that fit into a width, the first ones first: what is empty in every row is left out, text
/// is cut, and what has no room is left out. Two long texts side by side share what is left.
pub(super) fn draw_rows(rows: &[Value], columns: &[&str], width: usize) -> String {
    let columns = columns
        .iter()
        .map(|name| Column::of(rows, name))
        .enumerate();
    let columns = columns.filter(|(index, column)| *index == 0 || !column.is_empty());
    let mut columns = columns.map(|(_, column)| column).peekable();
    let mut left = width;
    let mut drawn: Vec<Column<'_>> = Vec::new();
    while let Some(mut column) = columns.next() {
        let is_first = drawn.is_empty();
        let beside = columns
            .peek()
            .filter(|next| column.may_be_cut() && next.is_long());
        let most = match beside {
            // What the others say is worth as much as a name that is longer than half a line.
            _ if is_first => width / 2,
            Some(next) => left.saturating_sub(next.width + PADDING).max(left / 2),
            None => left,
        };
        let most = most.saturating_sub(PADDING);
        if column.width > most {
            if !is_first && (most < LEAST_TEXT || !column.may_be_cut()) {
                continue;
            }
            column.width = most.max(1);
        }
        left = left.saturating_sub(column.width + PADDING);
        drawn.push(column);
    }
    draw(&drawn, rows.len())
}

fn draw(columns: &[Column<'_>], rows: usize) -> String {
    let mut table = plain_table();
    let one_line = |cells: Vec<&str>| {
        let mut row = Row::from(cells);
        row.max_height(1);
        row
    };
    table.set_header(one_line(columns.iter().map(|column| column.name).collect()));
    for index in 0..rows {
        let cells = columns.iter().map(|column| column.cells[index].as_str());
        table.add_row(one_line(cells.collect()));
    }
    for (drawn, column) in table.column_iter_mut().zip(columns) {
        let width = u16::try_from(column.width + PADDING).unwrap_or(u16::MAX);
        drawn.set_constraint(ColumnConstraint::Absolute(Width::Fixed(width)));
        if column.is_of_numbers() {
            drawn.set_cell_alignment(CellAlignment::Right);
        }
    }
    let lines: Vec<_> = table
        .lines()
        .map(|line| line.trim_end().to_owned())
        .collect();
    lines.join("\n")
}

/// The text in lines no wider than `columns`, broken between words where that is possible.
pub(super) fn wrap(text: &str, columns: usize) -> Vec<String> {
    let lines = cells_of_one(text, columns, usize::MAX);
    lines.map(|line| line.trim_end().to_owned()).collect()
}

/// As much of a line as has room in `columns`.
pub(super) fn cut(line: &str, columns: usize) -> String {
    let mut lines = cells_of_one(line, columns, 1);
    lines.next().unwrap_or_default().trim_end().to_owned()
}

fn cells_of_one(text: &str, columns: usize, most: usize) -> impl Iterator<Item = String> {
    let mut table = plain_table();
    let mut row = Row::from([text]);
    row.max_height(most);
    table.add_row(row);
    let width = u16::try_from(columns.max(1)).unwrap_or(u16::MAX);
    if let Some(column) = table.column_mut(0) {
        column.set_padding((0, 0));
        column.set_constraint(ColumnConstraint::UpperBoundary(Width::Fixed(width)));
    }
    table.lines().collect::<Vec<_>>().into_iter()
}

fn plain_table() -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_truncation_indicator("…");
    table
}

/// The first line of a value, as much of it as is drawn.
fn cell(column: &str, value: Option<&Value>) -> String {
    let text = value
        .map(|value| read_value(column, value))
        .unwrap_or_default();
    let mut lines = text.trim_end().lines();
    let first = printable(lines.next().unwrap_or_default());
    let end = first.char_indices().nth(LONGEST_VALUE);
    match (end, lines.next()) {
        (None, None) => first.into_owned(),
        (Some((end, _)), _) => format!("{}…", &first[..end]),
        (None, Some(_)) => format!("{first}…"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const COLUMNS: [&str; 5] = ["subscriber_id", "state", "lag", "last_error", "position"];

    fn row() -> Value {
        json!({"subscriber_id": "aggregators:home-page", "state": "started", "lag": "~12000",
               "last_error": "duplicate key value violates unique constraint \"a\"\nDETAIL: ä",
               "position": 123_456_789})
    }

    #[test]
    fn a_column_the_database_lacks_is_left_out_and_a_new_one_does_no_harm() {
        let row = json!({"subscriber_id": "a:b", "position": 7, "lag": null, "brand_new": 1});
        let text = draw_rows(
            &[row],
            &["subscriber_id", "position", "lag", "retry_at"],
            80,
        );
        assert_eq!(text, " subscriber_id  position\n a:b                   7");
    }

    #[test]
    fn no_line_is_wider_than_the_terminal_and_the_first_columns_are_there() {
        for width in 1..200 {
            let text = draw_rows(
                &[row(), json!({"subscriber_id": "日本".repeat(80)})],
                &COLUMNS,
                width,
            );
            for line in text.lines() {
                let mut measured = Table::new();
                measured.add_row([line]);
                let columns = usize::from(measured.column_max_content_widths()[0]);
                assert!(columns <= width.max(3), "{width}:\n{text}");
            }
            assert_eq!(text.lines().count(), 3, "{width}:\n{text}");
        }
        assert_eq!(
            draw_rows(&[row()], &COLUMNS, 80),
            " subscriber_id          state       lag  last_error\n \
             aggregators:home-page  started  ~12000  duplicate key value violates unique…"
        );
        let wide = draw_rows(&[row()], &COLUMNS, 120);
        assert!(wide.contains("123456789"), "{wide}");
        let rows = json!({"read_model": "public.balances", "expected": {"account": "1", "amount": 1000},
                          "found": {"account": "1", "amount": 7}});
        assert_eq!(
            draw_rows(&[rows], &["read_model", "expected", "found"], 60),
            " read_model       expected             found\n \
             public.balances  {\"account\":\"1\",\"am…  {\"account\":\"1\",\"amo…"
        );
        // Rather none than half of it.
        let narrow = draw_rows(&[row()], &["subscriber_id", "position"], 20);
        assert!(!narrow.contains("123"), "{narrow}");
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
        let cut = cell("error", Some(&json!(error)));
        assert_eq!(cut.chars().count(), LONGEST_VALUE + 1);
        assert!(cut.ends_with('…'));
        assert_eq!(cell("error", Some(&json!("a\nCONTEXT: b"))), "a…");
    }
}
