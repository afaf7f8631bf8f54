//! Messages that a subscription has parked, and those of their streams that wait behind them.

use super::by_subscriber::BySubscriber;
use super::owner;
use crate::error::Error;
use crate::kept_error::KeptError;
use crate::pg::parameter::{Parameter, bigint, bigints, boolean, bytes, seconds, text};
use crate::pg::snapshot::Fresh;
use crate::pg::spi::{Row, Statement, sql};
use pgrx::pg_sys::BuiltinOid::{
    BOOLOID, FLOAT8OID, INT8ARRAYOID, INT8OID, JSONBOID, TEXTOID, VARCHAROID,
};
use std::time::Duration;

const TABLE: BySubscriber = BySubscriber {
    name: c"parked",
    key: c"parked_pkey",
};

/// Why a message is parked.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Its handler failed; somebody must do something about it.
    Failed,
    /// It waits behind a failed one of its stream.
    Waiting,
    /// The next ticks handle it, or it waits for one of its stream that they handle.
    Retry,
}

impl Status {
    fn word(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Waiting => "waiting",
            Self::Retry => "retry",
        }
    }
}

/// A message to be parked.
pub struct ParkedMessage<'a> {
    /// Its global position.
    pub position: i64,
    /// Its stream.
    pub stream_name: &'a [u8],
    /// Its type.
    pub message_type: &'a [u8],
    /// Whether it had been handled before.
    pub is_replay: bool,
}

/// The last failure of a parked message's handler.
pub struct LastFailure<'a> {
    /// What went wrong.
    pub error: &'a KeptError,
    /// How often the handler was called and failed.
    pub attempts: i64,
}

/// A parked message whose turn has come.
pub struct Due {
    /// Its global position.
    pub position: i64,
    /// Its stream.
    pub stream_name: Vec<u8>,
    /// How often its handler has failed.
    pub attempts: i64,
    /// Whether it had been handled before.
    pub is_replay: bool,
}

/// Which parked messages are meant: by position, stream and SQLSTATE, each where it is given.
#[derive(Clone, Copy)]
pub struct Selection<'a> {
    /// The global position.
    pub position: Option<i64>,
    /// A `bigint[]` of global positions.
    pub positions: Parameter,
    /// The stream's name.
    pub stream_name: Option<&'a [u8]>,
    /// The SQLSTATE of the last failure.
    pub sqlstate: Option<&'a [u8]>,
}

impl Selection<'_> {
    fn parameters(&self) -> [Parameter; 4] {
        [
            self.position.and_then(bigint),
            self.stream_name.and_then(bytes),
            self.sqlstate.and_then(bytes),
            self.positions,
        ]
    }
}

/// A condition: what a [`Selection`] of `$2` to `$5` selects.
macro_rules! is_selected {
    () => {
        "($2 IS NULL OR global_position OPERATOR(pg_catalog.=) $2) \
         AND ($3 IS NULL OR stream_name OPERATOR(pg_catalog.=) $3::pg_catalog.text) \
         AND ($4 IS NULL OR sqlstate OPERATOR(pg_catalog.=) $4) \
         AND ($5 IS NULL OR global_position OPERATOR(pg_catalog.=) ANY ($5))"
    };
}

