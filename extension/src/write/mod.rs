//! The path of a write: from the function that SQL calls, through what is refused and what a
//! handler adds, to the end of the stream, the horizon and the row.

mod batch;
mod causation;
mod new_message;
mod write_message;
mod write_messages;
