//! `orchestrator parked`: parked messages.

use serde_json::{Value, json};

use super::{
    confirm::confirm,
    fields::Fields,
    read::print_line,
    subscriber::{expect, look_for},
    table::{print_rows, print_sentence},
    target_of,
};
use crate::{
    cli::{DatabaseArgs, ParkedShowArgs, ParkedVerb as Verb, WhichArgs},
    count::count_of,
    error::{Error, Result},
};
use message_store_client::database::{
    Database, Handling, ParkedFilter, Source, StoredMessage, Which,
};

/// The columns people see, those that say what is wrong first; `--json` has every one.
const COLUMNS: [&str; 8] = [
    "subscriber_id",
    "global_position",
    "status",
    "error",
    "sqlstate",
    "attempts",
    "stream_name",
    "type",
];

pub(super) async fn run(verb: Verb) -> Result<()> {
    match verb {
        Verb::List(args) => {
            let database = open(&args.database)?;
            let rows = database
                .parked_messages(args.subscriber_id.as_deref())
                .await?;
            if let (Some(id), true) = (&args.subscriber_id, rows.is_empty()) {
                look_for(&database, id).await?;
            }
            print_rows(rows, &COLUMNS, args.json, "no message is parked")
        }
        Verb::Show(args) => show(args).await,
        Verb::Retry(args) => {
            let (database, which) = (open(&args.database)?, filter(args.which));
            if !args.yes {
                let count = count(&database, &args.subscriber_id, Handling::Retry, &which).await?;
                confirm(&format!("{} to be handled again", messages(count)))?;
            }
            let count = database.retry_parked(&args.subscriber_id, &which).await;
            let count = expect(&database, &args.subscriber_id, count).await?;
            print_sentence(&format!("{} will be handled again", messages(count)))
        }
        Verb::Discard(args) => {
            let (database, which) = (open(&args.database)?, filter(args.which));
            if !args.yes {
                let count =
                    count(&database, &args.subscriber_id, Handling::Discard, &which).await?;
                confirm(&format!("{} to be given up", messages(count)))?;
            }
            let count = database
                .discard_parked(&args.subscriber_id, &args.reason, &which)
                .await;
            let count = expect(&database, &args.subscriber_id, count).await?;
            print_sentence(&format!("{} given up", messages(count)))
        }
    }
}

/// The parked row and, where it still is in the log, the message.
async fn show(args: ParkedShowArgs) -> Result<()> {
    let (id, position) = (args.subscriber_id.as_str(), args.position);
    let database = open(&args.database)?;
    let Some(parked) = database.parked_message(id, position).await? else {
        look_for(&database, id).await?;
        return Err(Error::Missing {
            what: format!(
                "{id} has no parked message at {position}; `orchestrator parked list {id}` has \
                 them all"
            ),
        });
    };
    let read = database.read_messages(&Source::All, position, 1).await?;
    let message = read
        .into_iter()
        .find(|message| message.global_position == position);
    if args.json {
        return print_line(&json!({ "parked": parked, "message": message })).map(|_| ());
    }
    fields(&parked, message.as_ref()).print()
}

/// What it is, why it is parked, and what it holds.
fn fields(parked: &Value, message: Option<&StoredMessage>) -> Fields {
    const NATURE: [&str; 5] = [
        "subscriber_id",
        "global_position",
        "stream_name",
        "type",
        "status",
    ];
    const FAILURE: [&str; 6] = [
        "error",
        "sqlstate",
        "attempts",
        "parked_at",
        "last_failed_at",
        "reason",
    ];
    let mut fields = Fields::default();
    fields.add_columns(parked, &NATURE);
    fields.add_columns(parked, &FAILURE);
    fields.add_error_details(&parked["error_details"]);
    fields.add_others(parked, &[&NATURE, &FAILURE, &["error_details"]]);
    fields.begin_group();
    match message {
        Some(message) => {
            fields.add("id", &message.id);
            for (name, json) in [("data", &message.data), ("metadata", &message.metadata)] {
                let json = json.as_ref().map(|json| json.get());
                fields.add_json(name, json.unwrap_or_default());
            }
        }
        None => fields.add("message", "is not in the log any more"),
    }
    fields
}

fn messages(count: i64) -> String {
    count_of(count.unsigned_abs(), "message")
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
    if touched.chosen == 0 {
        look_for(database, subscriber_id).await?;
    }
    Ok(touched.chosen)
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
