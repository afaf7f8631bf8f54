//! What is wrong with a file, with the key that was probably meant.

/// How alike two names must be for one to be meant by the other, of 1.
const ALIKE: f64 = 0.7;

/// The parser's words, which show the place; an unknown key with the nearest one there is.
pub(super) fn told(error: toml::de::Error) -> String {
    let text = without_passwords(error.to_string().trim_end());
    match nearest(error.message()) {
        Some(name) => format!("{text}; did you mean `{name}`?"),
        None => text,
    }
}

/// The parser shows the line, and a line may hold an address with a password.
fn without_passwords(text: &str) -> String {
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
            assert!(problem.contains("at line "), "{text}: {problem}");
        }
    }

    #[test]
    fn a_password_on_the_line_is_not_shown() {
        let text = "[database]\nurl = 'postgresql://anna:geheim@host:5432/db' oops";
        let problem = Config::parse(text).unwrap_err();
        assert!(!problem.contains("geheim"), "{problem}");
        assert!(problem.contains("anna:...@host:5432/db"), "{problem}");
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
