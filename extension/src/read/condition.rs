//! The caller's own condition: whether it may be given, and the messages that satisfy it.

use crate::error::Error;
use crate::message;
use crate::pg::call::{Call, Reply};
use crate::pg::expression;
use crate::pg::rows::Rows;
use crate::pg::text::Text;
use crate::settings;
use crate::tables::messages::select::Select;
use std::ffi::CString;

/// Message DB's error where a condition is given that nobody has allowed.
pub fn require_allowed(condition: Option<Text<'_>>) -> Result<(), Error> {
    if condition.is_none() || settings::SQL_CONDITION.get() {
        Ok(())
    } else {
        Err(Error::MessageDb(
            "Retrieval with SQL condition is not activated".to_owned(),
        ))
    }
}

/// Returns what the command that `select` makes finds, with the caller's own rights. The condition
/// must be one expression: 42601, 22023.
pub fn messages(
    call: &Call<'_>,
    condition: Text<'_>,
    select: impl FnOnce(Text<'_>) -> Select,
) -> Result<Reply, Error> {
    // A text value never contains NUL.
    let alone = CString::new(condition.bytes()).unwrap_or_default();
    if !expression::is_one(&alone) {
        return Err(Error::argument(
            "condition",
            "is not one SQL expression",
            "Pass a condition on the columns of messages, such as type = 'Deposited'.",
        ));
    }
    let command = select(condition);
    if settings::debug_get() {
        pgrx::notice!("Generated Command: {}", command.text());
    }
    let mut rows = Rows::begin(call, &message::TYPES);
    command.run(|row| {
        rows.push(|| std::array::from_fn(|number| row.value(number, message::TYPES[number])));
    });
    Ok(rows.finish())
}
