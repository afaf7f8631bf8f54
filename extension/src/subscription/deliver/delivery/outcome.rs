//! What became of the messages of a delivery.

use crate::error::Error;
use crate::kept_error::KeptError;
use crate::pg::failure::Failure;
use crate::subscription::definition::Definition;
use crate::subscription::deliver::calls::BatchMessage;
use std::time::Duration;

/// How a delivery ended.
pub enum DeliveryEnd {
    /// With all that was read dealt with.
    Done,
    /// At a message whose handler failed and is called again after a pause.
    Retrying(Fault, Duration),
    /// At a message that nothing can be done about.
    Stopped(Fault),
}

/// A message that cannot be handled, and why.
pub struct Fault {
    /// Its global position.
    pub position: i64,
    /// Failed calls that count, this one included.
    pub attempts: i64,
    /// Why.
    pub error: KeptError,
}

impl Fault {
    /// The error of a message, after so many attempts.
    pub fn new(item: BatchMessage, error: KeptError, attempts: i64) -> Self {
        Self {
            position: item.position,
            attempts,
            error,
        }
    }
}

/// What became of a batch.
pub struct Delivered {
    /// Messages read.
    pub scanned: i64,
    /// Messages handled.
    pub handled: i64,
    /// Messages parked.
    pub parked: i64,
    /// The last position dealt with.
    pub position: i64,
    /// How it ended.
    pub end: DeliveryEnd,
    /// The last failure for which a message was parked.
    pub parked_for: Option<Fault>,
    /// Whether a handler wrote messages.
    pub has_written: bool,
}

/// The error of a handler, as it is kept. A person's cancel is no fault of a message, nor is the end of
/// the time that the session of whoever ticks has for its statement: they go on.
pub fn keep(failure: Failure<Error>, definition: &Definition) -> Result<KeptError, Error> {
    if failure.is_cancel() || failure.is_timeout_of_session() {
        return Err(failure.go_on());
    }
    let is_unknown_name = UNKNOWN_NAME.contains(&failure.sqlstate.as_str());
    let error = KeptError::of(&failure);
    Ok(match is_unknown_name {
        true => error.or_hint(|| definition.where_names_are_found()),
        false => error,
    })
}

/// SQLSTATEs of a name that is not found: of a schema, a function, a table or a type.
const UNKNOWN_NAME: [&str; 4] = ["3F000", "42883", "42P01", "42704"];
