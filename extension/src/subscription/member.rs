//! How far a member of a subscription has come: its row of progress, held while it is ticked.

use super::definition::as_owner_of_subscriptions;
use crate::consumer_group::{self, hash_64};
use crate::error::Error;
use crate::pg::lock::Tag;
use crate::pg::spi::{Row, Statement};
use crate::pg::text::Text;
use pgrx::pg_sys;
use pgrx::pg_sys::BuiltinOid::{BOOLOID, FLOAT8OID, INT8OID, TEXTOID, VARCHAROID};
use std::ffi::CStr;
use std::time::Duration;

/// Lock class that says who is ticking; 19540 in the view `subscription_status`.
const TICK_LOCK: u16 = 0x4C54;
/// Seconds over which a rate is measured.
const RATE_SECONDS: f64 = 10.0;

/// A member's row of progress.
#[derive(Clone, Debug)]
pub struct Member {
    /// From 0; below 0 for a member of a group that was resized and drains.
    pub number: i64,
    /// Members of its group.
    pub group_size: i64,
    /// Where it ends, for one that drains.
    pub drains_until: Option<i64>,
    /// The last position scanned.
    pub position: i64,
    /// Failed attempts at `failing_position` that count.
    pub attempts: i64,
    /// The message whose handler fails.
    pub failing_position: Option<i64>,
    /// For how long.
    pub failing_for: Duration,
    /// When it is tried again, where that is still to come.
    pub retry_at: Option<pg_sys::Datum>,
    /// Of the failure.
    pub sqlstate: Option<String>,
    /// Of the failure.
    pub error: Option<String>,
    /// Messages scanned since the measurement of its rate began, and how long ago that is.
    rate_from: i64,
    rate_seconds: f64,
    /// It has not moved for longer than a measurement takes.
    is_stale: bool,
}

macro_rules! select_members {
    ($($rest:literal)+) => {
        c_text(concat!(
            "SELECT p.member, p.group_size, p.drains_until, p.position, p.attempts, \
                    p.failing_position, \
                    pg_catalog.date_part('epoch', \
                      pg_catalog.clock_timestamp() OPERATOR(pg_catalog.-) p.failing_since), \
                    CASE WHEN p.retry_at OPERATOR(pg_catalog.>) pg_catalog.clock_timestamp() \
                         THEN p.retry_at END, \
                    p.last_sqlstate, p.last_error, p.rate_from, \
                    pg_catalog.date_part('epoch', \
                      pg_catalog.clock_timestamp() OPERATOR(pg_catalog.-) p.rate_since), \
                    pg_catalog.date_part('epoch', \
                      pg_catalog.clock_timestamp() OPERATOR(pg_catalog.-) p.updated_at) \
               FROM message_store.subscription_progress p \
              WHERE p.subscriber_id OPERATOR(pg_catalog.=) $1 ",
            $($rest,)+
            "\0"
        ))
    };
}

/// The members that may be ticked now, in the order in which they want to be: those of a resized
/// group before and without all others, then those that do not pause after a failure, then those
/// furthest behind.
macro_rules! candidates {
    ($lock:literal) => {
        select_members!(
            "AND ($2 IS NULL OR p.member OPERATOR(pg_catalog.=) $2) \
             AND (p.drains_until IS NOT NULL OR NOT EXISTS ( \
                   SELECT FROM message_store.subscription_progress d \
                    WHERE d.subscriber_id OPERATOR(pg_catalog.=) $1 \
                      AND d.drains_until IS NOT NULL)) \
             ORDER BY coalesce(p.retry_at OPERATOR(pg_catalog.>) pg_catalog.clock_timestamp(), \
                               false), \
                      p.position, p.member " $lock
        )
    };
}

