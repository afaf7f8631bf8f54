//! What PostgreSQL offers and pgrx does not bind, under PostgreSQL's own names.

#![allow(non_snake_case)]

use super::versions;
use pgrx::PgSqlErrorCode;
use pgrx::pg_sys;
use pgrx::pg_sys::ffi::pg_guard_ffi_boundary;
use std::ffi::{CStr, c_char, c_int};

/// Unguarded: for many calls under one guard. An error leaves by longjmp, so nothing between the
/// guard and here may have anything left to drop.
pub(super) mod raw {
    use super::{c_char, c_int, pg_sys};

    unsafe extern "C-unwind" {
        pub fn index_getnext_tid(
            scan: pg_sys::IndexScanDesc,
            direction: pg_sys::ScanDirection::Type,
        ) -> pg_sys::ItemPointer;
        pub fn ReleaseAndReadBuffer(
            buffer: pg_sys::Buffer,
            relation: pg_sys::Relation,
            block: pg_sys::BlockNumber,
        ) -> pg_sys::Buffer;
        pub fn LWLockAcquire(lock: *mut pg_sys::LWLock, mode: pg_sys::LWLockMode::Type) -> bool;
        pub fn LWLockRelease(lock: *mut pg_sys::LWLock);
        pub fn LockBuffer(buffer: pg_sys::Buffer, mode: c_int);
        pub fn heap_page_prune_opt(relation: pg_sys::Relation, buffer: pg_sys::Buffer);
        pub fn heap_hot_search_buffer(
            address: pg_sys::ItemPointer,
            relation: pg_sys::Relation,
            buffer: pg_sys::Buffer,
            snapshot: pg_sys::Snapshot,
            row: pg_sys::HeapTuple,
            all_dead: *mut bool,
            first_call: bool,
        ) -> bool;
        pub fn ExecStoreBufferHeapTuple(
            row: pg_sys::HeapTuple,
            slot: *mut pg_sys::TupleTableSlot,
            buffer: pg_sys::Buffer,
        ) -> *mut pg_sys::TupleTableSlot;
        pub fn slot_getsomeattrs_int(slot: *mut pg_sys::TupleTableSlot, number: c_int);
        pub fn nextval_internal(relid: pg_sys::Oid, check_permissions: bool) -> i64;
        pub fn ExecComputeStoredGenerated(
            relation: *mut pg_sys::ResultRelInfo,
            estate: *mut pg_sys::EState,
            slot: *mut pg_sys::TupleTableSlot,
            command: pg_sys::CmdType::Type,
        );
        pub fn find_inheritance_children(
            parent: pg_sys::Oid,
            lockmode: pg_sys::LOCKMODE,
        ) -> *mut pg_sys::List;
        pub fn datum_image_eq(
            left: pg_sys::Datum,
            right: pg_sys::Datum,
            by_value: bool,
            length: c_int,
        ) -> bool;
        pub fn CopyErrorData() -> *mut pg_sys::ErrorData;
        pub fn ThrowErrorData(error: *mut pg_sys::ErrorData);
        pub fn errcontext_msg(format: *const c_char, ...) -> c_int;
        pub fn errcode(sqlstate: c_int) -> c_int;
        pub fn standard_ProcessUtility(
            statement: *mut pg_sys::PlannedStmt,
            query: *const c_char,
            read_only_tree: bool,
            context: pg_sys::ProcessUtilityContext::Type,
            parameters: pg_sys::ParamListInfo,
            environment: *mut pg_sys::QueryEnvironment,
            destination: *mut pg_sys::DestReceiver,
            completion: *mut pg_sys::QueryCompletion,
        );
    }
}

unsafe extern "C-unwind" {
    /// access/twophase.h, set once, when the server starts.
    pub static max_prepared_xacts: c_int;
    /// utils/timeout.h: whether a timer is running.
    pub fn get_timeout_active(id: c_int) -> bool;
    /// utils/timeout.h: when a running timer goes off.
    pub fn get_timeout_finish_time(id: c_int) -> pg_sys::TimestampTz;
    /// utils/timeout.h.
    pub fn enable_timeout_at(id: c_int, finish_time: pg_sys::TimestampTz);
    /// utils/timeout.h.
    pub fn disable_timeout(id: c_int, keep_indicator: bool);
}

