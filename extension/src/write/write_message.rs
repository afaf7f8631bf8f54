//! `write_message`: the hot path.

use super::new_message::{
    FIXED, NewMessage, Problem, next_position, require_inserted, require_version,
};
use crate::error::Error;
use crate::handler_call;
use crate::horizon;
use crate::message_db::{adoption, null::or_null};
use crate::pg::call::{Call, Reply, sql_functions};
use crate::pg::insert::Insert;
use crate::pg::jsonb::Jsonb;
use crate::pg::text::Text;
use crate::pg::{transaction, uuid};
use crate::stream::{self, Ends, NO_STREAM};
use crate::tables::messages::{self, COLUMNS};
use crate::{settings, shard, stream_name};

sql_functions! {
    write_message(id: Varchar, stream_name: Varchar, type: Varchar, data: Jsonb, metadata: Jsonb, expected_version: Bigint) => write_message,
}

fn write_message(call: &Call<'_>) -> Result<Reply, Error> {
    let id = call.text("id");
    let message = NewMessage {
        stream_name: call.text("stream_name"),
        message_type: call.text("type"),
        data: call.jsonb("data"),
        metadata: call.jsonb("metadata"),
    };
    transaction::require_writable(c"write_message()");
    if let Some(Problem {
        argument,
        problem,
        repair,
    }) = message.problem()
    {
        return Err(Error::argument(argument, problem, repair));
    }
    if let Some(handler) = handler_call::current() {
        handler_call::next_ordinal();
        if handler.is_replay {
            return Ok(Reply::null());
        }
    }
    let position = write(id, &message, call.bigint("expected_version"))?;
    transaction::command_counter_increment();
    Ok(Reply::bigint(Some(position)))
}

fn write(
    id: Option<Text<'_>>,
    message: &NewMessage<'_>,
    expected_version: Option<i64>,
) -> Result<i64, Error> {
    let table = messages::open_to_write()?;
    if let Some(name) = message.stream_name {
        shard::require_own(name.bytes())?;
    }
    let category = message
        .stream_name
        .map_or(&b""[..], |name| stream_name::category(name.bytes()));
    adoption::lock_categories(&table, std::iter::once(category));
    let index = stream::open_index_to_write()?;
    let tail = message
        .stream_name
        .map(|name| Ends::new(&table, &index).tail(name, expected_version))
        .transpose()?;
    let version = tail.as_ref().map_or(NO_STREAM, |tail| tail.version);
    require_version(expected_version, version, message.stream_name)?;
    let position = next_position(version)?;
    let parsed_id = id.as_ref().map(uuid::parse);
    let global_position = horizon::draw_position(category)?;

    let mut insert = Insert::begin(&table, COLUMNS);
    let row = message.row(parsed_id, position, global_position);
    require_inserted(&table, insert.row(&row, &FIXED))?;
    // The row stands in the index of streams: whoever looks now finds us there.
    drop(tail);
    insert.finish();
    if settings::debug_write() {
        print_notices(id, message, expected_version, category, version, position);
    }
    Ok(position)
}

/// Message DB's notices of a write.
fn print_notices(
    id: Option<Text<'_>>,
    message: &NewMessage<'_>,
    expected_version: Option<i64>,
    category: &[u8],
    version: i64,
    position: i64,
) {
    let json = |value: Option<Jsonb<'_>>| or_null(value.map(|json| json.to_text()));
    let stream = or_null(message.stream_name);
    let hash = message
        .stream_name
        .map(|_| crate::consumer_group::hash_64(category));
    for notice in [
        "» acquire_lock".to_owned(),
        format!("stream_name: {stream}"),
        format!(
            "_category: {}",
            or_null(
                message
                    .stream_name
                    .map(|_| String::from_utf8_lossy(category))
            )
        ),
        format!("_category_name_hash: {}", or_null(hash)),
        "» write_message".to_owned(),
        format!("id ($1): {}", or_null(id)),
        format!("stream_name ($2): {stream}"),
        format!("type ($3): {}", or_null(message.message_type)),
        format!("data ($4): {}", json(message.data)),
        format!("metadata ($5): {}", json(message.metadata)),
        format!("expected_version ($6): {}", or_null(expected_version)),
        format!("_stream_version: {version}"),
        format!("_next_position: {position}"),
    ] {
        pgrx::notice!("{notice}");
    }
}
