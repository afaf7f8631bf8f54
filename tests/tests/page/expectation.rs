//! Whether something was printed as a page shows it.
//!
//! How wide a table is drawn does not count: runs of blanks, and of dashes, are as good as one, and
//! so is a tab, which a program prints in a pipe.
//! Blank lines do not count either.

/// What a page writes for what differs from time to time.
const ANYTHING: char = '…';

/// Fails with both where they differ.
pub fn check(place: &str, shown: &str, printed: &str) {
    let (wanted, found) = (lines(shown), lines(printed));
    assert!(
        lines_match(&wanted, &found),
        "{place} shows\n{shown}\n\nbut this is printed\n{printed}\n"
    );
}

fn lines(text: &str) -> Vec<String> {
    let lines = text.lines().map(plain);
    lines.filter(|line| !line.is_empty()).collect()
}

fn plain(line: &str) -> String {
    let mut plain = String::new();
    for character in line.trim().replace('\t', " ").chars() {
        let is_run = matches!(character, ' ' | '-') && plain.ends_with(character);
        if !is_run {
            plain.push(character);
        }
    }
    plain
}

fn lines_match(wanted: &[String], found: &[String]) -> bool {
    let Some((first, rest)) = wanted.split_first() else {
        return found.is_empty();
    };
    if first.chars().eq([ANYTHING]) {
        return (0..=found.len()).any(|skipped| lines_match(rest, &found[skipped..]));
    }
    let Some((line, others)) = found.split_first() else {
        return false;
    };
    line_matches(first, line) && lines_match(rest, others)
}

fn line_matches(wanted: &str, found: &str) -> bool {
    let Some((before, after)) = wanted.split_once(ANYTHING) else {
        return wanted == found;
    };
    // What differs may be nothing at all, in a table too.
    let (before, after) = (before.trim_end(), after.trim_start());
    let Some(mut left) = found.strip_prefix(before) else {
        return false;
    };
    loop {
        if line_matches(after, left) {
            return true;
        }
        let mut characters = left.chars();
        if characters.next().is_none() {
            return false;
        }
        left = characters.as_str();
    }
}

#[test]
fn only_what_a_page_leaves_open_may_differ() {
    let is_as_shown = |shown: &str, printed: &str| lines_match(&lines(shown), &lines(printed));
    assert!(is_as_shown(
        " a | b\n---+---\n 1 | …",
        "  a  |  b\n-----+----\n  1  | 2 3\n\n"
    ));
    assert!(is_as_shown("a\n…\nz", "a\nb\nc\nz"));
    assert!(is_as_shown("a\n…\nz", "a\nz"));
    assert!(!is_as_shown("a\n…\nz", "a\nb"));
    assert!(is_as_shown("1  …  2", "1  2"));
    assert!(is_as_shown(" 1  2  3", "1\t2\t\t3"));
    assert!(!is_as_shown("1 | …", "2 | 3"));
    assert!(!is_as_shown("a …c", "a b"));
    assert!(!is_as_shown("a", "a\nb"));
    assert!(!is_as_shown("a\nb", "a"));
}
