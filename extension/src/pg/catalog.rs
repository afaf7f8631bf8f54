//! Noticing changes of the catalogs, so that what was looked up once need not be looked up again.

use pgrx::pg_sys;
use std::cell::Cell;
use std::ffi::c_int;

/// A state of the catalogs as this session knows them. While it is the same, names mean the same
/// relations, and relations have the same columns, indexes, triggers and settings.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Generation(u64);

const NOT_WATCHED: u64 = 0;

thread_local! {
    static CURRENT: Cell<u64> = const { Cell::new(NOT_WATCHED) };
}

/// Catalogs whose changes do not reach a relation's own entry in the cache: names of relations and
/// schemas, functions and domains (of expressions), settings of sequences.
const WATCHED: [pg_sys::SysCacheIdentifier::Type; 6] = [
    pg_sys::SysCacheIdentifier::RELNAMENSP,
    pg_sys::SysCacheIdentifier::NAMESPACENAME,
    pg_sys::SysCacheIdentifier::PROCOID,
    pg_sys::SysCacheIdentifier::TYPEOID,
    pg_sys::SysCacheIdentifier::CONSTROID,
    pg_sys::SysCacheIdentifier::SEQRELID,
];

/// The generation of now. Ask after taking a lock: that is when a session hears of changes.
pub fn generation() -> Generation {
    CURRENT.with(|current| {
        if current.get() == NOT_WATCHED {
            current.set(NOT_WATCHED + 1);
            watch();
        }
        Generation(current.get())
    })
}

fn watch() {
    let no_argument = pg_sys::Datum::null();
    // SAFETY: once a session; the callbacks are plain functions of this library, which is never
    // unloaded.
    unsafe {
        pg_sys::CacheRegisterRelcacheCallback(Some(relation_changed), no_argument);
        for catalog in WATCHED {
            pg_sys::CacheRegisterSyscacheCallback(catalog as c_int, Some(row_changed), no_argument);
        }
    }
}

unsafe extern "C-unwind" fn relation_changed(_: pg_sys::Datum, _: pg_sys::Oid) {
    turn();
}

unsafe extern "C-unwind" fn row_changed(_: pg_sys::Datum, _: c_int, _: u32) {
    turn();
}

fn turn() {
    CURRENT.with(|current| current.set(current.get() + 1));
}
