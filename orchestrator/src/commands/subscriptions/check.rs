//! `subscriptions verify` and `dry-run`.

use super::open;
use crate::{
    cli::{DryRunArgs, VerifyArgs},
    commands::{subscriber::expect, table::print_rows},
    error::{Error, Result},
};
use message_store_client::database::Trial;

pub(super) async fn verify(args: VerifyArgs) -> Result<()> {
    const COLUMNS: [&str; 4] = ["read_model", "difference", "expected", "found"];
    let (database, id) = (open(&args.database)?, &args.subscriber_id);
    let rows = expect(&database, id, database.verify(id, args.all_columns).await).await?;
    let count = rows.len();
    let equal = "the read model is what its messages make of it";
    print_rows(rows, &COLUMNS, args.json, equal)?;
    match count {
        0 => Ok(()),
        rows => Err(Error::Differs {
            subscriber_id: args.subscriber_id,
            rows,
        }),
    }
}

pub(super) async fn dry_run(args: DryRunArgs) -> Result<()> {
    const COLUMNS: [&str; 4] = ["read_model", "difference", "before", "after"];
    let database = open(&args.database)?;
    let id = &args.subscriber_id;
    let rows = database
        .dry_run(
            id,
            args.handlers.as_ref(),
            args.count,
            args.parked,
            (!args.position.is_empty()).then_some(&args.position),
        )
        .await;
    let mut rows = expect(&database, id, rows).await?;
    let trial = Trial::of(rows.clone());
    if !args.json {
        rows.retain(|row| row["difference"] != "handled");
    }
    let nothing = match trial.messages() {
        0 => "there was nothing to try",
        _ => "nothing would change",
    };
    print_rows(rows, &COLUMNS, args.json, nothing)?;
    match trial.failed() {
        0 => Ok(()),
        failed => Err(Error::WouldFail {
            subscriber_id: args.subscriber_id,
            messages: trial.messages(),
            succeed: trial.succeed,
            failed,
        }),
    }
}
