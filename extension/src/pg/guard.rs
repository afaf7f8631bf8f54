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
use std::ffi::{CStr, CString, c_char, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr::null_mut;

thread_local! {
    /// The last error that was raised inside one of our functions.
    static LAST_ERROR: Cell<*mut pg_sys::ErrorData> = const { Cell::new(null_mut()) };
    /// The memory it is kept in, until the next one.
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

/// An error that goes on.
pub struct Raised<'a> {
    /// The message.
    pub message: &'a CStr,
    /// The values that it is about.
    pub detail: Option<&'a CStr>,
    /// The repair.
    pub hint: Option<&'a CStr>,
    constraint: Option<&'a CStr>,
    sqlstate: i32,
}

impl Raised<'_> {
    /// Whether this is its SQLSTATE.
    pub fn is(&self, sqlstate: PgSqlErrorCode) -> bool {
        self.sqlstate == sqlstate as i32
    }

    /// Whether it violates this unique index.
    pub fn violates(&self, index: &CStr) -> bool {
        self.is(PgSqlErrorCode::ERRCODE_UNIQUE_VIOLATION) && self.constraint == Some(index)
    }
}

/// What an error tells instead of what it told.
pub struct Rewording {
    /// For programs; none leaves the one that it has.
    pub sqlstate: Option<PgSqlErrorCode>,
    /// The message.
    pub message: CString,
    /// The values that it is about.
    pub detail: Option<CString>,
    /// The repair.
    pub hint: Option<CString>,
}

/// Runs `work`; where that fails and `rewording` returns something, the error goes on with these words,
/// and is otherwise the one that was raised: context, the constraint's name.
pub fn reword<T>(
    work: impl FnOnce() -> T,
    rewording: impl FnOnce(&Raised<'_>) -> Option<Rewording>,
) -> T {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(done) => done,
        Err(payload) => {
            if let Some(error) = payload.downcast_ref::<CaughtError>().and_then(copy_of) {
                // SAFETY: the copy is live until the next error; its strings end in NUL.
                REWORDED.set(rewording(&unsafe { raised(error) }));
            }
            resume_unwind(payload)
        }
    }
}

/// # Safety
/// `error` must be a complete report that lives for `'a`.
unsafe fn raised<'a>(error: *const pg_sys::ErrorData) -> Raised<'a> {
    // SAFETY: the caller's.
    unsafe {
        let error = &*error;
        Raised {
            message: text(error.message).unwrap_or_default(),
            detail: text(error.detail),
            hint: text(error.hint),
            constraint: text(error.constraint_name),
            sqlstate: error.sqlerrcode,
        }
    }
}

/// # Safety
/// `pointer` must be null or point to a string that ends in NUL and lives for `'a`.
pub(super) unsafe fn text<'a>(pointer: *const c_char) -> Option<&'a CStr> {
    // SAFETY: the caller's.
    (!pointer.is_null()).then(|| unsafe { CStr::from_ptr(pointer) })
}

/// # Safety
/// `copy` must be the live copy of the last error.
unsafe fn put_new_words(copy: *mut pg_sys::ErrorData) {
    let Some(rewording) = REWORDED.take() else {
        return;
    };
    // SAFETY: the new strings live in the memory of the copy, which nothing empties before
    // the next error is raised.
    unsafe {
        let kept = |words: &CStr| pg_sys::MemoryContextStrdup(KEPT_IN.get(), words.as_ptr());
        let kept_or_none = |words: &Option<CString>| words.as_deref().map_or(null_mut(), kept);
        if let Some(sqlstate) = rewording.sqlstate {
            (*copy).sqlerrcode = sqlstate as i32;
        }
        (*copy).message = kept(&rewording.message);
        (*copy).detail = kept_or_none(&rewording.detail);
        (*copy).hint = kept_or_none(&rewording.hint);
        // They would be shown in the caller's statement.
        (*copy).cursorpos = 0;
        (*copy).internalpos = 0;
        (*copy).internalquery = null_mut();
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
            // Of a text that was cut inside a character, pgrx keeps what it can read.
            && CStr::from_ptr((*copy).message).to_string_lossy() == report.message()
    };
    same.then_some(copy)
}

/// Called by PostgreSQL while it completes a report: keeps a copy where it is an error. A notice that follows
/// one, from who cleans up before it goes on, does not take its place.
unsafe extern "C-unwind" fn copy_error(_: *mut c_void) {
    // SAFETY: the topmost entry of the error stack is the report being completed. An error in
    // here (out of memory) goes to whoever catches PostgreSQL's errors, as any other.
    unsafe {
        let (copy, memory) = copy_of_current();
        let let_go_of = if (*copy).elevel >= pgrx::PgLogLevel::ERROR as i32 {
            LAST_ERROR.set(copy);
            REWORDED.set(None);
            KEPT_IN.replace(memory)
        } else {
            memory
        };
        if !let_go_of.is_null() {
            pg_sys::MemoryContextDelete(let_go_of);
        }
    }
}

/// What `look` returns of the report that is being completed, if that is an error.
///
/// # Safety
/// Only in a callback of the error context stack.
pub(super) unsafe fn look_at_current<T>(look: impl FnOnce(&Raised<'_>) -> T) -> Option<T> {
    // SAFETY: the caller's; the copy lives until its memory is let go of.
    unsafe {
        let (copy, memory) = copy_of_current();
        let is_error = (*copy).elevel >= pgrx::PgLogLevel::ERROR as i32;
        let found = is_error.then(|| look(&raised(copy)));
        pg_sys::MemoryContextDelete(memory);
        found
    }
}

/// A copy of the report that is being completed, and the memory that was made for it.
///
/// # Safety
/// Only in a callback of the error context stack.
unsafe fn copy_of_current() -> (*mut pg_sys::ErrorData, pg_sys::MemoryContext) {
    // SAFETY: the caller's.
    unsafe {
        let memory = pg_sys::AllocSetContextCreateExtended(
            pg_sys::TopMemoryContext,
            c"message_store error".as_ptr(),
            pg_sys::ALLOCSET_SMALL_MINSIZE as usize,
            pg_sys::ALLOCSET_SMALL_INITSIZE as usize,
            pg_sys::ALLOCSET_SMALL_MAXSIZE as usize,
        );
        let previous = pg_sys::MemoryContextSwitchTo(memory);
        let copy = bindings::copy_error_data();
        pg_sys::MemoryContextSwitchTo(previous);
        (copy, memory)
    }
}
