//! How a router asks its shards: by PL/Proxy (`ask_shards`), and what it may let out (`require_alone`). It
//! commits each call on the shard by itself, so of what is to happen together with something else it would do
//! one half.

use crate::error::Error;
use crate::pg::call::{Call, LanguageCall, Reply, language_functions, sql_functions};
use crate::pg::{plproxy, transaction};
use pgrx::pg_sys;
use std::cell::Cell;
use std::ffi::{CStr, CString};

sql_functions! {
    require_alone(command: Varchar) => require_alone,
}

language_functions! {
    ask_shards() => ask_shards,
    check_function(function: Oid) => plproxy::validate,
}

const NO_ANSWER: &CStr = c"A shard does not answer. Ask again, to write under the same id; SELECT shard, error FROM message_store.shard_status says which.";

thread_local! {
    /// The transaction that has written through this router.
    static WROTE: Cell<Option<u32>> = const { Cell::new(None) };
}

/// The functions of the language `message_store_router`.
fn ask_shards(call: LanguageCall) -> pg_sys::Datum {
    plproxy::run(call, NO_ANSWER)
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
