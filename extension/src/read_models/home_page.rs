//! The chapter's aggregator: how many videos were watched, on the page named `home`.
//!
//! From *Practical Microservices* (Garofolo), "Projecting Data into Useful Shapes". The page's
//! JSON keys are the chapter's; the numbers are bigint throughout.

use crate::error::Error;
use crate::message::SCHEMA;
use crate::pg::call::{Call, Reply, sql_functions};
use crate::pg::identity::ActingAs;
use crate::pg::relation::Table;
use crate::pg::spi::Statement;
use crate::pg::transaction;
use pgrx::pg_sys;
use pgrx::pg_sys::BuiltinOid::INT8OID;

sql_functions! {
    ensure_home_page => ensure_home_page,
    increment_videos_watched => increment_videos_watched,
}

static ENSURE: Statement = Statement::new(
    c"INSERT INTO message_store.read_model_pages (page_name, page_data) \
      VALUES ('home', '{\"lastViewProcessed\": 0, \"videosWatched\": 0}') \
      ON CONFLICT DO NOTHING",
    &[],
);
static INCREMENT: Statement = Statement::new(
    c"UPDATE message_store.read_model_pages \
         SET page_data = page_data OPERATOR(pg_catalog.||) pg_catalog.jsonb_build_object( \
               'videosWatched', (page_data OPERATOR(pg_catalog.->>) 'videosWatched') \
                                  ::pg_catalog.int8 OPERATOR(pg_catalog.+) 1, \
               'lastViewProcessed', $1) \
       WHERE page_name OPERATOR(pg_catalog.=) 'home' \
         AND (page_data OPERATOR(pg_catalog.->>) 'lastViewProcessed')::pg_catalog.int8 \
               OPERATOR(pg_catalog.<) $1",
    &[INT8OID],
);

/// EXECUTE on the function is the privilege; the page is reached with its owner's rights.
fn as_owner_of_pages() -> Result<ActingAs, Error> {
    let table = Table::open_to_read(SCHEMA, c"read_model_pages");
    Ok(ActingAs::role(
        table.ok_or(Error::NoStore("read_model_pages"))?.owner(),
    ))
}

fn ensure_home_page(_: &Call<'_>) -> Result<Reply, Error> {
    transaction::require_writable(c"ensure_home_page()");
    let _owner = as_owner_of_pages()?;
    ENSURE.run(&[], |_| {});
    Ok(Reply::void())
}

/// Counts a viewing once: a position at or below the last one counted changes nothing.
fn increment_videos_watched(call: &Call<'_>) -> Result<Reply, Error> {
    let position = call.bigint(0).ok_or_else(|| {
        Error::argument(
            "global_position",
            "must not be NULL",
            "Pass the message's position.",
        )
    })?;
    transaction::require_writable(c"increment_videos_watched()");
    let _owner = as_owner_of_pages()?;
    let counted = INCREMENT.run(&[Some(pg_sys::Datum::from(position))], |_| {}) == 1;
    Ok(Reply::boolean(counted))
}
