//! What the tests stand on: throw-away clusters, databases with a store, sessions, and the peer
//! we compare with.
//!
//! A failure of these is a failure of the test, so they panic with what PostgreSQL said.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot be set up must fail loudly"
)]

mod cluster;
mod database;
mod message_db;
mod property;
mod session;

pub use cluster::{Cluster, StopMode};
pub use database::Database;
pub use message_db::MessageDb;
pub use property::check_property;
pub use session::{Notice, Rows, Session, SqlError, Text, literal};
