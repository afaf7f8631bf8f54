//! `horizon`: how far readers may go, and since when that is known.

use super::{Scope, arrived, settled};
use crate::error::Error;
use crate::pg::call::{Call, Reply, sql_functions};
use crate::pg::{rows, transaction};
use pgrx::pg_sys;

sql_functions! {
    horizon(category: Varchar) => horizon,
}

const TYPES: [pg_sys::Oid; 2] = [pg_sys::INT8OID, pg_sys::TIMESTAMPTZOID];

fn horizon(call: &Call<'_>) -> Result<Reply, Error> {
    let category = call.text("category");
    let scope = category
        .as_ref()
        .map_or(Scope::All, |name| Scope::Category(name.bytes()));
    let (position, proven_at) = if transaction::is_in_recovery() {
        let arrived = arrived(scope)?;
        let proven_at = arrived.map(|recorded| recorded.proven_at);
        (arrived.map_or(0, |recorded| recorded.position), proven_at)
    } else {
        let now = transaction::clock();
        (settled(scope, "horizon")?.position, Some(now))
    };
    let values = [
        Some(pg_sys::Datum::from(position)),
        proven_at.map(pg_sys::Datum::from),
    ];
    Ok(rows::composite(call, &TYPES, values))
}
