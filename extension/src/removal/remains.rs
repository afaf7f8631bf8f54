//! `erasure_remains`: where erased data may still be.

use crate::error::Error;
use crate::pg::call::{Call, Reply, sql_functions};
use crate::pg::parameter::text;
use crate::pg::rows::Rows;
use crate::tables::erasures;
use crate::tables::joined::remains;
use pgrx::pg_sys;

sql_functions! {
    erasure_remains(erasure: Bigint) => erasure_remains,
}

fn erasure_remains(call: &Call<'_>) -> Result<Reply, Error> {
    let mut rows = Rows::begin(call, &[pg_sys::VARCHAROID; 3]);
    let repair = "erase_message_data() returns it; the table erasures lists them.";
    let erasure = call
        .bigint("erasure")
        .ok_or_else(|| Error::argument("erasure", "must not be NULL", repair))?;
    if !erasures::exists(erasure)? {
        let problem = format!("is the number of none: {erasure}");
        return Err(Error::argument("erasure", problem, repair));
    }
    remains::of(erasure, |row| {
        rows.push(|| std::array::from_fn(|number| row.text(number).as_deref().and_then(text)));
    })?;
    Ok(rows.finish())
}
