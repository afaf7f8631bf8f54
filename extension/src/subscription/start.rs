//! `start`: makes the empty read model and lets orchestrators tick the subscription.

use super::definition::{Definition, as_owner_of_subscriptions, subscriber_id};
use super::handlers;
use crate::error::Error;
use crate::pg::call::{Call, Reply, sql_functions};
use crate::pg::spi::Statement;
use crate::pg::transaction;
use pgrx::pg_sys::BuiltinOid::VARCHAROID;

sql_functions! {
    start => start,
}

static MARK_STARTED: Statement = Statement::new(
    c"UPDATE message_store.subscriptions SET state = 'started' \
       WHERE subscriber_id OPERATOR(pg_catalog.=) $1 \
         AND state OPERATOR(pg_catalog.<>) 'started'",
    &[VARCHAROID],
);

/// Runs `init` with the owner's rights; the state and what init made commit together.
fn start(call: &Call<'_>) -> Result<Reply, Error> {
    let id = subscriber_id(call, 0)?;
    transaction::require_writable(c"start()");
    let subscription = Definition::load(id)?;
    subscription.require_owner(id)?;
    if let Some(init) = &subscription.init {
        let routine = handlers::find_init(init)?;
        handlers::require_executable(routine, subscription.owner)?;
        let _owner = subscription.act_as_owner()?;
        let no_arguments = 0;
        routine.prepare(no_arguments).call(&[]);
    }
    let _owner = as_owner_of_subscriptions()?;
    MARK_STARTED.run(&[Some(id.datum())], |_| {});
    Ok(Reply::void())
}
