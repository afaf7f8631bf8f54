//! Who holds which of our tags.
//!
//! `GetLockStatusData`, behind the view `pg_locks`, goes through the whole lock table, most of which
//! is empty, while nobody in the cluster can take a lock. Here the locks of each process are asked
//! for, a partition of the lock table at a time, as PostgreSQL itself does when a transaction
//! releases its own.

use super::tag::Tag;
use crate::pg::bindings;
use crate::pg::bindings::raw;
use crate::pg::versions::Link;
use pgrx::pg_sys;
use pgrx::pg_sys::ffi::pg_guard_ffi_boundary;
use std::mem::offset_of;

/// A tag and who holds it.
pub struct Holding {
    /// What is held.
    pub tag: Tag,
    /// The holder's process id; 0 for a prepared transaction.
    pub pid: i32,
}

/// Every tag of this database's advisory type that another session, or a prepared transaction,
/// holds and whose class satisfies `wanted`: all that are held from before this is called until
/// after it has returned. One that is taken or given back meanwhile may be missed.
pub fn held_by_others(wanted: impl Fn(u16) -> bool) -> Vec<Holding> {
    let mut holdings = Vec::new();
    let others = others();
    for partition in 0..pg_sys::NUM_LOCK_PARTITIONS as usize {
        // SAFETY: the lock is taken and given back, and what happens between cannot fail. While it
        // is held no list of the partition changes, and PREPARE TRANSACTION, which hands locks from
        // one process to another, does so under the same lock.
        unsafe {
            pg_guard_ffi_boundary(|| {
                let lock = bindings::lock_partition(partition);
                raw::LWLockAcquire(lock, pg_sys::LWLockMode::LW_SHARED);
                for process in &others {
                    for_each_lock(*process, partition, |held| {
                        if let Some(tag) = tag_of(held).filter(|tag| wanted(tag.class)) {
                            let pid = (**process).pid;
                            holdings.push(Holding { tag, pid });
                        }
                    });
                }
                raw::LWLockRelease(lock);
            });
        }
    }
    holdings
}

/// Whether this session holds an advisory lock that an SQL function took, for the transaction or
/// for longer.
pub fn holds_advisory() -> bool {
    // SAFETY: our own lists; no other session removes from them, and one adds to them locks on
    // relations only, under the partition's lock.
    (0..pg_sys::NUM_LOCK_PARTITIONS as usize).any(|partition| unsafe {
        let own = pg_sys::MyProc.cast_const();
        let head = (&raw const (*own).myProcLocks[partition]).cast::<Link>();
        let first = (*head).next.cast_const();
        if first.is_null() || first == head {
            return false;
        }
        let mut found = false;
        pg_guard_ffi_boundary(|| {
            let lock = bindings::lock_partition(partition);
            raw::LWLockAcquire(lock, pg_sys::LWLockMode::LW_SHARED);
            for_each_lock(own, partition, |held| {
                found |= tag_of(held).is_some_and(|tag| matches!(tag.class, 1 | 2));
            });
            raw::LWLockRelease(lock);
        });
        found
    })
}

/// All processes but ours, and the stand-ins of prepared transactions.
///
/// Who holds a lock has had its process id since long before it took that.
fn others() -> Vec<*const pg_sys::PGPROC> {
    // SAFETY: the array in shared memory holds the stand-ins behind the processes, as many as are
    // configured. Process ids are read as the server itself reads them, without a lock.
    unsafe {
        let first = (*pg_sys::ProcGlobal).allProcs.cast_const();
        let processes = (*pg_sys::ProcGlobal).allProcCount as usize;
        let prepared = bindings::max_prepared_xacts as usize;
        let own = pg_sys::MyProc.cast_const();
        (0..processes + prepared)
            .map(|number| (number, first.add(number)))
            .filter(|(number, process)| {
                let is_used = (&raw const (**process).pid).read_volatile() != 0;
                (is_used || *number >= processes) && *process != own
            })
            .map(|(_, process)| process)
            .collect()
    }
}

/// # Safety
/// The partition must be locked, the process one of the server's array.
unsafe fn for_each_lock(
    process: *const pg_sys::PGPROC,
    partition: usize,
    mut each: impl FnMut(&pg_sys::PROCLOCK),
) {
    // SAFETY: the caller's; a list is a ring that begins and ends with its head.
    unsafe {
        let head = (&raw const (*process).myProcLocks[partition]).cast::<Link>();
        let mut link = (*head).next.cast_const();
        while !link.is_null() && link != head {
            let held = link.byte_sub(offset_of!(pg_sys::PROCLOCK, procLink));
            each(&*held.cast());
            link = (*link).next;
        }
    }
}

/// The tag of a lock that is held and of our kind.
///
/// # Safety
/// The lock's partition must be locked.
unsafe fn tag_of(held: &pg_sys::PROCLOCK) -> Option<Tag> {
    // SAFETY: the caller's: the lock lives for as long as somebody holds it.
    let tag = unsafe { &(*held.tag.myLock).tag };
    // SAFETY: a plain global that is set once, when the backend enters its database.
    let database = unsafe { pg_sys::MyDatabaseId }.to_u32();
    let is_own = held.holdMask != 0
        && tag.locktag_type == pg_sys::LockTagType::LOCKTAG_ADVISORY as u8
        && tag.locktag_field1 == database;
    is_own.then_some(Tag {
        high: tag.locktag_field2,
        low: tag.locktag_field3,
        class: tag.locktag_field4,
    })
}
