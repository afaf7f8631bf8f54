//! How far members are, and what depends on it.

use crate::error::Error;
use crate::pg::parameter::{bigint, bigints, text};
use crate::pg::spi::{Row, Statement, sql};
use crate::tables::owner;
use pgrx::pg_sys::BuiltinOid::{INT8ARRAYOID, INT8OID, VARCHAROID};

static REACHED: Statement = Statement::new(
    c"SELECT pg_catalog.min(p.position), EXISTS ( \
               SELECT FROM message_store.parked k \
                WHERE k.subscriber_id OPERATOR(pg_catalog.=) $1 \
                  AND k.global_position OPERATOR(pg_catalog.=) $2) \
        FROM message_store.subscription_progress p \
       WHERE p.subscriber_id OPERATOR(pg_catalog.=) $1",
    &[VARCHAROID, INT8OID],
);
static COPIES_THAT_HANDLED: Statement = Statement::new(
    sql!(
        "SELECT DISTINCT s.copy_of \
        FROM message_store.subscriptions s \
        JOIN message_store.subscription_progress p \
          ON p.subscriber_id OPERATOR(pg_catalog.=) s.subscriber_id \
        JOIN message_store.messages m \
          ON ",
        reads!(),
        " \
       WHERE s.copy_of IS NOT NULL AND m.global_position OPERATOR(pg_catalog.=) ANY ($1) \
         AND m.global_position OPERATOR(pg_catalog.<=) p.position"
    ),
    &[INT8ARRAYOID],
);
static STARTED: Statement = Statement::new(
    c"SELECT s.subscriber_id, s.source, \
             (SELECT pg_catalog.count(*) FROM message_store.subscription_progress p \
               WHERE p.subscriber_id OPERATOR(pg_catalog.=) s.subscriber_id), \
             coalesce((s.options OPERATOR(pg_catalog.->>) 'batch_size')::pg_catalog.int8, 1000) \
        FROM message_store.subscriptions s \
       WHERE s.state OPERATOR(pg_catalog.=) 'started' \
         AND s.handlers OPERATOR(pg_catalog.<>) '{}' \
       ORDER BY s.subscriber_id",
    &[],
);

/// The subscriptions beside which a copy is filled that has come to one of these messages.
pub fn copies_that_handled(global_positions: &[i64]) -> Result<Vec<String>, Error> {
    let _owner = owner::of_subscriptions()?;
    let mut originals = Vec::new();
    COPIES_THAT_HANDLED.run(&[bigints(global_positions)], |row| {
        originals.extend(row.text(0))
    });
    Ok(originals)
}

/// How far all members of a subscription have come, and whether the message at `global_position` is
/// parked.
pub fn reached(subscriber_id: &str, global_position: i64) -> Result<(i64, bool), Error> {
    let _owner = owner::of_subscriptions()?;
    let mut found = (0, false);
    REACHED.run(&[text(subscriber_id), bigint(global_position)], |row| {
        found = (row.bigint(0).unwrap_or(0), row.boolean(1));
    });
    Ok(found)
}

/// The subscriptions that orchestrators tick: subscriber id, source, members, batch size.
pub fn each_started(each: impl FnMut(&Row)) -> Result<(), Error> {
    let _owner = owner::of_subscriptions()?;
    STARTED.run(&[], each);
    Ok(())
}
