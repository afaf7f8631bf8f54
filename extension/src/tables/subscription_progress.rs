//! How far each member of each subscription has come, what fails there, and who has leased its
//! messages.

mod rows;

use super::owner;
use crate::error::Error;
use crate::kept_error::KeptError;
use crate::pg::parameter::{bigint, bigints, boolean, double, seconds, text};
use crate::pg::spi::{Statement, sql};
use pgrx::pg_sys;
use pgrx::pg_sys::BuiltinOid::{
    BOOLOID, FLOAT8OID, INT8ARRAYOID, INT8OID, JSONBOID, TEXTOID, VARCHAROID,
};
use std::time::Duration;

pub use rows::{Progress, hold, of};

/// Assignments after which nothing fails.
macro_rules! nothing_fails {
    () => {
        "attempts = 0, failing_position = NULL, failing_since = NULL, retry_at = NULL"
    };
}

/// Assignments after which nobody has a lease.
macro_rules! nobody_has_a_lease {
    () => {
        "lease = NULL, leased_until = NULL, leased_position = NULL"
    };
}

/// A condition: the row of the member `$2` of the subscription `$1`.
macro_rules! of_the_member {
    () => {
        " WHERE subscriber_id OPERATOR(pg_catalog.=) $1 AND member OPERATOR(pg_catalog.=) $2"
    };
}

