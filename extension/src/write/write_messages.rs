//! `write_messages`: an atomic batch, as an array of messages over any streams or as a JSON array
//! for one stream.

use crate::error::Error;
use crate::handler_call::{self, HandlerCall};
use crate::message_id;
use crate::pg::call::{Call, Reply, sql_functions};
use crate::pg::jsonb::{Item, Jsonb, Object};
use crate::pg::rows::Rows;
use crate::pg::text::Text;
use crate::pg::transaction;
use crate::settings;
use crate::tables::messages;
use crate::write::batch::{self, Duplicate, Entry, Place};
use crate::write::causation;
use crate::write::new_message::{NewMessage, Problem};
use pgrx::pg_sys;

sql_functions! {
    write_messages(messages: Composites("new_message"), on_duplicate: Varchar) => write_messages,
    write_messages_to(stream_name: Varchar, messages: Jsonb, expected_version: Bigint, on_duplicate: Varchar) => write_messages_to,
    write_messages_of_text(stream_name: Varchar, messages: Varchar) => write_messages_of_text,
}

/// What happens where a message's id is in the log already.
#[derive(Clone, Copy, PartialEq)]
enum OnDuplicate {
    Error,
    Ignore,
}

impl OnDuplicate {
    fn from_argument(value: Option<Text<'_>>) -> Result<Self, Error> {
        match value.as_ref().map(Text::bytes) {
            Some(b"error") => Ok(Self::Error),
            Some(b"ignore") => Ok(Self::Ignore),
            other => Err(Error::argument(
                "on_duplicate",
                format!(
                    "must be 'error' or 'ignore': {}",
                    other.map_or("NULL".into(), message_id::shown)
                ),
                "'ignore' leaves a message alone whose id is in the log already; 'error' refuses it.",
            )),
        }
    }
}

/// The attributes of type `new_message`.
const NEW_MESSAGE: [pg_sys::Oid; 6] = [
    pg_sys::VARCHAROID,
    pg_sys::VARCHAROID,
    pg_sys::JSONBOID,
    pg_sys::JSONBOID,
    pg_sys::VARCHAROID,
    pg_sys::INT8OID,
];
/// The attributes of type `written_message`.
const WRITTEN_MESSAGE: [pg_sys::Oid; 5] = [
    pg_sys::VARCHAROID,
    pg_sys::VARCHAROID,
    pg_sys::INT8OID,
    pg_sys::INT8OID,
    pg_sys::BOOLOID,
];

/// A message as the caller gave it.
struct Given<'a> {
    message: NewMessage<'a>,
    id: Option<Text<'a>>,
    expected_version: Option<i64>,
}

/// Messages of any streams: element `n` of the array is `messages[n]`, from 1.
fn write_messages(call: &Call<'_>) -> Result<Reply, Error> {
    let Some(mut elements) = call.composites("messages", &NEW_MESSAGE) else {
        return Err(messages_are_null());
    };
    let on_duplicate = OnDuplicate::from_argument(call.text("on_duplicate"))?;
    if elements.dimensions() > 1 {
        return Err(Error::argument(
            "messages",
            format!("has {} dimensions", elements.dimensions()),
            "Pass an array of one dimension, in the order in which the messages are to be written.",
        ));
    }
    let mut given = Vec::with_capacity(elements.len());
    for number in 0..elements.len() {
        // In the order of the type `new_message`.
        let Some(element) = elements.get(number) else {
            return Err(in_batch(
                number + 1,
                "",
                "must not be NULL",
                "Leave the element out.",
            ));
        };
        given.push(Given {
            message: NewMessage {
                stream_name: element.text(0),
                message_type: element.text(1),
                data: element.jsonb(2),
                metadata: element.jsonb(3),
            },
            id: element.text(4),
            expected_version: element.bigint(5),
        });
    }
    let first_number = 1;
    write(call, given, first_number, None, on_duplicate)
}

fn write_messages_to(call: &Call<'_>) -> Result<Reply, Error> {
    let on_duplicate = OnDuplicate::from_argument(call.text("on_duplicate"))?;
    write_json(
        call,
        call.jsonb("messages"),
        call.bigint("expected_version"),
        on_duplicate,
    )
}

