//! `orchestrator shards status`: how each shard is.

use message_store_client::{
    database::Database,
    shards::{self, Held, ShardStatus, Totals},
};
use serde_json::json;

use crate::{
    cli::ShardsStatusArgs,
    commands::{
        table::{print_rows, print_text},
        target_of,
    },
    error::{Error, Result},
};

const COLUMNS: [&str; 12] = [
    "shard",
    "address",
    "error",
    "map",
    "drawn",
    "settled",
    "held_by",
    "subscriptions",
    "not_running",
    "lag",
    "parked",
    "shards",
];

pub(super) async fn status(args: &ShardsStatusArgs) -> Result<()> {
    let target = target_of(&args.database)?;
    let database = Database::open(&target, 1)?;
    let Some(map) = database.shard().await? else {
        return Err(Error::Missing {
            what: format!("{} is no router, and no shard of several", target.label),
        });
    };
    let shards = shards::status(&map, &target).await;
    let rows = shards.iter().map(|shard| json!(shard)).collect();
    print_rows(rows, &COLUMNS, args.json, "the map names no addresses")?;
    if !args.json {
        print_text(&summary(&shards))?;
    }
    Ok(())
}

/// What all of them come to together.
fn summary(shards: &[ShardStatus]) -> String {
    let totals = Totals::of(shards);
    let mut lines = Vec::new();
    if let Some(Held { shard, settled, by }) = totals.held {
        let by = by.map_or_else(String::new, |pid| format!(", by process {pid} there"));
        lines.push(format!(
            "readers of all shards are held back at {settled} by shard {shard}{by}"
        ));
    }
    let silent: Vec<String> = totals.silent.iter().map(usize::to_string).collect();
    let incomplete = match silent.is_empty() {
        true => String::new(),
        false => format!(
            " (incomplete: nothing is known of shard {})",
            silent.join(", ")
        ),
    };
    lines.push(format!(
        "{} messages to handle, {} parked{incomplete}",
        totals.lag, totals.parked
    ));
    lines.join("\n")
}
