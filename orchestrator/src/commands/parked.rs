//! `orchestrator parked`: the messages that failures put aside.

use super::{
    table::{print_rows, print_text},
    target_of,
};
use crate::{
    cli::{DatabaseArgs, ParkedVerb as Verb, WhichArgs},
    database::{Database, ParkedFilter},
    error::Result,
};

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
        Verb::Retry(args) => {
            let which = filter(args.which);
            let count = open(&args.database)?
                .retry_parked(&args.subscriber_id, &which)
                .await?;
            print_text(&format!("{count} messages will be handled again"))
        }
        Verb::Discard(args) => {
            let which = filter(args.which);
            let count = open(&args.database)?
                .discard_parked(&args.subscriber_id, &args.reason, &which)
                .await?;
            print_text(&format!("{count} messages are given up"))
        }
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
    Database::open(&target_of(args)?, 1)
}