/// The same of JSON text, for calls whose arguments have no type.
fn write_messages_of_text(call: &Call<'_>) -> Result<Reply, Error> {
    let messages = call.text("messages").map(|text| Jsonb::parse(&text));
    write_json(call, messages, None, OnDuplicate::Error)
}

/// Messages of one stream: element `n` of the JSON array is `messages[n]`, from 0.
fn write_json(
    call: &Call<'_>,
    messages: Option<Jsonb<'_>>,
    version_before: Option<i64>,
    on_duplicate: OnDuplicate,
) -> Result<Reply, Error> {
    let stream_name = call.text("stream_name");
    if stream_name.is_none_or(|name| name.bytes().is_empty()) {
        return Err(Error::argument(
            "stream_name",
            "must not be NULL or empty",
            "Pass category-id, such as account-123.",
        ));
    }
    let messages = messages.ok_or_else(messages_are_null)?;
    let Some(elements) = messages.array() else {
        return Err(Error::argument(
            "messages",
            "must be a JSON array",
            "Pass objects with type, and where wanted data, metadata and id: [{\"type\": \
             \"Opened\", \"data\": {}}].",
        ));
    };
    let mut given = Vec::with_capacity(elements.len());
    for number in 0..elements.len() {
        let object = elements.get(number).and_then(|element| element.object());
        given.push(given_as_json(stream_name, number, object)?);
    }
    let first_number = 0;
    write(call, given, first_number, version_before, on_duplicate)
}

fn messages_are_null() -> Error {
    Error::argument(
        "messages",
        "must not be NULL",
        "Pass an array of messages; an empty one writes nothing.",
    )
}

/// `messages[number]`, or a field of it, cannot be meant.
fn in_batch(
    number: usize,
    field: &str,
    problem: impl Into<String>,
    repair: impl Into<String>,
) -> Error {
    Error::InBatch(place(number, field), problem.into(), repair.into())
}

fn place(number: usize, field: &str) -> String {
    let dot = if field.is_empty() { "" } else { "." };
    format!("messages[{number}]{dot}{field}")
}

fn given_as_json<'a>(
    stream_name: Option<Text<'a>>,
    number: usize,
    object: Option<Object<'_>>,
) -> Result<Given<'a>, Error> {
    const KEYS: &str = "Its keys are type, data, metadata and id; only type must be there.";
    let Some(object) = object else {
        return Err(in_batch(number, "", "must be a JSON object", KEYS));
    };
    let mut known = 0;
    let mut field = |key| {
        let item = object.get(key);
        known += usize::from(item.is_some());
        item.filter(|item| !item.is_null())
    };
    let (message_type, data) = (field("type"), field("data"));
    let (metadata, id) = (field("metadata"), field("id"));
    if known < object.len() {
        let unknown = object
            .keys()
            .into_iter()
            .find(|key| !matches!(&key[..], b"type" | b"data" | b"metadata" | b"id"));
        let unknown = unknown.unwrap_or_default();
        let problem = format!("has an unknown key \"{}\"", message_id::shown(&unknown));
        return Err(in_batch(number, "", problem, KEYS));
    }
    let string = |field, item: Option<Item<'_>>| match item.map(|item| item.string()) {
        None => Ok(None),
        Some(Some(text)) => Ok(Some(text)),
        Some(None) => Err(in_batch(
            number,
            field,
            "must be a string",
            "Put it in double quotes.",
        )),
    };
    Ok(Given {
        message: NewMessage {
            stream_name,
            message_type: string("type", message_type)?,
            data: data.map(|data| data.to_jsonb()),
            metadata: metadata.map(|metadata| metadata.to_jsonb()),
        },
        id: string("id", id)?,
        expected_version: None,
    })
}

