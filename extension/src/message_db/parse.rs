//! Message DB's parsing functions, as SQL sees them.

use crate::consumer_group;
use crate::error::Error;
use crate::pg::call::{Call, Reply, sql_functions};
use crate::stream_name;

sql_functions! {
    beside newer SQL too:
    category(stream_name: Varchar) => category,
    id(stream_name: Varchar) => id,
    cardinal_id(stream_name: Varchar) => cardinal_id,
    is_category(stream_name: Varchar) => is_category,
    hash_64(value: Varchar) => hash_64,
}

fn category(call: &Call<'_>) -> Result<Reply, Error> {
    Ok(Reply::text(
        call.text("stream_name")
            .map(|name| stream_name::category(name.bytes())),
    ))
}

fn id(call: &Call<'_>) -> Result<Reply, Error> {
    Ok(Reply::text(
        call.text("stream_name")
            .and_then(|name| stream_name::id(name.bytes())),
    ))
}

fn cardinal_id(call: &Call<'_>) -> Result<Reply, Error> {
    Ok(Reply::text(
        call.text("stream_name")
            .and_then(|name| stream_name::cardinal_id(name.bytes())),
    ))
}

/// NULL is a category, as in Message DB, whose test for a dash is then neither true nor false.
fn is_category(call: &Call<'_>) -> Result<Reply, Error> {
    let is_category = call
        .text("stream_name")
        .is_none_or(|name| stream_name::is_category(name.bytes()));
    Ok(Reply::boolean(is_category))
}

fn hash_64(call: &Call<'_>) -> Result<Reply, Error> {
    Ok(Reply::bigint(
        call.text("value")
            .map(|value| consumer_group::hash_64(value.bytes())),
    ))
}
