//! What was deleted from the log.

use super::{SCHEMA, messages, owner, subscriptions};
use crate::account::Account;
use crate::error::Error;
use crate::pg::parameter::{Parameter, bigint, boolean, bytes, text};
use crate::pg::relation;
use crate::pg::spi::Statement;
use crate::pg::subtransaction::attempt;
use pgrx::pg_sys;
use pgrx::pg_sys::BuiltinOid::{BOOLOID, INT8OID, TEXTOID, TIMESTAMPTZOID};

const LOCK_NOT_AVAILABLE: &str = "55P03";

/// One deletion at a time; who makes a read model anew waits for it, and it for them.
static LOCK: Statement = Statement::new(
    c"LOCK TABLE message_store.deletions IN SHARE ROW EXCLUSIVE MODE",
    &[],
);
static LOCK_NOWAIT: Statement = Statement::new(
    c"LOCK TABLE message_store.deletions IN SHARE ROW EXCLUSIVE MODE NOWAIT",
    &[],
);
/// Conflicts with a deletion, and not with another of its kind.
static HOLD_OFF: Statement = Statement::new(
    c"LOCK TABLE message_store.deletions IN ROW EXCLUSIVE MODE",
    &[],
);
/// The latest entry that says the same, if it is not old, grows. A subscription that was created
/// since has to tell what was deleted before. It ends after all subscriptions there are were created,
/// whatever the clock says.
static EXTEND: Statement = Statement::new(
    c"UPDATE message_store.deletions d \
         SET up_to = GREATEST(d.up_to, $3), messages = d.messages OPERATOR(pg_catalog.+) $4, \
             ended_at = GREATEST(pg_catalog.clock_timestamp(), $8) \
       WHERE d.deletion OPERATOR(pg_catalog.=) ( \
               SELECT l.deletion FROM message_store.deletions l \
                WHERE l.category OPERATOR(pg_catalog.=) $1 \
                  AND (l.stream_name OPERATOR(pg_catalog.=) $2 \
                       OR (l.stream_name IS NULL AND $2 IS NULL)) \
                  AND l.ended_at OPERATOR(pg_catalog.>) (pg_catalog.clock_timestamp() \
                      OPERATOR(pg_catalog.-) '1 hour'::pg_catalog.interval) \
                  AND ($8 IS NULL OR l.began_at OPERATOR(pg_catalog.>=) $8) \
                ORDER BY l.deletion DESC LIMIT 1) \
         AND d.role OPERATOR(pg_catalog.=) $5::pg_catalog.name \
         AND d.reason OPERATOR(pg_catalog.=) $6 \
         AND coalesce(d.actor, '') OPERATOR(pg_catalog.=) coalesce($7, '')",
    &[
        TEXTOID,
        TEXTOID,
        INT8OID,
        INT8OID,
        TEXTOID,
        TEXTOID,
        TEXTOID,
        TIMESTAMPTZOID,
    ],
);
static INSERT: Statement = Statement::new(
    c"INSERT INTO message_store.deletions \
        (category, stream_name, up_to, messages, role, reason, actor, began_at, ended_at) \
      SELECT $1, $2, $3, $4, $5::pg_catalog.name, $6, $7, n.now, n.now \
        FROM (SELECT GREATEST(pg_catalog.clock_timestamp(), $8) AS now) n",
    &[
        TEXTOID,
        TEXTOID,
        INT8OID,
        INT8OID,
        TEXTOID,
        TEXTOID,
        TEXTOID,
        TIMESTAMPTZOID,
    ],
);
/// `$1`: the category, `$2`: the stream, each where it is meant; `$3`: whether what was deleted of the
/// whole category counts. Of a stream that was let begin again there is an entry without messages,
/// which concerns nobody who reads more.
static UP_TO: Statement = Statement::new(
    c"SELECT pg_catalog.max(d.up_to) FROM message_store.deletions d \
       WHERE ($1 IS NULL OR d.category OPERATOR(pg_catalog.=) $1) \
         AND ($2 IS NOT NULL OR d.messages OPERATOR(pg_catalog.>) 0) \
         AND ($2 IS NULL OR d.stream_name OPERATOR(pg_catalog.=) $2 \
              OR (d.stream_name IS NULL AND $3)) \
         AND ($4 IS NULL OR d.ended_at OPERATOR(pg_catalog.>) $4)",
    &[TEXTOID, TEXTOID, BOOLOID, TIMESTAMPTZOID],
);
/// Up to where a whole category was deleted.
static WHOLE_UP_TO: Statement = Statement::new(
    c"SELECT pg_catalog.max(d.up_to) FROM message_store.deletions d \
       WHERE d.category OPERATOR(pg_catalog.=) $1 AND d.stream_name IS NULL",
    &[TEXTOID],
);

