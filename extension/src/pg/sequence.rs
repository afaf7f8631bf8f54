//! A sequence: its last value read under the buffer lock, and the next one drawn.

use super::bindings;
use super::relation;
use super::report::Report;
use pgrx::PgSqlErrorCode;
use pgrx::pg_sys;
use std::ffi::CStr;

/// A sequence of this database.
#[derive(Clone, Copy)]
pub struct Sequence {
    oid: pg_sys::Oid,
}

/// How a sequence hands out its values.
pub struct Settings {
    /// Values a session takes at a time.
    pub cache: i64,
    /// Step from one value to the next.
    pub increment: i64,
    /// Whether it starts again after its last value.
    pub cycles: bool,
}

/// Where a sequence is.
#[derive(Clone, Copy)]
pub struct Place {
    /// The last value drawn, 0 before the first.
    pub last_value: i64,
    /// Whether the value may have been set rather than drawn. setval and RESTART leave no values
    /// logged ahead; so does, by itself, one draw in 33, the first draw after a crash, and the
    /// beginning.
    pub may_have_been_set: bool,
}

/// 55000: a relation of the sequence's name is something else.
///
/// # Safety
/// The relation must be open.
unsafe fn refuse(relation: pg_sys::Relation) -> ! {
    // SAFETY: the caller's.
    let name = unsafe { relation::name_of(relation) };
    Report::new(
        PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
        format!("{name} is not a sequence"),
    )
    .hint("Positions are drawn from the sequence that create_store() made.")
    .raise()
}

impl Sequence {
    /// Finds a sequence by schema and name.
    pub fn find(schema: &'static CStr, name: &'static CStr) -> Option<Self> {
        relation::known_oid(schema, name).map(|oid| Self { oid })
    }

    /// The sequence's settings as they are now.
    pub fn settings(self) -> Option<Settings> {
        // SAFETY: a syscache tuple is read and released; the struct lies at its data.
        unsafe {
            let cache = pg_sys::SysCacheIdentifier::SEQRELID as i32;
            let tuple = pg_sys::SearchSysCache1(cache, pg_sys::Datum::from(self.oid));
            if tuple.is_null() {
                return None;
            }
            let form = pg_sys::GETSTRUCT(tuple).cast::<bindings::FormData_pg_sequence>();
            let settings = Settings {
                cache: (*form).seqcache,
                increment: (*form).seqincrement,
                cycles: (*form).seqcycle,
            };
            pg_sys::ReleaseSysCache(tuple);
            Some(settings)
        }
    }

    /// The last value drawn, 0 before the first.
    pub fn last_value(self) -> i64 {
        self.state().last_value
    }

    /// Where the sequence is. The lock on it is given back at once, so a session that waits after
    /// this holds nothing.
    pub fn state(self) -> Place {
        self.read(pg_sys::RowExclusiveLock)
    }

    /// The same for one who draws a value next, with the lock kept to the end of the transaction.
    pub fn state_before_drawing(self) -> Place {
        self.read(pg_sys::NoLock)
    }

    /// Reads under the page's lock: nextval writes a value up to 32 ahead into the page for a
    /// moment, which an unlocked read could return. The lock on the relation is that of nextval:
    /// ALTER SEQUENCE, which gives it another file and empties this one, lets weaker ones through.
    fn read(self, unlock: u32) -> Place {
        // SAFETY: the relation stays open, and its one page pinned and share-locked, while the
        // single tuple on it is read; the page of a sequence always holds item 1.
        unsafe {
            let relation = pg_sys::relation_open(self.oid, pg_sys::RowExclusiveLock as i32);
            if (*(*relation).rd_rel).relkind as u8 != pg_sys::RELKIND_SEQUENCE {
                refuse(relation);
            }
            let buffer = pg_sys::ReadBuffer(relation, 0);
            pg_sys::LockBuffer(buffer, pg_sys::BUFFER_LOCK_SHARE as i32);
            let page = pg_sys::BufferGetPage(buffer);
            let tuple = bindings::page_tuple(page, 1);
            let form = tuple
                .cast::<u8>()
                .add((*tuple).t_hoff as usize)
                .cast::<bindings::FormData_pg_sequence_data>();
            let (last_value, is_called) = ((*form).last_value, (*form).is_called);
            let may_have_been_set = (*form).log_cnt == 0;
            pg_sys::UnlockReleaseBuffer(buffer);
            pg_sys::relation_close(relation, unlock as i32);
            let last_value = if is_called {
                last_value
            } else {
                last_value.saturating_sub(1)
            };
            Place {
                last_value,
                may_have_been_set,
            }
        }
    }

    /// Draws the next value without asking the caller's privilege on the sequence: EXECUTE on
    /// the function that calls this is the privilege. Error 2200H when the sequence is used up.
    pub fn next_value(self) -> i64 {
        let check_permissions = false;
        // SAFETY: the oid names a sequence; nextval_internal locks and checks it.
        unsafe { bindings::nextval_internal(self.oid, check_permissions) }
    }
}
