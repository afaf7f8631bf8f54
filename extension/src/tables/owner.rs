//! The tables are reached with their owner's rights: EXECUTE on the function that asks is the
//! privilege.

use super::SCHEMA;
use crate::error::Error;
use crate::pg::acting_as::ActingAs;
use crate::pg::relation::Table;
use std::ffi::CString;

/// Acts with the rights of the owner of one of the store's tables. 55000 where it is missing.
pub fn of(table: &'static str) -> Result<ActingAs, Error> {
    let name = CString::new(table).unwrap_or_default();
    let opened = Table::find_to_read(SCHEMA, &name).ok_or(Error::NoStore(table))?;
    Ok(ActingAs::role(opened.owner()))
}

/// Acts with the rights of the owner of the tables of subscriptions.
pub fn of_subscriptions() -> Result<ActingAs, Error> {
    of("subscriptions")
}
