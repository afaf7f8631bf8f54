//! The store's tables, a room for each: the only SQL that names it, behind functions with typed
//! arguments. A new column touches one file here.
//!
//! What a row means and what is done about it is decided elsewhere.

mod by_subscriber;
pub mod history;
pub mod owner;
pub mod parked;
pub mod progress_and_others;
pub mod subscription_progress;
pub mod subscriptions;
