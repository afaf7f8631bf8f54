//! Rows of progress, read and held without a statement: every tick does it several times.

use crate::error::Error;
use crate::kept_error::KeptError;
use crate::pg::relation::Table;
use crate::pg::row_lock;
use crate::pg::slot::{RowAddress, Slot};
use crate::pg::snapshot::Fresh;
use crate::pg::transaction;
use crate::tables::by_subscriber::BySubscriber;
use pgrx::pg_sys;

const TABLE: BySubscriber = BySubscriber {
    name: c"subscription_progress",
    key: c"subscription_progress_pkey",
};

/// A row, as it is stored. Times are `timestamptz`: microseconds since 2000-01-01 00:00 UTC.
#[derive(Clone, Debug)]
pub struct Progress {
    /// The member, from 0; below 0 for one of a group that was resized and drains.
    pub member: i64,
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
    /// Since when.
    pub failing_since: Option<i64>,
    /// When it is tried again.
    pub retry_at: Option<i64>,
    /// The last failure.
    pub last_error: Option<KeptError>,
    /// Messages scanned since the measurement of its rate began.
    pub rate_from: i64,
    /// When that began.
    pub rate_since: Option<i64>,
    /// When it last moved.
    pub updated_at: Option<i64>,
    /// When it was read, by the clock.
    pub read_at: i64,
}

/// The members of a subscription as they are now, by their numbers.
pub fn of(subscriber_id: &str) -> Result<Vec<Progress>, Error> {
    let rows = read(&TABLE.to_read()?, &Fresh::take(), subscriber_id)?;
    Ok(rows.into_iter().map(|(row, _)| row).collect())
}

/// Holds the row of a member until the transaction ends; `false` where another session has it.
pub fn hold(subscriber_id: &str, member: i64) -> Result<bool, Error> {
    let table = TABLE.to_hold()?;
    let snapshot = Fresh::take();
    let rows = read(&table, &snapshot, subscriber_id)?;
    let found = rows.iter().find(|(row, _)| row.member == member);
    Ok(found.is_some_and(|(_, address)| row_lock::hold(&table, *address, &snapshot)))
}

/// Each row and where it lies.
fn read(
    table: &Table,
    snapshot: &Fresh,
    subscriber_id: &str,
) -> Result<Vec<(Progress, RowAddress)>, Error> {
    let columns = Columns::of(table).ok_or_else(|| TABLE.changed())?;
    let now = transaction::clock();
    TABLE.rows_of(table, snapshot, subscriber_id, |mut scan| {
        let mut rows = Vec::new();
        while scan.advance() {
            rows.push((columns.progress(&scan, now), scan.address()));
        }
        rows
    })
}

/// Where the columns are: a store that was brought up to date has them in another order.
struct Columns([usize; 14]);

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
            (c"last_error_details", pg_sys::JSONBOID),
            (c"rate_from", pg_sys::INT8OID),
            (c"rate_since", pg_sys::TIMESTAMPTZOID),
            (c"updated_at", pg_sys::TIMESTAMPTZOID),
        ]);
        columns.map(Self)
    }

    fn progress(&self, row: &Slot, read_at: i64) -> Progress {
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
                last_error_details,
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
        let last_error_of = |row: &Slot| {
            let details = row.jsonb(last_error_details);
            let (sqlstate, message) = text(last_sqlstate).zip(text(last_error))?;
            Some(KeptError::stored(sqlstate, message, details))
        };
        Progress {
            member: row.bigint(member),
            group_size: row.bigint(group_size),
            drains_until: bigint(drains_until),
            position: row.bigint(position),
            attempts: row.bigint(attempts),
            failing_position: bigint(failing_position),
            failing_since: bigint(failing_since),
            retry_at: bigint(retry_at),
            last_error: last_error_of(row),
            rate_from: row.bigint(rate_from),
            rate_since: bigint(rate_since),
            updated_at: bigint(updated_at),
            read_at,
        }
    }
}
