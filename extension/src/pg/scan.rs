//! Index scans that return table rows.

mod page;

use super::bindings::raw;
use super::relation::{Index, Table};
use super::slot::Slot;
use super::snapshot::Fresh;
use super::text::Text;
use super::uuid;
use super::versions;
use page::Page;
use pgrx::pg_sys;
use pgrx::pg_sys::ffi::pg_guard_ffi_boundary;
use std::marker::PhantomData;
use std::ops::Deref;

/// What one index column must satisfy.
pub enum Condition<'a> {
    /// A text column equals this.
    Equals(Text<'a>),
    /// A uuid column equals these bytes.
    Is(&'a [u8; 16]),
    /// A bigint column is this or more.
    AtLeast(i64),
    /// A bigint column is this or less.
    AtMost(i64),
}

/// Which way to walk the index.
#[derive(Clone, Copy)]
pub enum Order {
    /// Lowest key first.
    Ascending,
    /// Highest key first.
    Descending,
}

impl Order {
    pub(super) fn direction(self) -> pg_sys::ScanDirection::Type {
        match self {
            Self::Ascending => pg_sys::ScanDirection::ForwardScanDirection,
            Self::Descending => pg_sys::ScanDirection::BackwardScanDirection,
        }
    }
}

/// A running scan. A row stays readable until the next call of [`IndexScan::advance`].
pub struct IndexScan<'a> {
    scan: pg_sys::IndexScanDesc,
    slot: Slot,
    page: Page,
    columns: i32,
    /// The buffer that the slot has pinned.
    stored_of: pg_sys::Buffer,
    lifetime: PhantomData<&'a ()>,
}

impl<'a> IndexScan<'a> {
    /// Scans the rows visible in `snapshot` whose index columns (numbered from 0) satisfy `keys`.
    pub fn begin(
        table: &'a Table,
        index: &'a Index,
        snapshot: &'a Fresh,
        keys: &[(usize, Condition<'_>)],
        order: Order,
    ) -> Self {
        // SAFETY: table, index and snapshot outlive the scan.
        let scan = unsafe { begin(table, index, snapshot.as_ptr(), keys) };
        Self {
            scan,
            slot: Slot::of(table),
            page: Page::of(scan, order.direction()),
            columns: 0,
            stored_of: pg_sys::InvalidBuffer as pg_sys::Buffer,
            lifetime: PhantomData,
        }
    }

    /// Takes the first `columns` of every row out at once: cheaper where most of them are read.
    pub fn taking(mut self, columns: usize) -> Self {
        self.columns = self.slot.reach(columns) as i32;
        self
    }

    /// Goes to the next row; `false` at the end.
    pub fn advance(&mut self) -> bool {
        let Some((row, buffer)) = self.page.next() else {
            return false;
        };
        let (slot, columns) = (self.slot.0, self.columns);
        let store = || {
            // SAFETY: the row lies on the pinned page until the next look at one; the slot has a
            // pin of its own.
            unsafe {
                raw::ExecStoreBufferHeapTuple(row, slot, buffer);
                if columns > 0 {
                    raw::slot_getsomeattrs_int(slot, columns);
                }
            }
        };
        if self.stored_of == buffer {
            // The pin is there, and nothing else of this can fail.
            store();
        } else {
            // SAFETY: plain calls into PostgreSQL, with nothing to be dropped.
            unsafe { pg_guard_ffi_boundary(store) };
            self.stored_of = buffer;
        }
        true
    }
}

impl Deref for IndexScan<'_> {
    type Target = Slot;

    /// The current row, after [`IndexScan::advance`] returned true.
    fn deref(&self) -> &Slot {
        &self.slot
    }
}

impl Drop for IndexScan<'_> {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.page.let_go();
            // SAFETY: begun in `begin`, ended once.
            unsafe { pg_sys::index_endscan(self.scan) }
        }
    }
}

/// Begins a scan and positions it.
///
/// # Safety
/// Table, index and snapshot must outlive the scan.
pub(super) unsafe fn begin(
    table: &Table,
    index: &Index,
    snapshot: pg_sys::Snapshot,
    keys: &[(usize, Condition<'_>)],
) -> pg_sys::IndexScanDesc {
    index.require_of(table);
    let mut keys = scan_keys(index, keys);
    let count = keys.len() as i32;
    // SAFETY: the caller's; index_rescan copies the keys.
    unsafe {
        let scan = versions::index_beginscan(table.relation, index.relation, snapshot, count);
        pg_sys::index_rescan(scan, keys.as_mut_ptr(), count, std::ptr::null_mut(), 0);
        scan
    }
}

/// The conditions as a scan takes them.
pub(super) fn scan_keys(
    index: &Index,
    keys: &[(usize, Condition<'_>)],
) -> Vec<pg_sys::ScanKeyData> {
    keys.iter()
        .map(|(column, condition)| scan_key(index, *column, condition))
        .collect()
}

fn scan_key(index: &Index, column: usize, condition: &Condition<'_>) -> pg_sys::ScanKeyData {
    let (type_oid, strategy, procedure, argument) = match condition {
        Condition::Equals(text) => (
            pg_sys::TEXTOID,
            pg_sys::BTEqualStrategyNumber,
            pg_sys::F_TEXTEQ,
            text.datum(),
        ),
        Condition::Is(bytes) => (
            pg_sys::UUIDOID,
            pg_sys::BTEqualStrategyNumber,
            pg_sys::F_UUID_EQ,
            uuid::datum(bytes),
        ),
        Condition::AtLeast(value) => (
            pg_sys::INT8OID,
            pg_sys::BTGreaterEqualStrategyNumber,
            pg_sys::F_INT8GE,
            pg_sys::Datum::from(*value),
        ),
        Condition::AtMost(value) => (
            pg_sys::INT8OID,
            pg_sys::BTLessEqualStrategyNumber,
            pg_sys::F_INT8LE,
            pg_sys::Datum::from(*value),
        ),
    };
    let collation = index.collation_of(column, type_oid);
    let mut key = pg_sys::ScanKeyData::default();
    // SAFETY: fills `key`; the argument outlives the scan in the caller's frame.
    unsafe {
        pg_sys::ScanKeyEntryInitialize(
            &mut key,
            0,
            column as pg_sys::AttrNumber + 1,
            strategy as pg_sys::StrategyNumber,
            pg_sys::InvalidOid,
            collation,
            pg_sys::Oid::from(procedure),
            argument,
        );
    }
    key
}
