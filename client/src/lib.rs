//! The functions and views of message_store as a typed Rust API over tokio-postgres.
//!
//! A [`Target`](connection::Target) is an address; a [`Database`](database::Database) is a pool of
//! connections to it, with a function for each thing that one asks the store; a
//! [`Session`](database::Session) is one connection, for what belongs to one.

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod connection;
pub mod consumer;
pub mod database;
pub mod error;
pub mod pretty;
pub mod samples;
pub mod shards;
#[cfg(feature = "test-kit")]
pub mod throw_away;

pub use consumer::{Consumer, Failure};
pub use error::{Error, Result};
pub use shards::Shards;
#[cfg(feature = "test-kit")]
pub use throw_away::ThrowAwayStore;
