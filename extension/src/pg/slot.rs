//! One row of a table, held while its columns are read.

use super::jsonb::Jsonb;
use super::relation::Table;
use super::snapshot::Fresh;
use super::text::Text;
use pgrx::pg_sys;

/// Room for one row of a table.
pub struct Slot(pub(super) *mut pg_sys::TupleTableSlot);

/// Where a row version lies in its table.
#[derive(Clone, Copy)]
pub struct RowAddress(pg_sys::ItemPointerData);

impl Slot {
    /// Room for a row of `table`.
    pub fn of(table: &Table) -> Self {
        // SAFETY: the table is open; the slot lives in the current memory context.
        Self(unsafe { pg_sys::table_slot_create(table.relation, std::ptr::null_mut()) })
    }

    /// Goes to the row at this address, where `snapshot` sees it.
    pub fn fetch(&mut self, table: &Table, address: RowAddress, snapshot: &Fresh) -> bool {
        let mut tid = address.0;
        // SAFETY: the slot was made for this table, which is open; every access method can fetch.
        unsafe {
            let access = (*table.relation).rd_tableam;
            (*access).tuple_fetch_row_version.is_some_and(|fetch| {
                pg_sys::ffi::pg_guard_ffi_boundary(|| {
                    fetch(table.relation, &mut tid, snapshot.as_ptr(), self.0)
                })
            })
        }
    }

    /// Where the current row lies.
    pub fn address(&self) -> RowAddress {
        // SAFETY: the slot holds a row of a table.
        RowAddress(unsafe { (*self.0).tts_tid })
    }

    /// Column `number` (from 0) of the current row; `None` for NULL.
    pub fn datum(&self, number: usize) -> Option<pg_sys::Datum> {
        // SAFETY: after `advance` returned true the slot holds a row; columns up to `number` are
        // deformed before they are read.
        unsafe {
            if (*self.0).tts_nvalid as usize <= number {
                pg_sys::slot_getsomeattrs_int(self.0, number as i32 + 1);
            }
            (!*(*self.0).tts_isnull.add(number)).then(|| *(*self.0).tts_values.add(number))
        }
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
