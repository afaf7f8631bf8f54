//! Numbers and times as people read them.

use std::time::{Duration, SystemTime};

use maud::{Markup, html};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// 1234567 as 1,234,567.
pub fn count(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if number < 0 { format!("-{text}") } else { text }
}

/// The same of things that are counted.
pub fn count_of(number: usize) -> String {
    count(i64::try_from(number).unwrap_or(i64::MAX))
}

/// A rate a second: two digits that matter below ten, whole ones above.
pub fn rate(rate: f64) -> String {
    match rate {
        rate if rate < 0.05 => "0".to_owned(),
        rate if rate < 10.0 => format!("{rate:.1}"),
        #[allow(clippy::cast_possible_truncation, reason = "a rate is for people")]
        rate => count(rate.round() as i64),
    }
}

/// Seconds as 350 ms, 4 s, 3 min 20 s, 2 h 5 min, 3 d 4 h.
pub fn seconds(seconds: f64) -> String {
    if seconds < 1.0 {
        return format!("{:.0} ms", seconds.max(0.0) * 1000.0);
    }
    let whole = Duration::try_from_secs_f64(seconds).map_or(u64::MAX, |time| time.as_secs());
    let parts = |large: u64, small: u64, names: [&str; 2]| {
        let (first, second) = (whole / large, whole % large / small);
        if second == 0 {
            format!("{first} {}", names[0])
        } else {
            format!("{first} {} {second} {}", names[0], names[1])
        }
    };
    match whole {
        0..60 => format!("{whole} s"),
        60..3600 => parts(60, 1, ["min", "s"]),
        3600..86_400 => parts(3600, 60, ["h", "min"]),
        _ => parts(86_400, 3600, ["d", "h"]),
    }
}

/// How long ago.
pub fn ago(then: SystemTime) -> String {
    let age = SystemTime::now().duration_since(then).unwrap_or_default();
    format!("{} ago", seconds(age.as_secs_f64().floor()))
}

/// The database's time without fractions: 2026-01-31 12:00:00+00:00.
pub fn time(text: &str) -> String {
    let (day, rest) = text.split_once('T').unwrap_or((text, ""));
    let zone = rest.rfind(['+', '-', 'Z']).map_or("", |at| &rest[at..]);
    let clock = rest.get(..8).unwrap_or(rest);
    format!("{day} {clock}{zone}").trim_end().to_owned()
}

/// How long ago a time of the database's is, with the exact one for who points at it. A time without a
/// zone is UTC.
pub fn when(text: &str) -> Markup {
    let Some(then) = moment(text) else {
        return html! { (time(text)) };
    };
    let age = (OffsetDateTime::now_utc() - then).as_seconds_f64();
    let exact = time(&text.replacen(' ', "T", 1));
    html! { time datetime=(text.replacen(' ', "T", 1)) title=(exact) { (since(age)) } }
}

/// The time of day, UTC: 14:05, or 14:05:09.
pub fn clock(at: SystemTime, has_seconds: bool) -> String {
    let (hour, minute, second) = OffsetDateTime::from(at).to_hms();
    if has_seconds {
        format!("{hour:02}:{minute:02}:{second:02}")
    } else {
        format!("{hour:02}:{minute:02}")
    }
}

/// A time of the database's as JSON has it, or as `YYYY-MM-DD HH:MI:SS` in UTC.
fn moment(text: &str) -> Option<OffsetDateTime> {
    let zoned = text.replacen(' ', "T", 1);
    OffsetDateTime::parse(&zoned, &Rfc3339)
        .or_else(|_| OffsetDateTime::parse(&format!("{zoned}Z"), &Rfc3339))
        .ok()
}

/// So many seconds ago, or from now, in its largest unit.
fn since(age: f64) -> String {
    let largest = |age: f64| match age {
        age if age < 60.0 => format!("{age:.0} s"),
        age if age < 3600.0 => format!("{:.0} min", (age / 60.0).floor()),
        age if age < 2.0 * 86_400.0 => format!("{:.0} h", (age / 3600.0).floor()),
        age => format!("{:.0} d", (age / 86_400.0).floor()),
    };
    match age.round() {
        age if age < 0.0 => format!("in {}", largest(-age)),
        age => format!("{} ago", largest(age)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        assert_eq!(count(0), "0");
        assert_eq!(count(999), "999");
        assert_eq!(count(1000), "1,000");
        assert_eq!(count(-1_234_567), "-1,234,567");
        assert_eq!(count(i64::MIN), "-9,223,372,036,854,775,808");
        assert_eq!([rate(0.0), rate(1.26), rate(1234.5)], ["0", "1.3", "1,235"]);
    }

    #[test]
    fn times_are_two_words() {
        assert_eq!(seconds(0.35), "350 ms");
        assert_eq!(seconds(59.9), "59 s");
        assert_eq!(seconds(200.0), "3 min 20 s");
        assert_eq!(seconds(7200.0), "2 h");
        assert_eq!(seconds(270_000.0), "3 d 3 h");
        assert!(seconds(f64::INFINITY).ends_with(" h"));
        assert_eq!(
            time("2026-01-31T12:00:05.123456+00:00"),
            "2026-01-31 12:00:05+00:00"
        );
        assert_eq!(time("strange"), "strange");
    }

    #[test]
    fn a_time_says_how_long_ago_and_keeps_the_exact_one() {
        let old = when("2020-01-31T12:00:05.123456+00:00").into_string();
        assert!(old.contains("title=\"2020-01-31 12:00:05+00:00\""), "{old}");
        assert!(old.contains(" d ago"), "{old}");
        assert!(
            when("2020-01-31 12:00:05.123")
                .into_string()
                .contains(" d ago")
        );
        assert_eq!(when("strange").into_string(), "strange");
        let said = [0.2, 59.0, 60.0, 7199.0, 90_000.0, 200_000.0, -61.0].map(since);
        let expected = [
            "0 s ago",
            "59 s ago",
            "1 min ago",
            "1 h ago",
            "25 h ago",
            "2 d ago",
            "in 1 min",
        ];
        assert_eq!(said, expected);
    }
}
