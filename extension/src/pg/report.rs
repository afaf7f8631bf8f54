//! An error as PostgreSQL reports it: SQLSTATE for programs, message for people, detail for values,
//! hint for the repair.

use pgrx::pg_sys::panic::ErrorReport;
use pgrx::{PgLogLevel, PgSqlErrorCode};

/// An error that is not raised yet.
pub struct Report {
    /// For programs.
    pub sqlstate: PgSqlErrorCode,
    /// For people.
    pub message: String,
    detail: Option<String>,
    hint: Option<String>,
}

impl Report {
    /// With neither detail nor hint.
    pub fn new(sqlstate: PgSqlErrorCode, message: impl Into<String>) -> Self {
        Self {
            sqlstate,
            message: message.into(),
            detail: None,
            hint: None,
        }
    }

    /// Adds the values that it is about.
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// Adds what to do.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Its parts beside SQLSTATE and message that are there, by PostgreSQL's names.
    pub fn details(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let parts = [("detail", &self.detail), ("hint", &self.hint)];
        parts
            .into_iter()
            .filter_map(|(name, part)| Some((name, part.as_deref()?)))
    }

    /// Raises it; the statement ends here.
    pub fn raise(self) -> ! {
        self.say(PgLogLevel::ERROR);
        unreachable!("an ERROR report does not return")
    }

    /// Tells the client of it, and the server's log.
    pub fn warn(self) {
        self.say(PgLogLevel::WARNING);
    }

    /// Writes it into the server's log.
    pub fn log(self) {
        self.say(PgLogLevel::LOG);
    }

    fn say(self, level: PgLogLevel) {
        let mut report = ErrorReport::new(self.sqlstate, self.message, "message_store");
        if let Some(detail) = self.detail {
            report = report.set_detail(detail);
        }
        if let Some(hint) = self.hint {
            report = report.set_hint(hint);
        }
        report.report(level);
    }
}
