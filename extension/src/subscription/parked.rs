//! Messages put aside, as a tick meets them.

use super::definition::{Definition, as_owner_of_subscriptions};
use super::keyed::PARKED;
use super::member::Member;
use crate::error::Error;
use crate::pg::snapshot::Fresh;
use crate::pg::spi::Statement;
use crate::pg::text::Text;
use pgrx::pg_sys;
use pgrx::pg_sys::BuiltinOid::{BOOLOID, FLOAT8OID, INT8OID, TEXTOID, VARCHAROID};
use std::collections::HashMap;
use std::time::Duration;

/// What a tick must know of parked messages.
#[derive(Default)]
pub struct Parked {
    /// Streams whose messages wait, and whether behind one that failed; else behind one that is
    /// due.
    held: HashMap<Vec<u8>, bool>,
    /// Messages with a status of their own, ahead of the tick's position: `true` for discarded,
    /// `false` for replaying.
    ahead: HashMap<i64, bool>,
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

static HELD: Statement = Statement::new(
    c"SELECT stream_name, pg_catalog.bool_or(status OPERATOR(pg_catalog.=) 'failed') \
        FROM message_store.parked \
       WHERE subscriber_id OPERATOR(pg_catalog.=) $1 \
         AND holds_stream AND status OPERATOR(pg_catalog.=) ANY ('{failed,waiting,retry}') \
       GROUP BY stream_name",
    &[VARCHAROID],
);
static ALL: Statement = Statement::new(
    c"SELECT global_position FROM message_store.parked \
       WHERE subscriber_id OPERATOR(pg_catalog.=) $1",
    &[VARCHAROID],
);
/// `$2`: of the original of a copy: what is parked there was never handled.
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
/// Messages behind a failed one wait with it again.
static HOLD_BACK: Statement = Statement::new(
    c"UPDATE message_store.parked SET status = 'waiting' \
       WHERE subscriber_id OPERATOR(pg_catalog.=) $1 \
         AND stream_name OPERATOR(pg_catalog.=) $2 \
         AND status OPERATOR(pg_catalog.=) 'retry' AND attempts OPERATOR(pg_catalog.=) 0",
    &[VARCHAROID, TEXTOID],
);
/// Messages that wait behind no failed one any more are due.
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
static PUT: Statement = Statement::new(
    c"INSERT INTO message_store.parked AS p \
        (subscriber_id, global_position, stream_name, type, status, holds_stream, attempts, \
         sqlstate, error, is_replay, retry_at, last_failed_at) \
      VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, \
              pg_catalog.clock_timestamp() OPERATOR(pg_catalog.+) pg_catalog.make_interval(secs => $11), \
              CASE WHEN $8 IS NOT NULL THEN pg_catalog.clock_timestamp() END) \
      ON CONFLICT (subscriber_id, global_position) DO UPDATE \
         SET status = excluded.status, holds_stream = excluded.holds_stream, \
             attempts = excluded.attempts, sqlstate = excluded.sqlstate, \
             error = excluded.error, is_replay = excluded.is_replay, \
             retry_at = excluded.retry_at, \
             last_failed_at = excluded.last_failed_at",
    &[
        VARCHAROID, INT8OID, TEXTOID, TEXTOID, VARCHAROID, BOOLOID, INT8OID, VARCHAROID, TEXTOID,
        BOOLOID, FLOAT8OID,
    ],
);
static TAKE: Statement = Statement::new(
    c"DELETE FROM message_store.parked \
       WHERE subscriber_id OPERATOR(pg_catalog.=) $1 \
         AND global_position OPERATOR(pg_catalog.=) $2 \
         AND status OPERATOR(pg_catalog.<>) 'discarded'",
    &[VARCHAROID, INT8OID],
);

static LEND: Statement = Statement::new(
    c"UPDATE message_store.parked SET lease = $3 \
       WHERE subscriber_id OPERATOR(pg_catalog.=) $1 \
         AND global_position OPERATOR(pg_catalog.=) $2",
    &[VARCHAROID, INT8OID, INT8OID],
);
static IS_LENT: Statement = Statement::new(
    c"SELECT FROM message_store.parked \
       WHERE subscriber_id OPERATOR(pg_catalog.=) $1 \
         AND global_position OPERATOR(pg_catalog.=) $2 \
         AND status OPERATOR(pg_catalog.=) 'retry' AND lease OPERATOR(pg_catalog.=) $3",
    &[VARCHAROID, INT8OID, INT8OID],
);
static TAKE_LENT: Statement = Statement::new(
    c"DELETE FROM message_store.parked \
       WHERE subscriber_id OPERATOR(pg_catalog.=) $1 \
         AND global_position OPERATOR(pg_catalog.<=) $2 \
         AND status OPERATOR(pg_catalog.=) 'retry' AND lease OPERATOR(pg_catalog.=) $3",
    &[VARCHAROID, INT8OID, INT8OID],
);
static ATTEMPTS: Statement = Statement::new(
    c"SELECT attempts FROM message_store.parked \
       WHERE subscriber_id OPERATOR(pg_catalog.=) $1 \
         AND global_position OPERATOR(pg_catalog.=) $2",
    &[VARCHAROID, INT8OID],
);

/// A message about to be parked.
pub struct Message<'a> {
    /// Its global position.
    pub position: i64,
    /// Its stream.
    pub stream_name: &'a [u8],
    /// Its type.
    pub message_type: &'a [u8],
    /// Whether it had been handled before.
    pub is_replay: bool,
}