const fn c_text(text: &'static str) -> &'static CStr {
    match CStr::from_bytes_with_nul(text.as_bytes()) {
        Ok(text) => text,
        Err(_) => c"",
    }
}

static CANDIDATES: Statement = Statement::new(candidates!(""), &[VARCHAROID, INT8OID]);
static LOCK: Statement = Statement::new(
    candidates!("FOR UPDATE OF p SKIP LOCKED"),
    &[VARCHAROID, INT8OID],
);
static LOCK_ALL: Statement = Statement::new(
    select_members!("ORDER BY p.member FOR UPDATE OF p"),
    &[VARCHAROID],
);
static ONE: Statement = Statement::new(
    select_members!("AND p.member OPERATOR(pg_catalog.=) $2"),
    &[VARCHAROID, INT8OID],
);
static LEAST: Statement = Statement::new(
    c"SELECT pg_catalog.min(position) FROM message_store.subscription_progress \
       WHERE subscriber_id OPERATOR(pg_catalog.=) $1",
    &[VARCHAROID],
);
static COUNT_ALL: Statement = Statement::new(
    c"SELECT pg_catalog.count(*) FROM message_store.subscription_progress \
       WHERE subscriber_id OPERATOR(pg_catalog.=) $1",
    &[VARCHAROID],
);
static ADVANCE: Statement = Statement::new(
    c"UPDATE message_store.subscription_progress \
         SET position = $3, handled = handled OPERATOR(pg_catalog.+) $4, \
             updated_at = pg_catalog.clock_timestamp(), \
             attempts = 0, failing_position = NULL, failing_since = NULL, retry_at = NULL, \
             rate = coalesce($5, rate), rate_from = $6, \
             rate_since = CASE WHEN $7 THEN pg_catalog.clock_timestamp() ELSE rate_since END \
       WHERE subscriber_id OPERATOR(pg_catalog.=) $1 AND member OPERATOR(pg_catalog.=) $2",
    &[
        VARCHAROID, INT8OID, INT8OID, INT8OID, FLOAT8OID, INT8OID, BOOLOID,
    ],
);
/// `$5`: seconds until the next attempt, NULL for none.
static FAIL: Statement = Statement::new(
    c"UPDATE message_store.subscription_progress \
         SET attempts = $3, failing_position = $4, \
             failing_since = CASE WHEN failing_position OPERATOR(pg_catalog.=) $4 \
                                  THEN failing_since ELSE pg_catalog.clock_timestamp() END, \
             retry_at = pg_catalog.clock_timestamp() \
                          OPERATOR(pg_catalog.+) pg_catalog.make_interval(secs => $5), \
             last_error = $6, last_sqlstate = $7, last_error_at = pg_catalog.clock_timestamp() \
       WHERE subscriber_id OPERATOR(pg_catalog.=) $1 AND member OPERATOR(pg_catalog.=) $2 \
   RETURNING retry_at",
    &[
        VARCHAROID, INT8OID, INT8OID, INT8OID, FLOAT8OID, TEXTOID, VARCHAROID,
    ],
);
static NOTE_ERROR: Statement = Statement::new(
    c"UPDATE message_store.subscription_progress \
         SET last_error = $3, last_sqlstate = $4, last_error_at = pg_catalog.clock_timestamp() \
       WHERE subscriber_id OPERATOR(pg_catalog.=) $1 AND member OPERATOR(pg_catalog.=) $2",
    &[VARCHAROID, INT8OID, TEXTOID, VARCHAROID],
);
static END_DRAINING: Statement = Statement::new(
    c"DELETE FROM message_store.subscription_progress \
       WHERE subscriber_id OPERATOR(pg_catalog.=) $1 AND member OPERATOR(pg_catalog.=) $2",
    &[VARCHAROID, INT8OID],
);

fn text(value: &str) -> Option<pg_sys::Datum> {
    Some(Text::copied(value.as_bytes()).datum())
}

fn bigint(value: i64) -> Option<pg_sys::Datum> {
    Some(pg_sys::Datum::from(value))
}

impl Member {
    /// The members that a tick may take, as they are now, in the order in which they want to be:
    /// all of them, or the one of this number.
    pub fn candidates(subscriber_id: &str, number: Option<i64>) -> Result<Vec<Self>, Error> {
        let _owner = as_owner_of_subscriptions()?;
        let mut members = Vec::new();
        CANDIDATES.run(&[text(subscriber_id), number.and_then(bigint)], |row| {
            members.push(Self::from_row(row));
        });
        if let (Some(number), true) = (number, members.is_empty()) {
            return Err(no_member(number));
        }
        Ok(members)
    }

    /// One of them, held until the transaction ends; `None` where another session has it.
    pub fn lock(subscriber_id: &str, number: i64) -> Result<Option<Self>, Error> {
        let member = Self::select(&LOCK, &[text(subscriber_id), bigint(number)])?;
        if let Some(member) = &member {
            member.say_who_ticks(subscriber_id);
        }
        Ok(member)
    }

    /// Up to where all members have come.
    pub fn least_position(subscriber_id: &str) -> Result<i64, Error> {
        let _owner = as_owner_of_subscriptions()?;
        let mut least = None;
        LEAST.run(&[text(subscriber_id)], |row| least = row.bigint(0));
        Ok(least.unwrap_or(0))
    }

    /// One member, as it is now.
    pub fn find(subscriber_id: &str, number: i64) -> Result<Option<Self>, Error> {
        Self::select(&ONE, &[text(subscriber_id), bigint(number)])
    }

    /// A member that was never stored and never is, to try handlers with.
    pub fn unstored(position: i64) -> Self {
        Self {
            number: i64::MAX,
            group_size: 1,
            drains_until: None,
            position,
            attempts: 0,
            failing_position: None,
            failing_for: Duration::ZERO,
            retry_at: None,
            sqlstate: None,
            error: None,
            rate_from: 0,
            rate_seconds: 0.0,
            is_stale: false,
        }
    }

    /// All members, held until the transaction ends; waits for the ticks that are running.
    ///
    /// Whoever was waited for may have made other members: they are looked for until those held
    /// are those there are.
    pub fn lock_all(subscriber_id: &str) -> Result<Vec<Self>, Error> {
        let _owner = as_owner_of_subscriptions()?;
        let id = text(subscriber_id);
        loop {
            let mut members = Vec::new();
            LOCK_ALL.run(&[id], |row| members.push(Self::from_row(row)));
            let mut there = 0;
            COUNT_ALL.run(&[id], |row| there = row.bigint(0).unwrap_or(0));
            if usize::try_from(there).is_ok_and(|there| there == members.len()) {
                return Ok(members);
            }
        }
    }

    fn select(
        statement: &'static Statement,
        arguments: &[Option<pg_sys::Datum>],
    ) -> Result<Option<Self>, Error> {
        let _owner = as_owner_of_subscriptions()?;
        let mut member = None;
        statement.run(arguments, |row| member = Some(Self::from_row(row)));
        Ok(member)
    }

    fn from_row(row: &Row) -> Self {
        let failing_for = row.double(6).unwrap_or(0.0).max(0.0);
        Self {
            number: row.bigint(0).unwrap_or_default(),
            group_size: row.bigint(1).unwrap_or(1),
            drains_until: row.bigint(2),
            position: row.bigint(3).unwrap_or_default(),
            attempts: row.bigint(4).unwrap_or_default(),
            failing_position: row.bigint(5),
            failing_for: Duration::try_from_secs_f64(failing_for).unwrap_or_default(),
            retry_at: row.datum(7),
            sqlstate: row.text(8),
            error: row.text(9),
            rate_from: row.bigint(10).unwrap_or_default(),
            rate_seconds: row.double(11).unwrap_or_default(),
            is_stale: row.double(12).is_some_and(|seconds| seconds > RATE_SECONDS),
        }
    }

    /// Its number in its group, from 0, whether it drains or not.
    pub fn group_member(&self) -> i64 {
        match self.number {
            i64::MAX => 0,
            drains @ ..0 => -1 - drains,
            number => number,
        }
    }

    /// Whether this member reads the stream. What has no id is member 0's.
    pub fn reads(&self, stream_name: &[u8]) -> Result<bool, Error> {
        if self.group_size == 1 {
            return Ok(true);
        }
        Ok(consumer_group::member_of(stream_name, self.group_size)? == self.group_member())
    }

    /// Lets `subscription_status` find this session as the holder, until the transaction ends.
    fn say_who_ticks(&self, subscriber_id: &str) {
        let hash = hash_64(format!("{subscriber_id}:{}", self.number).as_bytes()) as u64;
        let tag = Tag {
            high: (hash >> 32) as u32,
            low: hash as u32,
            class: TICK_LOCK,
        };
        tag.share_until_end();
    }

    /// Stores where it is now: `scanned` messages further, `handled` of them given to handlers.
    pub fn advance(
        &self,
        subscriber_id: &str,
        position: i64,
        scanned: i64,
        handled: i64,
    ) -> Result<(), Error> {
        let is_over = !self.is_stale && self.rate_seconds > RATE_SECONDS;
        let counted = if self.is_stale { 0 } else { self.rate_from } + scanned;
        #[allow(clippy::cast_precision_loss, reason = "a rate is for people")]
        let rate = is_over.then(|| counted as f64 / self.rate_seconds);
        let _owner = as_owner_of_subscriptions()?;
        ADVANCE.run(
            &[
                text(subscriber_id),
                bigint(self.number),
                bigint(position),
                bigint(handled),
                rate.map(double),
                bigint(if is_over { 0 } else { counted }),
                Some(pg_sys::Datum::from(is_over || self.is_stale)),
            ],
            |_| {},
        );
        Ok(())
    }

    /// Stores that the handler of a message failed and, where it will be, when it is called again.
    /// Returns that time.
    pub fn fail(
        &self,
        subscriber_id: &str,
        position: i64,
        attempts: i64,
        again_after: Option<Duration>,
        failure: (&str, &str),
    ) -> Result<Option<pg_sys::Datum>, Error> {
        let (sqlstate, error) = failure;
        let _owner = as_owner_of_subscriptions()?;
        let mut retry_at = None;
        FAIL.run(
            &[
                text(subscriber_id),
                bigint(self.number),
                bigint(attempts),
                bigint(position),
                again_after.map(|pause| double(pause.as_secs_f64())),
                text(error),
                text(sqlstate),
            ],
            |row| retry_at = row.datum(0),
        );
        Ok(retry_at)
    }

    /// Stores the error of a message that was put aside.
    pub fn note_error(&self, subscriber_id: &str, failure: (&str, &str)) -> Result<(), Error> {
        let (sqlstate, error) = failure;
        let _owner = as_owner_of_subscriptions()?;
        NOTE_ERROR.run(
            &[
                text(subscriber_id),
                bigint(self.number),
                text(error),
                text(sqlstate),
            ],
            |_| {},
        );
        Ok(())
    }

    /// Ends a member of a resized group that has come to its end.
    pub fn end_draining(&self, subscriber_id: &str) -> Result<(), Error> {
        let _owner = as_owner_of_subscriptions()?;
        END_DRAINING.run(&[text(subscriber_id), bigint(self.number)], |_| {});
        Ok(())
    }
}

fn double(value: f64) -> pg_sys::Datum {
    pg_sys::Datum::from(value.to_bits() as usize)
}

fn no_member(number: i64) -> Error {
    Error::argument(
        "member",
        format!("is not one of the group's: {number}"),
        "Members count from 0; NULL takes whichever is free. While a group that was resized \
         drains, only its old members (from -1 down) can be taken.",
    )
}
