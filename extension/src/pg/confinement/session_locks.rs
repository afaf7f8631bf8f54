//! Advisory locks that would be kept until the session ends.

use crate::pg::lock;
use pgrx::pg_sys;

/// Whether the session holds advisory locks of its own when confined code begins.
pub(super) struct SessionLocks {
    has_any: bool,
}

impl SessionLocks {
    pub(super) fn of_now() -> Self {
        Self {
            has_any: lock::holds_advisory(),
        }
    }

    /// Gives back session locks that were taken since. Where the session had locks of its own
    /// before, they cannot be told apart, and the refusal to call what takes them stands alone.
    pub(super) fn release_others(&self) {
        if !self.has_any && lock::holds_advisory() {
            // SAFETY: releases what is held for the session, not what is held for the transaction.
            unsafe { pg_sys::LockReleaseSession(pg_sys::USER_LOCKMETHOD as pg_sys::LOCKMETHODID) };
        }
    }
}
