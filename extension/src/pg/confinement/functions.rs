//! Functions that confined code may not call: what they open, take or give back belongs to the
//! session, not to the transaction.
//!
//! Advisory locks of the session: a handler could keep one, or give back one that the session
//! holds. Descriptors of large objects: one that is open reads and writes with the rights of who
//! opened it, and every role in the session knows its number.

use super::state::is_confined;
use crate::pg::report::Report;
use pgrx::PgSqlErrorCode;
use pgrx::pg_sys;
use std::cell::Cell;
use std::ffi::{CStr, c_int, c_void};

const OF_SESSION_LOCKS: [u32; 13] = [
    pg_sys::F_PG_ADVISORY_LOCK_INT8,
    pg_sys::F_PG_ADVISORY_LOCK_SHARED_INT8,
    pg_sys::F_PG_TRY_ADVISORY_LOCK_INT8,
    pg_sys::F_PG_TRY_ADVISORY_LOCK_SHARED_INT8,
    pg_sys::F_PG_ADVISORY_UNLOCK_INT8,
    pg_sys::F_PG_ADVISORY_UNLOCK_SHARED_INT8,
    pg_sys::F_PG_ADVISORY_LOCK_INT4_INT4,
    pg_sys::F_PG_ADVISORY_LOCK_SHARED_INT4_INT4,
    pg_sys::F_PG_TRY_ADVISORY_LOCK_INT4_INT4,
    pg_sys::F_PG_TRY_ADVISORY_LOCK_SHARED_INT4_INT4,
    pg_sys::F_PG_ADVISORY_UNLOCK_INT4_INT4,
    pg_sys::F_PG_ADVISORY_UNLOCK_SHARED_INT4_INT4,
    pg_sys::F_PG_ADVISORY_UNLOCK_ALL,
];
const OF_DESCRIPTORS: [u32; 10] = [
    pg_sys::F_LO_OPEN,
    pg_sys::F_LO_CLOSE,
    pg_sys::F_LOREAD,
    pg_sys::F_LOWRITE,
    pg_sys::F_LO_LSEEK,
    pg_sys::F_LO_LSEEK64,
    pg_sys::F_LO_TELL,
    pg_sys::F_LO_TELL64,
    pg_sys::F_LO_TRUNCATE,
    pg_sys::F_LO_TRUNCATE64,
];

thread_local! {
    static NEXT_HOOK: Cell<pg_sys::object_access_hook_type> = const { Cell::new(None) };
}

pub(super) fn install() {
    // SAFETY: single-threaded backend start-up; the hook before ours is called by ours.
    unsafe {
        NEXT_HOOK.set(pg_sys::object_access_hook);
        pg_sys::object_access_hook = Some(look);
    }
}

/// Called by PostgreSQL when an expression that calls a function is made ready, among others. An
/// error leaves by longjmp over this frame: nothing here has a destructor.
unsafe extern "C-unwind" fn look(
    access: pg_sys::ObjectAccessType::Type,
    class: pg_sys::Oid,
    object: pg_sys::Oid,
    part: c_int,
    argument: *mut c_void,
) {
    // SAFETY: what PostgreSQL passes is passed on as it came.
    unsafe {
        if let Some(next) = NEXT_HOOK.get() {
            next(access, class, object, part, argument);
        }
    }
    if access == pg_sys::ObjectAccessType::OAT_FUNCTION_EXECUTE && is_confined() {
        let function = object.to_u32();
        if OF_SESSION_LOCKS.contains(&function) {
            refuse_session_lock(object);
        } else if OF_DESCRIPTORS.contains(&function) {
            refuse_descriptor(object);
        }
    }
}

#[pgrx::pg_guard]
extern "C-unwind" fn refuse_session_lock(function: pg_sys::Oid) {
    refuse(
        function,
        "take or give back an advisory lock of the session",
        "pg_advisory_xact_lock and its kin keep one to the end of the transaction.",
    )
}

#[pgrx::pg_guard]
extern "C-unwind" fn refuse_descriptor(function: pg_sys::Oid) {
    refuse(
        function,
        "use a descriptor of a large object",
        "lo_get, lo_put and lo_from_bytea need none.",
    )
}

/// 42501.
fn refuse(function: pg_sys::Oid, action: &str, hint: &str) -> ! {
    // SAFETY: a palloc'd name of a function that exists.
    let name = unsafe { CStr::from_ptr(pg_sys::get_func_name(function)) };
    Report::new(
        PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
        format!("a handler cannot {action}: {}", name.to_string_lossy()),
    )
    .hint(hint)
    .raise()
}
