//! The chapter's aggregator: how many videos were watched, on the page named `home`.
//!
//! From *Practical Microservices* (Garofolo), "Projecting Data into Useful Shapes". The page's
//! JSON keys are the chapter's; the numbers are bigint throughout.

use crate::error::Error;
use crate::handler_call;
use crate::pg::array;
use crate::pg::call::{Call, Reply, sql_functions};
use crate::pg::spi::Statement;
use crate::pg::transaction;
use crate::read_models::target;
use pgrx::pg_sys;
use pgrx::pg_sys::BuiltinOid::{INT8ARRAYOID, INT8OID};
use std::borrow::Cow;

sql_functions! {
    ensure_home_page() => ensure_home_page,
    increment_videos_watched(global_position: Bigint) => increment_videos_watched,
    increment_videos_watched_by(global_positions: Bigints) => increment_videos_watched_by,
}

static ENSURE: Statement = Statement::new(
    c"INSERT INTO message_store.read_model_pages (page_name, page_data) \
      VALUES ('home', '{\"lastViewProcessed\": 0, \"videosWatched\": 0}') \
      ON CONFLICT DO NOTHING",
    &[],
);
/// `$1`: positions, each higher than those before it. Those up to the last one counted count no
/// more; `width_bucket` says how many they are.
static INCREMENT: Statement = Statement::new(
    c"UPDATE message_store.read_model_pages \
         SET page_data = page_data OPERATOR(pg_catalog.||) pg_catalog.jsonb_build_object( \
               'videosWatched', (page_data OPERATOR(pg_catalog.->>) 'videosWatched') \
                                  ::pg_catalog.int8 OPERATOR(pg_catalog.+) \
                                  (pg_catalog.cardinality($1) OPERATOR(pg_catalog.-) \
                                   pg_catalog.width_bucket( \
                                     (page_data OPERATOR(pg_catalog.->>) 'lastViewProcessed') \
                                       ::pg_catalog.int8, $1)), \
               'lastViewProcessed', $2) \
       WHERE page_name OPERATOR(pg_catalog.=) 'home' \
         AND (page_data OPERATOR(pg_catalog.->>) 'lastViewProcessed')::pg_catalog.int8 \
               OPERATOR(pg_catalog.<) $2",
    &[INT8ARRAYOID, INT8OID],
);

/// `$1`: how many viewings; `$2`: the last one's position.
static ADD: Statement = Statement::new(
    c"UPDATE message_store.read_model_pages \
         SET page_data = page_data OPERATOR(pg_catalog.||) pg_catalog.jsonb_build_object( \
               'videosWatched', (page_data OPERATOR(pg_catalog.->>) 'videosWatched') \
                                  ::pg_catalog.int8 OPERATOR(pg_catalog.+) $1, \
               'lastViewProcessed', greatest( \
                 (page_data OPERATOR(pg_catalog.->>) 'lastViewProcessed')::pg_catalog.int8, $2)) \
       WHERE page_name OPERATOR(pg_catalog.=) 'home'",
    &[INT8OID, INT8OID],
);
const PAGES: &str = "read_model_pages";

fn ensure_home_page(_: &Call<'_>) -> Result<Reply, Error> {
    transaction::require_writable(c"ensure_home_page()");
    target::run(&ENSURE, PAGES, &[], |_| {})?;
    Ok(Reply::void())
}

/// Counts a viewing once: a position at or below the last one counted changes nothing.
fn increment_videos_watched(call: &Call<'_>) -> Result<Reply, Error> {
    let position = call
        .bigint("global_position")
        .ok_or_else(missing_position)?;
    Ok(Reply::boolean(count(&[position])?))
}

/// Counts a run of viewings in one UPDATE, as if each were counted after the one before it.
fn increment_videos_watched_by(call: &Call<'_>) -> Result<Reply, Error> {
    let positions = call
        .bigints("global_positions")
        .ok_or_else(missing_positions)?;
    Ok(Reply::boolean(count(&rising(positions))?))
}

fn missing_positions() -> Error {
    Error::argument(
        "global_positions",
        "must not be NULL or contain NULL",
        "Pass the messages' positions.",
    )
}

fn missing_position() -> Error {
    Error::argument(
        "global_position",
        "must not be NULL",
        "Pass the message's position.",
    )
}

/// The positions that are higher than all before them: whatever was counted last, no other can
/// count.
fn rising(positions: &[i64]) -> Cow<'_, [i64]> {
    if positions.is_sorted_by(|before, after| before < after) {
        return Cow::Borrowed(positions);
    }
    let mut rising: Vec<i64> = Vec::with_capacity(positions.len());
    for position in positions {
        if rising.last().is_none_or(|last| last < position) {
            rising.push(*position);
        }
    }
    Cow::Owned(rising)
}

fn count(rising: &[i64]) -> Result<bool, Error> {
    transaction::require_writable(c"increment_videos_watched()");
    let Some(last) = rising.last() else {
        return Ok(false);
    };
    let last = Some(pg_sys::Datum::from(*last));
    let counted = if guards_itself() {
        let positions = Some(array::of_bigints(rising.iter().copied()));
        target::run(&INCREMENT, PAGES, &[positions, last], |_| {})?
    } else {
        let count = i64::try_from(rising.len()).map_err(|_| Error::OutOfRange("bigint"))?;
        let count = Some(pg_sys::Datum::from(count));
        target::run(&ADD, PAGES, &[count, last], |_| {})?
    };
    Ok(counted == 1)
}

/// Whether the page's own `lastViewProcessed` says what was counted. Members of a consumer group
/// share the page and come to their messages in no common order, and a message that was parked
/// comes after later ones: there one number would leave viewings out, and the position that the
/// subscription keeps for each member is the guard.
fn guards_itself() -> bool {
    handler_call::current().is_none_or(|handler| handler.group_size == 1 && !handler.is_retry)
}
