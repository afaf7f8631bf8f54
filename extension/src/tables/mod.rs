//! The store's tables, a room for each: the only SQL that names it, behind functions with typed
//! arguments. A new column touches one file here.
//!
//! What a row means and what is done about it is decided elsewhere.

use std::ffi::CStr;

mod by_subscriber;
pub mod deletions;
pub mod erasures;
pub mod history;
pub mod messages;
pub mod owner;
pub mod parked;
pub mod progress_and_others;
pub mod retention;
pub mod subscription_progress;
pub mod subscriptions;
pub mod tombstones;
pub mod traces_of_messages;
pub mod unhandled;

/// The schema of the store.
pub const SCHEMA: &CStr = c"message_store";
