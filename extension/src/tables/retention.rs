//! How long messages of a category are kept.

use super::owner;
use crate::account::Account;
use crate::error::Error;
use crate::pg::parameter::{bytes, text};
use crate::pg::spi::Statement;
use pgrx::pg_sys;
use pgrx::pg_sys::BuiltinOid::{INTERVALOID, TEXTOID};

/// Days are taken off a date as the calendar has them, and no date lies before the calendar.
static IS_AN_AGE: Statement = Statement::new(
    c"SELECT CASE WHEN $1 OPERATOR(pg_catalog.>) '0'::pg_catalog.interval \
                   AND $1 OPERATOR(pg_catalog.<) '6000 years'::pg_catalog.interval \
                  THEN pg_catalog.now() OPERATOR(pg_catalog.-) $1 \
                       OPERATOR(pg_catalog.<) pg_catalog.now() END",
    &[INTERVALOID],
);
static PUT: Statement = Statement::new(
    c"INSERT INTO message_store.retention (category, keep, reason, role, actor) \
      VALUES ($1, $2, $3, $4::pg_catalog.name, $5) \
      ON CONFLICT (category) DO UPDATE \
         SET keep = excluded.keep, reason = excluded.reason, role = excluded.role, \
             actor = excluded.actor, declared_at = pg_catalog.clock_timestamp()",
    &[TEXTOID, INTERVALOID, TEXTOID, TEXTOID, TEXTOID],
);
static REMOVE: Statement = Statement::new(
    c"DELETE FROM message_store.retention WHERE category OPERATOR(pg_catalog.=) $1",
    &[TEXTOID],
);
static ALL: Statement = Statement::new(
    c"SELECT category, \
             pg_catalog.timezone('UTC', pg_catalog.now() OPERATOR(pg_catalog.-) keep), \
             reason \
        FROM message_store.retention ORDER BY category",
    &[],
);

/// What is declared of a category.
pub struct Policy {
    /// The category.
    pub category: String,
    /// Messages from before are not kept, in microseconds since 2000-01-01 00:00 UTC.
    pub keeps_from: i64,
    /// Why.
    pub reason: String,
}

/// Whether an `interval` ago is before now.
pub fn is_an_age(keep: pg_sys::Datum) -> Result<bool, Error> {
    let _owner = owner::of("retention")?;
    let mut is_an_age = false;
    IS_AN_AGE.run(&[Some(keep)], |row| is_an_age = row.boolean(0));
    Ok(is_an_age)
}

/// Declares how long messages of a category are kept: an `interval`.
pub fn put(category: &[u8], keep: pg_sys::Datum, account: &Account) -> Result<(), Error> {
    let _owner = owner::of("retention")?;
    let arguments = [
        bytes(category),
        Some(keep),
        text(&account.reason),
        text(&account.role),
        account.actor.as_deref().and_then(text),
    ];
    PUT.run(&arguments, |_| {});
    Ok(())
}

/// Lets messages of a category be kept for ever.
pub fn remove(category: &[u8]) -> Result<(), Error> {
    let _owner = owner::of("retention")?;
    REMOVE.run(&[bytes(category)], |_| {});
    Ok(())
}

/// What is declared, by category.
pub fn all() -> Result<Vec<Policy>, Error> {
    let _owner = owner::of("retention")?;
    let mut all = Vec::new();
    ALL.run(&[], |row| {
        if let (Some(category), Some(keeps_from)) = (row.text(0), row.timestamp(1)) {
            all.push(Policy {
                category,
                keeps_from,
                reason: row.text(2).unwrap_or_default(),
            });
        }
    });
    Ok(all)
}
