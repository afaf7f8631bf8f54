//! The terminal that people read: its size, and the screen that is theirs again when we end.

use std::{
    env,
    io::{self, IsTerminal, Write, stdout},
};

use crossterm::{
    cursor::{Hide, MoveTo, Show},
    queue,
    terminal::{Clear, ClearType, EnterAlternateScreen, LeaveAlternateScreen},
};
use terminal_size::terminal_size_of;

use crate::error::{Error, Result};

/// What is taken where nobody says how large the terminal is.
const USUAL: Size = Size {
    columns: 80,
    lines: 24,
};

/// How much a terminal shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) columns: usize,
    pub(super) lines: usize,
}

impl Size {
    /// That of the terminal that standard output is: `COLUMNS` and `LINES` if they are set, else what
    /// the terminal says. None where it is a pipe or a file.
    pub(super) fn of_output() -> Option<Self> {
        stdout().is_terminal().then(|| {
            let said = terminal_size_of(stdout());
            let columns = said.map(|(columns, _)| columns.0.into());
            let lines = said.map(|(_, lines)| lines.0.into());
            Self {
                columns: set_to("COLUMNS").or(columns).unwrap_or(USUAL.columns),
                lines: set_to("LINES").or(lines).unwrap_or(USUAL.lines),
            }
        })
    }
}

fn set_to(variable: &str) -> Option<usize> {
    let text = env::var(variable).ok()?;
    text.parse().ok().filter(|number| *number > 0)
}

/// The alternate screen. What stood on the terminal stands there again when this is dropped.
pub(super) struct Screen(());

impl Screen {
    /// # Errors
    /// [`Error::Io`].
    pub(super) fn enter() -> Result<Self> {
        let mut terminal = stdout();
        let entered = queue!(terminal, EnterAlternateScreen, Hide).and_then(|()| terminal.flush());
        entered.map_err(Error::io("write to standard output"))?;
        Ok(Self(()))
    }

    /// Puts lines in the place of what the screen shows. No line may be wider than the screen, and
    /// there may be no more than it has.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub(super) fn show(&self, lines: &[String]) -> Result<()> {
        let draw = || -> io::Result<()> {
            let mut terminal = stdout();
            queue!(terminal, Clear(ClearType::All), MoveTo(0, 0))?;
            terminal.write_all(lines.join("\r\n").as_bytes())?;
            terminal.flush()
        };
        draw().map_err(Error::io("write to standard output"))
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        leave_screen();
    }
}

/// Gives the terminal back. A terminal that is gone has nothing to be given back.
pub(super) fn leave_screen() {
    let mut terminal = stdout();
    let _ = queue!(terminal, Show, LeaveAlternateScreen).and_then(|()| terminal.flush());
}
