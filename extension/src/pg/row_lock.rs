//! Holding one row of a table, as `SELECT ... FOR UPDATE SKIP LOCKED` does.

use super::relation::Table;
use super::slot::{RowAddress, Slot};
use super::snapshot::Fresh;
use pgrx::pg_sys;
use pgrx::pg_sys::ffi::pg_guard_ffi_boundary;

/// Holds the row at this address, or the newest version of it, until the transaction ends. `false`
/// where another transaction holds it, or where it is gone.
pub fn hold(table: &Table, address: RowAddress, snapshot: &Fresh) -> bool {
    let mut tid = address.0;
    let slot = Slot::of(table);
    let mut failure = pg_sys::TM_FailureData::default();
    // SAFETY: the table is open with a lock for this (RowShareLock); the slot was made for it, and
    // the snapshot is active. Whatever fails is raised and undone by the abort.
    let result = unsafe {
        let command = pg_sys::GetCurrentCommandId(true);
        (*(*table.relation).rd_tableam).tuple_lock.map(|lock| {
            pg_guard_ffi_boundary(|| {
                lock(
                    table.relation,
                    &mut tid,
                    snapshot.as_ptr(),
                    slot.0,
                    command,
                    pg_sys::LockTupleMode::LockTupleExclusive,
                    pg_sys::LockWaitPolicy::LockWaitSkip,
                    pg_sys::TUPLE_LOCK_FLAG_FIND_LAST_VERSION as u8,
                    &mut failure,
                )
            })
        })
    };
    result == Some(pg_sys::TM_Result::TM_Ok)
}
