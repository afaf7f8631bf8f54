//! `message_store_version` and `acquire_lock`: what Message DB's clients call besides reading
//! and writing.

use crate::consumer_group::hash_64;
use crate::error::{Error, printed};
use crate::pg::call::{Call, Reply, sql_functions};
use crate::pg::lock;
use crate::{settings, stream_name};

sql_functions! {
    message_store_version => message_store_version,
    acquire_lock => acquire_lock,
}

/// The version of Message DB whose interface this is.
const MESSAGE_DB_VERSION: &[u8] = b"1.3.0";

fn message_store_version(_: &Call<'_>) -> Result<Reply, Error> {
    Ok(Reply::text(Some(MESSAGE_DB_VERSION)))
}

/// Takes the advisory lock that Message DB takes for a category. Our writers do not need it.
fn acquire_lock(call: &Call<'_>) -> Result<Reply, Error> {
    let name = call.text(0);
    let category = name.map(|name| stream_name::category(name.bytes()));
    let hash = category.map(hash_64);
    if let Some(hash) = hash {
        lock::advisory_until_end(hash);
    }
    if settings::debug_write() {
        pgrx::notice!("» acquire_lock");
        pgrx::notice!("stream_name: {}", printed(name));
        pgrx::notice!(
            "_category: {}",
            printed(category.map(String::from_utf8_lossy))
        );
        pgrx::notice!("_category_name_hash: {}", printed(hash));
    }
    Ok(Reply::bigint(hash))
}
