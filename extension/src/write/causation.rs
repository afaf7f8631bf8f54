//! Where a message comes from: what its metadata says about the message that caused it. The names
//! of the fields are Eventide's.

use crate::error::Error;
use crate::message;
use crate::pg::call::{Call, Reply, sql_functions};
use crate::pg::jsonb::{Jsonb, Value};
use crate::pg::probe::Probe;
use crate::pg::relation::Table;
use crate::pg::scan::{Condition, Order};
use crate::pg::text::Text;
use crate::settings;
use crate::tables::messages::{self, column};

sql_functions! {
    follow(message: Composite("message"), metadata: Jsonb) => follow,
}

/// Fields that name the message that caused another.
const CAUSE: [&str; 3] = [
    "causationMessageStreamName",
    "causationMessagePosition",
    "causationMessageGlobalPosition",
];
/// Fields that a message takes over from the one that caused it, beside those that the setting
/// `message_store.inherited_metadata` names.
const INHERITED: [&str; 2] = ["correlationStreamName", "replyStreamName"];

/// The message that caused others.
struct Cause<'a> {
    stream_name: Option<Text<'a>>,
    position: Option<i64>,
    global_position: Option<i64>,
    metadata: Option<Jsonb<'a>>,
}

impl Cause<'_> {
    /// What a message caused by this one says about it.
    fn metadata_of_caused(&self) -> Jsonb<'static> {
        let inherited = INHERITED.map(|field| {
            let value = self
                .metadata
                .and_then(|metadata| metadata.string_field(field));
            (field, value)
        });
        let mut pairs = Vec::new();
        if let Some(name) = &self.stream_name {
            pairs.push((CAUSE[0], Value::Text(name.bytes())));
        }
        for (field, value) in [(CAUSE[1], self.position), (CAUSE[2], self.global_position)] {
            pairs.extend(value.map(|value| (field, Value::Bigint(value))));
        }
        for (field, value) in &inherited {
            pairs.extend(value.as_ref().map(|value| (*field, Value::Text(value))));
        }
        let keys = settings::inherited_metadata();
        let also = keys.iter().map(|key| {
            let value = self.metadata.and_then(|metadata| metadata.item(key));
            (key.as_str(), value)
        });
        let also: Vec<_> = also.collect();
        for (key, value) in &also {
            pairs.extend(value.as_ref().map(|value| (*key, Value::Json(value))));
        }
        Jsonb::object(&pairs)
    }
}

/// What messages written because of the one at `global_position` say about it; `None` where there
/// is no such message.
pub fn of_message_at(table: &Table, global_position: i64) -> Result<Option<Jsonb<'static>>, Error> {
    let index = messages::open_index(c"messages_pkey")?;
    let keys = [
        (0, Condition::AtLeast(global_position)),
        (0, Condition::AtMost(global_position)),
    ];
    let mut probe = Probe::new(table, &index, Order::Ascending);
    Ok(probe.first(&keys, |row| {
        let cause = Cause {
            stream_name: Some(row.text(column::STREAM_NAME)),
            position: Some(row.bigint(column::POSITION)),
            global_position: Some(global_position),
            metadata: row.jsonb(column::METADATA),
        };
        cause.metadata_of_caused()
    }))
}

/// `metadata` with what it does not yet have of `causation`. Metadata that is no object stays as
/// it is.
pub fn added<'a>(causation: Jsonb<'a>, metadata: Option<Jsonb<'a>>) -> Jsonb<'a> {
    match metadata {
        None => causation,
        Some(metadata) if metadata.is_object() => causation.concat(metadata),
        Some(other) => other,
    }
}

/// Whether two messages' metadata name the same cause, or none.
pub fn is_same(one: Option<Jsonb<'_>>, other: Option<Jsonb<'_>>) -> bool {
    CAUSE.iter().all(|field| {
        let [one, other] = [one, other].map(|metadata| metadata.and_then(|it| it.field(field)));
        Jsonb::are_equal(one, other)
    })
}

/// The same by hand, for handlers of a run and for applications.
fn follow(call: &Call<'_>) -> Result<Reply, Error> {
    let Some(message) = call.composite("message", &message::TYPES) else {
        return Err(Error::argument(
            "message",
            "must not be NULL",
            "Pass the message that is the cause, as a reader or a handler gets it.",
        ));
    };
    let given = call.jsonb("metadata");
    if given.is_some_and(|metadata| !metadata.is_object()) {
        return Err(Error::argument(
            "metadata",
            "must be a JSON object",
            "Pass what else the new message's metadata is to hold, such as '{}'.",
        ));
    }
    // In the order of the type `message`.
    let cause = Cause {
        stream_name: message.text(1),
        position: message.bigint(3),
        global_position: message.bigint(4),
        metadata: message.text(6).map(|metadata| Jsonb::parse(&metadata)),
    };
    Ok(Reply::jsonb(added(cause.metadata_of_caused(), given)))
}
