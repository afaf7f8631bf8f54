//! `orchestrator parked`: parked messages.

use std::fmt::Write;

use serde_json::{Value, json, value::RawValue};

use super::{
    confirm::confirm,
    read::print_line,
    table::{print_rows, print_sentence, print_text},
    target_of,
};
use crate::{
    cli::{DatabaseArgs, ParkedShowArgs, ParkedVerb as Verb, WhichArgs},
    error::{Error, Result},
};
use message_store_client::database::{
    Database, Handling, ParkedFilter, Source, StoredMessage, Which,
};
use printable::printable;

/// The columns people see; `--json` has every one.
const COLUMNS: [&str; 8] = [
    "subscriber_id",
    "global_position",
    "stream_name",
    "type",
    "status",
    "attempts",
    "sqlstate",
    "error",
];

pub(super) async fn run(verb: Verb) -> Result<()> {
    match verb {
        Verb::List(args) => {
            let database = open(&args.database)?;
            let rows = database
                .parked_messages(args.subscriber_id.as_deref())
                .await?;
            print_rows(rows, &COLUMNS, args.json, "no message is parked")
        }
        Verb::Show(args) => show(args).await,
        Verb::Retry(args) => {
            let (database, which) = (open(&args.database)?, filter(args.which));
            if !args.yes {
                let count = count(&database, &args.subscriber_id, Handling::Retry, &which).await?;
                confirm(&format!("{} to be handled again", counted(count)))?;
            }
            let count = database.retry_parked(&args.subscriber_id, &which).await?;
            print_sentence(&format!("{} will be handled again", counted(count)))
        }
        Verb::Discard(args) => {
            let (database, which) = (open(&args.database)?, filter(args.which));
            if !args.yes {
                let count =
                    count(&database, &args.subscriber_id, Handling::Discard, &which).await?;
                confirm(&format!("{} to be given up", counted(count)))?;
            }
            let count = database
                .discard_parked(&args.subscriber_id, &args.reason, &which)
                .await?;
            print_sentence(&format!("{} given up", counted(count)))
        }
    }
}

/// The parked row and, where it still is in the log, the message.
async fn show(args: ParkedShowArgs) -> Result<()> {
    let (id, position) = (args.subscriber_id.as_str(), args.position);
    let database = open(&args.database)?;
    let parked = database
        .parked_message(id, position)
        .await?
        .ok_or_else(|| Error::Missing {
            what: format!(
                "{id} has no parked message at {position}; `orchestrator parked list {id}` has \
                 them all"
            ),
        })?;
    let read = database.read_messages(&Source::All, position, 1).await?;
    let message = read
        .into_iter()
        .find(|message| message.global_position == position);
    if args.json {
        return print_line(&json!({ "parked": parked, "message": message })).map(|_| ());
    }
    print_text(&text(&parked, message.as_ref()))
}

fn text(parked: &Value, message: Option<&StoredMessage>) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: &str| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{name:16} {value}");
    };
    for (name, value) in parked.as_object().into_iter().flatten() {
        match value {
            Value::Null => {}
            Value::String(value) => line(name, &printable(value)),
            value => line(name, &printable(&value.to_string())),
        }
    }
    match message {
        Some(message) => {
            line("id", &message.id);
            let pretty = |json: &Option<Box<RawValue>>| {
                json.as_ref().map_or_else(String::new, |json| {
                    serde_json::from_str::<Value>(json.get())
                        .and_then(|value| serde_json::to_string_pretty(&value))
                        .unwrap_or_else(|_| json.get().to_owned())
                })
            };
            line("data", &pretty(&message.data));
            line("metadata", &pretty(&message.metadata));
        }
        None => line("message", "is not in the log any more"),
    }
    text.lines()
        .map(str::trim_end)
        .collect::<Vec<_>>()
        .join("\n")
}

/// How many messages a command would touch, before it does.
async fn count(
    database: &Database,
    subscriber_id: &str,
    handling: Handling,
    which: &ParkedFilter,
) -> Result<i64> {
    let which = Which::Matching(which.clone());
    let touched = database
        .count_parked(subscriber_id, handling, &which)
        .await?;
    Ok(touched.chosen)
}

fn counted(messages: i64) -> String {
    match messages {
        1 => "1 message".to_owned(),
        messages => format!("{messages} messages"),
    }
}

fn filter(which: WhichArgs) -> ParkedFilter {
    ParkedFilter {
        global_position: which.position,
        stream_name: which.stream,
        sqlstate: which.sqlstate,
    }
}

fn open(args: &DatabaseArgs) -> Result<Database> {
    Ok(Database::open(&target_of(args)?, 1)?)
}
