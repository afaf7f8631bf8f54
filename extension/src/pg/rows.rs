//! The rows of a set-returning function, written straight into the tuplestore that the caller
//! reads from.

use super::call::{Call, Reply};
use super::memory::Scratch;
use crate::error::Error;
use pgrx::pg_sys;

/// Rows on their way to the caller.
pub struct Rows {
    store: *mut pg_sys::Tuplestorestate,
    descriptor: pg_sys::TupleDesc,
    scratch: Scratch,
}

impl Rows {
    /// Prepares the result of `call`, a function declared `RETURNS SETOF` a composite type.
    pub fn begin(call: &Call<'_>) -> Result<Self, Error> {
        // SAFETY: the frame is live (see `Call`); resultinfo, where set, is checked to be a
        // ReturnSetInfo; store and descriptor are made in the context that lives for the query.
        unsafe {
            let result = (*call.fcinfo).resultinfo.cast::<pg_sys::ReturnSetInfo>();
            let materialize = pg_sys::SetFunctionReturnMode::SFRM_Materialize;
            if result.is_null()
                || (*result).type_ != pg_sys::NodeTag::T_ReturnSetInfo
                || (*result).allowedModes & materialize as i32 == 0
            {
                return Err(Error::SetNotAllowed);
            }
            let random_access = pg_sys::SetFunctionReturnMode::SFRM_Materialize_Random;
            let random_access = (*result).allowedModes & random_access as i32 != 0;
            let query = (*(*result).econtext).ecxt_per_query_memory;
            let previous = pg_sys::MemoryContextSwitchTo(query);
            let mut descriptor = std::ptr::null_mut();
            pg_sys::get_call_result_type(call.fcinfo, std::ptr::null_mut(), &mut descriptor);
            let across_transactions = false;
            let store =
                pg_sys::tuplestore_begin_heap(random_access, across_transactions, pg_sys::work_mem);
            (*result).returnMode = materialize;
            (*result).setResult = store;
            (*result).setDesc = descriptor;
            pg_sys::MemoryContextSwitchTo(previous);
            Ok(Self {
                store,
                descriptor,
                scratch: Scratch::new("message_store row"),
            })
        }
    }

    /// Appends the row that `values` returns. What `values` allocates is freed afterwards.
    pub fn push<const COLUMNS: usize>(
        &mut self,
        values: impl FnOnce() -> [Option<pg_sys::Datum>; COLUMNS],
    ) {
        let (store, descriptor) = (self.store, self.descriptor);
        self.scratch.run(|| {
            let row = values();
            let mut nulls = row.map(|value| value.is_none());
            let mut datums = row.map(|value| value.unwrap_or(pg_sys::Datum::null()));
            // SAFETY: the store copies the values before the scratch memory is freed; the
            // number of columns is that of the declared type.
            unsafe {
                debug_assert_eq!((*descriptor).natts as usize, COLUMNS);
                pg_sys::tuplestore_putvalues(
                    store,
                    descriptor,
                    datums.as_mut_ptr(),
                    nulls.as_mut_ptr(),
                );
            }
        });
    }

    /// The function's reply: the rows are where the caller looks for them.
    pub fn finish(self) -> Reply {
        Reply::null()
    }
}

/// A single composite value of the type that `call`'s function is declared to return.
pub fn composite<const COLUMNS: usize>(
    call: &Call<'_>,
    values: [Option<pg_sys::Datum>; COLUMNS],
) -> Reply {
    // SAFETY: the frame is live; the descriptor is that of the declared composite type, and
    // blessing it makes the datum readable everywhere.
    unsafe {
        let mut descriptor = std::ptr::null_mut();
        pg_sys::get_call_result_type(call.fcinfo, std::ptr::null_mut(), &mut descriptor);
        Reply(Some(form(pg_sys::BlessTupleDesc(descriptor), values)))
    }
}

/// A composite type, looked up once to make many values of it.
pub struct RowType {
    descriptor: pg_sys::TupleDesc,
}

impl RowType {
    /// The composite type with this oid.
    pub fn of(type_oid: pg_sys::Oid) -> Self {
        let no_modifier = -1;
        // SAFETY: the descriptor stays pinned until this value is dropped, or by the abort where
        // an error unwinds.
        let descriptor = unsafe { pg_sys::lookup_rowtype_tupdesc(type_oid, no_modifier) };
        Self { descriptor }
    }

    /// A value of the type, in the current memory context.
    pub fn value<const COLUMNS: usize>(
        &self,
        values: [Option<pg_sys::Datum>; COLUMNS],
    ) -> pg_sys::Datum {
        // SAFETY: the descriptor is pinned; callers pass the values of the type's columns.
        unsafe { form(self.descriptor, values) }
    }
}

impl Drop for RowType {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            // SAFETY: pinned in `of`, given back once; some descriptors are not counted.
            unsafe {
                if (*self.descriptor).tdrefcount >= 0 {
                    pg_sys::DecrTupleDescRefCount(self.descriptor);
                }
            }
        }
    }
}

/// Bytes of a composite value made by [`RowType::value`].
pub fn composite_size(value: pg_sys::Datum) -> usize {
    // SAFETY: such a value is a flat varlena.
    unsafe { pgrx::varlena::varsize_any(value.cast_mut_ptr()) }
}

/// # Safety
/// `descriptor` must describe `COLUMNS` columns of the values' types.
unsafe fn form<const COLUMNS: usize>(
    descriptor: pg_sys::TupleDesc,
    values: [Option<pg_sys::Datum>; COLUMNS],
) -> pg_sys::Datum {
    let mut nulls = values.map(|value| value.is_none());
    let mut datums = values.map(|value| value.unwrap_or(pg_sys::Datum::null()));
    // SAFETY: the caller's; the tuple is a fresh copy.
    unsafe {
        let tuple = pg_sys::heap_form_tuple(descriptor, datums.as_mut_ptr(), nulls.as_mut_ptr());
        let header = (*tuple).t_data;
        if u32::from((*header).t_infomask) & pg_sys::HEAP_HASEXTERNAL == 0 {
            // Nothing to fetch from elsewhere: the header is the datum.
            return pg_sys::Datum::from(header);
        }
        pg_sys::HeapTupleHeaderGetDatum(header)
    }
}
