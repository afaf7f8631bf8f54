//! One row of a table, held while its columns are read.

use super::jsonb::Jsonb;
use super::relation::{ColumnOrder, Table};
use super::snapshot::Fresh;
use super::text::Text;
use pgrx::pg_sys;
use pgrx::pg_sys::ffi::pg_guard_ffi_boundary;

/// Room for one row of a table.
pub struct Slot(pub(super) *mut pg_sys::TupleTableSlot, ColumnOrder);

/// One version of a row: no other has the same address and the same writer.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RowVersion {
    block: (u16, u16),
    offset: u16,
    writer: u32,
}

/// Where a row version lies in its table.
#[derive(Clone, Copy)]
pub struct RowAddress(pub(super) pg_sys::ItemPointerData);

impl Slot {
    /// Room for a row of `table`.
    pub fn of(table: &Table) -> Self {
        // SAFETY: the table is open; the slot lives in the current memory context.
        let slot = unsafe { pg_sys::table_slot_create(table.relation, std::ptr::null_mut()) };
        Self(slot, table.order)
    }

    /// How many places of a row its first `columns` columns take up.
    pub(super) fn reach(&self, columns: usize) -> usize {
        self.1.reach(columns)
    }

    /// Where the current row lies.
    pub fn address(&self) -> RowAddress {
        // SAFETY: the slot holds a row of a table.
        RowAddress(unsafe { (*self.0).tts_tid })
    }

    /// Which version of the row it is.
    pub fn version(&self) -> RowVersion {
        // SAFETY: the slot holds a row of a table.
        let address = unsafe { (*self.0).tts_tid };
        RowVersion {
            block: (address.ip_blkid.bi_hi, address.ip_blkid.bi_lo),
            offset: address.ip_posid,
            writer: self.writer(),
        }
    }

    /// The transaction that wrote the row.
    pub(super) fn writer(&self) -> u32 {
        let mut is_null = false;
        // SAFETY: heap slots know their system columns; xmin is never null.
        let xmin = unsafe {
            let number = pg_sys::MinTransactionIdAttributeNumber;
            (*(*self.0).tts_ops)
                .getsysattr
                .map(|read| pg_guard_ffi_boundary(|| read(self.0, number, &mut is_null)))
        };
        xmin.map_or(0, |datum| datum.value() as u32)
    }

    /// Column `number` (from 0) of the current row; `None` for NULL.
    #[inline]
    pub fn datum(&self, number: usize) -> Option<pg_sys::Datum> {
        let number = self.1.place(number);
        // SAFETY: after `advance` returned true the slot holds a row; columns up to `number` are
        // deformed before they are read.
        unsafe {
            if (*self.0).tts_nvalid as usize <= number {
                self.take_out(number);
            }
            (!*(*self.0).tts_isnull.add(number)).then(|| *(*self.0).tts_values.add(number))
        }
    }

    /// Deforms the columns up to `number`.
    #[cold]
    fn take_out(&self, number: usize) {
        // SAFETY: as in `datum`; callers name a column of the table.
        unsafe { pg_sys::slot_getsomeattrs_int(self.0, number as i32 + 1) }
    }

    /// A `bigint` column of the current row that is never NULL.
    pub fn bigint(&self, number: usize) -> i64 {
        self.datum(number).map_or(0, |datum| datum.value() as i64)
    }

    /// A text column of the current row that is never NULL.
    pub fn text(&self, number: usize) -> Text<'_> {
        match self.datum(number) {
            // SAFETY: callers name a text column.
            Some(datum) => unsafe { Text::from_datum(datum) },
            None => Text::copied(b""),
        }
    }

    /// A jsonb column of the current row; `None` for NULL.
    pub fn jsonb(&self, number: usize) -> Option<Jsonb<'_>> {
        // SAFETY: callers name a jsonb column.
        self.datum(number)
            .map(|datum| unsafe { Jsonb::from_datum(datum) })
    }

    /// The bytes of a uuid column of the current row; `None` for NULL.
    pub fn uuid(&self, number: usize) -> Option<[u8; 16]> {
        // SAFETY: callers name a uuid column, whose datum points at 16 bytes.
        self.datum(number)
            .map(|datum| unsafe { *datum.cast_mut_ptr::<[u8; 16]>() })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            // SAFETY: made in `of`, dropped once.
            unsafe { pg_sys::ExecDropSingleTupleTableSlot(self.0) }
        }
    }
}

/// Fetches rows of a table by address. Rows that lie together cost little.
pub struct RowFetch<'a> {
    fetch: *mut pg_sys::IndexFetchTableData,
    slot: Slot,
    table: &'a Table,
    snapshot: &'a Fresh,
}

impl<'a> RowFetch<'a> {
    /// Begins; what it holds belongs to the current subtransaction.
    pub fn begin(table: &'a Table, snapshot: &'a Fresh) -> Self {
        // SAFETY: the table is open for 'a; every access method can fetch by address.
        let fetch = unsafe {
            let begin = (*(*table.relation).rd_tableam).index_fetch_begin;
            begin.map_or(std::ptr::null_mut(), |begin| {
                pg_guard_ffi_boundary(|| begin(table.relation))
            })
        };
        Self {
            fetch,
            slot: Slot::of(table),
            table,
            snapshot,
        }
    }

    /// The row at this address, where the snapshot sees it.
    pub fn row(&mut self, address: RowAddress) -> Option<&Slot> {
        (self.through_index(address) || self.directly(address)).then_some(&self.slot)
    }

    /// As an index scan fetches: the page stays pinned from row to row. Does not find a row that
    /// was updated in place of an older one, to which no index points.
    fn through_index(&mut self, address: RowAddress) -> bool {
        let mut tid = address.0;
        let (mut call_again, all_dead) = (false, std::ptr::null_mut());
        // SAFETY: the fetch is open and the slot was made for its table.
        unsafe {
            let fetch = (*(*self.table.relation).rd_tableam).index_fetch_tuple;
            fetch.is_some_and(|fetch| {
                pg_guard_ffi_boundary(|| {
                    fetch(
                        self.fetch,
                        &mut tid,
                        self.snapshot.as_ptr(),
                        self.slot.0,
                        &mut call_again,
                        all_dead,
                    )
                })
            })
        }
    }

    fn directly(&mut self, address: RowAddress) -> bool {
        let mut tid = address.0;
        // SAFETY: the slot was made for this table, which is open.
        unsafe {
            let fetch = (*(*self.table.relation).rd_tableam).tuple_fetch_row_version;
            fetch.is_some_and(|fetch| {
                pg_guard_ffi_boundary(|| {
                    fetch(
                        self.table.relation,
                        &mut tid,
                        self.snapshot.as_ptr(),
                        self.slot.0,
                    )
                })
            })
        }
    }
}

impl Drop for RowFetch<'_> {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            // SAFETY: begun in `begin`, ended once.
            unsafe {
                if let Some(end) = (*(*self.table.relation).rd_tableam).index_fetch_end {
                    pg_guard_ffi_boundary(|| end(self.fetch));
                }
            }
        }
    }
}
