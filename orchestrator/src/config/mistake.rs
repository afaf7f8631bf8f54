//! What is wrong with a file, with the key that was probably meant.

/// How alike two names must be for one to be meant by the other, of 1.
const ALIKE: f64 = 0.7;

/// One line: the place, the parser's words, and for an unknown key the nearest one there is. The
/// line itself is not shown: it may hold a secret.
pub(super) fn told(error: toml::de::Error) -> String {
    let shown = error.to_string();
    let place = shown
        .lines()
        .next()
        .and_then(|line| line.strip_prefix("TOML parse error at "));
    let text = match place {
        Some(place) => match key_of_line(&shown) {
            Some(key) => format!("{place}, {key}: {}", error.message()),
            None => format!("{place}: {}", error.message()),
        },
        None => shown,
    };
    let text = without_passwords(&text.trim_end().replace('\n', "; "));
    match nearest(error.message()) {
        Some(name) => format!("{text}; did you mean `{name}`?"),
        None => text,
    }
}

/// The parser's third line is that of the file, behind its number.
fn key_of_line(shown: &str) -> Option<&str> {
    let (_, line) = shown.lines().nth(2)?.split_once("| ")?;
    let (key, _) = line.split_once('=')?;
    let is_bare = |key: &str| {
        let mut letters = key.chars();
        letters.all(|letter| letter.is_ascii_alphanumeric() || "_-.".contains(letter))
    };
    Some(key.trim()).filter(|key| !key.is_empty() && is_bare(key))
}

/// The parser repeats a value that stands where another belongs, such as an address.
fn without_passwords(text: &str) -> String {
    const WORD: &str = "password=";
    let text = match text.split_once(WORD) {
        Some((before, after)) => {
            let end = after.find([' ', '"', '`']).unwrap_or(after.len());
            &format!("{before}{WORD}...{}", &after[end..])
        }
        None => text,
    };
    let mut shown = String::new();
    let mut rest = text;
    while let Some(scheme) = rest.find("://") {
        let (before, address) = rest.split_at(scheme + 3);
        shown.push_str(before);
        let end = address.find(['/', '\n']).unwrap_or(address.len());
        let (authority, after) = address.split_at(end);
        match authority.rsplit_once('@') {
            Some((user, host)) => {
                let name = user.split(':').next().unwrap_or_default();
                shown.push_str(&format!("{name}:...@{host}"));
            }
            None => shown.push_str(authority),
        }
        rest = after;
    }
    shown.push_str(rest);
    shown
}

/// Of a message that names an unknown word first and then each that is known, all in backticks.
fn nearest(message: &str) -> Option<&str> {
    if !message.starts_with("unknown ") {
        return None;
    }
    let mut names = message.split('`').skip(1).step_by(2);
    let unknown = names.next()?;
    names
        .map(|name| (strsim::jaro_winkler(unknown, name), name))
        .filter(|(alike, _)| *alike >= ALIKE)
        .max_by(|one, other| one.0.total_cmp(&other.0))
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    #[test]
    fn an_unknown_key_is_told_the_nearest_one_and_its_place() {
        for (text, key) in [
            ("[database]\npoolsize = 3", "`pool_size`"),
            ("[databse]", "`database`"),
            ("[[aggregator]]", "`aggregators`"),
            ("[[services]]\nsubscriberid = 'a'", "`subscriber_id`"),
            ("[log]\nformat = 'jsno'", "`json`"),
        ] {
            let problem = Config::parse(text).unwrap_err();
            let meant = format!("did you mean {key}?");
            assert!(problem.contains(&meant), "{text}: {problem}");
            assert!(problem.starts_with("line "), "{text}: {problem}");
            assert!(problem.contains(", column "), "{text}: {problem}");
            assert_eq!(problem.lines().count(), 1, "{text}: {problem}");
        }
    }

    #[test]
    fn a_password_is_not_shown_whatever_is_wrong_with_its_line() {
        for address in [
            "postgresql://anna:geheim@host:5432/db",
            "host=db password=geheim user=anna",
        ] {
            for text in [
                format!("[database]\nurl = '{address}' oops"),
                format!("database = '{address}'"),
                format!("[database]\npool_size = '{address}'"),
            ] {
                let problem = Config::parse(&text).unwrap_err();
                assert!(!problem.contains("geheim"), "{problem}");
            }
        }
    }

    #[test]
    fn a_word_that_is_like_none_gets_no_advice() {
        let problem = Config::parse("[database]\nxyzzy = 3").unwrap_err();
        assert!(
            problem.contains("xyzzy") && !problem.contains("did you mean"),
            "{problem}"
        );
    }
}