static POSITIONS: Statement = Statement::new(
    c"SELECT global_position FROM message_store.parked \
       WHERE subscriber_id OPERATOR(pg_catalog.=) $1",
    &[VARCHAROID],
);
static WAITING_STREAMS: Statement = Statement::new(
    c"SELECT stream_name, pg_catalog.bool_or(status OPERATOR(pg_catalog.=) 'failed') \
        FROM message_store.parked \
       WHERE subscriber_id OPERATOR(pg_catalog.=) $1 \
         AND holds_stream AND status OPERATOR(pg_catalog.=) ANY ('{failed,waiting,retry}') \
       GROUP BY stream_name",
    &[VARCHAROID],
);
/// `$2`: of whatever status.
static AHEAD: Statement = Statement::new(
    c"SELECT global_position, status OPERATOR(pg_catalog.=) 'discarded' FROM message_store.parked \
       WHERE subscriber_id OPERATOR(pg_catalog.=) $1 \
         AND global_position OPERATOR(pg_catalog.>) $3 \
         AND ($2 OR status OPERATOR(pg_catalog.=) ANY ('{discarded,replaying}'))",
    &[VARCHAROID, BOOLOID, INT8OID],
);
static DUE: Statement = Statement::new(
    c"SELECT p.global_position, p.stream_name, p.attempts, p.is_replay FROM message_store.parked p \
       WHERE p.subscriber_id OPERATOR(pg_catalog.=) $1 \
         AND p.status OPERATOR(pg_catalog.=) 'retry' AND NOT EXISTS ( \
               SELECT FROM message_store.parked h \
                WHERE h.subscriber_id OPERATOR(pg_catalog.=) $1 \
                  AND h.stream_name OPERATOR(pg_catalog.=) p.stream_name \
                  AND h.global_position OPERATOR(pg_catalog.<=) p.global_position \
                  AND h.status OPERATOR(pg_catalog.=) 'retry' \
                  AND h.retry_at OPERATOR(pg_catalog.>) pg_catalog.clock_timestamp()) \
       ORDER BY p.global_position",
    &[VARCHAROID],
);
static ATTEMPTS: Statement = Statement::new(
    c"SELECT attempts FROM message_store.parked \
       WHERE subscriber_id OPERATOR(pg_catalog.=) $1 \
         AND global_position OPERATOR(pg_catalog.=) $2",
    &[VARCHAROID, INT8OID],
);
static PUT: Statement = Statement::new(
    c"INSERT INTO message_store.parked AS p \
        (subscriber_id, global_position, stream_name, type, status, holds_stream, attempts, \
         sqlstate, error, error_details, is_replay, retry_at, last_failed_at) \
      VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, \
              pg_catalog.clock_timestamp() OPERATOR(pg_catalog.+) pg_catalog.make_interval(secs => $12), \
              CASE WHEN $8 IS NOT NULL THEN pg_catalog.clock_timestamp() END) \
      ON CONFLICT (subscriber_id, global_position) DO UPDATE \
         SET status = excluded.status, holds_stream = excluded.holds_stream, \
             attempts = excluded.attempts, sqlstate = excluded.sqlstate, \
             error = excluded.error, error_details = excluded.error_details, \
             is_replay = excluded.is_replay, \
             retry_at = excluded.retry_at, \
             last_failed_at = excluded.last_failed_at",
    &[
        VARCHAROID, INT8OID, TEXTOID, TEXTOID, VARCHAROID, BOOLOID, INT8OID, VARCHAROID, TEXTOID,
        JSONBOID, BOOLOID, FLOAT8OID,
    ],
);
static HOLD_BACK: Statement = Statement::new(
    c"UPDATE message_store.parked SET status = 'waiting' \
       WHERE subscriber_id OPERATOR(pg_catalog.=) $1 \
         AND stream_name OPERATOR(pg_catalog.=) $2 \
         AND status OPERATOR(pg_catalog.=) 'retry' AND attempts OPERATOR(pg_catalog.=) 0",
    &[VARCHAROID, TEXTOID],
);
static RELEASE: Statement = Statement::new(
    c"UPDATE message_store.parked w SET status = 'retry' \
       WHERE w.subscriber_id OPERATOR(pg_catalog.=) $1 \
         AND w.status OPERATOR(pg_catalog.=) 'waiting' AND NOT EXISTS ( \
               SELECT FROM message_store.parked f \
                WHERE f.subscriber_id OPERATOR(pg_catalog.=) $1 \
                  AND f.stream_name OPERATOR(pg_catalog.=) w.stream_name \
                  AND f.status OPERATOR(pg_catalog.=) 'failed' AND f.holds_stream)",
    &[VARCHAROID],
);
static TAKE: Statement = Statement::new(
    c"DELETE FROM message_store.parked \
       WHERE subscriber_id OPERATOR(pg_catalog.=) $1 \
         AND global_position OPERATOR(pg_catalog.=) $2 \
         AND status OPERATOR(pg_catalog.<>) 'discarded'",
    &[VARCHAROID, INT8OID],
);
static LEASE: Statement = Statement::new(
    c"UPDATE message_store.parked SET lease = $3 \
       WHERE subscriber_id OPERATOR(pg_catalog.=) $1 \
         AND global_position OPERATOR(pg_catalog.=) $2",
    &[VARCHAROID, INT8OID, INT8OID],
);
static IS_LEASED: Statement = Statement::new(
    c"SELECT FROM message_store.parked \
       WHERE subscriber_id OPERATOR(pg_catalog.=) $1 \
         AND global_position OPERATOR(pg_catalog.=) $2 \
         AND status OPERATOR(pg_catalog.=) 'retry' AND lease OPERATOR(pg_catalog.=) $3",
    &[VARCHAROID, INT8OID, INT8OID],
);
static TAKE_LEASED: Statement = Statement::new(
    c"DELETE FROM message_store.parked \
       WHERE subscriber_id OPERATOR(pg_catalog.=) $1 \
         AND global_position OPERATOR(pg_catalog.<=) $2 \
         AND status OPERATOR(pg_catalog.=) 'retry' AND lease OPERATOR(pg_catalog.=) $3",
    &[VARCHAROID, INT8OID, INT8OID],
);
static RETRY: Statement = Statement::new(
    sql!(
        "UPDATE message_store.parked SET status = 'retry', retry_at = NULL \
          WHERE subscriber_id OPERATOR(pg_catalog.=) $1 \
            AND status OPERATOR(pg_catalog.=) 'failed' AND ",
        is_selected!(),
    ),
    &[VARCHAROID, INT8OID, VARCHAROID, VARCHAROID, INT8ARRAYOID],
);
static RETRY_FIRST: Statement = Statement::new(
    c"UPDATE message_store.parked SET status = 'retry' \
       WHERE subscriber_id OPERATOR(pg_catalog.=) $1 \
         AND status OPERATOR(pg_catalog.=) 'failed' \
         AND global_position OPERATOR(pg_catalog.=) ANY (ARRAY( \
               SELECT global_position FROM message_store.parked \
                WHERE subscriber_id OPERATOR(pg_catalog.=) $1 \
                  AND status OPERATOR(pg_catalog.=) 'failed' \
                  AND ($3 IS NULL OR global_position OPERATOR(pg_catalog.=) ANY ($3)) \
                ORDER BY global_position LIMIT $2)) \
      RETURNING global_position",
    &[VARCHAROID, INT8OID, INT8ARRAYOID],
);
static LEFT_BEHIND: Statement = Statement::new(
    c"SELECT CASE status WHEN 'failed' THEN 'failed' ELSE 'waiting' END, \
             pg_catalog.jsonb_build_object('global_position', global_position, \
               'stream_name', stream_name, 'type', type, 'sqlstate', sqlstate, 'error', error, \
               'error_details', error_details) \
        FROM message_store.parked \
       WHERE subscriber_id OPERATOR(pg_catalog.=) $1 \
         AND (global_position OPERATOR(pg_catalog.>) $2 \
              OR global_position OPERATOR(pg_catalog.=) ANY ($3)) \
       ORDER BY global_position",
    &[VARCHAROID, INT8OID, INT8ARRAYOID],
);
static DISCARD: Statement = Statement::new(
    sql!(
        "UPDATE message_store.parked SET status = 'discarded', holds_stream = false, reason = $6 \
          WHERE subscriber_id OPERATOR(pg_catalog.=) $1 \
            AND status OPERATOR(pg_catalog.=) ANY ('{failed,retry}') AND ",
        is_selected!(),
    ),
    &[
        VARCHAROID,
        INT8OID,
        VARCHAROID,
        VARCHAROID,
        INT8ARRAYOID,
        TEXTOID,
    ],
);
/// `$6`: a copy, `$7`: where it is.
static IS_HANDLED_BY: Statement = Statement::new(
    sql!(
        "SELECT FROM message_store.parked \
          WHERE subscriber_id OPERATOR(pg_catalog.=) $1 \
            AND status OPERATOR(pg_catalog.=) ANY ('{failed,retry}') AND ",
        is_selected!(),
        " AND global_position OPERATOR(pg_catalog.<=) $7 \
          AND global_position OPERATOR(pg_catalog.<>) ALL (ARRAY( \
                SELECT c.global_position FROM message_store.parked c \
                 WHERE c.subscriber_id OPERATOR(pg_catalog.=) $6)) \
          LIMIT 1",
    ),
    &[
        VARCHAROID,
        INT8OID,
        VARCHAROID,
        VARCHAROID,
        INT8ARRAYOID,
        VARCHAROID,
        INT8OID,
    ],
);
static FORGET_REPLAYS_AFTER: Statement = Statement::new(
    c"DELETE FROM message_store.parked \
       WHERE subscriber_id OPERATOR(pg_catalog.=) $1 \
         AND global_position OPERATOR(pg_catalog.>) $2 \
         AND is_replay AND status OPERATOR(pg_catalog.<>) 'discarded'",
    &[VARCHAROID, INT8OID],
);
static MARK_REPLAYING_AFTER: Statement = Statement::new(
    c"UPDATE message_store.parked SET status = 'replaying', holds_stream = false \
       WHERE subscriber_id OPERATOR(pg_catalog.=) $1 \
         AND global_position OPERATOR(pg_catalog.>) $2 \
         AND status OPERATOR(pg_catalog.<>) 'discarded'",
    &[VARCHAROID, INT8OID],
);
static FORGET_UP_TO: Statement = Statement::new(
    c"DELETE FROM message_store.parked \
       WHERE subscriber_id OPERATOR(pg_catalog.=) $1 \
         AND global_position OPERATOR(pg_catalog.<=) $2 \
         AND status OPERATOR(pg_catalog.<>) 'discarded'",
    &[VARCHAROID, INT8OID],
);
/// `$1`: of how many shards, `$2`: this one.
static FORGET_MOVED: Statement = Statement::new(
    c"DELETE FROM message_store.parked \
       WHERE message_store.shard_of(stream_name::pg_catalog.varchar, $1) OPERATOR(pg_catalog.<>) $2",
    &[INT8OID, INT8OID],
);
static RETRY_UNLESS_PARKED_BY: Statement = Statement::new(
    c"UPDATE message_store.parked c SET status = 'retry' \
       WHERE c.subscriber_id OPERATOR(pg_catalog.=) $1 \
         AND c.status OPERATOR(pg_catalog.<>) 'discarded' AND NOT EXISTS ( \
               SELECT FROM message_store.parked l \
                WHERE l.subscriber_id OPERATOR(pg_catalog.=) $2 \
                  AND l.global_position OPERATOR(pg_catalog.=) c.global_position)",
    &[VARCHAROID, VARCHAROID],
);
/// All columns that a promoted copy leaves to the live subscription: a new one belongs here where it is
/// one of them.
static ADOPT: Statement = Statement::new(
    c"INSERT INTO message_store.parked \
        (subscriber_id, global_position, stream_name, type, status, holds_stream, attempts, \
         sqlstate, error, error_details, parked_at, last_failed_at, reason) \
      SELECT $2, global_position, stream_name, type, status, holds_stream, attempts, \
             sqlstate, error, error_details, parked_at, last_failed_at, reason \
        FROM message_store.parked \
       WHERE subscriber_id OPERATOR(pg_catalog.=) $1 \
         AND status OPERATOR(pg_catalog.<>) 'replaying' \
      ON CONFLICT DO NOTHING",
    &[VARCHAROID, VARCHAROID],
);

