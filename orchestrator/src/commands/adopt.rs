//! `orchestrator adopt`: takes over a Message DB database in place, or gives it back.
//!
//! The switch is one transaction. What is left after it can wait, and the same command does it where
//! it was stopped in between.

use std::time::Duration;

use tokio::time::sleep;

use super::{table::print_text, target_of};
use crate::{
    cli::AdoptArgs,
    config::Delivery,
    error::{Error, Result},
    retry::Retry,
};
use message_store_client::database::{Direction, Holding, Session, Switch};

pub(super) async fn adopt(args: AdoptArgs) -> Result<()> {
    let session = Session::connect(&target_of(&args.database)?).await?;
    let direction = if args.revert {
        Direction::Revert
    } else {
        Direction::Adopt
    };
    match (direction, session.holding().await?) {
        (Direction::Adopt, Holding::MessageDb) | (Direction::Revert, Holding::Adopted) => {
            switch(&session, direction, &args).await?;
        }
        (Direction::Adopt, Holding::Adopting) | (Direction::Revert, Holding::Reverting) => {
            print_text("The switch was made before; what is left is done now.")?;
        }
        (_, holding) => return Err(cannot(direction, holding)),
    }
    if args.dry_run {
        return Ok(());
    }
    session
        .finish_adoption(Duration::from_secs(args.wait))
        .await?;
    match direction {
        Direction::Adopt => print_text("Adopted: no call of Message DB's own code is left."),
        Direction::Revert => {
            session.drop_extension().await?;
            print_text("It is a Message DB database again.")
        }
    }
}

async fn switch(session: &Session, direction: Direction, args: &AdoptArgs) -> Result<()> {
    let patience = Duration::from_millis(args.lock_timeout_ms);
    let mut pauses = Retry::new(&Delivery::default());
    for tried in 1..=args.tries {
        match session.switch(direction, patience, args.dry_run).await? {
            Some(took) => return print_text(&told(&took, tried, direction, args.dry_run)),
            None => sleep(pauses.next_pause()).await,
        }
    }
    Err(Error::Refused {
        problem: format!(
            "in {} tries of {} ms, transactions that had written did not end; nothing has happened",
            args.tries, args.lock_timeout_ms
        ),
        repair: "Look for long ones in pg_stat_activity and pg_prepared_xacts, or give a longer \
                 --lock-timeout-ms.",
    })
}

fn told(switch: &Switch, tried: u32, direction: Direction, is_rehearsal: bool) -> String {
    let ms = |duration: Duration| format!("{:.1} ms", duration.as_secs_f64() * 1000.0);
    let done = match (direction, is_rehearsal) {
        (_, true) => "Rehearsed and rolled back",
        (Direction::Adopt, false) => "Switched to message_store",
        (Direction::Revert, false) => "Switched to Message DB",
    };
    format!(
        "{done} at try {tried}: {} in all. Writers waited {} for transactions that had written, then {} \
         for the switch. {} bytes of messages and indexes were rewritten.",
        ms(switch.took),
        ms(switch.waited),
        ms(switch.held),
        switch.rewritten
    )
}

fn cannot(direction: Direction, holding: Holding) -> Error {
    let (problem, repair) = match (direction, holding) {
        (_, Holding::Nothing) => (
            "there is no Message DB in this database",
            "Name the database of Message DB with --url.",
        ),
        (Direction::Adopt, Holding::Reverting) => (
            "this database is on its way back to Message DB",
            "Finish that first: orchestrator adopt --revert.",
        ),
        (Direction::Adopt, _) => (
            "this database holds a message_store already",
            "There is nothing to adopt.",
        ),
        (Direction::Revert, Holding::Adopting) => (
            "the adoption is not finished",
            "Finish it first: orchestrator adopt.",
        ),
        (Direction::Revert, Holding::MessageDb) => (
            "this database holds a Message DB already",
            "There is nothing to give back.",
        ),
        (Direction::Revert, _) => (
            "this store was not a Message DB",
            "Only a database that was adopted goes back.",
        ),
    };
    Error::Refused {
        problem: problem.to_owned(),
        repair,
    }
}
