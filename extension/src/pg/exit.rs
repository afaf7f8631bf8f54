//! What is left to do when a session ends in an orderly way.

use pgrx::pg_sys;
use std::cell::Cell;

thread_local! {
    static WORK: Cell<Option<fn()>> = const { Cell::new(None) };
}

/// Has `work` run when this session ends, unless it is killed. One piece of work a session.
///
/// `work` must not raise errors: the session cannot handle any more.
pub fn before_end(work: fn()) {
    if WORK.replace(Some(work)).is_none() {
        // SAFETY: registered once; the callback stays loaded as long as the session.
        unsafe { pg_sys::before_shmem_exit(Some(run), pg_sys::Datum::null()) }
    }
}

unsafe extern "C-unwind" fn run(_: i32, _: pg_sys::Datum) {
    if let Some(work) = WORK.get() {
        work();
    }
}

/// Which postmaster this session belongs to: a number that a restart of the server changes and
/// the crash of a session does not.
pub fn server_incarnation() -> i64 {
    // SAFETY: plain globals that are set before any session begins.
    unsafe { pg_sys::PgStartTime ^ i64::from(pg_sys::PostmasterPid) }
}
