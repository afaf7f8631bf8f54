//! Which rows a scan sees.

use pgrx::pg_sys;

/// The active snapshot, taken when this value was made and dropped with it.
pub struct Fresh(());

impl Fresh {
    /// Takes a new snapshot now and makes it the active one. Own writes are visible in it. Raises PostgreSQL's
    /// own error (25000) in a parallel query, where somebody has said that a function may be called there.
    pub fn take() -> Self {
        // SAFETY: valid inside a transaction; the pushed copy is popped in `drop`, or by the
        // abort where an error unwinds.
        unsafe {
            pg_sys::PreventCommandIfParallelMode(c"what needs a new snapshot".as_ptr());
            pg_sys::CommandCounterIncrement();
            pg_sys::PushActiveSnapshot(pg_sys::GetLatestSnapshot());
        }
        Self(())
    }

    /// The transaction's own view: new at every statement, or the first one of a transaction
    /// that keeps it (REPEATABLE READ, SERIALIZABLE). Own writes are visible in it.
    pub fn of_transaction() -> Self {
        // SAFETY: as in `take`.
        unsafe {
            pg_sys::CommandCounterIncrement();
            pg_sys::PushActiveSnapshot(pg_sys::GetTransactionSnapshot());
        }
        Self(())
    }

    pub(super) fn as_ptr(&self) -> pg_sys::Snapshot {
        // SAFETY: this value keeps a snapshot active.
        unsafe { pg_sys::GetActiveSnapshot() }
    }
}

impl Drop for Fresh {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            // SAFETY: pushed in `take`; scans that used it ended before it.
            unsafe { pg_sys::PopActiveSnapshot() }
        }
    }
}

/// A snapshot that also sees what running transactions have written, and says who they are.
pub(super) fn dirty() -> pg_sys::SnapshotData {
    pg_sys::SnapshotData {
        snapshot_type: pg_sys::SnapshotType::SNAPSHOT_DIRTY,
        ..Default::default()
    }
}

/// Waits in a `CALL` hold no snapshot: lets go of those the command was started with.
/// `false` where somebody else keeps one (the call stands in a transaction block or a query).
pub fn release_for_wait() -> bool {
    // SAFETY: what is let go of belongs to the portal of this very CALL, which has not used it
    // yet; PreCommit_Portals takes the same two away when a procedure commits, and the portal
    // takes a new snapshot for the procedure's result.
    unsafe {
        let portal = pg_sys::ActivePortal;
        if portal.is_null() {
            return false;
        }
        if !(*portal).portalSnapshot.is_null() && pg_sys::ActiveSnapshotSet() {
            pg_sys::PopActiveSnapshot();
            (*portal).portalSnapshot = std::ptr::null_mut();
        }
        if !(*portal).holdSnapshot.is_null() {
            pg_sys::UnregisterSnapshotFromOwner((*portal).holdSnapshot, (*portal).resowner);
            (*portal).holdSnapshot = std::ptr::null_mut();
        }
        pg_sys::InvalidateCatalogSnapshot();
        !pg_sys::HaveRegisteredOrActiveSnapshot()
    }
}
