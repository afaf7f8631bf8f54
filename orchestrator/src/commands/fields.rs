//! All there is to know of one thing: a line for each name and value, those that belong together in a
//! group.

use serde_json::Value;

use super::{
    table::{print_text, wrap},
    terminal::Size,
    value::read_value,
};
use crate::error::Result;
use message_store_client::pretty::pretty;
use printable::printable;

/// Values begin in this column, unless a name is longer.
const NAMES: usize = 20;
/// Values are broken into lines no narrower than this.
const NARROWEST: usize = 20;
/// How much is printed of JSON that is laid out for people, in bytes: 1 MiB.
const MOST_JSON: usize = 1 << 20;

/// Groups of names and values.
#[derive(Default)]
pub(super) struct Fields {
    groups: Vec<Vec<(String, String)>>,
}

impl Fields {
    /// What follows belongs together.
    pub(super) fn begin_group(&mut self) {
        self.groups.push(Vec::new());
    }

    /// Adds a text of one or several lines; nothing where it is empty.
    pub(super) fn add(&mut self, name: &str, text: &str) {
        let text = text.trim_end();
        if let (Some(group), false) = (self.groups.last_mut(), text.is_empty()) {
            group.push((name.to_owned(), text.to_owned()));
        }
    }

    /// Adds JSON as it is stored, laid out for people.
    pub(super) fn add_json(&mut self, name: &str, json: &str) {
        self.add(name, &pretty(json, MOST_JSON));
    }

    /// Adds a column of a row; nothing where it is NULL or not there.
    pub(super) fn add_column(&mut self, column: &str, value: Option<&Value>) {
        self.add_named(column, column, value);
    }

    /// The same under another name.
    pub(super) fn add_named(&mut self, name: &str, column: &str, value: Option<&Value>) {
        match value {
            None => {}
            Some(json @ (Value::Object(_) | Value::Array(_))) => {
                self.add(name, &format!("{json:#}"));
            }
            Some(value) => self.add(name, &read_value(column, value)),
        }
    }

    /// Adds a group of the columns of a row, in this order.
    pub(super) fn add_columns(&mut self, row: &Value, columns: &[&str]) {
        self.begin_group();
        for column in columns {
            self.add_column(column, row.get(column));
        }
    }

    /// Adds the parts of an error, those that it has.
    pub(super) fn add_error_details(&mut self, details: &Value) {
        for (name, part) in details.as_object().into_iter().flatten() {
            self.add_column(name, Some(part));
        }
    }

    /// Adds a group of those columns of a row that are in none of the lists: a newer database has more.
    pub(super) fn add_others(&mut self, row: &Value, known: &[&[&str]]) {
        self.begin_group();
        for (name, value) in row.as_object().into_iter().flatten() {
            if !known.iter().any(|columns| columns.contains(&name.as_str())) {
                self.add_column(name, Some(value));
            }
        }
    }

    /// Prints them: no wider than a terminal, or as they are into a pipe.
    ///
    /// # Errors
    /// [`Error::Io`](crate::error::Error::Io).
    pub(super) fn print(&self) -> Result<()> {
        let columns = Size::of_output().map(|size| size.columns);
        print_text(&self.text(columns))
    }

    /// The lines, no wider than so many columns.
    pub(super) fn text(&self, columns: Option<usize>) -> String {
        let groups = self.groups.iter().filter(|group| !group.is_empty());
        let groups = groups.map(|group| {
            let fields = group.iter();
            let lines = fields.flat_map(|(name, text)| field(name, text, columns));
            lines.collect::<Vec<_>>().join("\n")
        });
        groups.collect::<Vec<_>>().join("\n\n")
    }
}

/// The name, and beside it the lines of the text.
fn field(name: &str, text: &str, columns: Option<usize>) -> Vec<String> {
    let lines = text.lines().map(printable).flat_map(|line| match columns {
        Some(columns) => wrap(&line, columns.saturating_sub(NAMES + 1).max(NARROWEST)),
        None => vec![line.into_owned()],
    });
    let beside = |(index, line): (usize, String)| {
        let name = if index == 0 { name } else { "" };
        format!("{name:NAMES$} {line}").trim_end().to_owned()
    };
    lines.enumerate().map(beside).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_known_comes_in_its_order_and_what_is_new_at_the_end() {
        let row = json!({"brand_new": 1, "lag": 7, "last_error": null, "state": "started",
                         "handlers": {"T": "f"}});
        let mut fields = Fields::default();
        let known: [&[&str]; 3] = [&["state", "lag"], &["last_error"], &["handlers"]];
        for columns in known {
            fields.add_columns(&row, columns);
        }
        fields.add_others(&row, &known);
        let text = "state                started\nlag                  7\n\n\
                    handlers             {\n                       \"T\": \"f\"\n                     }\
                    \n\nbrand_new            1";
        assert_eq!(fields.text(None), text);
        assert_eq!(fields.text(Some(80)), text);
    }

    #[test]
    fn a_long_value_is_broken_on_a_terminal_only() {
        let mut fields = Fields::default();
        fields.begin_group();
        fields.add(
            "error",
            &format!("{}\u{1b}\nDETAIL: it", "word ".repeat(40)),
        );
        assert_eq!(fields.text(None).lines().count(), 2);
        let text = fields.text(Some(80));
        assert!(text.lines().all(|line| line.len() <= 80), "{text}");
        assert!(text.contains("\n                     DETAIL: it"), "{text}");
        assert!(text.contains("\\u001b"), "{text}");
    }
}
