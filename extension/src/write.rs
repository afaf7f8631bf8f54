//! `write_message`: the hot path; and what every write of a message has in common.

use crate::error::{Error, printed};
use crate::horizon;
use crate::message::{self, COLUMNS, column};
use crate::pg::call::{Call, Reply, sql_functions};
use crate::pg::insert::{Insert, Outcome};
use crate::pg::jsonb::Jsonb;
use crate::pg::relation::Table;
use crate::pg::text::Text;
use crate::pg::{transaction, uuid};
use crate::stream::{self, Ends, NO_STREAM};
use crate::subscription::context;
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

/// The columns that a BEFORE trigger must leave alone.
pub const FIXED: [usize; 3] = [
    column::GLOBAL_POSITION,
    column::POSITION,
    column::STREAM_NAME,
];

/// A message to be written; `None` for SQL NULL.
pub struct Message<'a> {
    /// Where it goes.
    pub stream_name: Option<Text<'a>>,
    /// What happened.
    pub message_type: Option<Text<'a>>,
    /// The message itself.
    pub data: Option<Jsonb<'a>>,
    /// About the message.
    pub metadata: Option<Jsonb<'a>>,
}

/// What is wrong with an argument, and the repair.
pub struct Problem {
    /// The argument or field.
    pub argument: &'static str,
    /// What is wrong with it.
    pub problem: String,
    /// What to do.
    pub repair: &'static str,
}

fn write_message(call: &Call<'_>) -> Result<Reply, Error> {
    let id = call.text(0);
    let message = Message {
        stream_name: call.text(1),
        message_type: call.text(2),
        data: call.jsonb(3),
        metadata: call.jsonb(4),
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
    if let Some(handler) = context::current() {
        context::next_ordinal();
        if handler.is_replay {
            return Ok(Reply::null());
        }
    }
    let position = write(id, &message, call.bigint(5))?;
    transaction::command_counter_increment();
    Ok(Reply::bigint(Some(position)))
}

impl Message<'_> {
    /// What cannot be written and would not be refused by the table itself.
    pub fn problem(&self) -> Option<Problem> {
        if let Some(message_type) = self.message_type
            && message_type.bytes().is_empty()
        {
            return Some(Problem {
                argument: "type",
                problem: "must not be empty".to_owned(),
                repair: "Handlers are chosen by type; name what happened, such as VideoViewed.",
            });
        }
        let name = self.stream_name?.bytes();
        if name.len() > STREAM_NAME_MAX {
            return Some(Problem {
                argument: "stream_name",
                problem: format!("has {} bytes; {STREAM_NAME_MAX} is the most", name.len()),
                repair: "Put a long key into the message's data and its hash into the name.",
            });
        }
        let category = stream_name::category(name).len();
        let metadata = self.metadata?;
        if metadata.size() + category <= CATEGORIES_MAX {
            return None;
        }
        let correlation = metadata.string_field("correlationStreamName")?;
        let correlation = stream_name::category(&correlation).len();
        (correlation + category > CATEGORIES_MAX).then(|| Problem {
            argument: "metadata",
            problem: format!(
                "has a correlationStreamName whose category, with that of stream_name, has {} \
                 bytes; {CATEGORIES_MAX} is the most",
                correlation + category
            ),
            repair: "Use a shorter category.",
        })
    }

    /// The message as a row of `messages`.
    pub fn row(
        &self,
        id: Option<pg_sys::Datum>,
        position: i64,
        global_position: i64,
    ) -> [Option<pg_sys::Datum>; COLUMNS] {
        let mut values = [None; COLUMNS];
        values[column::GLOBAL_POSITION] = Some(pg_sys::Datum::from(global_position));
        values[column::POSITION] = Some(pg_sys::Datum::from(position));
        values[column::TIME] = Some(pg_sys::Datum::from(transaction::start_time()));
        values[column::STREAM_NAME] = self.stream_name.map(|name| name.datum());
        values[column::TYPE] = self.message_type.map(|name| name.datum());
        values[column::DATA] = self.data.map(|data| data.datum());
        values[column::METADATA] = self.metadata.map(|metadata| metadata.datum());
        values[column::ID] = id;
        values
    }
}

/// The version check of a write; the error's text is Message DB's.
pub fn require_version(
    expected: Option<i64>,
    version: i64,
    stream_name: Option<Text<'_>>,
) -> Result<(), Error> {
    match expected {
        Some(expected) if expected != version => {
            let stream = printed(stream_name);
            Err(Error::MessageDb(format!(
                "Wrong expected version: {expected} (Stream: {stream}, Stream Version: {version})"
            )))
        }
        _ => Ok(()),
    }
}

/// The position after `version`.
pub fn next_position(version: i64) -> Result<i64, Error> {
    version.checked_add(1).ok_or(Error::OutOfRange("bigint"))
}

/// An error where the row did not go in as it was.
pub fn require_inserted(table: &Table, outcome: Outcome) -> Result<(), Error> {
    match outcome {
        Outcome::Inserted => Ok(()),
        Outcome::Suppressed => Err(Error::TriggerInterfered(
            "a trigger on messages kept the message from being written".to_owned(),
        )),
        Outcome::Changed(number) => {
            let name = table.column(number).name.to_string_lossy();
            Err(Error::TriggerInterfered(format!(
                "a trigger on messages changed {name} of the message"
            )))
        }
    }
}

fn write(
    id: Option<Text<'_>>,
    message: &Message<'_>,
    expected_version: Option<i64>,
) -> Result<i64, Error> {
    let table = message::open_to_write()?;
    let index = stream::open_index_to_write()?;
    let tail = message
        .stream_name
        .map(|name| Ends::new(&table, &index).tail(name, expected_version));
    let version = tail.as_ref().map_or(NO_STREAM, |tail| tail.version);
    require_version(expected_version, version, message.stream_name)?;
    let position = next_position(version)?;
    let parsed_id = id.as_ref().map(uuid::parse);
    let category = message
        .stream_name
        .map_or(&b""[..], |name| stream_name::category(name.bytes()));
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
    message: &Message<'_>,
    expected_version: Option<i64>,
    category: &[u8],
    version: i64,
    position: i64,
) {
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
        format!("id ($1): {}", printed(id)),
        format!("stream_name ($2): {stream}"),
        format!("type ($3): {}", printed(message.message_type)),
        format!("data ($4): {}", json(message.data)),
        format!("metadata ($5): {}", json(message.metadata)),
        format!("expected_version ($6): {}", printed(expected_version)),
        format!("_stream_version: {version}"),
        format!("_next_position: {position}"),
    ] {
        pgrx::notice!("{notice}");
    }
}
