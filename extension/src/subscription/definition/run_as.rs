//! Code of a subscription's owner, run in the session of whoever ticks it.

use crate::error::Error;
use crate::pg::role_code;
use pgrx::pg_sys;
use std::ffi::CString;

/// Runs `work`, which calls code of the role's, as that role, with a search_path and settings of a
/// subscription.
pub fn run_as<T>(
    role: pg_sys::Oid,
    search_path: &str,
    settings: &[(String, String)],
    work: impl FnOnce() -> Result<T, Error>,
) -> Result<T, Error> {
    // pg_temp comes last: whoever ticks must not shadow what the owner's functions mean.
    let path = match search_path.trim() {
        "" => "pg_temp".to_owned(),
        path => format!("{path}, pg_temp"),
    };
    let c_string = |text: &str| CString::new(text).unwrap_or_default();
    let mut all = vec![(c"search_path".to_owned(), c_string(&path))];
    let settings = settings.iter();
    all.extend(settings.map(|(name, value)| (c_string(name), c_string(value))));
    role_code::run(role, &all, work)
}
