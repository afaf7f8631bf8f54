//! The rows of an index scan, a page of the table at a time.
//!
//! The executor locks a row's page to see whether the row is visible, row by row. Messages that
//! follow each other in an index mostly lie on one page: that page is locked once for all of them.

use crate::pg::bindings::{self, raw};
use pgrx::pg_sys;
use pgrx::pg_sys::ffi::pg_guard_ffi_boundary;

/// As many rows as a page of 8 kB can have, and a little more.
const MOST: usize = 300;

/// The visible rows of a scan that lie on one page, and follow each other.
pub(super) struct Page {
    scan: pg_sys::IndexScanDesc,
    direction: pg_sys::ScanDirection::Type,
    /// The pinned page; 0 before the first.
    buffer: pg_sys::Buffer,
    block: pg_sys::BlockNumber,
    /// Addresses from the index; one of another page stands behind those of this page.
    addresses: Vec<pg_sys::ItemPointerData>,
    /// How many of them are of this page.
    here: usize,
    /// How many are asked of the index the next time: few at first, since many scans want one row.
    most: usize,
    is_at_end: bool,
    rows: Vec<pg_sys::HeapTupleData>,
    next: usize,
}

impl Page {
    /// No page yet.
    pub fn of(scan: pg_sys::IndexScanDesc, direction: pg_sys::ScanDirection::Type) -> Self {
        Self {
            scan,
            direction,
            buffer: pg_sys::InvalidBuffer as pg_sys::Buffer,
            block: pg_sys::InvalidBlockNumber,
            addresses: Vec::new(),
            here: 0,
            most: 1,
            is_at_end: false,
            rows: Vec::new(),
            next: 0,
        }
    }

    /// The next row, and the buffer whose pin keeps it in place until the next call.
    pub fn next(&mut self) -> Option<(pg_sys::HeapTuple, pg_sys::Buffer)> {
        while self.next == self.rows.len() {
            pgrx::check_for_interrupts!();
            self.gather();
            if self.here == 0 {
                return None;
            }
            self.look();
        }
        let row = &raw mut self.rows[self.next];
        self.next += 1;
        Some((row, self.buffer))
    }

    /// Takes addresses from the index as long as they are of one page.
    fn gather(&mut self) {
        self.addresses.drain(..self.here);
        self.here = 0;
        let (scan, direction) = (self.scan, self.direction);
        let most = self.most;
        self.most = (2 * most).min(MOST);
        self.addresses.reserve(most + 1);
        let (addresses, is_at_end) = (&mut self.addresses, &mut self.is_at_end);
        // SAFETY: the scan is open. An error leaves by longjmp: nothing in here is to be dropped,
        // and the reserved room means that nothing is allocated.
        unsafe {
            pg_guard_ffi_boundary(|| {
                while !*is_at_end && addresses.len() < most && is_of_one_page(addresses) {
                    let address = raw::index_getnext_tid(scan, direction);
                    if address.is_null() {
                        *is_at_end = true;
                    } else {
                        addresses.push(*address);
                    }
                }
            });
        }
        let gathered = self.addresses.len();
        self.here = if is_of_one_page(&self.addresses) {
            gathered
        } else {
            gathered - 1
        };
    }

    /// Finds which of the gathered rows the scan's snapshot sees.
    fn look(&mut self) {
        self.next = 0;
        self.rows.clear();
        self.rows.reserve(self.here);
        let block = block_of(&self.addresses[0]);
        let is_another = block != self.block;
        let (addresses, rows, buffer) = (
            &self.addresses[..self.here],
            &mut self.rows,
            &mut self.buffer,
        );
        // SAFETY: the table and the snapshot live as long as the scan; as in `gather`, an error
        // finds nothing to drop. The lock is PostgreSQL's, and released by the abort.
        unsafe {
            let (table, snapshot) = ((*self.scan).heapRelation, (*self.scan).xs_snapshot);
            pg_guard_ffi_boundary(|| {
                if is_another {
                    *buffer = raw::ReleaseAndReadBuffer(*buffer, table, block);
                    raw::heap_page_prune_opt(table, *buffer);
                }
                raw::LockBuffer(*buffer, pg_sys::BUFFER_LOCK_SHARE as i32);
                let page = bindings::page_of(*buffer);
                let all_are_visible = is_seen_by_all(page, snapshot);
                for address in addresses {
                    let row = if all_are_visible {
                        row_at(table, page, *address)
                    } else {
                        None
                    };
                    let row = row.or_else(|| seen(table, snapshot, *buffer, *address));
                    if let Some(row) = row {
                        rows.push(row);
                    }
                }
                raw::LockBuffer(*buffer, pg_sys::BUFFER_LOCK_UNLOCK as i32);
            });
        }
        self.block = block;
    }

