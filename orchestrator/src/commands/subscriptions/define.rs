//! `subscriptions create`, `alter` and `drop`.

use super::open;
use crate::{
    cli::{AlterArgs, CreateArgs, DropArgs},
    commands::{
        confirm::confirm,
        subscriber::{expect, look_for},
        table::print_sentence,
    },
    error::Result,
};

pub(super) async fn create(args: CreateArgs) -> Result<()> {
    let id = &args.subscriber_id;
    let database = open(&args.database)?;
    let changed = database
        .create_subscription(id, &args.source, &args.handlers, &args.options)
        .await?;
    print_sentence(&match changed {
        true => format!("{id} is declared; `orchestrator subscriptions start {id}` starts it"),
        false => format!("{id} is as it was"),
    })
}

pub(super) async fn alter(args: AlterArgs) -> Result<()> {
    let id = &args.subscriber_id;
    let database = open(&args.database)?;
    let changed = database
        .alter_subscription(id, args.handlers.as_ref(), args.options.as_ref())
        .await;
    let changed = expect(&database, id, changed).await?;
    print_sentence(&match changed {
        true => format!("{id} is altered"),
        false => format!("{id} is as it was"),
    })
}

pub(super) async fn drop(args: DropArgs) -> Result<()> {
    let (database, id) = (open(&args.database)?, &args.subscriber_id);
    if !args.yes {
        look_for(&database, id).await?;
        confirm(&format!(
            "{id}, its position and its parked messages will be forgotten"
        ))?;
    }
    let is_dropped = database.drop_subscription(id).await;
    if !expect(&database, id, is_dropped).await? {
        look_for(&database, id).await?;
    }
    print_sentence(&format!("{id} is dropped"))
}
