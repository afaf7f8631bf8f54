//! Numbers and times as people read them.

use std::time::{Duration, SystemTime};

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
}
