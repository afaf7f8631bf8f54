//! A value of the database as people read it: numbers with a decimal or two, times to the second.

use serde_json::{Number, Value};
use time::{OffsetDateTime, UtcOffset, format_description::well_known::Rfc3339};

/// The value on one line, nothing for NULL: `56.07` for 56.068265293001815, and a time in UTC, such as
/// `2026-01-31 12:00:00Z`, where the column's name says that it holds one.
pub(super) fn read_value(column: &str, value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) if is_time(column) => {
            read_time(text).unwrap_or_else(|| text.to_owned())
        }
        Value::String(text) => text.to_owned(),
        Value::Number(number) => read_number(number),
        other => other.to_string(),
    }
}

/// To the second, in UTC.
pub(super) fn print_time(time: OffsetDateTime) -> String {
    let time = time.to_offset(UtcOffset::UTC);
    let (hour, minute, second) = time.to_hms();
    format!("{} {hour:02}:{minute:02}:{second:02}Z", time.date())
}

/// Nothing where it is none, such as `infinity`.
fn read_time(text: &str) -> Option<String> {
    OffsetDateTime::parse(text, &Rfc3339).ok().map(print_time)
}

/// Whether a column of this name holds times.
pub(super) fn is_time(column: &str) -> bool {
    column == "at" || column.ends_with("_at") || column.ends_with("_since")
}

fn read_number(number: &Number) -> String {
    match number.as_f64() {
        Some(float) if number.is_f64() => {
            let text = format!("{float:.2}");
            let text = text.trim_end_matches('0').trim_end_matches('.');
            text.to_owned()
        }
        _ => number.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_number_has_two_decimals_at_most() {
        for (number, text) in [
            (json!(56.068265293001815), "56.07"),
            (json!(1500.0), "1500"),
            (json!(0.5), "0.5"),
            (json!(0.0), "0"),
            (json!(0.001), "0"),
            (json!(9_007_199_254_740_993_i64), "9007199254740993"),
            (json!(null), ""),
        ] {
            assert_eq!(read_value("rate", &number), text);
        }
    }

    #[test]
    fn a_time_is_told_to_the_second_in_utc() {
        let time = json!("2026-01-31T14:00:00.123456+02:00");
        assert_eq!(read_value("retry_at", &time), "2026-01-31 12:00:00Z");
        assert_eq!(read_value("at", &time), "2026-01-31 12:00:00Z");
        assert_eq!(read_value("retry_at", &json!("infinity")), "infinity");
        assert_eq!(read_value("reason", &time), time.as_str().unwrap());
    }
}
