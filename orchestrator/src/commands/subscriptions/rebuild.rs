//! `subscriptions rebuild`, `promote` and `cancel-rebuild`.

use serde_json::json;

use super::open;
use crate::{
    cli::{OneArgs, PromoteArgs, RebuildArgs},
    commands::{
        confirm::confirm,
        subscriber::{expect, look_for},
        table::{print_rows, print_sentence},
    },
    error::{Error, Result},
};

pub(super) async fn rebuild(args: RebuildArgs) -> Result<()> {
    let id = &args.subscriber_id;
    if !args.yes && !args.side_by_side {
        confirm(&format!(
            "The read model of {id} will be emptied, and its readers see it fill again"
        ))?;
    }
    let database = open(&args.database)?;
    let begun = database.rebuild(id, args.side_by_side).await;
    expect(&database, id, begun).await?;
    print_sentence(&match args.side_by_side {
        true => format!(
            "{id} is rebuilt beside the live read model; when `orchestrator status` shows \
             {id}#rebuild at the head, `orchestrator subscriptions promote {id}` swaps them"
        ),
        false => format!("{id} is rebuilt; `orchestrator status` shows how far it is"),
    })
}

pub(super) async fn promote(args: PromoteArgs) -> Result<()> {
    let id = &args.subscriber_id;
    let database = open(&args.database)?;
    let changes = match args.dry_run {
        true => database.look_at_promotion(id).await,
        false => database.promote(id, args.may_empty).await,
    };
    let changes = expect(&database, id, changes).await?;
    let rows = changes.iter().map(|change| json!(change)).collect();
    let columns = ["read_model", "added", "removed", "changed"];
    print_rows(rows, &columns, args.json, "nothing changes")?;
    match args.json || args.dry_run {
        true => Ok(()),
        false => print_sentence(&format!("{id} has the rebuilt read model")),
    }
}

pub(super) async fn cancel(args: OneArgs) -> Result<()> {
    let id = &args.subscriber_id;
    let database = open(&args.database)?;
    let is_cancelled = database.cancel_rebuild(id).await;
    if !expect(&database, id, is_cancelled).await? {
        look_for(&database, id).await?;
        return Err(Error::Missing {
            what: format!("{id} is not being rebuilt side by side"),
        });
    }
    print_sentence(&format!("the rebuild of {id} is given up"))
}
