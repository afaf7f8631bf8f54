//! Statements with words of a subscription's owner in them.

use crate::error::Error;
use crate::pg::expression;
use crate::pg::spi::{self, Row};
use crate::subscription::definition::options::ReadModelTable;
use std::ffi::CString;

/// The condition as it stands in our SQL; 22023 where it is not one expression.
pub fn condition(entry: &ReadModelTable) -> Result<String, Error> {
    let Some(filter) = &entry.filter else {
        return Ok("true".to_owned());
    };
    let sql = CString::new(filter.as_str()).unwrap_or_default();
    if !expression::is_one(&sql) {
        return Err(Error::argument(
            "options",
            format!("has a where that is not one SQL expression: {filter}"),
            "Pass a condition on the columns of the table, such as page_name = 'home'.",
        ));
    }
    // On lines of its own, so that a comment in it ends with it.
    Ok(format!("(\n{filter}\n)"))
}

/// Runs a statement, as whoever acts now.
pub fn run(sql: &str, each: impl FnMut(&Row)) -> Result<u64, Error> {
    let sql = CString::new(sql)
        .map_err(|_| Error::argument("options", "contains a NUL character", "Remove it."))?;
    Ok(spi::run_text(&sql, &[], each))
}
