//! Where a native handler writes: to the live tables, or to the copies that a rebuild fills.

use crate::error::Error;
use crate::handler_call;
use crate::pg::spi::{Row, Statement};
use crate::tables::owner;
use pgrx::pg_sys;
use pgrx::spi::quote_identifier;

/// Runs `statement`, which names one of our tables as `message_store.<table>`. On the live table
/// with its owner's rights: EXECUTE on the handler is the privilege. On a copy, with those of the
/// subscription's owner, whose copy it is.
pub fn run(
    statement: &Statement,
    table: &'static str,
    arguments: &[Option<pg_sys::Datum>],
    each: impl FnMut(&Row),
) -> Result<u64, Error> {
    let copies = handler_call::current().and_then(|handler| handler.read_model);
    Ok(match copies {
        None => {
            let _owner = owner::of(table)?;
            statement.run(arguments, each)
        }
        Some(schema) => {
            let copy = format!("{}.{table}", quote_identifier(&schema));
            let live = format!("message_store.{table}");
            statement.run_with((&live, &copy), arguments, each)
        }
    })
}