static INSERT: Statement = Statement::new(
    c"INSERT INTO message_store.subscription_progress (subscriber_id, member, group_size, position) \
      SELECT $1, member, $2, $3 \
        FROM pg_catalog.generate_series(0, $2 OPERATOR(pg_catalog.-) 1) member",
    &[VARCHAROID, INT8OID, INT8OID],
);
static HOLD_ALL: Statement = Statement::new(
    c"SELECT FROM message_store.subscription_progress \
       WHERE subscriber_id OPERATOR(pg_catalog.=) $1 ORDER BY member FOR UPDATE",
    &[VARCHAROID],
);
static LEAST_POSITION: Statement = Statement::new(
    c"SELECT pg_catalog.min(position) FROM message_store.subscription_progress \
       WHERE subscriber_id OPERATOR(pg_catalog.=) $1",
    &[VARCHAROID],
);
static ADVANCE: Statement = Statement::new(
    sql!(
        "UPDATE message_store.subscription_progress \
            SET position = $3, handled = handled OPERATOR(pg_catalog.+) $4, \
                updated_at = pg_catalog.clock_timestamp(), \
                rate = coalesce($5, rate), rate_from = $6, \
                rate_since = CASE WHEN $7 THEN pg_catalog.clock_timestamp() ELSE rate_since END, ",
        nothing_fails!(),
        of_the_member!(),
    ),
    &[
        VARCHAROID, INT8OID, INT8OID, INT8OID, FLOAT8OID, INT8OID, BOOLOID,
    ],
);
/// `$5`: seconds until the next attempt, NULL for none.
static FAIL: Statement = Statement::new(
    sql!(
        "UPDATE message_store.subscription_progress \
            SET attempts = $3, failing_position = $4, \
                failing_since = CASE WHEN failing_position OPERATOR(pg_catalog.=) $4 \
                                     THEN failing_since ELSE pg_catalog.clock_timestamp() END, \
                retry_at = pg_catalog.clock_timestamp() \
                             OPERATOR(pg_catalog.+) pg_catalog.make_interval(secs => $5), \
                last_sqlstate = $6, last_error = $7, last_error_details = $8, \
                last_error_at = pg_catalog.clock_timestamp()",
        of_the_member!(),
        " RETURNING retry_at",
    ),
    &[
        VARCHAROID, INT8OID, INT8OID, INT8OID, FLOAT8OID, VARCHAROID, TEXTOID, JSONBOID,
    ],
);
static NOTE_ERROR: Statement = Statement::new(
    sql!(
        "UPDATE message_store.subscription_progress \
            SET last_sqlstate = $3, last_error = $4, last_error_details = $5, \
                last_error_at = pg_catalog.clock_timestamp()",
        of_the_member!(),
    ),
    &[VARCHAROID, INT8OID, VARCHAROID, TEXTOID, JSONBOID],
);
static FORGET_FAILURES: Statement = Statement::new(
    sql!(
        "UPDATE message_store.subscription_progress SET ",
        nothing_fails!(),
        " WHERE subscriber_id OPERATOR(pg_catalog.=) $1 AND failing_position IS NOT NULL",
    ),
    &[VARCHAROID],
);
/// `$3`, `$4`: members that are further, members that are less far.
static MOVE: Statement = Statement::new(
    sql!(
        "UPDATE message_store.subscription_progress \
            SET position = CASE WHEN position OPERATOR(pg_catalog.>) $2 AND NOT $3 THEN position \
                                WHEN position OPERATOR(pg_catalog.<) $2 AND NOT $4 THEN position \
                                ELSE $2 END, updated_at = pg_catalog.clock_timestamp(), \
                rate_from = 0, rate_since = pg_catalog.clock_timestamp(), ",
        nothing_fails!(),
        ", ",
        nobody_has_a_lease!(),
        " WHERE subscriber_id OPERATOR(pg_catalog.=) $1",
    ),
    &[VARCHAROID, INT8OID, BOOLOID, BOOLOID],
);
static DELETE: Statement = Statement::new(
    sql!(
        "DELETE FROM message_store.subscription_progress",
        of_the_member!()
    ),
    &[VARCHAROID, INT8OID],
);
static DELETE_DRAINING: Statement = Statement::new(
    c"DELETE FROM message_store.subscription_progress \
       WHERE subscriber_id OPERATOR(pg_catalog.=) $1 AND drains_until IS NOT NULL",
    &[VARCHAROID],
);
static DELETE_FROM_POSITION: Statement = Statement::new(
    c"DELETE FROM message_store.subscription_progress \
       WHERE subscriber_id OPERATOR(pg_catalog.=) $1 AND position OPERATOR(pg_catalog.>=) $2",
    &[VARCHAROID, INT8OID],
);
static DRAIN: Statement = Statement::new(
    sql!(
        "UPDATE message_store.subscription_progress \
            SET member = (-1) OPERATOR(pg_catalog.-) member, drains_until = $2, ",
        nobody_has_a_lease!(),
        " WHERE subscriber_id OPERATOR(pg_catalog.=) $1",
    ),
    &[VARCHAROID, INT8OID],
);
static LEASED_BY: Statement = Statement::new(
    sql!(
        "SELECT lease IS NOT NULL, \
                leased_until OPERATOR(pg_catalog.>) pg_catalog.clock_timestamp() \
                  AND NOT lease OPERATOR(pg_catalog.=) ANY ($3) \
           FROM message_store.subscription_progress",
        of_the_member!(),
    ),
    &[VARCHAROID, INT8OID, INT8ARRAYOID],
);
static LEASE: Statement = Statement::new(
    sql!(
        "UPDATE message_store.subscription_progress \
            SET lease = $3, leased_position = $4, \
                leased_until = pg_catalog.clock_timestamp() \
                  OPERATOR(pg_catalog.+) pg_catalog.make_interval(secs => $5)",
        of_the_member!(),
    ),
    &[VARCHAROID, INT8OID, INT8OID, INT8OID, FLOAT8OID],
);
static RENEW_LEASE: Statement = Statement::new(
    sql!(
        "UPDATE message_store.subscription_progress \
            SET leased_until = pg_catalog.clock_timestamp() \
                  OPERATOR(pg_catalog.+) pg_catalog.make_interval(secs => $3)",
        of_the_member!(),
    ),
    &[VARCHAROID, INT8OID, FLOAT8OID],
);
static HOLD_LEASED: Statement = Statement::new(
    c"SELECT member, leased_position, lease FROM message_store.subscription_progress \
       WHERE subscriber_id OPERATOR(pg_catalog.=) $1 AND lease OPERATOR(pg_catalog.=) ANY ($2) \
         AND leased_until OPERATOR(pg_catalog.>) pg_catalog.clock_timestamp() \
         FOR UPDATE",
    &[VARCHAROID, INT8ARRAYOID],
);
static END_LEASE: Statement = Statement::new(
    sql!(
        "UPDATE message_store.subscription_progress SET ",
        nobody_has_a_lease!(),
        of_the_member!(),
    ),
    &[VARCHAROID, INT8OID],
);

