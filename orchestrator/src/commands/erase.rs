//! `orchestrator erase`: data of messages that stay.

use serde_json::Value;

use super::{confirm::confirm, table::print_rows, target_of};
use crate::{
    cli::EraseArgs,
    count::count_of,
    error::{Error, Result},
    logging::say,
};
use message_store_client::database::{Database, Erasure};

pub(super) async fn erase(args: EraseArgs) -> Result<()> {
    let database = Database::open(&target_of(&args.database)?, 1)?;
    let number = match args.remains {
        Some(number) => number,
        None => erase_now(&args, &database).await?,
    };
    print_rows(
        database.erasure_remains(number).await?,
        &["place", "finding", "repair"],
        args.json,
        "Nothing is known to remain.",
    )
}

/// Erases; returns the number of the erasure.
async fn erase_now(args: &EraseArgs, database: &Database) -> Result<i64> {
    let erasure = erasure(args)?;
    confirm("This takes data out of messages for good")?;
    let reason = args.reason.as_deref().unwrap_or_default();
    let erased = database.erase(&erasure, reason).await?;
    let count = |messages: i64| count_of(messages.unsigned_abs(), "message");
    say(format_args!(
        "erasure {}: {} lost data and metadata, {} had before",
        erased.erasure,
        count(erased.erased),
        count(erased.erased_before)
    ));
    Ok(erased.erasure)
}

fn erasure(args: &EraseArgs) -> Result<Erasure> {
    if let Some(stream) = &args.stream {
        return Ok(Erasure::Stream(stream.clone()));
    }
    if let Some(id) = args.id {
        return Ok(Erasure::Id(id.to_string()));
    }
    let variables: Value = serde_json::from_str(&args.variables).map_err(|error| Error::Input {
        origin: "--variables".to_owned(),
        problem: format!("{error}; pass a JSON object, such as {{\"user\": \"7\"}}"),
    })?;
    Ok(Erasure::Path {
        path: args.metadata_path.clone().unwrap_or_default(),
        variables,
        category: args.category.clone(),
    })
}
