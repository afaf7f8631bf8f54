//! A question before something that cannot be taken back, for people only.

use std::io::{BufRead, IsTerminal, Write, stderr, stdin};

use crate::error::{Error, Result};
use printable::printable;

/// Asks on the terminal whether to go on. Where there is none nobody can answer, and who wrote the
/// command is taken at his word.
///
/// # Errors
/// [`Error::Interrupted`] for any answer but yes.
pub(super) fn confirm(what: &str) -> Result<()> {
    if !(stdin().is_terminal() && stderr().is_terminal()) {
        return Ok(());
    }
    let mut terminal = stderr();
    write!(terminal, "{}. Go on? [y/N] ", printable(what))
        .and_then(|()| terminal.flush())
        .map_err(Error::io("ask on the terminal"))?;
    let mut answer = String::new();
    stdin()
        .lock()
        .read_line(&mut answer)
        .map_err(Error::io("read the answer"))?;
    match answer.trim().to_ascii_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(Error::Interrupted {
            state: "nothing was done".to_owned(),
        }),
    }
}
