//! How far a member of a subscription has come: its row of progress, held while it is ticked.

mod rows;

use super::definition::as_owner_of_subscriptions;
use crate::consumer_group::{self, hash_64};
use crate::error::Error;
use crate::pg::lock::Tag;
use crate::pg::spi::Statement;
use crate::pg::text::Text;
use pgrx::pg_sys;
use pgrx::pg_sys::BuiltinOid::{BOOLOID, FLOAT8OID, INT8OID, TEXTOID, VARCHAROID};
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

static LOCK_ALL: Statement = Statement::new(
    c"SELECT FROM message_store.subscription_progress \
       WHERE subscriber_id OPERATOR(pg_catalog.=) $1 ORDER BY member FOR UPDATE",
    &[VARCHAROID],
);
static LEAST: Statement = Statement::new(
    c"SELECT pg_catalog.min(position) FROM message_store.subscription_progress \
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
    /// The members that a tick may take, as they are now: all of them, or the one of this number.
    /// Those of a resized group come before and without all others; then those that do not pause
    /// after a failure; then those furthest behind.
    pub fn candidates(subscriber_id: &str, number: Option<i64>) -> Result<Vec<Self>, Error> {
        let rows = rows::of(subscriber_id)?;
        let members = rows.into_iter().map(|row| row.member).collect();
        let candidates = candidates_of(members, number);
        match number {
            Some(number) if candidates.is_empty() => Err(no_member(number)),
            _ => Ok(candidates),
        }
    }

    /// One of them, held until the transaction ends; `None` where another session has it, or where
    /// it is no candidate any more.
    pub fn lock(subscriber_id: &str, number: i64) -> Result<Option<Self>, Error> {
        if !rows::hold(subscriber_id, number)? {
            return Ok(None);
        }
        // What was seen before it was held may have changed since; from now on it does not.
        let rows = rows::of(subscriber_id)?;
        let members = rows.into_iter().map(|row| row.member).collect();
        let held = candidates_of(members, Some(number)).pop();
        if let Some(member) = &held {
            member.say_who_ticks(subscriber_id);
        }
        Ok(held)
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
        let mut rows = rows::of(subscriber_id)?.into_iter();
        let row = rows.find(|row| row.member.number == number);
        Ok(row.map(|row| row.member))
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
            let mut held = 0;
            LOCK_ALL.run(&[id], |_| held += 1);
            let rows = rows::of(subscriber_id)?;
            if rows.len() == held {
                return Ok(rows.into_iter().map(|row| row.member).collect());
            }
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
            |row| retry_at = row.value(0, pg_sys::TIMESTAMPTZOID),
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

fn candidates_of(mut members: Vec<Member>, number: Option<i64>) -> Vec<Member> {
    if members.iter().any(|member| member.drains_until.is_some()) {
        members.retain(|member| member.drains_until.is_some());
    }
    members.retain(|member| number.is_none_or(|number| member.number == number));
    members.sort_by_key(|member| (member.retry_at.is_some(), member.position, member.number));
    members
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
