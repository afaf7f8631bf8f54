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

    /// Raises it; the statement ends here.
    pub fn raise(self) -> ! {
        let mut report = ErrorReport::new(self.sqlstate, self.message, "message_store");
        if let Some(detail) = self.detail {
            report = report.set_detail(detail);
        }
        if let Some(hint) = self.hint {
            report = report.set_hint(hint);
        }
        report.report(PgLogLevel::ERROR);
        unreachable!("an ERROR report does not return")
    }
}
