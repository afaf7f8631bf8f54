//! What goes into the database and comes out of it, as values.

use std::time::Duration;

use serde::Serialize;
use serde_json::value::RawValue;
use tokio_postgres::Row;

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

/// What a tick did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Messages were scanned and the position moved.
    Progressed,
    /// Nothing new: all that was drawn before the tick is processed.
    Idle,
    /// Writers in flight hold messages back.
    HeldBack,
    /// Somebody else is ticking this subscriber.
    Busy,
    /// A handler failed; nothing is done before the moment of the next try.
    Retrying,
    /// The subscription is stopped, by a person or by a failure.
    Stopped,
    /// The subscription is paused.
    Paused,
}

/// The result of one tick.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tick {
    /// What happened.
    pub outcome: Outcome,
    /// Messages that were read.
    pub scanned: i64,
    /// Messages that were given to a handler.
    pub handled: i64,
    /// The last scanned global position, now stored.
    pub position: i64,
    /// Messages that were parked.
    pub parked: i64,
    /// Why it retries or stopped.
    pub trouble: Option<Trouble>,
    /// Which member of a group it was, where that was asked for.
    pub member: Option<i64>,
}

/// The failure of a handler.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// Five characters, such as `23505`; empty where there is none.
    pub sqlstate: String,
    /// What the handler raised.
    pub error: String,
    /// When it is tried again, by the server's clock.
    pub retry_at: String,
    /// How long that is from now.
    pub retry_in: Option<Duration>,
}

/// A started subscription, as the list has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Started {
    /// Whom to tick.
    pub subscriber_id: String,
    /// What it reads.
    pub source: String,
    /// How many of its ticks may run at a time.
    pub group_size: i64,
    /// How many messages a tick reads at most.
    pub batch_size: i64,
    /// The whole row: what changes in it is news.
    pub row: String,
}

/// Which parked messages; those that match every field that is given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ParkedFilter {
    /// The message at this global position.
    pub global_position: Option<i64>,
    /// Messages of this stream.
    pub stream_name: Option<String>,
    /// Messages that failed with this SQLSTATE.
    pub sqlstate: Option<String>,
}

impl Outcome {
    /// All there are.
    pub const ALL: [Self; 7] = [
        Self::Progressed,
        Self::Idle,
        Self::HeldBack,
        Self::Busy,
        Self::Retrying,
        Self::Stopped,
        Self::Paused,
    ];

    /// The database's word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Progressed => "progressed",
            Self::Idle => "idle",
            Self::HeldBack => "held_back",
            Self::Busy => "busy",
            Self::Retrying => "retrying",
            Self::Stopped => "stopped",
            Self::Paused => "paused",
        }
    }

    pub(super) fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.word() == word)
    }
}

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
    /// By its name: a stream's has a dash, `$all` is everything, the rest are categories.
    pub fn named(name: &str) -> Self {
        match name {
            ALL => Self::All,
            name if name.contains('-') => Self::Stream(name.to_owned()),
            name => Self::Category(name.to_owned()),
        }
    }

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

impl Started {
    pub(super) fn from_row(row: &Row) -> std::result::Result<Self, tokio_postgres::Error> {
        Ok(Self {
            subscriber_id: row.try_get(0)?,
            source: row.try_get(1)?,
            group_size: row.try_get(2)?,
            batch_size: row.try_get(3)?,
            row: row.try_get(4)?,
        })
    }
}

impl StoredMessage {
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
    fn a_name_with_a_dash_is_a_stream() {
        let stream = |name: &str| Source::Stream(name.to_owned());
        let category = |name: &str| Source::Category(name.to_owned());
        assert_eq!(Source::named("viewings-1"), stream("viewings-1"));
        assert_eq!(Source::named("viewings"), category("viewings"));
        assert_eq!(
            Source::named("identity:command"),
            category("identity:command")
        );
        assert_eq!(Source::named("$all"), Source::All);
    }

    #[test]
    fn numbers_beyond_a_double_are_kept_to_the_digit() {
        let text = r#"{"n":12345678901234567890123}"#;
        let kept = raw_json(Some(text.to_owned())).map(|value| value.get().to_owned());
        assert_eq!(kept.as_deref(), Some(text));
    }
}
