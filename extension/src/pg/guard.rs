//! The outermost frame of every call: PostgreSQL's errors leave it as they came.
//!
//! pgrx carries an error from C through Rust as a panic and raises it again at the end, but of
//! the original it keeps only SQLSTATE, message, detail and hint. Clients also read CONTEXT, the
//! constraint, the table. So the whole error is copied when it is raised, and that copy is what
//! goes on.

use super::bindings;
use pgrx::PgSqlErrorCode;
use pgrx::pg_sys;
use pgrx::pg_sys::panic::CaughtError;
use std::cell::{Cell, RefCell};
use std::ffi::{CStr, CString, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr::null_mut;

thread_local! {
    /// The last error that was raised inside one of our functions.
    static LAST_ERROR: Cell<*mut pg_sys::ErrorData> = const { Cell::new(null_mut()) };
    /// The memory it is kept in, emptied at the next one.
    static KEPT_IN: Cell<pg_sys::MemoryContext> = const { Cell::new(null_mut()) };
    /// What the last error is to say instead; see [`reword`].
    static REWORDED: RefCell<Option<Rewording>> = const { RefCell::new(None) };
}

/// Runs one call. A Rust panic or one of our errors is raised as an SQL error; an error of
/// PostgreSQL's own is raised again whole.
///
/// # Safety
/// Only as the last thing that an `extern "C-unwind"` function called by PostgreSQL does: the
/// error leaves by longjmp over its frame.
pub unsafe fn run(call: impl FnOnce() -> pg_sys::Datum) -> pg_sys::Datum {
    let mut copy_errors = pg_sys::ErrorContextCallback {
        // SAFETY: plain reads and writes of backend state; the frame is taken off before it ends.
        previous: unsafe { pg_sys::error_context_stack },
        callback: Some(copy_error),
        arg: null_mut(),
    };
    // SAFETY: as above.
    unsafe { pg_sys::error_context_stack = &mut copy_errors };
    let result = catch_unwind(AssertUnwindSafe(call));
    // SAFETY: as above; also where an error unwound past frames that lie on ours.
    unsafe { pg_sys::error_context_stack = copy_errors.previous };
    let payload = match result {
        Ok(datum) => return datum,
        Err(payload) => payload,
    };
    let copy = payload.downcast_ref::<CaughtError>().and_then(copy_of);
    // SAFETY: nothing on this frame is left to be dropped when the error leaves it; the copy lives
    // in memory of its own, and pgrx's guard does for the other payloads what it does everywhere.
    unsafe {
        match copy {
            Some(copy) => {
                drop(payload);
                put_new_words(copy);
                bindings::throw_error_data(copy)
            }
            None => pg_sys::submodules::panic::pgrx_extern_c_guard(|| resume_unwind(payload)),
        }
    }
}

/// What an error tells people.
pub struct Rewording {
    /// The message.
    pub message: CString,
    /// The repair.
    pub hint: CString,
}

/// Runs `work`; where that violates the unique index `index`, the error goes on with what `rewording`
/// returns for its message and hint, and is otherwise PostgreSQL's own: SQLSTATE, detail, the
/// constraint's name.
pub fn reword_violation_of<T>(
    index: &CStr,
    work: impl FnOnce() -> T,
    rewording: impl FnOnce() -> Rewording,
) -> T {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(done) => done,
        Err(payload) => {
            let error = payload.downcast_ref::<CaughtError>().and_then(copy_of);
            // SAFETY: the copy is live until the next error; its strings end in NUL.
            let is_meant = error.is_some_and(|error| unsafe {
                (*error).sqlerrcode == PgSqlErrorCode::ERRCODE_UNIQUE_VIOLATION as i32
                    && !(*error).constraint_name.is_null()
                    && CStr::from_ptr((*error).constraint_name) == index
            });
            if is_meant {
                REWORDED.set(Some(rewording()));
            }
            resume_unwind(payload)
        }
    }
}

/// # Safety
/// `copy` must be the live copy of the last error.
unsafe fn put_new_words(copy: *mut pg_sys::ErrorData) {
    if let Some(rewording) = REWORDED.take() {
        // SAFETY: the new strings live in the memory of the copy, which nothing empties before
        // the next error is raised.
        unsafe {
            let kept_in = KEPT_IN.get();
            (*copy).message = pg_sys::MemoryContextStrdup(kept_in, rewording.message.as_ptr());
            (*copy).hint = pg_sys::MemoryContextStrdup(kept_in, rewording.hint.as_ptr());
        }
    }
}

/// The whole error behind a caught one, where it is the last one that was raised.
pub(super) fn copy_of(caught: &CaughtError) -> Option<*mut pg_sys::ErrorData> {
    let CaughtError::PostgresError(report) = caught else {
        return None;
    };
    let copy = LAST_ERROR.get();
    // SAFETY: LAST_ERROR is null or a copy in KEPT_IN, whose strings end in NUL.
    let same = unsafe {
        !copy.is_null()
            && !(*copy).message.is_null()
            && CStr::from_ptr((*copy).message).to_bytes() == report.message().as_bytes()
    };
    same.then_some(copy)
}

/// Called by PostgreSQL while it completes a report: keeps a copy where it is an error.
unsafe extern "C-unwind" fn copy_error(_: *mut c_void) {
    // SAFETY: the topmost entry of the error stack is the report being completed. An error in
    // here (out of memory) goes to whoever catches PostgreSQL's errors, as any other.
    unsafe {
        LAST_ERROR.set(null_mut());
        REWORDED.set(None);
        if KEPT_IN.get().is_null() {
            KEPT_IN.set(pg_sys::AllocSetContextCreateExtended(
                pg_sys::TopMemoryContext,
                c"message_store error".as_ptr(),
                pg_sys::ALLOCSET_SMALL_MINSIZE as usize,
                pg_sys::ALLOCSET_SMALL_INITSIZE as usize,
                pg_sys::ALLOCSET_SMALL_MAXSIZE as usize,
            ));
        }
        pg_sys::MemoryContextReset(KEPT_IN.get());
        let previous = pg_sys::MemoryContextSwitchTo(KEPT_IN.get());
        let copy = bindings::copy_error_data();
        pg_sys::MemoryContextSwitchTo(previous);
        if (*copy).elevel >= pgrx::PgLogLevel::ERROR as i32 {
            LAST_ERROR.set(copy);
        }
    }
}