/// storage/lock.h: the lock of a partition of the lock table, `LockHashPartitionLockByIndex`.
///
/// # Safety
/// `number` must be below `NUM_LOCK_PARTITIONS`.
pub unsafe fn lock_partition(number: usize) -> *mut pg_sys::LWLock {
    // SAFETY: the server's array holds the partitions' locks one after another.
    unsafe {
        let first = pg_sys::MainLWLockArray.add(pg_sys::LOCK_MANAGER_LWLOCK_OFFSET as usize);
        &raw mut (*first.add(number)).lock
    }
}

/// utils/timeout.h, `TimeoutId`: the timer of `statement_timeout`.
pub const STATEMENT_TIMEOUT: c_int = 3;

/// catalog/pg_sequence.h, the fixed part of a row.
#[repr(C)]
pub struct FormData_pg_sequence {
    pub seqrelid: pg_sys::Oid,
    pub seqtypid: pg_sys::Oid,
    pub seqstart: i64,
    pub seqincrement: i64,
    pub seqmax: i64,
    pub seqmin: i64,
    pub seqcache: i64,
    pub seqcycle: bool,
}

/// commands/sequence.h, the one row of a sequence.
#[repr(C)]
pub struct FormData_pg_sequence_data {
    pub last_value: i64,
    pub log_cnt: i64,
    pub is_called: bool,
}

/// commands/sequence.h.
///
/// # Safety
/// `relid` must be the oid of a relation; the function itself checks that it is a sequence.
pub unsafe fn nextval_internal(relid: pg_sys::Oid, check_permissions: bool) -> i64 {
    // SAFETY: the caller's; the guard turns PostgreSQL's errors into panics.
    unsafe { pg_guard_ffi_boundary(|| raw::nextval_internal(relid, check_permissions)) }
}

/// executor/nodeModifyTable.h.
///
/// # Safety
/// All three must belong to one live executor state, the slot holding the row.
pub unsafe fn ExecComputeStoredGenerated(
    relation: *mut pg_sys::ResultRelInfo,
    estate: *mut pg_sys::EState,
    slot: *mut pg_sys::TupleTableSlot,
    command: pg_sys::CmdType::Type,
) {
    // SAFETY: as in `nextval_internal`.
    unsafe {
        pg_guard_ffi_boundary(|| raw::ExecComputeStoredGenerated(relation, estate, slot, command));
    }
}

/// catalog/pg_inherits.h: the oids of the tables that inherit from one, in the current memory context.
///
/// # Safety
/// `parent` must be the oid of a relation.
pub unsafe fn find_inheritance_children(
    parent: pg_sys::Oid,
    lockmode: pg_sys::LOCKMODE,
) -> *mut pg_sys::List {
    // SAFETY: as in `nextval_internal`.
    unsafe { pg_guard_ffi_boundary(|| raw::find_inheritance_children(parent, lockmode)) }
}

/// utils/datum.h: equality of two values' bytes, detoasted.
///
/// # Safety
/// Both must be values of one type with this length and passing mode.
pub unsafe fn datum_image_eq(
    left: pg_sys::Datum,
    right: pg_sys::Datum,
    by_value: bool,
    length: i16,
) -> bool {
    // SAFETY: as in `nextval_internal`.
    unsafe {
        pg_guard_ffi_boundary(|| raw::datum_image_eq(left, right, by_value, c_int::from(length)))
    }
}

/// utils/elog.h: gives the report that is being completed another SQLSTATE.
///
/// # Safety
/// Only in a callback of the error context stack.
pub unsafe fn errcode(sqlstate: PgSqlErrorCode) {
    // SAFETY: the caller's.
    unsafe {
        pg_guard_ffi_boundary(|| raw::errcode(sqlstate as c_int));
    }
}

/// utils/elog.h: one line for the CONTEXT of the error that is being raised.
///
/// # Safety
/// Only from an error context callback.
pub unsafe fn errcontext_msg(line: &CStr) {
    // SAFETY: both strings end in NUL.
    unsafe {
        pg_guard_ffi_boundary(|| raw::errcontext_msg(c"%s".as_ptr(), line.as_ptr()));
    }
}

