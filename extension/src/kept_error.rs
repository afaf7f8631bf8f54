//! An error, as it is kept with what failed. A handler chooses its words, and everybody who looks is
//! shown them: so each part has a bound.

use crate::pg::failure::{Failure, sqlstate_text};
use crate::pg::jsonb::Jsonb;
use crate::pg::parameter::{self, Parameter};
use crate::pg::report::Report;
use crate::pg::text::Text;
use pgrx::PgSqlErrorCode;
use serde_json::{Map, Value};

/// Bytes of the message that are kept.
const MESSAGE_KEPT: usize = 8 << 10;
/// Bytes of each other part that are kept.
const PART_KEPT: usize = 2 << 10;

/// What went wrong.
#[derive(Clone, Debug)]
pub struct KeptError {
    /// Five characters.
    pub sqlstate: String,
    /// The primary message.
    pub message: String,
    /// Its other parts, those that it has: `detail`, `hint`, `context`, `schema`, `table`, `column`,
    /// `datatype`, `constraint`.
    details: Map<String, Value>,
}

impl KeptError {
    /// One that has no other parts.
    pub fn new(sqlstate: &str, message: &str) -> Self {
        Self {
            sqlstate: sqlstate.to_owned(),
            message: cut(message.to_owned(), MESSAGE_KEPT),
            details: Map::new(),
        }
    }

    /// One that was caught.
    pub fn of<E>(failure: &Failure<E>) -> Self {
        let details = failure.details.iter();
        Self {
            details: cut_all(details.map(|(name, part)| (*name, part.as_str()))),
            ..Self::new(&failure.sqlstate, &failure.message)
        }
    }

    /// One of ours.
    pub fn of_report(report: &Report) -> Self {
        Self {
            details: cut_all(report.details()),
            ..Self::new(&sqlstate_text(report.sqlstate), &report.message)
        }
    }

    /// One that was stored.
    pub fn stored(sqlstate: String, message: String, details: Option<Jsonb<'_>>) -> Self {
        let details = details.map(|details| details.to_text());
        let details = details.and_then(|details| serde_json::from_str(&details.to_str()).ok());
        Self {
            sqlstate,
            message,
            details: details.unwrap_or_default(),
        }
    }

    /// The same with a hint, where it has none.
    pub fn or_hint(mut self, hint: impl FnOnce() -> String) -> Self {
        let entry = self.details.entry("hint");
        entry.or_insert_with(|| cut(hint(), PART_KEPT).into());
        self
    }

    /// SQLSTATE, message and other parts: a `varchar`, a `text` and a `jsonb`.
    pub fn parameters(&self) -> [Parameter; 3] {
        [
            parameter::text(&self.sqlstate),
            parameter::text(&self.message),
            (!self.details.is_empty()).then(|| {
                let json = Value::Object(self.details.clone()).to_string();
                Jsonb::parse(&Text::copied(json.as_bytes())).datum()
            }),
        ]
    }

    /// One of its other parts.
    fn part(&self, name: &str) -> Option<&str> {
        self.details.get(name)?.as_str()
    }

    /// What the error had as DETAIL and HINT, on a line each.
    pub fn detail_and_hint(&self) -> Option<String> {
        let detail = self.part("detail").map(str::to_owned);
        let hint = self.part("hint").map(|hint| format!("Hint: {hint}"));
        let lines: Vec<_> = detail.into_iter().chain(hint).collect();
        (!lines.is_empty()).then(|| lines.join("\n"))
    }

    /// A report about it, which says so and has its DETAIL and HINT.
    pub fn report(&self, sqlstate: PgSqlErrorCode, message: String) -> Report {
        let report = Report::new(sqlstate, message);
        match self.detail_and_hint() {
            Some(detail) => report.detail(detail),
            None => report,
        }
    }

    /// Message, DETAIL and HINT: what is kept where there is room for one text.
    pub fn to_text(&self) -> String {
        match self.detail_and_hint() {
            Some(more) => format!("{}\n{more}", self.message),
            None => self.message.clone(),
        }
    }
}

fn cut_all<'a>(parts: impl Iterator<Item = (&'static str, &'a str)>) -> Map<String, Value> {
    parts
        .map(|(name, part)| (name.to_owned(), cut(part.to_owned(), PART_KEPT).into()))
        .collect()
}

fn cut(mut text: String, kept: usize) -> String {
    if text.len() > kept {
        text.truncate(text.floor_char_boundary(kept));
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_that_is_too_long_is_cut_between_two_characters() {
        assert_eq!(cut("abc".to_owned(), 3), "abc");
        assert_eq!(cut("aéé".to_owned(), 4), "aé…");
        let error = KeptError::new("P0001", &"é".repeat(MESSAGE_KEPT));
        assert_eq!(error.message.len(), MESSAGE_KEPT + "…".len());
    }

    #[test]
    fn the_parts_that_an_error_has_are_kept_under_their_names() {
        let parts = [
            ("detail", "Key (email)=(a) already exists."),
            ("constraint", "\"u\""),
        ];
        let error = KeptError {
            details: cut_all(parts.into_iter()),
            ..KeptError::new("23505", "twice")
        };
        assert_eq!(error.part("constraint"), Some("\"u\""));
        assert_eq!(error.part("table"), None);
        assert_eq!(error.to_text(), "twice\nKey (email)=(a) already exists.");
    }
    #[test]
    fn a_hint_is_added_where_there_is_none() {
        let error = KeptError::new("42P01", "no table").or_hint(|| "look".to_owned());
        assert_eq!(error.part("hint"), Some("look"));
        let again = error.or_hint(|| "elsewhere".to_owned());
        assert_eq!(again.part("hint"), Some("look"));
    }
}
