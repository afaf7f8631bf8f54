//! Index scans that return table rows.

use super::bindings;
use super::relation::{Index, Table};
use super::slot::Slot;
use super::snapshot::{self, Fresh};
use super::text::Text;
use super::uuid;
use pgrx::pg_sys;
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

/// A running scan. A row stays readable until the next call of [`IndexScan::advance`].
pub struct IndexScan<'a> {
    scan: pg_sys::IndexScanDesc,
    slot: Slot,
    direction: pg_sys::ScanDirection::Type,
    dirty: Option<Box<pg_sys::SnapshotData>>,
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
        Self::start(table, index, snapshot.as_ptr(), None, keys, order)
    }

    /// The same, but seeing rows of running transactions too: [`IndexScan::writer`] tells whose.
    pub fn begin_dirty(
        table: &'a Table,
        index: &'a Index,
        keys: &[(usize, Condition<'_>)],
        order: Order,
    ) -> Self {
        let mut dirty = Box::new(snapshot::dirty());
        let pointer: pg_sys::Snapshot = &mut *dirty;
        Self::start(table, index, pointer, Some(dirty), keys, order)
    }

    fn start(
        table: &'a Table,
        index: &'a Index,
        snapshot: pg_sys::Snapshot,
        dirty: Option<Box<pg_sys::SnapshotData>>,
        keys: &[(usize, Condition<'_>)],
        order: Order,
    ) -> Self {
        let mut scan_keys: Vec<pg_sys::ScanKeyData> = keys
            .iter()
            .map(|(column, condition)| scan_key(index, *column, condition))
            .collect();
        let count = scan_keys.len() as i32;
        // SAFETY: table, index and snapshot outlive the scan ('a, or boxed in this value);
        // index_rescan copies the keys.
        unsafe {
            let slot = Slot::of(table);
            #[cfg(not(feature = "pg18"))]
            let scan = pg_sys::index_beginscan(table.relation, index.relation, snapshot, count, 0);
            #[cfg(feature = "pg18")]
            let scan = pg_sys::index_beginscan(
                table.relation,
                index.relation,
                snapshot,
                std::ptr::null_mut(),
                count,
                0,
            );
            pg_sys::index_rescan(scan, scan_keys.as_mut_ptr(), count, std::ptr::null_mut(), 0);
            let direction = match order {
                Order::Ascending => pg_sys::ScanDirection::ForwardScanDirection,
                Order::Descending => pg_sys::ScanDirection::BackwardScanDirection,
            };
            Self {
                scan,
                slot,
                direction,
                dirty,
                lifetime: PhantomData,
            }
        }
    }

    /// Begins anew with other conditions on the same columns.
    fn again(&mut self, index: &Index, keys: &[(usize, Condition<'_>)]) {
        let mut scan_keys: Vec<pg_sys::ScanKeyData> = keys
            .iter()
            .map(|(column, condition)| scan_key(index, *column, condition))
            .collect();
        // SAFETY: the scan is open and was begun with as many keys, which are copied.
        unsafe {
            debug_assert_eq!((*self.scan).numberOfKeys as usize, keys.len());
            bindings::ExecClearTuple(self.slot.0);
            let (keys, count) = (scan_keys.as_mut_ptr(), scan_keys.len() as i32);
            pg_sys::index_rescan(self.scan, keys, count, std::ptr::null_mut(), 0);
        }
    }

    /// Lets go of the pages it stands on; it goes on with [`IndexScan::again`].
    fn rest(&mut self) {
        // SAFETY: the scan is open; without new keys it keeps its own.
        unsafe {
            bindings::ExecClearTuple(self.slot.0);
            let count = (*self.scan).numberOfKeys;
            let (no_keys, no_order) = (std::ptr::null_mut(), std::ptr::null_mut());
            pg_sys::index_rescan(self.scan, no_keys, count, no_order, 0);
        }
    }

    /// Goes to the next row; `false` at the end.
    pub fn advance(&mut self) -> bool {
        // SAFETY: the scan is open.
        unsafe { pg_sys::index_getnext_slot(self.scan, self.direction, self.slot.0) }
    }

    /// Who wrote the current row of a dirty scan.
    pub fn writer(&self) -> Writer {
        if let Some(dirty) = &self.dirty
            && dirty.xmin != pg_sys::InvalidTransactionId
        {
            return Writer::Running(dirty.xmin);
        }
        let mut is_null = false;
        // SAFETY: heap slots know their system columns; xmin is never null.
        let xmin = unsafe {
            let number = pg_sys::MinTransactionIdAttributeNumber;
            (*(*self.slot.0).tts_ops).getsysattr.map(|read| {
                pg_sys::ffi::pg_guard_ffi_boundary(|| read(self.slot.0, number, &mut is_null))
            })
        };
        let xmin = pg_sys::TransactionId::from(xmin.map_or(0, |datum| datum.value() as u32));
        // SAFETY: any xid may be asked about.
        if unsafe { pg_sys::TransactionIdIsCurrentTransactionId(xmin) } {
            Writer::Ourselves
        } else {
            Writer::Committed
        }
    }
}

impl Deref for IndexScan<'_> {
    type Target = Slot;

    /// The current row, after [`IndexScan::advance`] returned true.
    fn deref(&self) -> &Slot {
        &self.slot
    }
}

/// Looks into an index again and again, seeing rows of running transactions too.
pub struct Probe<'a> {
    table: &'a Table,
    index: &'a Index,
    order: Order,
    scan: Option<IndexScan<'a>>,
}

impl<'a> Probe<'a> {
    /// Nothing is looked for yet; `order` says which row is the first.
    pub fn new(table: &'a Table, index: &'a Index, order: Order) -> Self {
        Self {
            table,
            index,
            order,
            scan: None,
        }
    }

    /// What `read` makes of the first row whose index columns satisfy `keys`, which are on the
    /// same columns every time.
    pub fn first<T>(
        &mut self,
        keys: &[(usize, Condition<'_>)],
        read: impl FnOnce(&IndexScan<'_>) -> T,
    ) -> Option<T> {
        let scan = match &mut self.scan {
            Some(scan) => {
                scan.again(self.index, keys);
                scan
            }
            none => none.insert(IndexScan::begin_dirty(
                self.table, self.index, keys, self.order,
            )),
        };
        scan.advance().then(|| read(scan))
    }

    /// Lets go of the pages that were looked at, so that nobody who cleans up there waits while
    /// we wait.
    pub fn rest(&mut self) {
        if let Some(scan) = &mut self.scan {
            scan.rest();
        }
    }
}

/// Whose row a dirty scan stands on.
pub enum Writer {
    /// A transaction that has committed.
    Committed,
    /// The transaction we are in.
    Ourselves,
    /// Another transaction that has not ended.
    Running(pg_sys::TransactionId),
}

impl Drop for IndexScan<'_> {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            // SAFETY: opened in `start`, ended once; the slot is dropped after it.
            unsafe {
                pg_sys::index_endscan(self.scan);
            }
        }
    }
}

fn scan_key(index: &Index, column: usize, condition: &Condition<'_>) -> pg_sys::ScanKeyData {
    let (strategy, procedure, argument) = match condition {
        Condition::Equals(text) => (
            pg_sys::BTEqualStrategyNumber,
            pg_sys::F_TEXTEQ,
            text.datum(),
        ),
        Condition::Is(bytes) => (
            pg_sys::BTEqualStrategyNumber,
            pg_sys::F_UUID_EQ,
            uuid::datum(bytes),
        ),
        Condition::AtLeast(value) => (
            pg_sys::BTGreaterEqualStrategyNumber,
            pg_sys::F_INT8GE,
            pg_sys::Datum::from(*value),
        ),
        Condition::AtMost(value) => (
            pg_sys::BTLessEqualStrategyNumber,
            pg_sys::F_INT8LE,
            pg_sys::Datum::from(*value),
        ),
    };
    let mut key = pg_sys::ScanKeyData::default();
    // SAFETY: fills `key`; the argument outlives the scan in the caller's frame.
    unsafe {
        pg_sys::ScanKeyEntryInitialize(
            &mut key,
            0,
            column as pg_sys::AttrNumber + 1,
            strategy as pg_sys::StrategyNumber,
            pg_sys::InvalidOid,
            index.collation(column),
            pg_sys::Oid::from(procedure),
            argument,
        );
    }
    key
}
