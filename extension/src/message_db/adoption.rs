//! The time in which calls of Message DB's own functions, which began before ours took their place, may
//! still be running in this database.
//!
//! What runs of Message DB's code neither announces the positions that it draws nor looks for
//! announcements: it relies on a lock a category, which each writer holds until its transaction ends.
//! So until the last such call has ended both protocols hold for everybody. A statement trigger on
//! `messages` announces what Message DB's INSERT is about to draw, and whoever writes by our functions
//! takes Message DB's lock too. `finish_adoption()` takes the trigger away.

use crate::consumer_group::hash_64;
use crate::error::Error;
use crate::horizon;
use crate::pg::call::{Call, Reply, sql_functions};
use crate::pg::lock;
use crate::pg::relation::Table;

sql_functions! {
    announce_insert() => announce_insert,
}

/// The trigger that is there for as long as Message DB's code may run.
const TRIGGER: &std::ffi::CStr = c"message_store_adoption";

/// Takes Message DB's locks of these categories while its own writers and readers may be running.
pub fn lock_categories<'a>(table: &Table, categories: impl Iterator<Item = &'a [u8]>) {
    if !table.has_trigger(TRIGGER) {
        return;
    }
    // In one order, so that two of ours do not wait for each other.
    let mut hashes: Vec<i64> = categories.map(hash_64).collect();
    hashes.sort_unstable();
    hashes.dedup();
    for hash in hashes {
        lock::advisory_until_end(hash);
    }
}

/// Tells readers of every category that positions are about to be drawn.
fn announce_insert(_: &Call<'_>) -> Result<Reply, Error> {
    horizon::announce_every_category()?;
    Ok(Reply::void())
}
