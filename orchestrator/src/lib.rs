//! The orchestrator: ticks the subscriptions of a `message_store` database and
//! shows what they do. It holds no state that matters; kill it anywhere.
//!
//! Dependencies point one way: `commands` -> `daemon` -> `boot`, `scheduler`,
//! `waiter`, `web`, `metrics` -> the crate `message_store_client`, which holds the SQL of the store.

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod boot;
pub mod cli;
pub mod commands;
mod complaint;
pub mod config;
pub mod count;
pub mod daemon;
pub mod doctor;
pub mod error;
pub mod health;
pub mod horizons;
pub mod import;
pub mod listeners;
pub mod logging;
pub mod metrics;
pub mod retention;
mod retry;
pub mod scheduler;
pub mod shutdown;
pub mod supervisor;
pub mod ticking_role;
#[cfg(feature = "opentelemetry")]
pub mod traces;
pub mod waiter;
pub mod web;