/// A failure, as it is kept with the message: SQLSTATE, text, failed calls so far.
pub struct Cause<'a> {
    /// Five characters.
    pub sqlstate: &'a str,
    /// What it said.
    pub error: &'a str,
    /// How often the handler was called.
    pub attempts: i64,
}

/// Whether messages of a subscription are parked, in whatever state.
pub fn has_any_of(subscriber_id: &str) -> Result<bool, Error> {
    let (table, snapshot) = (PARKED.to_read()?, Fresh::take());
    PARKED.rows_of(&table, &snapshot, subscriber_id, |mut scan| scan.advance())
}

fn text(value: &[u8]) -> Option<pg_sys::Datum> {
    Some(Text::copied(value).datum())
}

fn put(
    id: &str,
    message: &Message<'_>,
    status: &str,
    holds_stream: bool,
    cause: Option<&Cause<'_>>,
    retry_after: Option<Duration>,
) -> Result<(), Error> {
    let _owner = as_owner_of_subscriptions()?;
    PUT.run(
        &[
            text(id.as_bytes()),
            Some(pg_sys::Datum::from(message.position)),
            text(message.stream_name),
            text(message.message_type),
            text(status.as_bytes()),
            Some(pg_sys::Datum::from(holds_stream)),
            Some(pg_sys::Datum::from(cause.map_or(0, |cause| cause.attempts))),
            cause.and_then(|cause| text(cause.sqlstate.as_bytes())),
            cause.and_then(|cause| text(cause.error.as_bytes())),
            Some(pg_sys::Datum::from(message.is_replay)),
            retry_after.map(|pause| pg_sys::Datum::from(pause.as_secs_f64().to_bits() as usize)),
        ],
        |_| {},
    );
    Ok(())
}

impl Parked {
    /// What is parked with `definition`, for a tick from `position` on.
    pub fn load(definition: &Definition, position: i64) -> Result<Self, Error> {
        let mut parked = Self::default();
        if !definition.has_parked {
            return Ok(parked);
        }
        let _owner = as_owner_of_subscriptions()?;
        let id = text(definition.subscriber_id.as_bytes());
        if definition.is_verification() {
            // What is parked is not in the live read model.
            ALL.run(&[id], |row| {
                parked
                    .ahead
                    .extend(row.bigint(0).map(|position| (position, true)));
            });
            return Ok(parked);
        }
        HELD.run(&[id], |row| {
            let stream_name = row.text(0).map(String::into_bytes);
            parked
                .held
                .extend(stream_name.map(|name| (name, row.boolean(1))));
        });
        let mut load_ahead = |id: &str, is_original: bool| {
            let arguments = [
                text(id.as_bytes()),
                Some(pg_sys::Datum::from(is_original)),
                Some(pg_sys::Datum::from(position)),
            ];
            AHEAD.run(&arguments, |row| {
                let position = row.bigint(0).unwrap_or_default();
                let is_discarded = parked.ahead.get(&position).copied().unwrap_or_default();
                parked
                    .ahead
                    .insert(position, is_discarded || row.boolean(1));
            });
        };
        load_ahead(&definition.subscriber_id, false);
        if let Some(original) = &definition.copy_of {
            load_ahead(original, true);
        }
        Ok(parked)
    }

    /// Whether nothing is parked that a tick meets.
    pub fn is_empty(&self) -> bool {
        self.held.is_empty() && self.ahead.is_empty()
    }

    /// Whether a stream's messages wait.
    pub fn holds(&self, stream_name: &[u8]) -> bool {
        self.held.contains_key(stream_name)
    }

    /// Whether a message was given up for good.
    pub fn has_discarded(&self, position: i64) -> bool {
        self.ahead.get(&position) == Some(&true)
    }

    /// Whether a message that a replay comes to was never handled before.
    pub fn is_first_time(&self, position: i64) -> bool {
        self.ahead.get(&position) == Some(&false)
    }

