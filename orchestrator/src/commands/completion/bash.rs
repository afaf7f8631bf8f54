//! bash, for which a `:` ends a word, and which replaces only what stands behind the last one.

use std::{
    env,
    ffi::OsString,
    io::{Error, Write},
    path::Path,
};

use clap::Command;
use clap_complete::{engine::complete, env::EnvCompleter};

/// The line up to the cursor, as [`SCRIPT`] gives it.
const LINE: &str = "_ORCHESTRATOR_LINE";
/// The letters that end a word for bash, as [`SCRIPT`] gives them.
const BREAKS: &str = "_ORCHESTRATOR_BREAKS";

/// `-o nosort` needs bash 4.4.
const SCRIPT: &str = r#"_complete_NAME() {
    local IFS=$'\n'
    COMPREPLY=( $(
        VAR=bash _ORCHESTRATOR_LINE="${COMP_LINE:0:COMP_POINT}" \
        _ORCHESTRATOR_BREAKS="$COMP_WORDBREAKS" COMPLETER -- "${COMP_WORDS[@]}" 2> /dev/null
    ) )
    if [[ "${COMPREPLY-}" =~ [=/:]$ ]]; then
        compopt -o nospace
    fi
}
complete -o bashdefault -o nosort -F _complete_NAME BIN 2> /dev/null ||
    complete -o bashdefault -F _complete_NAME BIN"#;

/// Completes in bash.
pub(super) struct Bash;

impl EnvCompleter for Bash {
    fn name(&self) -> &'static str {
        "bash"
    }

    fn is(&self, name: &str) -> bool {
        name == self.name()
    }

    fn write_registration(
        &self,
        var: &str,
        name: &str,
        bin: &str,
        completer: &str,
        output: &mut dyn Write,
    ) -> Result<(), Error> {
        let completer = shlex::try_quote(completer).map_err(Error::other)?;
        let script = SCRIPT
            .replace("NAME", &name.replace('-', "_"))
            .replace("BIN", bin)
            .replace("VAR", var)
            .replace("COMPLETER", &completer);
        writeln!(output, "{script}")
    }

    fn write_complete(
        &self,
        command: &mut Command,
        _words: Vec<OsString>,
        folder: Option<&Path>,
        output: &mut dyn Write,
    ) -> Result<(), Error> {
        let Some(words) = typed_words() else {
            return Ok(());
        };
        let last = words.len() - 1;
        let word = words[last].to_string_lossy().into_owned();
        let breaks = env::var(BREAKS).unwrap_or_default();
        for candidate in complete(command, words, last, folder)? {
            let value = candidate.get_value().to_string_lossy();
            writeln!(output, "{}", behind_break(&word, &value, &breaks))?;
        }
        Ok(())
    }
}

/// The words of the line, the last one is typed at; none where bash does not ask, or within quotes.
pub(super) fn typed_words() -> Option<Vec<OsString>> {
    words_of(&env::var(LINE).ok()?)
}

fn words_of(line: &str) -> Option<Vec<OsString>> {
    let mut words: Vec<OsString> = shlex::split(line)?.into_iter().map(Into::into).collect();
    if line.ends_with(char::is_whitespace) || words.is_empty() {
        words.push(OsString::new());
    }
    Some(words)
}

/// The part of a proposal that takes the place of what bash takes for the word.
fn behind_break<'a>(word: &str, proposal: &'a str, breaks: &str) -> &'a str {
    let kept = word
        .rfind([':', '='])
        .filter(|at| breaks.contains(&word[*at..=*at]));
    match kept {
        Some(at) if proposal.starts_with(&word[..=at]) => &proposal[at + 1..],
        _ => proposal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_with_a_colon_is_one() {
        let words = |line| words_of(line).map(|words| words.join(std::ffi::OsStr::new("|")));
        let typed = "o show --reason 'a b' aggregators:ho";
        assert_eq!(words(typed).unwrap(), "o|show|--reason|a b|aggregators:ho");
        assert_eq!(words("o show ").unwrap(), "o|show|");
        assert_eq!(words("o show 'a"), None);
    }

    #[test]
    fn what_stands_before_the_colon_stays() {
        assert_eq!(behind_break("a:b", "a:bc", " :="), "bc");
        assert_eq!(behind_break("a:b", "a:bc", " ="), "a:bc");
        assert_eq!(behind_break("a", "a:bc", " :="), "a:bc");
    }
}
