//! `acquire_lock`: the lock that Message DB's writers take, for clients that call it themselves.

use crate::consumer_group::hash_64;
use crate::error::Error;
use crate::message_db::null::or_null;
use crate::pg::call::{Call, Reply, sql_functions};
use crate::pg::lock;
use crate::{settings, stream_name};

sql_functions! {
    acquire_lock(stream_name: Varchar) => acquire_lock,
}

/// Takes the advisory lock that Message DB takes for a category. Our writers do not need it.
fn acquire_lock(call: &Call<'_>) -> Result<Reply, Error> {
    let name = call.text("stream_name");
    let category = name.map(|name| stream_name::category(name.bytes()));
    let hash = category.map(hash_64);
    if let Some(hash) = hash {
        lock::advisory_until_end(hash);
    }
    if settings::debug_write() {
        pgrx::notice!("» acquire_lock");
        pgrx::notice!("stream_name: {}", or_null(name));
        pgrx::notice!(
            "_category: {}",
            or_null(category.map(String::from_utf8_lossy))
        );
        pgrx::notice!("_category_name_hash: {}", or_null(hash));
    }
    Ok(Reply::bigint(hash))
}