    /// Puts a message aside whose handler failed.
    pub fn put_failed(
        &mut self,
        definition: &Definition,
        message: &Message<'_>,
        cause: &Cause<'_>,
    ) -> Result<(), Error> {
        let holds_stream = definition.options.policy.holds_stream;
        if holds_stream {
            self.held.insert(message.stream_name.to_vec(), true);
        }
        let id = &definition.subscriber_id;
        put(id, message, "failed", holds_stream, Some(cause), None)?;
        if holds_stream && definition.has_parked {
            let _owner = as_owner_of_subscriptions()?;
            HOLD_BACK.run(&[text(id.as_bytes()), text(message.stream_name)], |_| {});
        }
        Ok(())
    }

    /// Lets a message that failed when its turn came be handled again after a pause.
    pub fn put_again(
        definition: &Definition,
        message: &Message<'_>,
        cause: &Cause<'_>,
        after: Duration,
    ) -> Result<(), Error> {
        let holds_stream = definition.options.policy.holds_stream;
        let id = &definition.subscriber_id;
        put(id, message, "retry", holds_stream, Some(cause), Some(after))
    }

    /// Puts a message aside behind another of its stream.
    pub fn put_behind(&self, definition: &Definition, message: &Message<'_>) -> Result<(), Error> {
        let behind_failed = self.held.get(message.stream_name).copied().unwrap_or(true);
        let status = if behind_failed { "waiting" } else { "retry" };
        put(&definition.subscriber_id, message, status, true, None, None)
    }

    /// Makes messages due that wait behind no failed one any more.
    pub fn release(subscriber_id: &str) -> Result<(), Error> {
        let _owner = as_owner_of_subscriptions()?;
        RELEASE.run(&[text(subscriber_id.as_bytes())], |_| {});
        Ok(())
    }

    /// The messages whose turn has come, for this member, in order.
    pub fn due(definition: &Definition, member: &Member) -> Result<Vec<Due>, Error> {
        let mut due = Vec::new();
        if !definition.has_parked || definition.is_verification() {
            return Ok(due);
        }
        {
            let _owner = as_owner_of_subscriptions()?;
            let id = text(definition.subscriber_id.as_bytes());
            DUE.run(&[id], |row| {
                due.push(Due {
                    position: row.bigint(0).unwrap_or_default(),
                    stream_name: row.text(1).unwrap_or_default().into_bytes(),
                    attempts: row.bigint(2).unwrap_or_default(),
                    is_replay: row.boolean(3),
                });
            });
        }
        let mut own = Vec::new();
        for message in due {
            if member.reads(&message.stream_name)? {
                own.push(message);
            }
        }
        Ok(own)
    }

    /// Takes a message back that was handled after all.
    pub fn take(definition: &Definition, position: i64) -> Result<(), Error> {
        let _owner = as_owner_of_subscriptions()?;
        let id = text(definition.subscriber_id.as_bytes());
        TAKE.run(&[id, Some(pg_sys::Datum::from(position))], |_| {});
        Ok(())
    }

    /// Hands a message that is due to an application, under its lease.
    pub fn lend(definition: &Definition, position: i64, lease: i64) -> Result<(), Error> {
        Self::with_lease(&LEND, definition, position, lease).map(drop)
    }

    /// Whether a message is handled again under this lease.
    pub fn is_lent(definition: &Definition, position: i64, lease: i64) -> Result<bool, Error> {
        Ok(Self::with_lease(&IS_LENT, definition, position, lease)? == 1)
    }

    /// Takes messages up to a position back that an application has handled under this lease.
    pub fn take_lent(definition: &Definition, position: i64, lease: i64) -> Result<(), Error> {
        Self::with_lease(&TAKE_LENT, definition, position, lease).map(drop)
    }

    fn with_lease(
        statement: &'static Statement,
        definition: &Definition,
        position: i64,
        lease: i64,
    ) -> Result<u64, Error> {
        let _owner = as_owner_of_subscriptions()?;
        let arguments = [
            text(definition.subscriber_id.as_bytes()),
            Some(pg_sys::Datum::from(position)),
            Some(pg_sys::Datum::from(lease)),
        ];
        Ok(statement.run(&arguments, |_| {}))
    }

    /// How often a parked message has failed; 0 for one that is not parked.
    pub fn attempts(definition: &Definition, position: i64) -> Result<i64, Error> {
        let _owner = as_owner_of_subscriptions()?;
        let id = text(definition.subscriber_id.as_bytes());
        let mut attempts = 0;
        ATTEMPTS.run(&[id, Some(pg_sys::Datum::from(position))], |row| {
            attempts = row.bigint(0).unwrap_or_default();
        });
        Ok(attempts)
    }
}
