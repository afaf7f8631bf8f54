//! How far subscriptions were when a shard became two.

use crate::error::Error;
use crate::pg::spi::Statement;
use crate::tables::owner;

/// Ticks that are running end first: who holds a member conflicts with this.
static LOCK: Statement = Statement::new(
    c"LOCK TABLE message_store.subscription_progress IN EXCLUSIVE MODE",
    &[],
);
static FORGET: Statement = Statement::new(c"DELETE FROM message_store.shard_progress", &[]);
static KEEP: Statement = Statement::new(
    c"INSERT INTO message_store.shard_progress (subscriber_id, member, position) \
      SELECT p.subscriber_id, p.member, p.position FROM message_store.subscription_progress p",
    &[],
);
/// A member that has come since begins where the others of its subscription were, and those of a new
/// subscription at the beginning.
static GO_BACK: Statement = Statement::new(
    c"UPDATE message_store.subscription_progress p \
         SET position = kept.position, attempts = 0, failing_position = NULL, failing_since = NULL, \
             retry_at = NULL, lease = NULL, leased_until = NULL, leased_position = NULL \
        FROM (SELECT n.subscriber_id, n.member, \
                     coalesce(s.position, ( \
                       SELECT pg_catalog.min(o.position) FROM message_store.shard_progress o \
                        WHERE o.subscriber_id OPERATOR(pg_catalog.=) n.subscriber_id), 0) AS position \
                FROM message_store.subscription_progress n \
                LEFT JOIN message_store.shard_progress s \
                  ON s.subscriber_id OPERATOR(pg_catalog.=) n.subscriber_id \
                 AND s.member OPERATOR(pg_catalog.=) n.member) kept \
       WHERE kept.subscriber_id OPERATOR(pg_catalog.=) p.subscriber_id \
         AND kept.member OPERATOR(pg_catalog.=) p.member \
         AND kept.position OPERATOR(pg_catalog.<) p.position",
    &[],
);

static DRAINING: Statement = Statement::new(
    c"SELECT subscriber_id FROM message_store.subscription_progress WHERE drains_until IS NOT NULL LIMIT 1",
    &[],
);
/// Whoever has fetched something acknowledges it where the copy came from.
static FORGET_LEASES: Statement = Statement::new(
    c"UPDATE message_store.subscription_progress \
         SET lease = NULL, leased_until = NULL, leased_position = NULL WHERE lease IS NOT NULL",
    &[],
);

/// Waits until nobody handles anything here; who wants to waits until this transaction ends.
pub fn keep_ticks_out() -> Result<(), Error> {
    let _owner = owner::of_subscriptions()?;
    LOCK.run(&[], |_| {});
    Ok(())
}

/// Keeps how far all members are.
pub fn keep() -> Result<(), Error> {
    let _owner = owner::of_subscriptions()?;
    FORGET.run(&[], |_| {});
    KEEP.run(&[], |_| {});
    Ok(())
}

/// A subscription whose former members have messages to handle.
pub fn draining() -> Result<Option<String>, Error> {
    let _owner = owner::of_subscriptions()?;
    let mut found = None;
    DRAINING.run(&[], |row| found = row.text(0));
    Ok(found)
}

/// Lets all members go on from what was kept.
pub fn go_back() -> Result<(), Error> {
    let _owner = owner::of_subscriptions()?;
    FORGET_LEASES.run(&[], |_| {});
    GO_BACK.run(&[], |_| {});
    Ok(())
}
