//! Giving a setting another value for a while.

use pgrx::pg_sys;
use std::ffi::{CStr, c_int};

/// An error where the setting does not take the value.
pub const OR_RAISE: c_int = 0;

/// Gives a setting another value: `None` for what it is by default. `context` says whose rights
/// count, `action` until when it lasts; `or` is the level of what is said where it does not take
/// the value.
pub fn set(
    name: &CStr,
    value: Option<&CStr>,
    context: pg_sys::GucContext::Type,
    action: pg_sys::GucAction::Type,
    or: c_int,
) {
    let (change, is_reload) = (true, false);
    // SAFETY: both are NUL-terminated, and copied; PostgreSQL puts the value back by itself.
    unsafe {
        pg_sys::set_config_option(
            name.as_ptr(),
            value.map_or(std::ptr::null(), CStr::as_ptr),
            context,
            pg_sys::GucSource::PGC_S_SESSION,
            action,
            change,
            or,
            is_reload,
        );
    }
}
