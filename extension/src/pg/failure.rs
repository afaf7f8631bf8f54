//! An error that was caught: what it says, and how to let it go on.

use super::guard;
use super::report::Report;
use super::time_limit;
use pgrx::PgSqlErrorCode;
use pgrx::pg_sys;
use pgrx::pg_sys::panic::{CaughtError, ErrorReportWithLevel};
use std::any::Any;
use std::ffi::CStr;
use std::panic::resume_unwind;

/// What went wrong inside something that was attempted: an error of PostgreSQL's, or an `E` that the
/// work returned.
pub struct Failure<E> {
    /// Five characters.
    pub sqlstate: String,
    /// The primary message.
    pub message: String,
    /// The parts beside these that it has, by the names that PostgreSQL gives them.
    pub details: Vec<(&'static str, String)>,
    /// The untranslated message, empty where it is not PostgreSQL's own.
    message_id: String,
    origin: Origin<E>,
}

enum Origin<E> {
    Returned(E),
    Raised(Box<dyn Any + Send>),
}

impl<E> Failure<E> {
    /// An error that was returned and not raised.
    pub fn returned(error: E) -> Self
    where
        for<'e> &'e E: Into<Report>,
    {
        let report: Report = (&error).into();
        Self {
            sqlstate: sqlstate_text(report.sqlstate),
            details: report
                .details()
                .map(|(name, part)| (name, part.to_owned()))
                .collect(),
            message: report.message,
            message_id: String::new(),
            origin: Origin::Returned(error),
        }
    }

    /// The payload of an unwinding panic: an SQL error that was raised, or a bug.
    pub(super) fn raised(payload: Box<dyn Any + Send>) -> Self {
        let caught = payload.downcast_ref::<CaughtError>();
        if let Some(whole) = caught.and_then(guard::copy_of) {
            // SAFETY: a copy of a complete report, whose strings end in NUL or are null.
            return unsafe { Self::copied(whole, payload) };
        }
        let report = match caught {
            Some(
                CaughtError::PostgresError(report)
                | CaughtError::ErrorReport(report)
                | CaughtError::RustPanic {
                    ereport: report, ..
                },
            ) => Some(report),
            None => payload.downcast_ref::<ErrorReportWithLevel>(),
        };
        let (sqlstate, message) = match report {
            Some(report) => (
                sqlstate_text(report.sql_error_code()),
                report.message().to_owned(),
            ),
            None => ("XX000".to_owned(), "internal error".to_owned()),
        };
        Self {
            sqlstate,
            message,
            details: Vec::new(),
            message_id: String::new(),
            origin: Origin::Raised(payload),
        }
    }

    /// # Safety
    /// `whole` must be a complete report.
    unsafe fn copied(whole: *mut pg_sys::ErrorData, payload: Box<dyn Any + Send>) -> Self {
        let text = |pointer: *const std::ffi::c_char| {
            // SAFETY: the caller's.
            let words = unsafe { guard::text(pointer) }.unwrap_or_default();
            words.to_string_lossy().into_owned()
        };
        // SAFETY: the caller's.
        let whole = unsafe { &*whole };
        let parts = [
            ("detail", whole.detail),
            ("hint", whole.hint),
            ("context", whole.context),
            ("schema", whole.schema_name),
            ("table", whole.table_name),
            ("column", whole.column_name),
            ("datatype", whole.datatype_name),
            ("constraint", whole.constraint_name),
        ];
        Self {
            sqlstate: unpacked(whole.sqlerrcode),
            message: text(whole.message),
            details: parts
                .into_iter()
                .map(|(name, part)| (name, text(part)))
                .filter(|(_, part)| !part.trim().is_empty())
                .collect(),
            message_id: text(whole.message_id),
            origin: Origin::Raised(payload),
        }
    }

    /// Whether a person cancelled the statement; `statement_timeout` has the same SQLSTATE.
    pub fn is_cancel(&self) -> bool {
        self.sqlstate == "57014" && self.message_id == "canceling statement due to user request"
    }

    /// Whether it is the limit of the session's own statement that was reached.
    pub fn is_timeout_of_session(&self) -> bool {
        self.sqlstate == "57014"
            && self.message_id == "canceling statement due to statement timeout"
            && time_limit::is_reached()
    }

    /// Lets the error go on as if it had not been caught.
    pub fn go_on(self) -> E {
        match self.origin {
            Origin::Returned(error) => error,
            Origin::Raised(payload) => resume_unwind(payload),
        }
    }
}

/// The five characters of a SQLSTATE.
pub fn sqlstate_text(code: PgSqlErrorCode) -> String {
    unpacked(code as i32)
}

fn unpacked(code: i32) -> String {
    // SAFETY: returns a static buffer of six bytes that ends in NUL.
    unsafe { CStr::from_ptr(pg_sys::unpack_sql_state(code)) }
        .to_string_lossy()
        .into_owned()
}
