//! How many there are, as people read it.

use indicatif::HumanCount;

/// `1 message`, `2,500 messages`: what is counted is named in the singular, and has a plural in s.
pub fn count_of(number: u64, what: &str) -> String {
    match number {
        1 => format!("1 {what}"),
        number => format!("{} {what}s", HumanCount(number)),
    }
}

#[cfg(test)]
mod tests {
    use super::count_of;

    #[test]
    fn one_is_one() {
        assert_eq!(count_of(0, "message"), "0 messages");
        assert_eq!(count_of(1, "message"), "1 message");
        assert_eq!(count_of(2_500, "message"), "2,500 messages");
    }
}