/// A step of a member that is stored.
pub struct Step {
    /// The last position it has dealt with now.
    pub position: i64,
    /// Messages it gave to handlers.
    pub handled: i64,
    /// Messages scanned a second, where a measurement has ended.
    pub rate: Option<f64>,
    /// Messages scanned since the measurement of its rate began.
    pub rate_from: i64,
    /// Whether a measurement begins now.
    pub begins_measurement: bool,
}

/// A message whose handler failed.
pub struct Failing<'a> {
    /// Its global position.
    pub position: i64,
    /// Failed attempts that count.
    pub attempts: i64,
    /// The pause before its handler is called again, where it will be.
    pub retry_after: Option<Duration>,
    /// Why.
    pub error: &'a KeptError,
}

/// A lease that has not run out.
pub struct Leased {
    /// Its number.
    pub lease: i64,
    /// Whose messages it is on.
    pub member: i64,
    /// The position of its last message.
    pub position: i64,
}

/// Who has leased messages of a member.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum LeasedBy {
    Nobody,
    /// The session that asks, or somebody whose lease has run out.
    Itself,
    /// Another session, and its lease runs.
    Another,
}

/// Which members are moved to a position.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// Those that are further.
    Further,
    /// Those that are less far.
    LessFar,
    /// All.
    All,
}

/// Adds the members of a group, all of them at one position.
pub fn insert(subscriber_id: &str, group_size: i64, position: i64) -> Result<(), Error> {
    let _owner = owner::of_subscriptions()?;
    let arguments = [text(subscriber_id), bigint(group_size), bigint(position)];
    INSERT.run(&arguments, |_| {});
    Ok(())
}

/// Holds the rows of all members until the transaction ends, waiting for whoever has one; returns
/// how many it found.
pub fn hold_all(subscriber_id: &str) -> Result<usize, Error> {
    let _owner = owner::of_subscriptions()?;
    let mut held = 0;
    HOLD_ALL.run(&[text(subscriber_id)], |_| held += 1);
    Ok(held)
}

/// Up to where all members have come.
pub fn least_position(subscriber_id: &str) -> Result<i64, Error> {
    let _owner = owner::of_subscriptions()?;
    let mut least = None;
    LEAST_POSITION.run(&[text(subscriber_id)], |row| least = row.bigint(0));
    Ok(least.unwrap_or(0))
}

/// Stores where a member is now; nothing fails there any more.
pub fn advance(subscriber_id: &str, member: i64, step: &Step) -> Result<(), Error> {
    let _owner = owner::of_subscriptions()?;
    ADVANCE.run(
        &[
            text(subscriber_id),
            bigint(member),
            bigint(step.position),
            bigint(step.handled),
            step.rate.and_then(double),
            bigint(step.rate_from),
            boolean(step.begins_measurement),
        ],
        |_| {},
    );
    Ok(())
}

/// Stores that a message fails. Returns when its handler is called again, where it will be: a
/// `timestamptz`.
pub fn fail(
    subscriber_id: &str,
    member: i64,
    failing: &Failing<'_>,
) -> Result<Option<pg_sys::Datum>, Error> {
    let _owner = owner::of_subscriptions()?;
    let mut retry_at = None;
    let [sqlstate, error, details] = failing.error.parameters();
    FAIL.run(
        &[
            text(subscriber_id),
            bigint(member),
            bigint(failing.attempts),
            bigint(failing.position),
            failing.retry_after.and_then(seconds),
            sqlstate,
            error,
            details,
        ],
        |row| retry_at = row.value(0, pg_sys::TIMESTAMPTZOID),
    );
    Ok(retry_at)
}

/// Stores the last error of a member, which goes on.
pub fn note_error(subscriber_id: &str, member: i64, error: &KeptError) -> Result<(), Error> {
    let _owner = owner::of_subscriptions()?;
    let [sqlstate, message, details] = error.parameters();
    let arguments = [
        text(subscriber_id),
        bigint(member),
        sqlstate,
        message,
        details,
    ];
    NOTE_ERROR.run(&arguments, |_| {});
    Ok(())
}

