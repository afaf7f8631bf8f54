//! A sequence: its last value read under the buffer lock, the next one drawn, and values left out.

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
    /// Its first value.
    pub start: i64,
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

/// The one row of a sequence.
///
/// # Safety
/// The page must be a sequence's, which always holds item 1, and pinned and locked while the row is used.
unsafe fn data_of(page: pg_sys::Page) -> *mut bindings::FormData_pg_sequence_data {
    // SAFETY: the caller's.
    unsafe {
        let tuple = bindings::page_tuple(page, 1);
        tuple.cast::<u8>().add((*tuple).t_hoff as usize).cast()
    }
}

/// The last value not beyond `target` of those that come after `drawn` in steps; `drawn` where there is none.
fn last_up_to(target: i64, drawn: i64, step: i64) -> i64 {
    let missing = i128::from(target) - i128::from(drawn);
    let steps = missing.max(0) / i128::from(step);
    i64::try_from(i128::from(drawn) + steps * i128::from(step)).unwrap_or(drawn)
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
                start: (*form).seqstart,
                increment: (*form).seqincrement,
                cycles: (*form).seqcycle,
            };
            pg_sys::ReleaseSysCache(tuple);
            Some(settings)
        }
    }

    /// From one value to the next.
    pub fn step(self) -> i64 {
        self.settings()
            .map_or(1, |settings| settings.increment.max(1))
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
            let form = data_of(pg_sys::BufferGetPage(buffer));
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

    /// Leaves out the values up to `target`, unless they were drawn: the next one lies behind it, and is one
    /// that would have come anyway. Returns the last value then. Under the page's lock, so it sets nothing
    /// back beside nextval. The write-ahead log has it; it is durable with [`Self::make_durable`].
    pub fn leave_out(self, target: i64) -> i64 {
        // SAFETY: as in `read`, the page locked against everybody. What is changed is a copy of the page,
        // which GenericXLogFinish puts in its place and logs; an error before gives up the copy.
        unsafe {
            let relation = pg_sys::relation_open(self.oid, pg_sys::RowExclusiveLock as i32);
            if (*(*relation).rd_rel).relkind as u8 != pg_sys::RELKIND_SEQUENCE {
                refuse(relation);
            }
            // Asked now that nobody alters it.
            let step = self.step();
            let buffer = pg_sys::ReadBuffer(relation, 0);
            pg_sys::LockBuffer(buffer, pg_sys::BUFFER_LOCK_EXCLUSIVE as i32);
            let change = pg_sys::GenericXLogStart(relation);
            // The whole page: nextval has logged another than it has left here.
            let whole = pg_sys::GENERIC_XLOG_FULL_IMAGE as i32;
            let page = pg_sys::GenericXLogRegisterBuffer(change, buffer, whole);
            let form = data_of(page);
            let drawn = match (*form).is_called {
                true => (*form).last_value,
                false => (*form).last_value.saturating_sub(step),
            };
            let last = last_up_to(target, drawn, step);
            if last > drawn {
                (*form).last_value = last;
                (*form).is_called = true;
                (*form).log_cnt = 0;
                pg_sys::GenericXLogFinish(change);
            } else {
                pg_sys::GenericXLogAbort(change);
            }
            pg_sys::UnlockReleaseBuffer(buffer);
            pg_sys::relation_close(relation, pg_sys::NoLock as i32);
            last.max(drawn)
        }
    }

    /// Returns when no crash, and no fail-over to a synchronous standby, takes back what was drawn or left
    /// out so far.
    pub fn make_durable(self) {
        // SAFETY: the page is pinned and locked while its place in the log is read. A wait for standbys looks for
        // cancels itself, and must not be left by one.
        unsafe {
            let relation = pg_sys::relation_open(self.oid, pg_sys::RowExclusiveLock as i32);
            let buffer = pg_sys::ReadBuffer(relation, 0);
            pg_sys::LockBuffer(buffer, pg_sys::BUFFER_LOCK_SHARE as i32);
            let logged_up_to = pg_sys::BufferGetLSNAtomic(buffer);
            pg_sys::UnlockReleaseBuffer(buffer);
            pg_sys::relation_close(relation, pg_sys::RowExclusiveLock as i32);
            pg_sys::XLogFlush(logged_up_to);
            let is_commit = false;
            pg_sys::InterruptHoldoffCount += 1;
            pg_sys::SyncRepWaitForLSN(logged_up_to, is_commit);
            pg_sys::InterruptHoldoffCount -= 1;
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_left_out_ends_at_the_last_value_up_to_the_target(
            drawn in 0..i64::MAX / 4, ahead in -5_000..5_000_000_i64, step in 1..2_000_i64,
        ) {
            let target = drawn.saturating_add(ahead);
            let last = last_up_to(target, drawn, step);
            prop_assert!(last >= drawn && last + step > target);
            prop_assert_eq!((last - drawn) % step, 0);
            prop_assert!(last == drawn || last <= target);
        }
    }

    #[test]
    fn the_greatest_number_is_no_overflow() {
        assert_eq!(last_up_to(i64::MAX, i64::MAX - 1, 1_024), i64::MAX - 1);
        assert_eq!(last_up_to(i64::MIN, 7, 1), 7);
    }
}
