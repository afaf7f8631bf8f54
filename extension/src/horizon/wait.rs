//! `wait_for_messages`: an idle consumer waits in the server, for next to nothing.
//!
//! No NOTIFY: a transaction with a pending notification takes a lock that lets one commit at a
//! time through in the whole cluster. Instead this looks at the sequence's page in memory; on a standby
//! at the rows of `horizons`, when it has replayed something.

use crate::error::Error;
use crate::pg::call::{Call, Reply, sql_functions};
use crate::pg::sequence::Sequence;
use crate::pg::snapshot::Fresh;
use crate::pg::{rows, snapshot, transaction, wait};
use crate::tables::horizons::Horizons;
use crate::tables::messages;
use pgrx::pg_sys;
use std::time::{Duration, Instant};

sql_functions! {
    wait_for_messages(after: Bigint, timeout: Interval, last: Bigint) => wait_for_messages,
}

/// The pause between the first two looks; it doubles up to [`LONGEST_PAUSE_MS`].
const SHORTEST_PAUSE_MS: i64 = 1;
/// The longest pause of a store where something happened lately: what a message may be late by.
const LONGEST_PAUSE_MS: i64 = 5;
/// A store where nothing has happened for this long ...
const QUIET: Duration = Duration::from_millis(500);
/// ... is looked at this often.
const QUIET_PAUSE_MS: i64 = 20;

fn wait_for_messages(call: &Call<'_>) -> Result<Reply, Error> {
    let after = call.bigint("after").ok_or_else(|| {
        Error::argument(
            "after",
            "must not be NULL",
            "Pass 0 to wait for the first message.",
        )
    })?;
    let timeout_ms = call
        .interval_ms("timeout")
        .filter(|ms| *ms >= 0)
        .ok_or_else(|| {
            Error::argument(
                "timeout",
                "must be 0 or more",
                "Pass an interval such as '30 s'.",
            )
        })?;
    let sequence = messages::sequence()?;
    let started = Instant::now();
    let timeout = Duration::from_millis(timeout_ms.unsigned_abs());
    if !call.may_end_transactions() || !snapshot::release_for_wait() {
        return Err(Error::WaitInTransaction);
    }
    let mut come = Come {
        sequence,
        replayed: None,
        last: 0,
    };
    let mut pause_ms = SHORTEST_PAUSE_MS;
    let last = loop {
        let last = come.look()?;
        let left = timeout.saturating_sub(started.elapsed());
        if last > after || left.is_zero() {
            break last;
        }
        let left_ms = i64::try_from(left.as_millis()).unwrap_or(i64::MAX).max(1);
        wait::sleep_ms(pause_ms.min(left_ms));
        pause_ms = if started.elapsed() > QUIET {
            QUIET_PAUSE_MS
        } else {
            (pause_ms * 2).min(LONGEST_PAUSE_MS)
        };
    };
    Ok(rows::composite(
        call,
        &[pg_sys::INT8OID],
        [Some(pg_sys::Datum::from(last))],
    ))
}

/// What there may be to read.
struct Come {
    sequence: Sequence,
    /// How far the standby had replayed when it was last looked at its rows.
    replayed: Option<u64>,
    last: i64,
}

impl Come {
    /// The last position that was drawn; on a standby, the last up to which something is settled.
    fn look(&mut self) -> Result<i64, Error> {
        if !transaction::is_in_recovery() {
            return Ok(self.sequence.last_value());
        }
        let replayed = transaction::replayed();
        if self.replayed != Some(replayed) {
            let rows = Horizons::open()?.ok_or(Error::Standby)?;
            self.last = rows.highest(&Fresh::take());
            self.replayed = Some(replayed);
        }
        Ok(self.last)
    }
}
