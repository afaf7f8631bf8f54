//! uuid input, exactly as PostgreSQL parses it.

use super::text::Text;
use pgrx::pg_sys;
use std::ffi::CString;

/// The uuid that a text spells; error 22P02 where it spells none.
pub fn parse(text: &Text<'_>) -> pg_sys::Datum {
    // A text value never contains NUL, so nothing is cut off.
    let spelled = CString::new(text.bytes()).unwrap_or_default();
    // SAFETY: uuid_in reads a NUL-terminated string and returns a palloc'd uuid or raises.
    unsafe {
        pg_sys::OidInputFunctionCall(
            pg_sys::Oid::from(pg_sys::F_UUID_IN),
            spelled.as_ptr().cast_mut(),
            pg_sys::InvalidOid,
            -1,
        )
    }
}

/// These bytes as a uuid, borrowed: the datum is good for as long as they stay where they are.
pub fn datum(bytes: &[u8; 16]) -> pg_sys::Datum {
    pg_sys::Datum::from(bytes.as_ptr().cast_mut())
}
