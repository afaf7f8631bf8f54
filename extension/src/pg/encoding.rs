//! The encoding of the database.

use pgrx::pg_sys;
use std::ffi::CStr;

/// Whether text is stored as Rust's strings are.
pub fn is_utf8() -> bool {
    // SAFETY: reads a global that is set when the session begins.
    let encoding = unsafe { pg_sys::GetDatabaseEncoding() };
    u32::try_from(encoding).is_ok_and(|encoding| encoding == pg_sys::pg_enc::PG_UTF8)
}

/// Its name.
pub fn name() -> String {
    // SAFETY: a constant of PostgreSQL's, NUL-terminated.
    let name = unsafe { CStr::from_ptr(pg_sys::GetDatabaseEncodingName()) };
    name.to_string_lossy().into_owned()
}