/// Checks the messages, gives them ids and what a handler adds, writes them and returns where
/// they are.
fn write(
    call: &Call<'_>,
    given: Vec<Given<'_>>,
    first_number: usize,
    version_before: Option<i64>,
    on_duplicate: OnDuplicate,
) -> Result<Reply, Error> {
    transaction::require_writable(c"write_messages()");
    let mut rows = Rows::begin(call, &WRITTEN_MESSAGE);
    let handler = handler_call::current();
    let causation = match &handler {
        Some(handler) if handler.run_length == 1 && !handler.is_replay && !given.is_empty() => {
            let table = messages::open_to_write()?;
            causation::of_message_at(&table, handler.global_position)?
        }
        _ => None,
    };
    let mut entries = Vec::with_capacity(given.len());
    for (number, given) in given.into_iter().enumerate() {
        let entry = entry(given, handler.as_ref(), causation, on_duplicate);
        entries.push(entry.map_err(|problem| problem.at(first_number + number))?);
    }
    let is_replay = handler.is_some_and(|handler| handler.is_replay);
    let places = if is_replay {
        None
    } else {
        Some(batch::write(&entries, version_before)?)
    };
    for (number, entry) in entries.iter().enumerate() {
        let place = places.as_ref().map(|places| places[number]);
        rows.push(|| reply_row(entry, place));
    }
    if settings::debug_write() {
        pgrx::notice!("» write_messages: {} messages", entries.len());
    }
    Ok(rows.finish())
}

/// Why a message cannot be written, before it is known which one it is.
enum Refusal {
    Problem(Problem),
    InvalidId(String),
}

impl Refusal {
    fn at(self, number: usize) -> Error {
        match self {
            Self::Problem(Problem {
                argument,
                problem,
                repair,
            }) => in_batch(number, argument, problem, repair),
            Self::InvalidId(id) => Error::InvalidId(place(number, "id"), id),
        }
    }
}

fn entry<'a>(
    given: Given<'a>,
    handler: Option<&HandlerCall>,
    causation: Option<Jsonb<'a>>,
    on_duplicate: OnDuplicate,
) -> Result<Entry<'a>, Refusal> {
    let Given {
        mut message,
        id,
        expected_version,
    } = given;
    require_names(&message)?;
    if let Some(causation) = causation {
        message.metadata = Some(causation::added(causation, message.metadata));
    }
    if let Some(problem) = message.problem() {
        return Err(Refusal::Problem(problem));
    }
    // Counted for messages with an id of their own too: what the others get depends on it.
    let ordinal = handler.map(|handler| (handler, handler_call::next_ordinal()));
    let (id, duplicate) = match (id, ordinal) {
        (Some(text), _) => {
            let shown = || message_id::shown(text.bytes()).into_owned();
            let id = message_id::parse(text.bytes()).ok_or_else(|| Refusal::InvalidId(shown()))?;
            let duplicate = match on_duplicate {
                OnDuplicate::Error => Duplicate::Refused,
                OnDuplicate::Ignore => Duplicate::Kept,
            };
            (id, duplicate)
        }
        (None, Some((handler, ordinal))) => {
            let (subscriber, position) = (&handler.subscriber_id, handler.global_position);
            let id = message_id::derived(subscriber, position, ordinal);
            (id, Duplicate::KeptIfSame)
        }
        (None, None) => (message_id::new(), Duplicate::Refused),
    };
    Ok(Entry {
        message,
        id,
        duplicate,
        expected_version,
    })
}

fn require_names(message: &NewMessage<'_>) -> Result<(), Refusal> {
    let refusal = |argument, repair| {
        Err(Refusal::Problem(Problem {
            argument,
            problem: "must not be NULL or empty".to_owned(),
            repair,
        }))
    };
    if message
        .stream_name
        .is_none_or(|name| name.bytes().is_empty())
    {
        return refusal("stream_name", "Pass category-id, such as account-123.");
    }
    if message
        .message_type
        .is_none_or(|name| name.bytes().is_empty())
    {
        return refusal(
            "type",
            "Handlers are chosen by type; name what happened, such as VideoViewed.",
        );
    }
    Ok(())
}

/// A value of type `written_message`; without a place for what a replay did not write.
fn reply_row(entry: &Entry<'_>, place: Option<Place>) -> [Option<pg_sys::Datum>; 5] {
    [
        Some(Text::copied(&message_id::text(&entry.id)).datum()),
        entry.message.stream_name.map(|name| name.datum()),
        place.map(|place| pg_sys::Datum::from(place.position)),
        place.map(|place| pg_sys::Datum::from(place.global_position)),
        place.map(|place| pg_sys::Datum::from(place.is_duplicate)),
    ]
}
