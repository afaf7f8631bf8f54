//! `tick`: one pass of a subscription. One statement finds the horizon, reads a batch, hands it
//! to the handlers and stores the position: effect and position commit together, or neither.

use super::context;
use super::definition::{Definition, as_owner_of_subscriptions, subscriber_id};
use super::delivery::{self, Delivered};
use super::source::Source;
use crate::error::Error;
use crate::horizon::{self, Horizon, Scope};
use crate::pg::call::{Call, Reply, sql_functions};
use crate::pg::rows;
use crate::pg::spi::Statement;
use crate::pg::text::Text;
use crate::pg::transaction;
use pgrx::pg_sys;
use pgrx::pg_sys::BuiltinOid::{INT8OID, VARCHAROID};

sql_functions! {
    tick => tick,
}

/// Messages a tick reads where the caller does not say.
const DEFAULT_BATCH_SIZE: i64 = 1000;

static LOCK_PROGRESS: Statement = Statement::new(
    c"SELECT position FROM message_store.subscription_progress \
       WHERE subscriber_id OPERATOR(pg_catalog.=) $1 AND member OPERATOR(pg_catalog.=) 0 \
         FOR UPDATE SKIP LOCKED",
    &[VARCHAROID],
);
static STORE_PROGRESS: Statement = Statement::new(
    c"UPDATE message_store.subscription_progress \
         SET position = $2, updated_at = pg_catalog.now() \
       WHERE subscriber_id OPERATOR(pg_catalog.=) $1 AND member OPERATOR(pg_catalog.=) 0",
    &[VARCHAROID, INT8OID],
);

/// What a tick did, in the words of the SQL type `tick_result`.
struct Outcome {
    name: &'static str,
    scanned: i64,
    handled: i64,
    position: i64,
}

impl Outcome {
    fn nothing(name: &'static str, position: i64) -> Self {
        Self {
            name,
            scanned: 0,
            handled: 0,
            position,
        }
    }

    fn nothing_up_to(horizon: Horizon, position: i64) -> Self {
        Self::nothing(
            if horizon.is_held_back() {
                "held_back"
            } else {
                "idle"
            },
            position,
        )
    }

    fn reply(&self, call: &Call<'_>) -> Reply {
        rows::composite(
            call,
            [
                Some(Text::copied(self.name.as_bytes()).datum()),
                Some(pg_sys::Datum::from(self.scanned)),
                Some(pg_sys::Datum::from(self.handled)),
                Some(pg_sys::Datum::from(self.position)),
            ],
        )
    }
}

fn tick(call: &Call<'_>) -> Result<Reply, Error> {
    let id = subscriber_id(call, 0)?;
    let batch_size = call.bigint(1).unwrap_or(DEFAULT_BATCH_SIZE);
    if batch_size < 1 {
        return Err(Error::argument(
            "batch_size",
            format!("must be 1 or more: {batch_size}"),
            "Pass how many messages one tick may read, such as 1000.",
        ));
    }
    transaction::require_writable(c"tick()");
    let subscription = Definition::load(id)?;
    let category = Text::copied(subscription.category.as_bytes());
    let horizon = horizon::settled(Scope::Category(category.bytes()), "tick")?;
    if subscription.position > horizon.drawn {
        return Err(Error::AheadOfLog(
            id.to_string(),
            subscription.position,
            horizon.drawn,
        ));
    }
    let source = Source::open(category, horizon)?;
    // Most ticks find nothing; they write nothing and take no lock.
    if !source.has_message_after(subscription.position) {
        return Ok(Outcome::nothing_up_to(horizon, subscription.position).reply(call));
    }
    // A handler that ticks its own subscription would find the row unlocked: the lock is ours.
    if context::is_ticking(&id.to_str()) {
        return Ok(Outcome::nothing("busy", subscription.position).reply(call));
    }
    let Some(position) = lock_progress(id)? else {
        return Ok(Outcome::nothing("busy", subscription.position).reply(call));
    };
    let delivered = delivery::deliver(id, &subscription, &source, position, batch_size)?;
    if delivered.scanned == 0 {
        return Ok(Outcome::nothing_up_to(horizon, position).reply(call));
    }
    store_progress(id, delivered.position)?;
    let Delivered {
        scanned,
        handled,
        position,
    } = delivered;
    Ok(Outcome {
        name: "progressed",
        scanned,
        handled,
        position,
    }
    .reply(call))
}

/// The position to go on from, or `None` where another session is ticking.
fn lock_progress(id: Text<'_>) -> Result<Option<i64>, Error> {
    let _owner = as_owner_of_subscriptions()?;
    let mut position = None;
    LOCK_PROGRESS.run(&[Some(id.datum())], |row| position = row.bigint(0));
    Ok(position)
}

fn store_progress(id: Text<'_>, position: i64) -> Result<(), Error> {
    let _owner = as_owner_of_subscriptions()?;
    STORE_PROGRESS.run(
        &[Some(id.datum()), Some(pg_sys::Datum::from(position))],
        |_| {},
    );
    Ok(())
}
