//! NULL in Message DB's messages and notices.

use std::fmt::Display;

/// How Message DB's `%` prints a value: NULL as `<NULL>`.
pub fn or_null<T: Display>(value: Option<T>) -> String {
    value.map_or_else(|| "<NULL>".to_owned(), |value| value.to_string())
}
