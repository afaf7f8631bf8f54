//! The timer behind `statement_timeout`, while code of another role runs: the session's own limit
//! goes on, and the role's comes beside it.

use super::bindings;
use super::transaction;
use pgrx::pg_sys;

/// A limit of a role's own, until dropped; the session's stays.
pub struct TimeLimit {
    /// When the session's own limit is reached; `None` where it has none.
    of_session: Option<i64>,
    is_set: bool,
}

impl TimeLimit {
    /// Limits what runs to the `statement_timeout` of now, where that ends before the session's
    /// own, which began with its statement.
    pub fn begin() -> Self {
        let of_session = end_of_running();
        // SAFETY: a plain global.
        let limit_ms = i64::from(unsafe { pg_sys::StatementTimeout });
        let end = transaction::clock().saturating_add(limit_ms.saturating_mul(1_000));
        let is_set = limit_ms > 0 && of_session.is_none_or(|of_session| end < of_session);
        if is_set {
            replace(Some(end));
        }
        Self { of_session, is_set }
    }
}

impl Drop for TimeLimit {
    /// Also while an error unwinds: the session's statement goes on.
    fn drop(&mut self) {
        if self.is_set {
            replace(self.of_session);
        }
    }
}

/// Whether the session's own limit was reached: it has one, and it has been waited for.
pub fn is_reached() -> bool {
    // SAFETY: a plain global.
    let has_one = unsafe { pg_sys::StatementTimeout } > 0;
    has_one && end_of_running().is_none_or(|end| end <= transaction::clock())
}

/// When the running timer goes off, in microseconds since 2000-01-01 00:00 UTC.
fn end_of_running() -> Option<i64> {
    // SAFETY: reads backend state.
    unsafe {
        bindings::get_timeout_active(bindings::STATEMENT_TIMEOUT)
            .then(|| bindings::get_timeout_finish_time(bindings::STATEMENT_TIMEOUT))
    }
}

fn replace(end: Option<i64>) {
    let keep_indicator = false;
    // SAFETY: the server has registered this timer before any statement runs; neither call raises.
    unsafe {
        bindings::disable_timeout(bindings::STATEMENT_TIMEOUT, keep_indicator);
        if let Some(end) = end {
            bindings::enable_timeout_at(bindings::STATEMENT_TIMEOUT, end);
        }
    }
}
