//! `shard_of`, `advance_position`, `require_map`: what a router asks of a name, and of a shard.

use crate::error::Error;
use crate::horizon;
use crate::pg::call::{Call, Reply, sql_functions};
use crate::pg::transaction;
use crate::shard::{self, number_of, require_count};
use crate::tables::messages;

sql_functions! {
    advance_position(target: Bigint) => advance_position,
    require_map(map: Bigint) => require_map,
}

sql_functions! {
    beside newer SQL too:
    shard_of(stream_name: Varchar, shards: Bigint) => shard_of,
}

fn shard_of(call: &Call<'_>) -> Result<Reply, Error> {
    let (name, shards) = (call.text("stream_name"), call.bigint("shards"));
    let shards = require_count(shards)?;
    let Some(name) = name else {
        return Ok(Reply::null());
    };
    number_of(name.bytes(), shards).map(|number| Reply::bigint(Some(number)))
}

fn advance_position(call: &Call<'_>) -> Result<Reply, Error> {
    transaction::require_writable(c"advance_position()");
    let target = call.bigint("target").unwrap_or(0);
    horizon::leave_out_up_to(target).map(|drawn| Reply::bigint(Some(drawn)))
}

fn require_map(call: &Call<'_>) -> Result<Reply, Error> {
    transaction::require_writable(c"require_map()");
    // As a writer, whom `become_shard` waits for.
    let _until_the_end = messages::open_to_write()?;
    shard::require_map(call.bigint("map"))?;
    Ok(Reply::void())
}