static AFTER_THE_LAST: Statement = Statement::new(
    c"SELECT pg_catalog.max(d.ended_at) OPERATOR(pg_catalog.+) '1 us'::pg_catalog.interval \
        FROM message_store.deletions d",
    &[],
);

/// What is deleted from.
#[derive(Clone, Copy)]
pub struct Of<'a> {
    /// The category.
    pub category: &'a [u8],
    /// The stream, where only one is meant.
    pub stream_name: Option<&'a [u8]>,
}

/// Waits until nobody else deletes, and until nobody makes a read model anew; both wait for this
/// transaction from here on.
pub fn lock() -> Result<(), Error> {
    let _owner = owner::of("deletions")?;
    LOCK.run(&[], |_| {});
    Ok(())
}

/// The same without waiting; `false` where somebody is in the way.
pub fn lock_if_free() -> Result<bool, Error> {
    let locked = attempt(|| -> Result<_, Error> {
        let _owner = owner::of("deletions")?;
        LOCK_NOWAIT.run(&[], |_| {});
        Ok(())
    });
    match locked {
        Ok(()) => Ok(true),
        Err(failure) if failure.sqlstate == LOCK_NOT_AVAILABLE => Ok(false),
        Err(failure) => Err(failure.go_on()),
    }
}

/// Nothing is deleted until this transaction ends. Waits for a deletion that is under way.
pub fn hold_off() -> Result<(), Error> {
    if !is_there() {
        return Ok(());
    }
    let _owner = owner::of("deletions")?;
    HOLD_OFF.run(&[], |_| {});
    Ok(())
}

/// Keeps that so many messages were deleted, the last of them at a global position.
pub fn note(of: Of<'_>, up_to: i64, messages: i64, account: &Account) -> Result<(), Error> {
    // All that there are were created before this, whatever the clock says.
    let after_all = subscriptions::after_the_newest()?;
    let _owner = owner::of("deletions")?;
    let entry = [
        bytes(of.category),
        of.stream_name.and_then(bytes),
        bigint(up_to),
        bigint(messages),
        text(&account.role),
        text(&account.reason),
        account.actor.as_deref().and_then(text),
        after_all,
    ];
    if EXTEND.run(&entry, |_| {}) == 0 {
        INSERT.run(&entry, |_| {});
    }
    Ok(())
}

/// The highest global position that was deleted of a category, of a stream, or of all; 0 for none.
/// `since`: only what was deleted since this subscription was created.
pub fn up_to(
    category: Option<&[u8]>,
    stream_name: Option<&[u8]>,
    since: Option<&str>,
) -> Result<i64, Error> {
    // What was deleted of a category has touched a stream only where its first message is gone.
    let is_touched = match stream_name {
        None => true,
        Some(name) => !messages::removal::has_first(name)?,
    };
    let since = match since {
        None => None,
        Some(subscriber_id) => subscriptions::created_at(subscriber_id)?,
    };
    let arguments = [
        category.and_then(bytes),
        stream_name.and_then(bytes),
        boolean(is_touched),
        since,
    ];
    highest(&UP_TO, &arguments)
}

/// The global position up to which a category has no message any more; 0 where it never was cut.
pub fn whole_up_to(category: &[u8]) -> Result<i64, Error> {
    highest(&WHOLE_UP_TO, &[bytes(category)])
}

/// The moment after the last deletion, a `timestamptz`; none where nothing was deleted.
pub fn after_the_last() -> Result<Parameter, Error> {
    if !is_there() {
        return Ok(None);
    }
    let _owner = owner::of("deletions")?;
    let mut at = None;
    AFTER_THE_LAST.look(&[], |row| at = row.value(0, pg_sys::TIMESTAMPTZOID));
    Ok(at)
}

/// A store that an earlier version made has no such table, and nothing was deleted there.
fn is_there() -> bool {
    relation::oid(SCHEMA, c"deletions").is_some()
}

fn highest(statement: &Statement, arguments: &[Parameter]) -> Result<i64, Error> {
    if !is_there() {
        return Ok(0);
    }
    let _owner = owner::of("deletions")?;
    let mut highest = None;
    // A transaction that keeps its first snapshot must hear of what was deleted since, too.
    statement.look(arguments, |row| highest = row.bigint(0));
    Ok(highest.unwrap_or(0))
}
