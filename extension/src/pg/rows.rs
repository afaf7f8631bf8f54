//! The rows of a set-returning function, written straight into the tuplestore that the caller
//! reads from; and single composite values.

use super::call::{Call, Reply};
use super::layout::Layout;
use super::memory::Scratch;
use super::report::Report;
use super::row_descriptor::{NO_MODIFIER, RowDescriptor};
use pgrx::PgSqlErrorCode;
use pgrx::pg_sys;

/// Rows on their way to the caller.
pub struct Rows<const COLUMNS: usize> {
    store: *mut pg_sys::Tuplestorestate,
    descriptor: pg_sys::TupleDesc,
    layout: Layout<COLUMNS>,
    scratch: Scratch,
}

impl<const COLUMNS: usize> Rows<COLUMNS> {
    /// Prepares the result of `call`, a function declared `RETURNS SETOF` a composite type or
    /// `RETURNS TABLE`, whose columns have these types. 55000 where they have not, 0A000 where
    /// no set can go.
    pub fn begin(call: &Call<'_>, types: &[pg_sys::Oid; COLUMNS]) -> Self {
        // SAFETY: the frame is live (see `Call`); resultinfo, where set, is checked to be a
        // ReturnSetInfo; store and descriptor are made in the context that lives for the query.
        unsafe {
            let result = (*call.fcinfo).resultinfo.cast::<pg_sys::ReturnSetInfo>();
            let materialize = pg_sys::SetFunctionReturnMode::SFRM_Materialize;
            if result.is_null()
                || (*result).type_ != pg_sys::NodeTag::T_ReturnSetInfo
                || (*result).allowedModes & materialize as i32 == 0
            {
                refuse_set();
            }
            let random_access = pg_sys::SetFunctionReturnMode::SFRM_Materialize_Random;
            let random_access = (*result).allowedModes & random_access as i32 != 0;
            let query = (*(*result).econtext).ecxt_per_query_memory;
            let previous = pg_sys::MemoryContextSwitchTo(query);
            let descriptor = result_descriptor(call).unwrap_or_else(|| refuse_set());
            let layout = Layout::of(descriptor, types);
            let across_transactions = false;
            let store =
                pg_sys::tuplestore_begin_heap(random_access, across_transactions, pg_sys::work_mem);
            (*result).returnMode = materialize;
            (*result).setResult = store;
            (*result).setDesc = descriptor;
            pg_sys::MemoryContextSwitchTo(previous);
            Self {
                store,
                descriptor,
                layout,
                scratch: Scratch::new("message_store row"),
            }
        }
    }

    /// Appends the row that `values` returns. What `values` allocates is freed afterwards.
    pub fn push(&mut self, values: impl FnOnce() -> [Option<pg_sys::Datum>; COLUMNS]) {
        let (store, descriptor, layout) = (self.store, self.descriptor, &self.layout);
        self.scratch.run(|| {
            layout.spread(values(), |datums, nulls| {
                // SAFETY: the store copies the values before the scratch memory is freed; there is
                // one for each column of the descriptor.
                unsafe { pg_sys::tuplestore_putvalues(store, descriptor, datums, nulls) };
            });
        });
    }

    /// The function's reply: the rows are where the caller looks for them.
    pub fn finish(self) -> Reply {
        Reply::null()
    }
}

fn refuse_set() -> ! {
    Report::new(
        PgSqlErrorCode::ERRCODE_FEATURE_NOT_SUPPORTED,
        "set-valued function called in context that cannot accept a set",
    )
    .raise()
}

/// The descriptor of the composite type that `call`'s function is declared to return.
///
/// # Safety
/// The frame must be live.
unsafe fn result_descriptor(call: &Call<'_>) -> Option<pg_sys::TupleDesc> {
    let mut descriptor = std::ptr::null_mut();
    // SAFETY: the caller's.
    unsafe { pg_sys::get_call_result_type(call.fcinfo, std::ptr::null_mut(), &mut descriptor) };
    (!descriptor.is_null()).then_some(descriptor)
}

/// A single composite value of the type that `call`'s function is declared to return, whose
/// attributes have these types; 55000 where they have not.
pub fn composite<const COLUMNS: usize>(
    call: &Call<'_>,
    types: &[pg_sys::Oid; COLUMNS],
    values: [Option<pg_sys::Datum>; COLUMNS],
) -> Reply {
    // SAFETY: the frame is live; blessing the descriptor makes the datum readable everywhere.
    unsafe {
        let Some(descriptor) = result_descriptor(call) else {
            return Reply::null();
        };
        let layout = Layout::of(descriptor, types);
        Reply(Some(form(
            pg_sys::BlessTupleDesc(descriptor),
            &layout,
            values,
        )))
    }
}

/// A composite type, looked up once to make many values of it.
pub struct RowType<const COLUMNS: usize> {
    descriptor: RowDescriptor,
    layout: Layout<COLUMNS>,
}

impl<const COLUMNS: usize> RowType<COLUMNS> {
    /// The composite type with this oid, whose attributes have these types; 55000 where they have
    /// not.
    pub fn of(type_oid: pg_sys::Oid, types: &[pg_sys::Oid; COLUMNS]) -> Self {
        let descriptor = RowDescriptor::of(type_oid, NO_MODIFIER);
        // SAFETY: the descriptor is pinned.
        let layout = unsafe { Layout::of(descriptor.as_ptr(), types) };
        Self { descriptor, layout }
    }

    /// A value of the type, in the current memory context.
    pub fn value(&self, values: [Option<pg_sys::Datum>; COLUMNS]) -> pg_sys::Datum {
        // SAFETY: the descriptor is pinned, and the layout its own.
        unsafe { form(self.descriptor.as_ptr(), &self.layout, values) }
    }
}

/// Bytes of a composite value made by [`RowType::value`].
pub fn composite_size(value: pg_sys::Datum) -> usize {
    // SAFETY: such a value is a flat varlena.
    unsafe { pgrx::varlena::varsize_any(value.cast_mut_ptr()) }
}

/// # Safety
/// `layout` must be that of `descriptor`, which must be live.
unsafe fn form<const COLUMNS: usize>(
    descriptor: pg_sys::TupleDesc,
    layout: &Layout<COLUMNS>,
    values: [Option<pg_sys::Datum>; COLUMNS],
) -> pg_sys::Datum {
    layout.spread(values, |datums, nulls| {
        // SAFETY: the caller's; the tuple is a fresh copy.
        unsafe {
            let tuple = pg_sys::heap_form_tuple(descriptor, datums, nulls);
            let header = (*tuple).t_data;
            if u32::from((*header).t_infomask) & pg_sys::HEAP_HASEXTERNAL == 0 {
                // Nothing to fetch from elsewhere: the header is the datum.
                return pg_sys::Datum::from(header);
            }
            pg_sys::HeapTupleHeaderGetDatum(header)
        }
    })
}