/// Lets members that pause after a failure try again at once.
pub fn forget_failures(subscriber_id: &str) -> Result<(), Error> {
    let _owner = owner::of_subscriptions()?;
    FORGET_FAILURES.run(&[text(subscriber_id)], |_| {});
    Ok(())
}

/// Moves members to a position. Members that drain end.
pub fn go_to(subscriber_id: &str, position: i64, which: Which) -> Result<(), Error> {
    let _owner = owner::of_subscriptions()?;
    let (id, all) = (text(subscriber_id), which == Which::All);
    DELETE_DRAINING.run(&[id], |_| {});
    let further = boolean(all || which == Which::Further);
    let less_far = boolean(all || which == Which::LessFar);
    MOVE.run(&[id, bigint(position), further, less_far], |_| {});
    Ok(())
}

/// Ends a member of a resized group that has come to its end.
pub fn delete(subscriber_id: &str, member: i64) -> Result<(), Error> {
    let _owner = owner::of_subscriptions()?;
    DELETE.run(&[text(subscriber_id), bigint(member)], |_| {});
    Ok(())
}

/// Lets members drain until a position; those that are there already end.
pub fn drain(subscriber_id: &str, until: i64) -> Result<(), Error> {
    let _owner = owner::of_subscriptions()?;
    let arguments = [text(subscriber_id), bigint(until)];
    DELETE_FROM_POSITION.run(&arguments, |_| {});
    DRAIN.run(&arguments, |_| {});
    Ok(())
}

/// Who has leased messages of a member, to a session that has these leases.
pub fn leased_by(subscriber_id: &str, member: i64, own_leases: &[i64]) -> Result<LeasedBy, Error> {
    let _owner = owner::of_subscriptions()?;
    let mut leased_by = LeasedBy::Nobody;
    let arguments = [text(subscriber_id), bigint(member), bigints(own_leases)];
    LEASED_BY.run(&arguments, |row| {
        leased_by = match (row.boolean(0), row.boolean(1)) {
            (_, true) => LeasedBy::Another,
            (true, false) => LeasedBy::Itself,
            (false, false) => LeasedBy::Nobody,
        };
    });
    Ok(leased_by)
}

/// Leases the messages of a member up to a position.
pub fn lease(
    subscriber_id: &str,
    member: i64,
    lease: i64,
    position: i64,
    lasts: Duration,
) -> Result<(), Error> {
    let _owner = owner::of_subscriptions()?;
    let arguments = [
        text(subscriber_id),
        bigint(member),
        bigint(lease),
        bigint(position),
        seconds(lasts),
    ];
    LEASE.run(&arguments, |_| {});
    Ok(())
}

/// Holds the row that one of these leases is on until the transaction ends; `None` where they have
/// run out.
pub fn hold_leased(subscriber_id: &str, leases: &[i64]) -> Result<Option<Leased>, Error> {
    let _owner = owner::of_subscriptions()?;
    let mut found = None;
    HOLD_LEASED.run(&[text(subscriber_id), bigints(leases)], |row| {
        let columns = row.bigint(0).zip(row.bigint(1)).zip(row.bigint(2));
        found = columns.map(|((member, position), lease)| Leased {
            lease,
            member,
            position,
        });
    });
    Ok(found)
}

/// Lets the lease on the messages of a member last so long from now.
pub fn renew_lease(subscriber_id: &str, member: i64, lasts: Duration) -> Result<(), Error> {
    let _owner = owner::of_subscriptions()?;
    let arguments = [text(subscriber_id), bigint(member), seconds(lasts)];
    RENEW_LEASE.run(&arguments, |_| {});
    Ok(())
}

/// Ends the lease on the messages of a member.
pub fn end_lease(subscriber_id: &str, member: i64) -> Result<(), Error> {
    let _owner = owner::of_subscriptions()?;
    END_LEASE.run(&[text(subscriber_id), bigint(member)], |_| {});
    Ok(())
}
