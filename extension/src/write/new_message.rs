//! A message to be written: what is refused, its row, and what every write checks.

use crate::error::Error;
use crate::message_db::null::or_null;
use crate::pg::insert::Insertion;
use crate::pg::jsonb::Jsonb;
use crate::pg::relation::Table;
use crate::pg::text::Text;
use crate::pg::transaction;
use crate::stream_name;
use crate::tables::messages::{COLUMNS, column};
use pgrx::pg_sys;

/// Bytes a stream name may have: what fits into the index of streams however little it
/// compresses.
pub const STREAM_NAME_MAX: usize = 2_600;
/// Bytes a category and the category of `correlationStreamName` may have together, for the
/// same reason in the index of categories.
pub const CATEGORIES_MAX: usize = 2_600;

/// The columns that a BEFORE trigger must leave alone.
pub const FIXED: [usize; 3] = [
    column::GLOBAL_POSITION,
    column::POSITION,
    column::STREAM_NAME,
];

/// A message to be written; `None` for SQL NULL.
pub struct NewMessage<'a> {
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

impl NewMessage<'_> {
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
            let stream = or_null(stream_name);
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
pub fn require_inserted(table: &Table, outcome: Insertion) -> Result<(), Error> {
    match outcome {
        Insertion::Inserted => Ok(()),
        Insertion::Suppressed => Err(Error::TriggerInterfered(
            "a trigger on messages kept the message from being written".to_owned(),
        )),
        Insertion::Changed(number) => {
            let name = table.column_name(number).to_string_lossy();
            Err(Error::TriggerInterfered(format!(
                "a trigger on messages changed {name} of the message"
            )))
        }
    }
}
