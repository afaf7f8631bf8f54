//! The store's tables, a room for each, and one for what is asked of several: the only SQL that
//! names them, behind functions with typed arguments. A new column touches one file here.
//!
//! What a row means and what is done about it is decided elsewhere.

use std::ffi::CStr;

mod by_subscriber;
pub mod deletions;
pub mod epochs;
pub mod erasures;
pub mod history;
pub mod horizons;
pub mod joined;
pub mod messages;
pub mod owner;
pub mod parked;
pub mod retention;
pub mod shard;
pub mod subscription_progress;
pub mod subscriptions;
pub mod tombstones;

/// The schema of the store.
pub const SCHEMA: &CStr = c"message_store";
