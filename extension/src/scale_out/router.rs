//! `require_alone`: what a router may let out. It commits each call on the shard by itself, so of what is to
//! happen together with something else it would do one half.

use crate::error::Error;
use crate::pg::call::{Call, Reply, sql_functions};
use crate::pg::transaction;
use std::cell::Cell;
use std::ffi::CString;

sql_functions! {
    require_alone(command: Varchar) => require_alone,
}

thread_local! {
    /// The transaction that has written through this router.
    static WROTE: Cell<Option<u32>> = const { Cell::new(None) };
}

fn require_alone(call: &Call<'_>) -> Result<Reply, Error> {
    let command = call
        .text("command")
        .map_or(String::new(), |text| text.to_string());
    // A text value never contains NUL.
    transaction::require_writable(&CString::new(command.as_str()).unwrap_or_default());
    if transaction::is_block() {
        return Err(Error::InBlock(command));
    }
    let this = Some(transaction::local_id());
    if WROTE.replace(this) == this {
        return Err(Error::SecondWrite(command));
    }
    Ok(Reply::void())
}
