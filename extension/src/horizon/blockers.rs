//! `horizon_blockers`: whom readers wait for without waiting, by name.

use crate::error::Error;
use crate::horizon::{self, Scope};
use crate::pg::call::{Call, Reply, sql_functions};
use crate::pg::rows::Rows;
use crate::tables::messages;
use pgrx::pg_sys;

sql_functions! {
    horizon_blockers(category: Varchar) => horizon_blockers,
}

fn horizon_blockers(call: &Call<'_>) -> Result<Reply, Error> {
    let category = call.text("category");
    let scope = category
        .as_ref()
        .map_or(Scope::All, |name| Scope::Category(name.bytes()));
    let mut rows = Rows::begin(call, &[pg_sys::INT4OID, pg_sys::BOOLOID, pg_sys::INT8OID]);
    for writer in horizon::writers_in_flight(messages::sequence()?, scope)? {
        let prepared = writer.pid == 0;
        rows.push(|| {
            [
                (!prepared).then(|| pg_sys::Datum::from(writer.pid)),
                Some(pg_sys::Datum::from(prepared)),
                Some(pg_sys::Datum::from(writer.low)),
            ]
        });
    }
    Ok(rows.finish())
}
