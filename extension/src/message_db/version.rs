//! `message_store_version`: whose interface this is.

use crate::error::Error;
use crate::pg::call::{Call, Reply, sql_functions};

sql_functions! {
    beside newer SQL too:
    message_store_version() => message_store_version,
}

/// The version of Message DB whose interface this is.
const MESSAGE_DB_VERSION: &[u8] = b"1.3.0";

fn message_store_version(_: &Call<'_>) -> Result<Reply, Error> {
    Ok(Reply::text(Some(MESSAGE_DB_VERSION)))
}
