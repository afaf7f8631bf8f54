//! Which server this is, and which history of it.

use pgrx::pg_sys;

/// The timeline that the server writes: another one after a promotion, or at the end of a recovery that
/// was more than that from a crash. Not for standbys.
pub fn timeline() -> u32 {
    // SAFETY: set for good when recovery has ended, which the caller has seen.
    unsafe { pg_sys::GetWALInsertionTimeLine() }
}

/// A number above 0 that stands for the server, its timeline and the database: another one in a cluster
/// that initdb made, or pg_upgrade, and in a copy of the database.
pub fn identity() -> i64 {
    // SAFETY: plain values, set before a backend runs SQL.
    let (system, database) =
        unsafe { (pg_sys::GetSystemIdentifier(), pg_sys::MyDatabaseId.to_u32()) };
    let parts = [
        &system.to_le_bytes()[..],
        &database.to_le_bytes(),
        &timeline().to_le_bytes(),
    ];
    // FNV-1a.
    let hash = parts
        .concat()
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        });
    (hash >> 1).max(1) as i64
}
