//! Messages as they are written and read, and what a read goes over.

use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use tokio_postgres::{
    Row,
    types::{Json, ToSql},
};
use uuid::Uuid;

use crate::error::{Error, Result};

/// A message to be written.
#[derive(Clone, Debug)]
pub struct NewMessage {
    /// The unique id: a UUID as text.
    pub id: String,
    /// The stream it is appended to.
    pub stream: String,
    /// The message type.
    pub message_type: String,
    /// The data, a JSON value kept as it was typed; none is NULL.
    pub data: Option<Box<RawValue>>,
    /// The metadata, where there is any.
    pub metadata: Option<Box<RawValue>>,
    /// The version the stream must have (-1: no messages), where that matters.
    pub expected_version: Option<i64>,
}

impl NewMessage {
    /// A message with a random id, whatever version its stream has.
    ///
    /// # Errors
    /// [`Error::Input`] where the data is nothing that JSON has.
    pub fn new(stream: &str, message_type: &str, data: &impl Serialize) -> Result<Self> {
        Ok(Self {
            id: Uuid::new_v4().to_string(),
            stream: stream.to_owned(),
            message_type: message_type.to_owned(),
            data: Some(json(data, "data")?),
            metadata: None,
            expected_version: None,
        })
    }

    /// The same with metadata.
    ///
    /// # Errors
    /// [`Error::Input`] where it is nothing that JSON has.
    pub fn with_metadata(mut self, metadata: &impl Serialize) -> Result<Self> {
        self.metadata = Some(json(metadata, "metadata")?);
        Ok(self)
    }
}

/// The arguments of `write_message`.
pub(super) struct Arguments<'a> {
    message: &'a NewMessage,
    data: Option<Json<&'a RawValue>>,
    metadata: Option<Json<&'a RawValue>>,
}

impl<'a> Arguments<'a> {
    pub(super) fn of(message: &'a NewMessage) -> Self {
        Self {
            message,
            data: message.data.as_deref().map(Json),
            metadata: message.metadata.as_deref().map(Json),
        }
    }

    /// In the function's order.
    pub(super) fn given(&self) -> [&(dyn ToSql + Sync); 6] {
        let message = self.message;
        [
            &message.id,
            &message.stream,
            &message.message_type,
            &self.data,
            &self.metadata,
            &message.expected_version,
        ]
    }
}

fn json(value: &impl Serialize, name: &str) -> Result<Box<RawValue>> {
    to_raw_value(value).map_err(|error| Error::Input {
        problem: format!("{name} is no JSON: {error}"),
    })
}

/// A message as it is read: one line of `orchestrator read`.
#[derive(Debug, Serialize)]
pub struct StoredMessage {
    /// The unique id.
    pub id: String,
    /// The stream.
    pub stream: String,
    /// The message type.
    #[serde(rename = "type")]
    pub message_type: String,
    /// The position in the stream, from 0.
    pub position: i64,
    /// The position in the store, from 1, with gaps.
    #[serde(rename = "globalPosition")]
    pub global_position: i64,
    /// The data, exactly as stored.
    pub data: Option<Box<RawValue>>,
    /// The metadata, exactly as stored.
    pub metadata: Option<Box<RawValue>>,
    /// When it was written, UTC, ISO 8601 with microseconds.
    pub time: String,
}

/// What a read goes over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// One stream, by name.
    Stream(String),
    /// Every stream of a category.
    Category(String),
    /// Every message of the store.
    All,
}

/// The name of every message.
pub const ALL: &str = "$all";

/// How the messages of a source are found in the log.
pub(super) struct InLog<'a> {
    /// The column of its positions.
    pub(super) at: &'static str,
    /// What its messages satisfy, where `$1` is the name.
    pub(super) condition: &'static str,
    /// The name, or `$all`.
    pub(super) name: &'a str,
}

impl Source {
    /// Of a message's two positions, the one by which this is read.
    pub fn position(&self, in_stream: i64, global: i64) -> i64 {
        match self {
            Self::Stream(_) => in_stream,
            Self::Category(_) | Self::All => global,
        }
    }

    pub(super) fn in_log(&self) -> InLog<'_> {
        let (at, condition, name) = match self {
            Self::Stream(name) => ("position", "stream_name = $1", name.as_str()),
            Self::Category(name) => (
                "global_position",
                "message_store.category(stream_name) = $1",
                name.as_str(),
            ),
            Self::All => ("global_position", "$1::varchar IS NOT NULL", ALL),
        };
        InLog {
            at,
            condition,
            name,
        }
    }
}

impl std::fmt::Display for Source {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Stream(name) => write!(formatter, "the stream {name}"),
            Self::Category(name) => write!(formatter, "the category {name}"),
            Self::All => formatter.write_str("all messages"),
        }
    }
}

impl StoredMessage {
    /// What [`Self::from_row`] reads, of a function that returns messages.
    pub(super) const COLUMNS: &str = "id, stream_name, type, position, global_position, data, \
                                      metadata, to_char(time, 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')";

    pub(super) fn from_row(row: &Row) -> std::result::Result<Self, tokio_postgres::Error> {
        Ok(Self {
            id: row.try_get(0)?,
            stream: row.try_get(1)?,
            message_type: row.try_get(2)?,
            position: row.try_get(3)?,
            global_position: row.try_get(4)?,
            data: raw_json(row.try_get(5)?),
            metadata: raw_json(row.try_get(6)?),
            time: row.try_get(7)?,
        })
    }
}

/// The functions return `jsonb` as text, so this is JSON already; text that is
/// not is shown as a JSON string rather than lost.
fn raw_json(text: Option<String>) -> Option<Box<RawValue>> {
    text.and_then(|text| match RawValue::from_string(text.clone()) {
        Ok(value) => Some(value),
        Err(_) => serde_json::value::to_raw_value(&text).ok(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_beyond_a_double_are_kept_to_the_digit() {
        let text = r#"{"n":12345678901234567890123}"#;
        let kept = raw_json(Some(text.to_owned())).map(|value| value.get().to_owned());
        assert_eq!(kept.as_deref(), Some(text));
    }
}
