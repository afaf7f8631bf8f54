//! `delete_moved_messages`: what lives on another shard since this one became two.

use crate::error::Error;
use crate::pg::call::{Call, Reply, sql_functions};
use crate::pg::transaction;
use crate::shard::{self, Shard};
use crate::tables::messages::{self, removal};
use crate::tables::{self, parked};

sql_functions! {
    delete_moved_messages(number: Bigint, shards: Bigint, after: Bigint, max_messages: Bigint) => delete_moved_messages,
}

/// How many messages one call looks at unless it says so.
const LOOKED_AT: i64 = 5_000;

fn delete_moved_messages(call: &Call<'_>) -> Result<Reply, Error> {
    transaction::require_writable(c"delete_moved_messages()");
    let after = call.bigint("after").unwrap_or(0);
    let limit = call.bigint("max_messages").unwrap_or(LOOKED_AT);
    if limit < 1 {
        return Err(Error::argument(
            "max_messages",
            "must be 1 or more",
            "Pass how many messages one call may look at.",
        ));
    }
    // What this is may change until the table is locked.
    let _table = messages::open_to_write()?;
    let this = shard::this()?.ok_or(Error::NotAShard)?;
    let meant = (call.bigint("number"), call.bigint("shards"));
    if meant != (Some(this.number), Some(this.count)) {
        return Err(Error::argument(
            "number",
            format!(
                "is another one: this is shard {} of {}",
                this.number, this.count
            ),
            "Make sure that what has moved is where it went, and name what this one is.",
        ));
    }
    if this.grown_from != this.count {
        // From here on a copy of it has only this share.
        let whole = Shard {
            grown_from: this.count,
            ..this
        };
        tables::shard::put(whole, None)?;
        parked::forget_moved(this.number, this.count)?;
    }
    let (mut last, mut moved, mut failed) = (None, Vec::new(), None);
    removal::next(after, limit, |position, stream_name| {
        last = Some(position);
        match this.owns(stream_name.as_bytes()) {
            Ok(true) => {}
            Ok(false) => moved.push(position),
            Err(error) => failed = Some(error),
        }
    })?;
    if let Some(error) = failed {
        return Err(error);
    }
    if !moved.is_empty() {
        removal::delete(&moved)?;
    }
    Ok(Reply::bigint(last))
}
