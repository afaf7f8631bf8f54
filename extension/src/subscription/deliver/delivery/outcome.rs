//! What became of the messages of a delivery.

use crate::error::Error;
use crate::pg::failure::Failure;
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
    /// Five characters.
    pub sqlstate: String,
    /// What the error said.
    pub error: String,
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

/// Bytes of an error that are kept, and shown to everybody who looks: a handler chooses its words.
const ERROR_KEPT: usize = 8 << 10;

/// The error of a handler, as it is kept.
pub struct HandlerError {
    /// Five characters.
    pub sqlstate: String,
    /// What it said.
    pub error: String,
}

impl HandlerError {
    /// Of a failure that was caught. A person's cancel is no fault of a message, nor is the end of the time that the session of
    /// whoever ticks has for its statement: they go on.
    pub fn of(failure: Failure<Error>) -> Result<Self, Error> {
        if failure.is_cancel() || failure.is_timeout_of_session() {
            return Err(failure.go_on());
        }
        let context = failure.context.trim();
        let mut error = failure.message;
        if !context.is_empty() {
            error = format!("{error}\n{context}");
        }
        if error.len() > ERROR_KEPT {
            error.truncate(error.floor_char_boundary(ERROR_KEPT));
            error.push('…');
        }
        Ok(Self {
            sqlstate: failure.sqlstate,
            error,
        })
    }

    /// The error as that of a message, after so many attempts.
    pub fn of_message(self, item: BatchMessage, attempts: i64) -> Fault {
        Fault {
            position: item.position,
            attempts,
            sqlstate: self.sqlstate,
            error: self.error,
        }
    }
}
