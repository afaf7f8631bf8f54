//! A member of a subscription's group: which messages are its own, how far it has come, and that
//! nobody else ticks it.

use crate::consumer_group::{self, hash_64};
use crate::error::Error;
use crate::kept_error::KeptError;
use crate::pg::lock::Tag;
use crate::tables::subscription_progress::{self, Failing, Progress, Step};
use pgrx::pg_sys;
use std::time::Duration;

/// Lock class that says who is ticking; 19540 in the view `subscription_status`.
const TICK_LOCK: u16 = 0x4C54;
/// Seconds over which a rate is measured.
const RATE_SECONDS: f64 = 10.0;

/// A member, as its progress was when it was looked at.
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
    /// The last failure.
    pub error: Option<KeptError>,
    /// Messages scanned since the measurement of its rate began, and how long ago that is.
    rate_from: i64,
    rate_seconds: f64,
    /// It has not moved for longer than a measurement takes.
    is_stale: bool,
}

impl From<Progress> for Member {
    fn from(row: Progress) -> Self {
        let since = |time: i64| row.read_at - time;
        #[allow(clippy::cast_precision_loss, reason = "a rate is for people")]
        let seconds_since = |time: i64| since(time) as f64 / 1e6;
        let failing_for = row.failing_since.map_or(0, since);
        Self {
            number: row.member,
            group_size: row.group_size,
            drains_until: row.drains_until,
            position: row.position,
            attempts: row.attempts,
            failing_position: row.failing_position,
            failing_for: Duration::from_micros(u64::try_from(failing_for).unwrap_or(0)),
            retry_at: row
                .retry_at
                .filter(|time| *time > row.read_at)
                .map(pg_sys::Datum::from),
            rate_from: row.rate_from,
            rate_seconds: row.rate_since.map(seconds_since).unwrap_or_default(),
            is_stale: row
                .updated_at
                .is_some_and(|time| seconds_since(time) > RATE_SECONDS),
            error: row.last_error,
        }
    }
}

impl Member {
    /// The members that a tick may take, as they are now: all of them, or the one of this number.
    /// Those of a resized group come before and without all others; then those that do not pause
    /// after a failure; then those furthest behind.
    pub fn candidates(subscriber_id: &str, number: Option<i64>) -> Result<Vec<Self>, Error> {
        let candidates = candidates_of(Self::all(subscriber_id)?, number);
        match number {
            Some(number) if candidates.is_empty() => Err(no_member(number)),
            _ => Ok(candidates),
        }
    }

    /// One of them, held until the transaction ends; `None` where another session has it, or where
    /// it is no candidate any more.
    pub fn lock(subscriber_id: &str, number: i64) -> Result<Option<Self>, Error> {
        if !subscription_progress::hold(subscriber_id, number)? {
            return Ok(None);
        }
        // What was seen before it was held may have changed since; from now on it does not.
        let held = candidates_of(Self::all(subscriber_id)?, Some(number)).pop();
        if let Some(member) = &held {
            member.say_who_ticks(subscriber_id);
        }
        Ok(held)
    }

    fn all(subscriber_id: &str) -> Result<Vec<Self>, Error> {
        let rows = subscription_progress::of(subscriber_id)?;
        Ok(rows.into_iter().map(Self::from).collect())
    }

    /// One member, as it is now.
    pub fn find(subscriber_id: &str, number: i64) -> Result<Option<Self>, Error> {
        let mut members = Self::all(subscriber_id)?.into_iter();
        Ok(members.find(|member| member.number == number))
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
        loop {
            let held = subscription_progress::hold_all(subscriber_id)?;
            let members = Self::all(subscriber_id)?;
            if members.len() == held {
                return Ok(members);
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
        subscription_progress::advance(
            subscriber_id,
            self.number,
            &Step {
                position,
                handled,
                rate,
                rate_from: if is_over { 0 } else { counted },
                begins_measurement: is_over || self.is_stale,
            },
        )
    }

    /// Stores that a message fails. Returns when its handler is called again, where it will be.
    pub fn fail(
        &self,
        subscriber_id: &str,
        failing: &Failing<'_>,
    ) -> Result<Option<pg_sys::Datum>, Error> {
        subscription_progress::fail(subscriber_id, self.number, failing)
    }

    /// Stores the error of a message that was parked.
    pub fn note_error(&self, subscriber_id: &str, error: &KeptError) -> Result<(), Error> {
        subscription_progress::note_error(subscriber_id, self.number, error)
    }

    /// Ends a member of a resized group that has come to its end.
    pub fn end_draining(&self, subscriber_id: &str) -> Result<(), Error> {
        subscription_progress::delete(subscriber_id, self.number)
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

fn no_member(number: i64) -> Error {
    Error::argument(
        "member",
        format!("is not one of the group's: {number}"),
        "Members count from 0; NULL takes whichever is free. While a group that was resized \
         drains, only its old members (from -1 down) can be taken.",
    )
}