/// What a hook on commands calls.
pub type ProcessUtility = unsafe extern "C-unwind" fn(
    *mut pg_sys::PlannedStmt,
    *const c_char,
    bool,
    pg_sys::ProcessUtilityContext::Type,
    pg_sys::ParamListInfo,
    *mut pg_sys::QueryEnvironment,
    *mut pg_sys::DestReceiver,
    *mut pg_sys::QueryCompletion,
);

/// tcop/utility.h, unguarded.
pub fn standard_process_utility() -> ProcessUtility {
    raw::standard_ProcessUtility
}

/// utils/elog.h, unguarded: a copy of the report that is being completed.
///
/// # Safety
/// Only from an error context callback, outside the error memory context.
pub unsafe fn copy_error_data() -> *mut pg_sys::ErrorData {
    // SAFETY: the caller's.
    unsafe { raw::CopyErrorData() }
}

/// utils/elog.h, unguarded: raises this error and does not return.
///
/// # Safety
/// No frame between here and PostgreSQL may have anything left to drop.
pub unsafe fn throw_error_data(error: *mut pg_sys::ErrorData) -> ! {
    // SAFETY: the caller's.
    unsafe { raw::ThrowErrorData(error) };
    unreachable!("an error report does not return")
}

/// executor/tuptable.h.
///
/// # Safety
/// `slot` must be a live slot.
pub unsafe fn ExecClearTuple(slot: *mut pg_sys::TupleTableSlot) {
    // SAFETY: every kind of slot can be cleared.
    unsafe {
        if let Some(clear) = (*(*slot).tts_ops).clear {
            pg_guard_ffi_boundary(|| clear(slot));
        }
    }
}

/// access/tupdesc.h: column `number`, from 0.
///
/// # Safety
/// `number` must be below the descriptor's `natts`.
pub unsafe fn TupleDescAttr(
    descriptor: pg_sys::TupleDesc,
    number: usize,
) -> *mut pg_sys::FormData_pg_attribute {
    // SAFETY: the array has `natts` elements.
    unsafe { versions::first_attribute(descriptor).add(number) }
}

/// storage/bufmgr.h: the page of a buffer.
///
/// # Safety
/// The buffer must be pinned, and of the server's own (not of a temporary table).
pub unsafe fn page_of(buffer: pg_sys::Buffer) -> pg_sys::Page {
    // SAFETY: buffers are numbered from 1 and lie one after another.
    unsafe {
        let offset = (buffer as usize - 1) * pg_sys::BLCKSZ as usize;
        pg_sys::BufferBlocks.add(offset).cast()
    }
}

/// storage/bufpage.h: how many line pointers a page has, `PageGetMaxOffsetNumber`.
///
/// # Safety
/// The page must be pinned and locked.
pub unsafe fn page_items(page: pg_sys::Page) -> usize {
    // SAFETY: line pointers follow the page's header, up to where it says.
    unsafe {
        let end = usize::from((*page.cast::<pg_sys::PageHeaderData>()).pd_lower);
        let begin = std::mem::offset_of!(pg_sys::PageHeaderData, pd_linp);
        end.saturating_sub(begin) / size_of::<pg_sys::ItemIdData>()
    }
}

/// storage/bufpage.h: line pointer `number` (from 1), `PageGetItemId`.
///
/// # Safety
/// The page must be pinned and locked, and have that line pointer.
pub unsafe fn page_item<'a>(page: pg_sys::Page, number: usize) -> &'a pg_sys::ItemIdData {
    // SAFETY: line pointers follow the page's header.
    unsafe {
        let header = page.cast::<pg_sys::PageHeaderData>();
        &*(*header).pd_linp.as_mut_ptr().add(number - 1)
    }
}

/// storage/bufpage.h: the tuple of line pointer `number` (from 1), `PageGetItem`.
///
/// # Safety
/// As for [`page_item`]; the line pointer must lead to a tuple.
pub unsafe fn page_tuple(page: pg_sys::Page, number: usize) -> pg_sys::HeapTupleHeader {
    // SAFETY: the caller's; the offset lies within the page.
    unsafe {
        let offset = page_item(page, number).lp_off();
        page.cast::<u8>().add(offset as usize).cast()
    }
}
