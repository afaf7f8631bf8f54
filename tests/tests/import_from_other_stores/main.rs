//! Promise: what docs/migrate.md says of importing from other stores is so: by its queries and its
//! commands, as they stand there, what these stores hold comes over, in their order, and counts.
//!
//! Message DB, Emmett and eventsourcing write their hundred events themselves, and say what they read.
//! For Marten and rails_event_store, which the tests cannot install, `tests/other_stores/` has a replay:
//! tables made as they are described, with events of ours.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must fail loudly"
)]

mod emmett;
mod eventsourcing;
mod marten;
mod message;
mod message_db;
#[path = "../page/mod.rs"]
mod page;
mod programs;
mod rails_event_store;
mod steps;
