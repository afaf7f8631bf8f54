//! `orchestrator subscriptions`: a call of the database each.

use super::{confirm::confirm, status, table::print_sentence, target_of};
use crate::{
    cli::{DatabaseArgs, SubscriptionsVerb as Verb},
    error::Result,
};
use message_store_client::database::Database;

mod check;
mod define;
mod rebuild;
mod show;

pub(super) async fn run(verb: Verb) -> Result<()> {
    match verb {
        Verb::List(args) => status::status(args).await,
        Verb::Show(args) => show::show(args).await,
        Verb::Create(args) => define::create(args).await,
        Verb::Alter(args) => define::alter(args).await,
        Verb::Drop(args) => define::drop(args).await,
        Verb::Verify(args) => check::verify(args).await,
        Verb::DryRun(args) => check::dry_run(args).await,
        Verb::Rebuild(args) => rebuild::rebuild(args).await,
        Verb::Promote(args) => rebuild::promote(args).await,
        Verb::CancelRebuild(args) => rebuild::cancel(args).await,
        Verb::Start(args) => {
            let at_boot = false;
            let id = args.subscriber_id;
            let state = open(&args.database)?.start(&id, at_boot).await?;
            print_sentence(&format!("{id} is {state}"))
        }
        Verb::Stop(args) => {
            let id = args.subscriber_id;
            let reason = args.reason.as_deref();
            open(&args.database)?.stop(&id, reason).await?;
            print_sentence(&format!("{id} is stopped"))
        }
        Verb::Pause(args) => {
            let id = args.subscriber_id;
            let reason = args.reason.as_deref();
            open(&args.database)?.pause(&id, reason).await?;
            print_sentence(&format!("{id} is paused"))
        }
        Verb::Resize(args) => {
            let (id, size) = (args.subscriber_id, args.group_size);
            open(&args.database)?.resize_group(&id, size).await?;
            print_sentence(&format!("{id} has {size} members"))
        }
        Verb::Reset(args) => {
            let (id, position) = (args.subscriber_id, args.position);
            if !args.yes {
                confirm(&format!(
                    "{id} will handle every message after {position} again"
                ))?;
            }
            let database = open(&args.database)?;
            database.reset(&id, position, &args.reason).await?;
            print_sentence(&format!("{id} goes on after {position}"))
        }
        Verb::Skip(args) => {
            let (id, position) = (args.subscriber_id, args.position);
            if !args.yes {
                confirm(&format!(
                    "{id} will never handle what it has not handled up to {position}"
                ))?;
            }
            let database = open(&args.database)?;
            database.skip(&id, position, &args.reason).await?;
            print_sentence(&format!("{id} goes on after {position}"))
        }
    }
}

fn open(args: &DatabaseArgs) -> Result<Database> {
    Ok(Database::open(&target_of(args)?, 1)?)
}
