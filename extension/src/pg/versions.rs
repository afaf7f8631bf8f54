//! Where PostgreSQL 15 to 18 differ, one form for all: the only file that asks for which of them
//! it is compiled. Functions have PostgreSQL's own names and the newest one's parameters.

#![allow(non_snake_case)]

use pgrx::pg_sys;
use std::ffi::{CStr, c_char, c_int};

/// A link of the lists of shared memory: one way since PostgreSQL 16.
#[cfg(feature = "pg15")]
pub type Link = pg_sys::SHM_QUEUE;
/// A link of the lists of shared memory: one way since PostgreSQL 16.
#[cfg(not(feature = "pg15"))]
pub type Link = pg_sys::dlist_node;

/// utils/regproc.h: the parts of a qualified name. Error 42602 where it is none; PostgreSQL 16 and
/// newer could note that instead.
///
/// # Safety
/// `name` must be a C string.
pub unsafe fn stringToQualifiedNameList(name: *const c_char) -> *mut pg_sys::List {
    // SAFETY: the caller's.
    unsafe {
        #[cfg(feature = "pg15")]
        let names = pg_sys::stringToQualifiedNameList(name);
        #[cfg(not(feature = "pg15"))]
        let names = pg_sys::stringToQualifiedNameList(name, std::ptr::null_mut());
        names
    }
}

/// utils/acl.h: what `role` may do with a function. PostgreSQL 16 has one check for all objects.
///
/// # Safety
/// Only in a transaction, as any look-up in the catalogs.
pub unsafe fn pg_proc_aclcheck(
    function: pg_sys::Oid,
    role: pg_sys::Oid,
    mode: pg_sys::AclMode,
) -> pg_sys::AclResult::Type {
    // SAFETY: the caller's.
    unsafe {
        #[cfg(feature = "pg15")]
        let result = pg_sys::pg_proc_aclcheck(function, role, mode);
        #[cfg(not(feature = "pg15"))]
        let result = pg_sys::object_aclcheck(pg_sys::ProcedureRelationId, function, role, mode);
        result
    }
}

/// access/tupdesc.h: the first column. Since PostgreSQL 18 the columns follow an array of as many
/// compact ones.
///
/// # Safety
/// `descriptor` must be one.
pub unsafe fn first_attribute(descriptor: pg_sys::TupleDesc) -> *mut pg_sys::FormData_pg_attribute {
    // SAFETY: the caller's; both arrays have `natts` elements.
    unsafe {
        #[cfg(not(feature = "pg18"))]
        let first = (*descriptor).attrs.as_mut_ptr();
        #[cfg(feature = "pg18")]
        let first = (*descriptor)
            .compact_attrs
            .as_mut_ptr()
            .add((*descriptor).natts as usize)
            .cast::<pg_sys::FormData_pg_attribute>();
        first
    }
}

/// storage/proc.h: the local number of the transaction of a process. Since PostgreSQL 17 it stands
/// in `vxid`.
///
/// # Safety
/// `process` must be one.
pub unsafe fn local_transaction_id(process: *const pg_sys::PGPROC) -> pg_sys::LocalTransactionId {
    // SAFETY: the caller's.
    unsafe {
        #[cfg(any(feature = "pg15", feature = "pg16"))]
        let id = (*process).lxid;
        #[cfg(any(feature = "pg17", feature = "pg18"))]
        let id = (*process).vxid.lxid;
        id
    }
}

/// utils/guc_tables.h: a variable of the server; null where there is none of that name. Since
/// PostgreSQL 16 the array of all is made anew for each call, in the current memory context.
///
/// # Safety
/// Only in a backend whose settings are loaded.
pub unsafe fn find_variable(name: &CStr) -> *mut pg_sys::config_generic {
    // SAFETY: the caller's; the array holds pointers to the variables, as many as it says.
    unsafe {
        #[cfg(feature = "pg15")]
        let (array, count) = (pg_sys::get_guc_variables(), pg_sys::GetNumConfigOptions());
        #[cfg(not(feature = "pg15"))]
        let (array, count) = {
            let mut count: c_int = 0;
            (pg_sys::get_guc_variables(&mut count), count)
        };
        let is_named =
            |variable: &*mut pg_sys::config_generic| CStr::from_ptr((**variable).name) == name;
        let found = (0..count as usize)
            .map(|number| *array.add(number))
            .find(is_named);
        found.unwrap_or(std::ptr::null_mut())
    }
}

/// executor/executor.h: the entries of a new row in all indexes of its table, without arbiter
/// indexes and speculation. PostgreSQL 16 asks in addition whether only summarizing indexes want
/// one: never for a new row.
///
/// # Safety
/// As in PostgreSQL: the slot holds the row, the indexes of `target` are open.
pub unsafe fn ExecInsertIndexTuples(
    target: *mut pg_sys::ResultRelInfo,
    slot: *mut pg_sys::TupleTableSlot,
    estate: *mut pg_sys::EState,
) -> *mut pg_sys::List {
    let update = false;
    let no_duplicate_error = false;
    // SAFETY: the caller's.
    unsafe {
        pg_sys::ExecInsertIndexTuples(
            target,
            slot,
            estate,
            update,
            no_duplicate_error,
            std::ptr::null_mut(),
            std::ptr::null_mut(),
            #[cfg(not(feature = "pg15"))]
            false,
        )
    }
}

/// access/genam.h: a scan of `table` by `index`, without ordering keys. PostgreSQL 18 can count
/// its searches.
///
/// # Safety
/// As in PostgreSQL: the relations are open and locked; all must outlive the scan.
pub unsafe fn index_beginscan(
    table: pg_sys::Relation,
    index: pg_sys::Relation,
    snapshot: pg_sys::Snapshot,
    key_count: c_int,
) -> pg_sys::IndexScanDesc {
    // SAFETY: the caller's.
    unsafe {
        #[cfg(not(feature = "pg18"))]
        let scan = pg_sys::index_beginscan(table, index, snapshot, key_count, 0);
        #[cfg(feature = "pg18")]
        let scan =
            pg_sys::index_beginscan(table, index, snapshot, std::ptr::null_mut(), key_count, 0);
        scan
    }
}