fn change(statement: &Statement, arguments: &[Parameter]) -> Result<u64, Error> {
    let _owner = owner::of_subscriptions()?;
    Ok(statement.run(arguments, |_| {}))
}

/// Whether messages of a subscription are parked, of whatever status; found without a statement.
pub fn has_any(subscriber_id: &str) -> Result<bool, Error> {
    let (table, snapshot) = (TABLE.to_read()?, Fresh::take());
    TABLE.rows_of(&table, &snapshot, subscriber_id, |mut scan| scan.advance())
}

/// The global positions of all.
pub fn positions(subscriber_id: &str) -> Result<Vec<i64>, Error> {
    let _owner = owner::of_subscriptions()?;
    let mut positions = Vec::new();
    POSITIONS.run(&[text(subscriber_id)], |row| {
        positions.extend(row.bigint(0));
    });
    Ok(positions)
}

/// The streams whose messages wait, and whether behind a failed one; else behind one that is due.
pub fn waiting_streams(subscriber_id: &str) -> Result<Vec<(Vec<u8>, bool)>, Error> {
    let _owner = owner::of_subscriptions()?;
    let mut streams = Vec::new();
    WAITING_STREAMS.run(&[text(subscriber_id)], |row| {
        let stream_name = row.text(0).map(String::into_bytes);
        streams.extend(stream_name.map(|name| (name, row.boolean(1))));
    });
    Ok(streams)
}

