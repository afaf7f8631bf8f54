//! Short ways to ask PostgreSQL something in a test.

use pgrx::datum::{DatumWithOid, FromDatum, IntoDatum};
use pgrx::spi::Spi;

/// A store, in a transaction that is rolled back.
pub fn create_store() {
    run("SELECT message_store.create_store()");
}

/// Runs statements.
pub fn run(sql: &str) {
    Spi::run(sql).unwrap_or_else(|error| panic!("{error}: {sql}"));
}

/// The value of a query's one row and column.
pub fn value<T: FromDatum + IntoDatum>(sql: &str) -> Option<T> {
    Spi::get_one(sql).unwrap_or_else(|error| panic!("{error}: {sql}"))
}

/// A number that a query answers.
pub fn number(sql: &str) -> i64 {
    value(&format!("SELECT ({sql})::bigint")).unwrap_or_else(|| panic!("NULL: {sql}"))
}
