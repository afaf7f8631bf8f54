//! Reading a stream.

use super::condition;
use super::page::{self, BatchSize, MessagePage};
use crate::error::Error;
use crate::message_db::null::or_null;
use crate::pg::call::{Call, Reply, sql_functions};
use crate::pg::relation::Table;
use crate::pg::scan::{Condition, IndexScan, Order};
use crate::pg::snapshot::Fresh;
use crate::pg::text::Text;
use crate::tables::messages::select::Select;
use crate::tables::messages::{self, column};
use crate::tables::tombstones;
use crate::{settings, shard, stream, stream_name};

sql_functions! {
    get_stream_messages(stream_name: Varchar, position: Bigint, batch_size: Bigint, condition: Varchar) => get_stream_messages,
    get_last_stream_message(stream_name: Varchar, type: Varchar) => get_last_stream_message,
    stream_version(stream_name: Varchar) => stream_version,
}

/// The table, to read a stream that lives here: 40001 where another shard has it.
fn open_to_read(stream_name: Text<'_>) -> Result<Table, Error> {
    let table = messages::open_to_read()?;
    shard::require_own(stream_name.bytes())?;
    Ok(table)
}

fn get_stream_messages(call: &Call<'_>) -> Result<Reply, Error> {
    let (name, position, batch_size, condition) = (
        call.text("stream_name"),
        call.bigint("position").unwrap_or(0),
        call.bigint("batch_size"),
        call.text("condition"),
    );
    let name = match name {
        Some(name) if !stream_name::is_category(name.bytes()) => name,
        other => {
            return Err(Error::MessageDb(format!(
                "Must be a stream name: {}",
                or_null(other)
            )));
        }
    };
    condition::require_allowed(condition)?;
    if settings::debug_get() {
        pgrx::notice!("» get_stream_messages");
        pgrx::notice!("stream_name ($1): {name}");
        pgrx::notice!("position ($2): {position}");
        pgrx::notice!("batch_size ($3): {}", BatchSize::meant(batch_size));
        pgrx::notice!("condition ($4): {}", or_null(condition));
    }
    if let Some(condition) = condition {
        open_to_read(name)?;
        return condition::messages(call, condition, |condition| {
            Select::of_stream(name, position, BatchSize::limit(batch_size), condition)
        });
    }
    let batch_size = BatchSize::from_argument(batch_size)?;
    let table = open_to_read(name)?;
    let index = stream::open_index()?;
    let snapshot = Fresh::of_transaction();
    let scan = |first, last: Option<i64>| {
        let mut keys = vec![(0, Condition::Equals(name)), (1, Condition::AtLeast(first))];
        keys.extend(last.map(|last| (1, Condition::AtMost(last))));
        IndexScan::begin(&table, &index, &snapshot, &keys, Order::Ascending)
    };
    let mut page = MessagePage::begin(call, batch_size);
    let mut rest = Some(position);
    if let Some(last) = batch_size.few_from(position) {
        page.fill(scan(position, Some(last)), |_| Ok(true))?;
        rest = last.checked_add(1);
    }
    // The stream ends before that, or its owner has deleted messages.
    if let Some(first) = rest.filter(|_| !page.is_full()) {
        page.fill(scan(first, None), |_| Ok(true))?;
    }
    Ok(page.finish())
}

fn get_last_stream_message(call: &Call<'_>) -> Result<Reply, Error> {
    let (name, message_type) = (call.text("stream_name"), call.text("type"));
    if settings::debug_get() {
        pgrx::notice!("» get_last_message");
        pgrx::notice!("stream_name ($1): {}", or_null(name));
        pgrx::notice!("type ($2): {}", or_null(message_type));
    }
    let Some(name) = name else {
        return Ok(page::empty(call));
    };
    let table = open_to_read(name)?;
    let index = stream::open_index()?;
    let snapshot = Fresh::of_transaction();
    let keys = [(0, Condition::Equals(name))];
    let scan = IndexScan::begin(&table, &index, &snapshot, &keys, Order::Descending);
    page::of_scan(call, scan, BatchSize::ONE, |row| {
        Ok(message_type.is_none_or(|wanted| row.text(column::TYPE).bytes() == wanted.bytes()))
    })
}

fn stream_version(call: &Call<'_>) -> Result<Reply, Error> {
    let Some(name) = call.text("stream_name") else {
        return Ok(Reply::null());
    };
    let table = open_to_read(name)?;
    let index = stream::open_index()?;
    let snapshot = Fresh::of_transaction();
    let keys = [(0, Condition::Equals(name))];
    let mut scan = IndexScan::begin(&table, &index, &snapshot, &keys, Order::Descending);
    let version = match scan.advance() {
        true => Some(scan.bigint(column::POSITION)),
        false => tombstones::position(name)?,
    };
    Ok(Reply::bigint(version))
}