/// The discarded and the replaying after a position, or all of whatever status, and whether each is
/// discarded.
pub fn ahead(
    subscriber_id: &str,
    of_any_status: bool,
    position: i64,
) -> Result<Vec<(i64, bool)>, Error> {
    let _owner = owner::of_subscriptions()?;
    let arguments = [
        text(subscriber_id),
        boolean(of_any_status),
        bigint(position),
    ];
    let mut ahead = Vec::new();
    AHEAD.run(&arguments, |row| {
        ahead.push((row.bigint(0).unwrap_or_default(), row.boolean(1)));
    });
    Ok(ahead)
}

/// Those whose turn has come, in order.
pub fn due(subscriber_id: &str) -> Result<Vec<Due>, Error> {
    let _owner = owner::of_subscriptions()?;
    let mut due = Vec::new();
    DUE.run(&[text(subscriber_id)], |row| {
        due.push(Due {
            position: row.bigint(0).unwrap_or_default(),
            stream_name: row.text(1).unwrap_or_default().into_bytes(),
            attempts: row.bigint(2).unwrap_or_default(),
            is_replay: row.boolean(3),
        });
    });
    Ok(due)
}

/// How often a parked message has failed; 0 for one that is not parked.
pub fn attempts(subscriber_id: &str, position: i64) -> Result<i64, Error> {
    let _owner = owner::of_subscriptions()?;
    let mut attempts = 0;
    ATTEMPTS.run(&[text(subscriber_id), bigint(position)], |row| {
        attempts = row.bigint(0).unwrap_or_default();
    });
    Ok(attempts)
}

