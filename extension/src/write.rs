//! `write_message`: the hot path.

use crate::error::{Error, printed};
use crate::horizon;
use crate::message::{self, COLUMNS, column};
use crate::pg::call::{Call, Reply, sql_functions};
use crate::pg::insert::{Insert, Outcome};
use crate::pg::jsonb::Jsonb;
use crate::pg::text::Text;
use crate::pg::{transaction, uuid};
use crate::stream::{self, NO_STREAM, Tail};
use crate::{settings, stream_name};
use pgrx::pg_sys;

/// Bytes a stream name may have: what fits into the index of streams however little it
/// compresses.
pub const STREAM_NAME_MAX: usize = 2_600;
/// Bytes a category and the category of `correlationStreamName` may have together, for the
/// same reason in the index of categories.
pub const CATEGORIES_MAX: usize = 2_600;

sql_functions! {
    write_message => write_message,
}

/// A message to be written; `None` for SQL NULL.
struct Message<'a> {
    id: Option<Text<'a>>,
    stream_name: Option<Text<'a>>,
    message_type: Option<Text<'a>>,
    data: Option<Jsonb<'a>>,
    metadata: Option<Jsonb<'a>>,
    expected_version: Option<i64>,
}

fn write_message(call: &Call<'_>) -> Result<Reply, Error> {
    let message = Message {
        id: call.text(0),
        stream_name: call.text(1),
        message_type: call.text(2),
        data: call.jsonb(3),
        metadata: call.jsonb(4),
        expected_version: call.bigint(5),
    };
    transaction::require_writable(c"write_message()");
    check(&message)?;
    let position = write(&message)?;
    transaction::command_counter_increment();
    Ok(Reply::bigint(Some(position)))
}

fn check(message: &Message<'_>) -> Result<(), Error> {
    if let Some(message_type) = message.message_type
        && message_type.bytes().is_empty()
    {
        return Err(Error::argument(
            "type",
            "must not be empty",
            "Handlers are chosen by type; name what happened, such as VideoViewed.",
        ));
    }
    let Some(name) = message.stream_name else {
        return Ok(());
    };
    let name = name.bytes();
    if name.len() > STREAM_NAME_MAX {
        return Err(Error::argument(
            "stream_name",
            format!("has {} bytes; {STREAM_NAME_MAX} is the most", name.len()),
            "Put a long key into the message's data and its hash into the name.",
        ));
    }
    let category = stream_name::category(name).len();
    if let Some(metadata) = message.metadata
        && metadata.size() + category > CATEGORIES_MAX
        && let Some(correlation) = metadata.string_field("correlationStreamName")
    {
        let correlation = stream_name::category(&correlation).len();
        if correlation + category > CATEGORIES_MAX {
            return Err(Error::argument(
                "metadata",
                format!(
                    "has a correlationStreamName whose category, with that of stream_name, has \
                     {} bytes; {CATEGORIES_MAX} is the most",
                    correlation + category
                ),
                "Use a shorter category.",
            ));
        }
    }
    Ok(())
}

fn write(message: &Message<'_>) -> Result<i64, Error> {
    let table = message::open_to_write()?;
    let index = stream::open_index()?;
    let tail = message
        .stream_name
        .map(|name| Tail::of(&table, &index, name));
    let version = tail.as_ref().map_or(NO_STREAM, |tail| tail.version);
    if let Some(expected) = message.expected_version
        && expected != version
    {
        let stream = printed(message.stream_name);
        return Err(Error::MessageDb(format!(
            "Wrong expected version: {expected} (Stream: {stream}, Stream Version: {version})"
        )));
    }
    let position = version.checked_add(1).ok_or(Error::OutOfRange("bigint"))?;
    let id = message.id.as_ref().map(uuid::parse);
    let category = message
        .stream_name
        .map_or(&b""[..], |name| stream_name::category(name.bytes()));
    let global_position = horizon::draw_position(category)?;

    let mut values: [Option<pg_sys::Datum>; COLUMNS] = [None; COLUMNS];
    values[column::GLOBAL_POSITION] = Some(pg_sys::Datum::from(global_position));
    values[column::POSITION] = Some(pg_sys::Datum::from(position));
    values[column::TIME] = Some(pg_sys::Datum::from(transaction::start_time()));
    values[column::STREAM_NAME] = message.stream_name.map(|name| name.datum());
    values[column::TYPE] = message.message_type.map(|name| name.datum());
    values[column::DATA] = message.data.map(|data| data.datum());
    values[column::METADATA] = message.metadata.map(|metadata| metadata.datum());
    values[column::ID] = id;

    let fixed = [
        column::GLOBAL_POSITION,
        column::POSITION,
        column::STREAM_NAME,
    ];
    let mut insert = Insert::begin(&table, COLUMNS);
    match insert.row(&values, &fixed) {
        Outcome::Inserted => {}
        Outcome::Suppressed => {
            return Err(Error::TriggerInterfered(
                "a trigger on messages kept the message from being written".to_owned(),
            ));
        }
        Outcome::Changed(number) => {
            let name = table.column(number).name.to_string_lossy();
            return Err(Error::TriggerInterfered(format!(
                "a trigger on messages changed {name} of the message"
            )));
        }
    }
    // The row stands in the index of streams: whoever looks now finds us there.
    drop(tail);
    insert.finish();
    if settings::debug_write() {
        print_notices(message, category, version, position);
    }
    Ok(position)
}

/// Message DB's notices of a write.
fn print_notices(message: &Message<'_>, category: &[u8], version: i64, position: i64) {
    let json = |value: Option<Jsonb<'_>>| printed(value.map(|json| json.to_text()));
    let stream = printed(message.stream_name);
    let hash = message
        .stream_name
        .map(|_| crate::consumer_group::hash_64(category));
    for notice in [
        "» acquire_lock".to_owned(),
        format!("stream_name: {stream}"),
        format!(
            "_category: {}",
            printed(
                message
                    .stream_name
                    .map(|_| String::from_utf8_lossy(category))
            )
        ),
        format!("_category_name_hash: {}", printed(hash)),
        "» write_message".to_owned(),
        format!("id ($1): {}", printed(message.id)),
        format!("stream_name ($2): {stream}"),
        format!("type ($3): {}", printed(message.message_type)),
        format!("data ($4): {}", json(message.data)),
        format!("metadata ($5): {}", json(message.metadata)),
        format!(
            "expected_version ($6): {}",
            printed(message.expected_version)
        ),
        format!("_stream_version: {version}"),
        format!("_next_position: {position}"),
    ] {
        pgrx::notice!("{notice}");
    }
}
