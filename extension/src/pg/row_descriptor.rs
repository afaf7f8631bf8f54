//! The descriptor of a composite type, pinned while it is used.

use pgrx::pg_sys;

/// The type modifier of a named composite type.
pub(super) const NO_MODIFIER: i32 = -1;

/// Pinned until it is dropped, or by the abort where an error unwinds.
pub(super) struct RowDescriptor(pg_sys::TupleDesc);

impl RowDescriptor {
    /// Of the composite type with this oid; raises where the type is no composite.
    pub(super) fn of(type_oid: pg_sys::Oid, modifier: i32) -> Self {
        // SAFETY: a look-up by oid.
        Self(unsafe { pg_sys::lookup_rowtype_tupdesc(type_oid, modifier) })
    }

    /// For PostgreSQL's functions; live for as long as this is.
    pub(super) fn as_ptr(&self) -> pg_sys::TupleDesc {
        self.0
    }
}

impl Drop for RowDescriptor {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            // SAFETY: pinned in `of`, given back once; some descriptors are not counted.
            unsafe {
                if (*self.0).tdrefcount >= 0 {
                    pg_sys::DecrTupleDescRefCount(self.0);
                }
            }
        }
    }
}