/// Parks a message, or changes how it is parked. `retry_after`: the pause before its handler is
/// called again.
pub fn put(
    subscriber_id: &str,
    message: &ParkedMessage<'_>,
    status: Status,
    holds_stream: bool,
    failure: Option<&LastFailure<'_>>,
    retry_after: Option<Duration>,
) -> Result<(), Error> {
    let [sqlstate, error, details] =
        failure.map_or([None; 3], |failure| failure.error.parameters());
    change(
        &PUT,
        &[
            text(subscriber_id),
            bigint(message.position),
            bytes(message.stream_name),
            bytes(message.message_type),
            text(status.word()),
            boolean(holds_stream),
            bigint(failure.map_or(0, |failure| failure.attempts)),
            sqlstate,
            error,
            details,
            boolean(message.is_replay),
            retry_after.and_then(seconds),
        ],
    )
    .map(drop)
}

/// Messages of a stream whose turn had come wait again, behind one that failed.
pub fn hold_back(subscriber_id: &str, stream_name: &[u8]) -> Result<(), Error> {
    change(&HOLD_BACK, &[text(subscriber_id), bytes(stream_name)]).map(drop)
}

/// Makes messages due that wait behind no failed one any more.
pub fn release(subscriber_id: &str) -> Result<(), Error> {
    change(&RELEASE, &[text(subscriber_id)]).map(drop)
}

/// Takes a message out that was handled after all.
pub fn take(subscriber_id: &str, position: i64) -> Result<(), Error> {
    change(&TAKE, &[text(subscriber_id), bigint(position)]).map(drop)
}

/// Puts a message that is due under the lease of the application that handles it.
pub fn lease(subscriber_id: &str, position: i64, lease: i64) -> Result<(), Error> {
    let arguments = [text(subscriber_id), bigint(position), bigint(lease)];
    change(&LEASE, &arguments).map(drop)
}

/// Whether a message is handled again under this lease.
pub fn is_leased(subscriber_id: &str, position: i64, lease: i64) -> Result<bool, Error> {
    let arguments = [text(subscriber_id), bigint(position), bigint(lease)];
    Ok(change(&IS_LEASED, &arguments)? == 1)
}

