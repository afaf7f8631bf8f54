//! Looking into an index for single rows, those of running transactions too.

use super::bindings;
use super::relation::{Index, Table};
use super::scan::{self, Condition, Order};
use super::slot::Slot;
use super::snapshot;
use pgrx::pg_sys;
use std::ops::Deref;

/// Looks into an index again and again.
pub struct Probe<'a> {
    table: &'a Table,
    index: &'a Index,
    order: Order,
    look: Option<Look>,
}

/// A row that was found, readable until the next look.
pub struct Look {
    scan: pg_sys::IndexScanDesc,
    slot: Slot,
    /// Tells whose row is not committed. The scan points at it.
    snapshot: Box<pg_sys::SnapshotData>,
}

/// Whose row was found.
pub enum RowWriter {
    /// A transaction that has committed.
    Committed,
    /// The transaction we are in.
    Ourselves,
    /// Another transaction that has not ended.
    Running(pg_sys::TransactionId),
}

impl<'a> Probe<'a> {
    /// Nothing is looked for yet; `order` says which row is the first.
    pub fn new(table: &'a Table, index: &'a Index, order: Order) -> Self {
        Self {
            table,
            index,
            order,
            look: None,
        }
    }

    /// What `read` makes of the first row whose index columns satisfy `keys`, which are on the
    /// same columns every time.
    pub fn first<T>(
        &mut self,
        keys: &[(usize, Condition<'_>)],
        read: impl FnOnce(&Look) -> T,
    ) -> Option<T> {
        let look = match &mut self.look {
            Some(look) => {
                look.again(self.index, keys);
                look
            }
            none => none.insert(Look::begin(self.table, self.index, keys)),
        };
        let direction = self.order.direction();
        // SAFETY: the scan is open.
        let found = unsafe { pg_sys::index_getnext_slot(look.scan, direction, look.slot.0) };
        found.then(|| read(look))
    }

    /// Lets go of the pages that were looked at, so that nobody who cleans up there waits while
    /// we wait.
    pub fn rest(&mut self) {
        if let Some(look) = &mut self.look {
            look.rest();
        }
    }
}

impl Look {
    fn begin(table: &Table, index: &Index, keys: &[(usize, Condition<'_>)]) -> Self {
        let mut snapshot = Box::new(snapshot::dirty());
        let pointer: pg_sys::Snapshot = &mut *snapshot;
        Self {
            // SAFETY: a probe borrows table and index; the snapshot is boxed beside the scan.
            scan: unsafe { scan::begin(table, index, pointer, keys) },
            slot: Slot::of(table),
            snapshot,
        }
    }

    /// Begins anew with other conditions on the same columns.
    fn again(&mut self, index: &Index, keys: &[(usize, Condition<'_>)]) {
        let mut keys = scan::scan_keys(index, keys);
        // SAFETY: the scan is open and was begun with as many keys, which are copied.
        unsafe {
            debug_assert_eq!((*self.scan).numberOfKeys as usize, keys.len());
            bindings::ExecClearTuple(self.slot.0);
            let (keys, count) = (keys.as_mut_ptr(), keys.len() as i32);
            pg_sys::index_rescan(self.scan, keys, count, std::ptr::null_mut(), 0);
        }
    }

    /// Lets go of the pages it stands on.
    fn rest(&mut self) {
        // SAFETY: the scan is open; without new keys it keeps its own.
        unsafe {
            bindings::ExecClearTuple(self.slot.0);
            let count = (*self.scan).numberOfKeys;
            let (no_keys, no_order) = (std::ptr::null_mut(), std::ptr::null_mut());
            pg_sys::index_rescan(self.scan, no_keys, count, no_order, 0);
        }
    }

    /// Who wrote the row.
    pub fn writer(&self) -> RowWriter {
        if self.snapshot.xmin != pg_sys::InvalidTransactionId {
            return RowWriter::Running(self.snapshot.xmin);
        }
        let xmin = pg_sys::TransactionId::from(self.slot.writer());
        // SAFETY: any xid may be asked about.
        if unsafe { pg_sys::TransactionIdIsCurrentTransactionId(xmin) } {
            RowWriter::Ourselves
        } else {
            RowWriter::Committed
        }
    }
}

impl Deref for Look {
    type Target = Slot;

    fn deref(&self) -> &Slot {
        &self.slot
    }
}

impl Drop for Look {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            // SAFETY: begun in `begin`, ended once; the slot is dropped after it.
            unsafe { pg_sys::index_endscan(self.scan) }
        }
    }
}
