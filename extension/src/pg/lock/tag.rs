//! Lock tags, and taking them.

use pgrx::pg_sys;

/// One lock tag in this database: three numbers whose meaning belongs to the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tag {
    /// `locktag_field2`.
    pub high: u32,
    /// `locktag_field3`.
    pub low: u32,
    /// `locktag_field4`: the class of the lock.
    pub class: u16,
}

impl Tag {
    fn locktag(self) -> pg_sys::LOCKTAG {
        // SAFETY: a plain global that is set once, when the backend enters its database.
        self.locktag_in(unsafe { pg_sys::MyDatabaseId })
    }

    fn locktag_in(self, database: pg_sys::Oid) -> pg_sys::LOCKTAG {
        pg_sys::LOCKTAG {
            locktag_field1: database.to_u32(),
            locktag_field2: self.high,
            locktag_field3: self.low,
            locktag_field4: self.class,
            locktag_type: pg_sys::LockTagType::LOCKTAG_ADVISORY as u8,
            locktag_lockmethodid: pg_sys::USER_LOCKMETHOD as u8,
        }
    }

    /// Holds the tag shared until the end of the transaction (or of the subtransaction that
    /// first took it, where that one rolls back). Never waits, since nobody takes it exclusively.
    pub fn share_until_end(self) {
        let session_lock = false;
        let dont_wait = false;
        // SAFETY: a valid tag and mode; an error unwinds as a panic with nothing held.
        unsafe {
            pg_sys::LockAcquire(
                &self.locktag(),
                pg_sys::ShareLock as i32,
                session_lock,
                dont_wait,
            );
        }
    }

    /// Takes the tag exclusively and returns at once: `None` where somebody else has it.
    pub fn try_exclusive(self) -> Option<Exclusive> {
        let dont_wait = true;
        // Lazily: an `Exclusive` that is made and dropped gives back a lock that is not ours.
        acquire_exclusive(&self.locktag(), dont_wait).then(|| Exclusive(self))
    }

    /// Takes the tag exclusively until the end of the transaction, where nobody else has it, in
    /// whatever database of the cluster.
    pub fn try_in_cluster_until_end(self) -> bool {
        let dont_wait = true;
        acquire_exclusive(&self.locktag_in(pg_sys::InvalidOid), dont_wait)
    }

    /// Takes the tag exclusively, waiting in line for it.
    pub fn exclusive(self) -> Exclusive {
        let dont_wait = false;
        // A wait either ends with the lock or raises an error.
        acquire_exclusive(&self.locktag(), dont_wait);
        Exclusive(self)
    }

    /// Takes the tag exclusively until the end of the transaction, waiting in line for it.
    pub fn exclusive_until_end(self) {
        std::mem::forget(self.exclusive());
    }

    /// The same where nobody else has it; whether it is ours now.
    pub fn try_exclusive_until_end(self) -> bool {
        self.try_exclusive().map(std::mem::forget).is_some()
    }
}

/// Whether the lock is ours now.
fn acquire_exclusive(tag: &pg_sys::LOCKTAG, dont_wait: bool) -> bool {
    let session_lock = false;
    // SAFETY: a valid tag and mode; an error unwinds as a panic with nothing held.
    let result =
        unsafe { pg_sys::LockAcquire(tag, pg_sys::ExclusiveLock as i32, session_lock, dont_wait) };
    result != pg_sys::LockAcquireResult::LOCKACQUIRE_NOT_AVAIL
}

/// An exclusive lock that is given back when dropped, long before the transaction ends.
pub struct Exclusive(Tag);

impl Drop for Exclusive {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        let session_lock = false;
        // SAFETY: this value exists only while the lock is held by this transaction.
        unsafe {
            pg_sys::LockRelease(
                &self.0.locktag(),
                pg_sys::ExclusiveLock as i32,
                session_lock,
            );
        }
    }
}

/// Takes PostgreSQL's own advisory lock `key` exclusively until the end of the transaction, as
/// `pg_advisory_xact_lock(bigint)` does.
pub fn advisory_until_end(key: i64) {
    const BIGINT_KEY: u16 = 1;
    let tag = Tag {
        high: (key as u64 >> 32) as u32,
        low: key as u32,
        class: BIGINT_KEY,
    };
    tag.exclusive_until_end();
}
