//! What a column is filled with where nobody gives a value.

use pgrx::pg_sys;

/// Whether a column's default (an identity's or serial's next number, a time, a random value) may be
/// another each time.
pub fn changes(table: pg_sys::Oid, column: i64) -> bool {
    let Ok(column) = i32::try_from(column) else {
        return false;
    };
    let lock = pg_sys::AccessShareLock as i32;
    // SAFETY: table_open raises where the oid names no table; the number is that of one of its
    // columns; the expression lives in the current memory context.
    unsafe {
        let relation = pg_sys::table_open(table, lock);
        let default = pg_sys::build_column_default(relation, column);
        let changes = !default.is_null() && pg_sys::contain_mutable_functions(default);
        pg_sys::table_close(relation, pg_sys::NoLock as i32);
        changes
    }
}
