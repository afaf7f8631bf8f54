//! `orchestrator subscriptions`: a call of the database each.

use super::{confirm::confirm, status, subscriber::expect, table::print_sentence, target_of};
use crate::{
    cli::{DatabaseArgs, SubscriptionsVerb as Verb},
    count::count_of,
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
            let database = open(&args.database)?;
            let state = expect(&database, &id, database.start(&id, at_boot).await).await?;
            print_sentence(&format!("{id} is {state}"))
        }
        Verb::Stop(args) => {
            let id = args.subscriber_id;
            let reason = args.reason.as_deref();
            let database = open(&args.database)?;
            expect(&database, &id, database.stop(&id, reason).await).await?;
            print_sentence(&format!("{id} is stopped"))
        }
        Verb::Pause(args) => {
            let id = args.subscriber_id;
            let reason = args.reason.as_deref();
            let database = open(&args.database)?;
            expect(&database, &id, database.pause(&id, reason).await).await?;
            print_sentence(&format!("{id} is paused"))
        }
        Verb::Resize(args) => {
            let (id, size) = (args.subscriber_id, args.group_size);
            let database = open(&args.database)?;
            expect(&database, &id, database.resize_group(&id, size).await).await?;
            let members = count_of(size.unsigned_abs(), "member");
            print_sentence(&format!("{id} has {members}"))
        }
        Verb::Reset(args) => {
            let (id, position) = (args.subscriber_id, args.position);
            if !args.yes {
                confirm(&format!(
                    "{id} will handle every message after {position} again"
                ))?;
            }
            let database = open(&args.database)?;
            let moved = database.reset(&id, position, &args.reason).await;
            expect(&database, &id, moved).await?;
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
            let moved = database.skip(&id, position, &args.reason).await;
            expect(&database, &id, moved).await?;
            print_sentence(&format!("{id} goes on after {position}"))
        }
    }
}

fn open(args: &DatabaseArgs) -> Result<Database> {
    Ok(Database::open(&target_of(args)?, 1)?)
}
