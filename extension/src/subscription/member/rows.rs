//! Rows of progress, read and held without a statement: every tick does it several times.

use super::{Member, RATE_SECONDS};
use crate::error::Error;
use crate::pg::relation::Table;
use crate::pg::row_lock;
use crate::pg::slot::{RowAddress, Slot};
use crate::pg::snapshot::Fresh;
use crate::pg::transaction;
use crate::subscription::keyed::PROGRESS;
use pgrx::pg_sys;
use std::time::Duration;

/// A member and where its row lies.
pub(super) struct StoredMember {
    pub(super) member: Member,
    address: RowAddress,
}

/// The members of a subscription as they are now, by their numbers.
pub(super) fn of(subscriber_id: &str) -> Result<Vec<StoredMember>, Error> {
    read(&PROGRESS.to_read()?, &Fresh::take(), subscriber_id)
}

/// Holds the row of a member until the transaction ends; `false` where another session has it.
pub(super) fn hold(subscriber_id: &str, number: i64) -> Result<bool, Error> {
    let table = PROGRESS.to_hold()?;
    let snapshot = Fresh::take();
    let rows = read(&table, &snapshot, subscriber_id)?;
    let row = rows.iter().find(|row| row.member.number == number);
    Ok(row.is_some_and(|row| row_lock::hold(&table, row.address, &snapshot)))
}

fn read(table: &Table, snapshot: &Fresh, subscriber_id: &str) -> Result<Vec<StoredMember>, Error> {
    let columns = Columns::of(table).ok_or_else(|| PROGRESS.changed())?;
    let now = transaction::clock();
    PROGRESS.rows_of(table, snapshot, subscriber_id, |mut scan| {
        let mut rows = Vec::new();
        while scan.advance() {
            rows.push(StoredMember {
                member: columns.member(&scan, now),
                address: scan.address(),
            });
        }
        rows
    })
}

/// Where the columns are: a store that was brought up to date has them in another order.
struct Columns([usize; 13]);

impl Columns {
    fn of(table: &Table) -> Option<Self> {
        let columns = table.columns([
            (c"member", pg_sys::INT8OID),
            (c"group_size", pg_sys::INT8OID),
            (c"drains_until", pg_sys::INT8OID),
            (c"position", pg_sys::INT8OID),
            (c"attempts", pg_sys::INT8OID),
            (c"failing_position", pg_sys::INT8OID),
            (c"failing_since", pg_sys::TIMESTAMPTZOID),
            (c"retry_at", pg_sys::TIMESTAMPTZOID),
            (c"last_sqlstate", pg_sys::VARCHAROID),
            (c"last_error", pg_sys::TEXTOID),
            (c"rate_from", pg_sys::INT8OID),
            (c"rate_since", pg_sys::TIMESTAMPTZOID),
            (c"updated_at", pg_sys::TIMESTAMPTZOID),
        ]);
        columns.map(Self)
    }

    /// `now`: by the clock, in microseconds.
    fn member(&self, row: &Slot, now: i64) -> Member {
        let Self(
            [
                member,
                group_size,
                drains_until,
                position,
                attempts,
                failing_position,
                failing_since,
                retry_at,
                last_sqlstate,
                last_error,
                rate_from,
                rate_since,
                updated_at,
            ],
        ) = *self;
        let bigint = |column: usize| row.datum(column).map(|datum| datum.value() as i64);
        let text = |column: usize| {
            let is_there = row.datum(column).is_some();
            is_there.then(|| row.text(column).to_str().into_owned())
        };
        let microseconds_since = |column: usize| bigint(column).map(|time| now - time);
        let failing_for = microseconds_since(failing_since).unwrap_or(0);
        #[allow(clippy::cast_precision_loss, reason = "a rate is for people")]
        let seconds_since =
            |column: usize| microseconds_since(column).map(|time| time as f64 / 1e6);
        Member {
            number: row.bigint(member),
            group_size: row.bigint(group_size),
            drains_until: bigint(drains_until),
            position: row.bigint(position),
            attempts: row.bigint(attempts),
            failing_position: bigint(failing_position),
            failing_for: Duration::from_micros(u64::try_from(failing_for).unwrap_or(0)),
            retry_at: bigint(retry_at)
                .filter(|time| *time > now)
                .map(pg_sys::Datum::from),
            sqlstate: text(last_sqlstate),
            error: text(last_error),
            rate_from: row.bigint(rate_from),
            rate_seconds: seconds_since(rate_since).unwrap_or_default(),
            is_stale: seconds_since(updated_at).is_some_and(|seconds| seconds > RATE_SECONDS),
        }
    }
}
