//! The parts of an error beside its SQLSTATE and its message.

use serde::Deserialize;
use serde_json::Value;

/// What an error said besides; those that are there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct ErrorDetails {
    /// PostgreSQL's DETAIL: the values that it is about.
    pub detail: Option<String>,
    /// PostgreSQL's HINT: what to do.
    pub hint: Option<String>,
    /// PostgreSQL's CONTEXT: where it happened.
    pub context: Option<String>,
    /// The schema of the table, type or constraint.
    pub schema: Option<String>,
    /// The table.
    pub table: Option<String>,
    /// The column.
    pub column: Option<String>,
    /// The type.
    pub datatype: Option<String>,
    /// The constraint.
    pub constraint: Option<String>,
}

impl ErrorDetails {
    /// From a column `error_details`; nothing where it is NULL.
    pub(super) fn of(column: Option<Value>) -> Self {
        column
            .and_then(|column| serde_json::from_value(column).ok())
            .unwrap_or_default()
    }

    /// The parts that are there, each with its name, those that help first.
    pub fn parts(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let parts = [
            ("detail", &self.detail),
            ("hint", &self.hint),
            ("constraint", &self.constraint),
            ("schema", &self.schema),
            ("table", &self.table),
            ("column", &self.column),
            ("datatype", &self.datatype),
            ("context", &self.context),
        ];
        parts
            .into_iter()
            .filter_map(|(name, part)| Some((name, part.as_deref()?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_parts_that_are_there_come_with_their_names() {
        let column = json!({"constraint": "u", "detail": "Key (a)=(1) already exists."});
        let details = ErrorDetails::of(Some(column));
        let parts: Vec<_> = details.parts().collect();
        let expected = [
            ("detail", "Key (a)=(1) already exists."),
            ("constraint", "u"),
        ];
        assert_eq!(parts, expected);
        assert_eq!(ErrorDetails::of(None), ErrorDetails::default());
    }
}
