//! Reading all messages.

use super::page::{self, BatchSize};
use crate::error::Error;
use crate::horizon::{self, Scope};
use crate::pg::call::{Call, Reply, sql_functions};
use crate::pg::scan::{Condition, IndexScan, Order};
use crate::shard;
use crate::tables::messages::{self, column};

sql_functions! {
    get_all_messages(position: Bigint, batch_size: Bigint) => get_all_messages,
}

fn get_all_messages(call: &Call<'_>) -> Result<Reply, Error> {
    let (position, batch_size) = (
        call.bigint("position").unwrap_or(1),
        call.bigint("batch_size"),
    );
    let batch_size = BatchSize::from_argument(batch_size)?;
    let horizon = horizon::settled(Scope::All, "get_all_messages")?.position;
    let table = messages::open_to_read()?;
    let index = messages::open_index(c"messages_pkey")?;
    let snapshot = horizon::snapshot();
    let keys = [
        (0, Condition::AtLeast(position)),
        (0, Condition::AtMost(horizon)),
    ];
    let scan = IndexScan::begin(&table, &index, &snapshot, &keys, Order::Ascending);
    let shard = shard::this()?;
    page::of_scan(call, scan, batch_size, |row| match shard {
        Some(shard) => shard.owns(row.text(column::STREAM_NAME).bytes()),
        None => Ok(true),
    })
}