    /// Unpins the page.
    pub fn let_go(&mut self) {
        if self.buffer != pg_sys::InvalidBuffer as pg_sys::Buffer {
            // SAFETY: pinned in `look`.
            unsafe { pg_sys::ReleaseBuffer(self.buffer) };
            self.buffer = pg_sys::InvalidBuffer as pg_sys::Buffer;
        }
    }
}

/// Whether every row version on the page is visible to every snapshot, and nobody has to note that
/// it was read (SERIALIZABLE). The executor's sequential scans ask the same.
///
/// # Safety
/// The page must be pinned and locked, the snapshot live.
unsafe fn is_seen_by_all(page: pg_sys::Page, snapshot: pg_sys::Snapshot) -> bool {
    // SAFETY: the caller's; the isolation level is a plain global.
    unsafe {
        let flags = (*page.cast::<pg_sys::PageHeaderData>()).pd_flags;
        u32::from(flags) & pg_sys::PD_ALL_VISIBLE != 0
            && !(*snapshot).takenDuringRecovery
            && pg_sys::XactIsoLevel < pg_sys::XACT_SERIALIZABLE as i32
    }
}

/// The row version at this very address, whoever sees it; `None` where the address leads on to
/// another one, or, since VACUUM has cleaned up behind the index, nowhere.
///
/// # Safety
/// The page must be the one of the address, pinned and locked.
unsafe fn row_at(
    table: pg_sys::Relation,
    page: pg_sys::Page,
    address: pg_sys::ItemPointerData,
) -> Option<pg_sys::HeapTupleData> {
    // SAFETY: the page has as many line pointers as its header says.
    unsafe {
        if usize::from(address.ip_posid) > bindings::page_items(page) {
            return None;
        }
        let item = bindings::page_item(page, usize::from(address.ip_posid));
        (item.lp_flags() == pg_sys::LP_NORMAL).then(|| pg_sys::HeapTupleData {
            t_len: item.lp_len(),
            t_self: address,
            t_tableOid: (*table).rd_id,
            t_data: bindings::page_tuple(page, usize::from(address.ip_posid)),
        })
    }
}

/// The row version that the snapshot sees of the row at this address.
///
/// # Safety
/// Under a guard, with the page of the address pinned and locked.
unsafe fn seen(
    table: pg_sys::Relation,
    snapshot: pg_sys::Snapshot,
    buffer: pg_sys::Buffer,
    mut address: pg_sys::ItemPointerData,
) -> Option<pg_sys::HeapTupleData> {
    // SAFETY: the caller's; PostgreSQL fills in the row where it returns true.
    unsafe {
        let mut row = pg_sys::HeapTupleData {
            t_len: 0,
            t_self: address,
            t_tableOid: (*table).rd_id,
            t_data: std::ptr::null_mut(),
        };
        let (all_dead, first_call) = (std::ptr::null_mut(), true);
        let is_seen = raw::heap_hot_search_buffer(
            &mut address,
            table,
            buffer,
            snapshot,
            &mut row,
            all_dead,
            first_call,
        );
        row.t_self = address;
        is_seen.then_some(row)
    }
}

/// Whether the last address is of the same page as the first.
fn is_of_one_page(addresses: &[pg_sys::ItemPointerData]) -> bool {
    match addresses {
        [first, .., last] => block_of(first) == block_of(last),
        _ => true,
    }
}

fn block_of(address: &pg_sys::ItemPointerData) -> pg_sys::BlockNumber {
    let block = address.ip_blkid;
    (u32::from(block.bi_hi) << 16) | u32::from(block.bi_lo)
}
