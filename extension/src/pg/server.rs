//! Which server this is, and which history of it.

use pgrx::pg_sys;

/// The timeline that the server writes: another one after a promotion, or at the end of a recovery that
/// was more than that from a crash. Not for standbys.
pub fn timeline() -> u32 {
    // SAFETY: set for good when recovery has ended, which the caller has seen.
    unsafe { pg_sys::GetWALInsertionTimeLine() }
}

/// What tells this server, its timeline and the database from others: other bytes in a cluster that initdb
/// made, or pg_upgrade, and in a copy of the database.
pub fn identity() -> Vec<u8> {
    identity_on(timeline())
}

/// The same of the server and database when they were on this timeline.
pub fn identity_on(timeline: u32) -> Vec<u8> {
    // SAFETY: plain values, set before a backend runs SQL.
    let (system, database) =
        unsafe { (pg_sys::GetSystemIdentifier(), pg_sys::MyDatabaseId.to_u32()) };
    [
        &system.to_le_bytes()[..],
        &database.to_le_bytes(),
        &timeline.to_le_bytes(),
    ]
    .concat()
}

/// When the last transaction was committed that this server has replayed, in microseconds since 2000; `None`
/// where it has replayed none since it was started.
pub fn last_replayed() -> Option<i64> {
    // SAFETY: reads shared memory under its lock.
    let time = unsafe { pg_sys::GetLatestXTime() };
    (time != 0).then_some(time)
}
