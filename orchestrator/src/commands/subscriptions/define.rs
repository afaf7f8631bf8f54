//! `subscriptions create`, `alter` and `drop`.

use super::open;
use crate::{
    cli::{AlterArgs, CreateArgs, DropArgs},
    commands::{confirm::confirm, table::print_sentence},
    error::{Error, Result},
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
        .await?;
    print_sentence(&match changed {
        true => format!("{id} is altered"),
        false => format!("{id} is as it was"),
    })
}

pub(super) async fn drop(args: DropArgs) -> Result<()> {
    let id = &args.subscriber_id;
    if !args.yes {
        confirm(&format!(
            "{id}, its position and its parked messages will be forgotten"
        ))?;
    }
    if !open(&args.database)?.drop_subscription(id).await? {
        return Err(Error::Missing {
            what: format!("there is no subscription {id}"),
        });
    }
    print_sentence(&format!("{id} is dropped"))
}
