//! `wait_for`: read your own writes in a read model.

use crate::error::Error;
use crate::horizon;
use crate::pg::call::{Call, Reply, sql_functions};
use crate::pg::{transaction, wait};
use crate::subscription::definition::{Definition, subscriber_id};
use crate::subscription::source::Source;
use crate::tables::joined::progress;
use std::time::{Duration, Instant};

sql_functions! {
    wait_for(subscriber_id: Varchar, global_position: Bigint, timeout: Interval) => wait_for,
}

const DEFAULT_TIMEOUT_MS: i64 = 5_000;
/// The pause between the first two looks; it doubles up to [`LONGEST_PAUSE_MS`].
const SHORTEST_PAUSE_MS: i64 = 1;
const LONGEST_PAUSE_MS: i64 = 10;

fn wait_for(call: &Call<'_>) -> Result<Reply, Error> {
    let id = subscriber_id(call)?;
    let position = call.bigint("global_position").ok_or_else(|| {
        Error::argument(
            "global_position",
            "must not be NULL",
            "Pass the global position of the message to wait for.",
        )
    })?;
    let timeout_ms = call.interval_ms("timeout").unwrap_or(DEFAULT_TIMEOUT_MS);
    if timeout_ms < 0 {
        return Err(Error::argument(
            "timeout",
            "must be 0 or more",
            "Pass an interval such as '5 s'.",
        ));
    }
    if transaction::has_one_snapshot() {
        return Err(Error::OneSnapshot("wait_for"));
    }
    if horizon::has_announced() {
        return Err(Error::WaitForOwnMessages);
    }
    let started = Instant::now();
    let timeout = Duration::from_millis(timeout_ms.unsigned_abs());
    let mut pause_ms = SHORTEST_PAUSE_MS;
    loop {
        let definition = Definition::load(&id)?;
        let (reached, is_parked) = progress::reached(&id, position)?;
        if is_parked {
            return Ok(Reply::boolean(false));
        }
        if reached >= position || has_nothing_between(&definition, reached, position)? {
            return Ok(Reply::boolean(true));
        }
        let left = timeout.saturating_sub(started.elapsed());
        if left.is_zero() {
            return Ok(Reply::boolean(false));
        }
        let left_ms = i64::try_from(left.as_millis()).unwrap_or(i64::MAX).max(1);
        wait::sleep_ms(pause_ms.min(left_ms));
        pause_ms = (pause_ms * 2).min(LONGEST_PAUSE_MS);
    }
}

/// Positions are shared by all categories: a subscription that has nothing of its own to come to
/// has reached them all.
fn has_nothing_between(
    definition: &Definition,
    reached: i64,
    position: i64,
) -> Result<bool, Error> {
    let mut source = Source::open(definition, "wait_for")?;
    if source.horizon.position < position {
        return Ok(false);
    }
    source.end_at(position);
    Ok(!source.has_message_after(reached))
}
