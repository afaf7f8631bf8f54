//! `subscriptions rebuild`, `promote` and `cancel-rebuild`.

use super::open;
use crate::{
    cli::{OneArgs, PromoteArgs, RebuildArgs},
    commands::{confirm::confirm, table::print_sentence},
    error::{Error, Result},
};

pub(super) async fn rebuild(args: RebuildArgs) -> Result<()> {
    let id = &args.subscriber_id;
    if !args.yes && !args.side_by_side {
        confirm(&format!(
            "The read model of {id} will be emptied, and its readers see it fill again"
        ))?;
    }
    open(&args.database)?.rebuild(id, args.side_by_side).await?;
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
    open(&args.database)?.promote(id, args.may_empty).await?;
    print_sentence(&format!("{id} has the rebuilt read model"))
}

pub(super) async fn cancel(args: OneArgs) -> Result<()> {
    let id = &args.subscriber_id;
    if !open(&args.database)?.cancel_rebuild(id).await? {
        return Err(Error::Missing {
            what: format!("{id} is not being rebuilt side by side"),
        });
    }
    print_sentence(&format!("the rebuild of {id} is given up"))
}
