//! The parameters of a statement, as PostgreSQL takes them.

use super::array;
use super::text::Text;
use pgrx::pg_sys;
use std::time::Duration;

/// A parameter; `None` for NULL.
pub type Parameter = Option<pg_sys::Datum>;

/// A `text` or `varchar`.
pub fn text(value: &str) -> Parameter {
    bytes(value.as_bytes())
}

/// A `text` or `varchar` of bytes in the database's encoding.
pub fn bytes(value: &[u8]) -> Parameter {
    Some(Text::copied(value).datum())
}

/// A `bigint`.
pub fn bigint(value: i64) -> Parameter {
    Some(pg_sys::Datum::from(value))
}

/// A `boolean`.
pub fn boolean(value: bool) -> Parameter {
    Some(pg_sys::Datum::from(value))
}

/// An `oid`.
pub fn oid(value: pg_sys::Oid) -> Parameter {
    Some(pg_sys::Datum::from(value))
}

/// A `double precision`.
pub fn double(value: f64) -> Parameter {
    Some(pg_sys::Datum::from(value.to_bits() as usize))
}

/// A time span as a `double precision` of seconds.
pub fn seconds(value: Duration) -> Parameter {
    double(value.as_secs_f64())
}

/// A `text[]` of bytes in the database's encoding.
pub fn texts<'a>(values: impl Iterator<Item = &'a [u8]>) -> Parameter {
    let values: Vec<_> = values.map(|value| Text::copied(value).datum()).collect();
    Some(array::of_texts(&values))
}

/// A `bigint[]`.
pub fn bigints(values: &[i64]) -> Parameter {
    Some(array::of_bigints(values.iter().copied()))
}
