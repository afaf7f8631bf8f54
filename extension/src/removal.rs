//! What leaves the log: messages that are deleted, and data that are erased from messages that stay.
//!
//! Who deletes holds the table of deletions meanwhile, and whoever makes a read model anew holds it off:
//! so nobody begins behind what is about to go. A stream whose last message goes leaves a tombstone in
//! the same transaction. A writer looks for the stream's end first and for the tombstone then, so it sees
//! one of both, and no lock on the stream is needed.

mod batch;
mod delete;
mod erase;
mod remains;
mod retention;