/// Takes messages up to a position out that an application has handled under this lease.
pub fn take_leased(subscriber_id: &str, position: i64, lease: i64) -> Result<(), Error> {
    let arguments = [text(subscriber_id), bigint(position), bigint(lease)];
    change(&TAKE_LEASED, &arguments).map(drop)
}

/// Makes failed messages due; returns how many.
pub fn retry(subscriber_id: &str, selection: &Selection<'_>) -> Result<u64, Error> {
    let [position, stream_name, sqlstate, positions] = selection.parameters();
    change(
        &RETRY,
        &[
            text(subscriber_id),
            position,
            stream_name,
            sqlstate,
            positions,
        ],
    )
}

/// Makes the first `limit` failed messages due, and returns their global positions; `among`: a
/// `bigint[]` of positions, of which alone they are.
pub fn retry_first(subscriber_id: &str, limit: i64, among: Parameter) -> Result<Vec<i64>, Error> {
    let _owner = owner::of_subscriptions()?;
    let mut positions = Vec::new();
    let arguments = [text(subscriber_id), bigint(limit), among];
    RETRY_FIRST.run(&arguments, |row| positions.extend(row.bigint(0)));
    Ok(positions)
}

/// What is parked after a position, or at one of `positions`, in order: `failed` or `waiting`, and a
/// `jsonb` of which message and why.
pub fn left_behind(
    subscriber_id: &str,
    after: i64,
    positions: &[i64],
    each: &mut dyn FnMut(&Row),
) -> Result<(), Error> {
    let _owner = owner::of_subscriptions()?;
    let arguments = [text(subscriber_id), bigint(after), bigints(positions)];
    LEFT_BEHIND.run(&arguments, each);
    Ok(())
}

/// Whether a copy that is at `position` has handled one of those that could be given up.
pub fn is_handled_by(
    subscriber_id: &str,
    selection: &Selection<'_>,
    copy: &str,
    position: i64,
) -> Result<bool, Error> {
    let [of_position, stream_name, sqlstate, positions] = selection.parameters();
    let found = change(
        &IS_HANDLED_BY,
        &[
            text(subscriber_id),
            of_position,
            stream_name,
            sqlstate,
            positions,
            text(copy),
            bigint(position),
        ],
    )?;
    Ok(found > 0)
}

/// Gives messages up for good; returns how many.
pub fn discard(subscriber_id: &str, selection: &Selection<'_>, reason: &str) -> Result<u64, Error> {
    let [position, stream_name, sqlstate, positions] = selection.parameters();
    change(
        &DISCARD,
        &[
            text(subscriber_id),
            position,
            stream_name,
            sqlstate,
            positions,
            text(reason),
        ],
    )
}

/// What is parked after a position will be met again: what was handled before as any other, and
/// what was not for the first time.
pub fn expect_after(subscriber_id: &str, position: i64) -> Result<(), Error> {
    let arguments = [text(subscriber_id), bigint(position)];
    change(&FORGET_REPLAYS_AFTER, &arguments)?;
    change(&MARK_REPLAYING_AFTER, &arguments).map(drop)
}

/// Forgets what is parked up to a position and not discarded.
pub fn forget_up_to(subscriber_id: &str, position: i64) -> Result<(), Error> {
    change(&FORGET_UP_TO, &[text(subscriber_id), bigint(position)]).map(drop)
}

/// Forgets what is parked of streams that live elsewhere, since this became shard `number` of `count`.
pub fn forget_moved(number: i64, count: i64) -> Result<(), Error> {
    change(&FORGET_MOVED, &[bigint(count), bigint(number)]).map(drop)
}

/// Makes messages due that another subscription has not parked; returns how many.
pub fn retry_unless_parked_by(subscriber_id: &str, other: &str) -> Result<u64, Error> {
    change(&RETRY_UNLESS_PARKED_BY, &[text(subscriber_id), text(other)])
}

/// Parks with `subscriber_id` what is parked with `copy`.
pub fn adopt(subscriber_id: &str, copy: &str) -> Result<(), Error> {
    change(&ADOPT, &[text(copy), text(subscriber_id)]).map(drop)
}
