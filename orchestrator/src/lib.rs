//! The orchestrator: ticks the subscriptions of a `message_store` database and
//! shows what they do. It holds no state that matters; kill it anywhere.
//!
//! Dependencies point one way: `commands` -> `daemon` -> `stores` -> `delivery` -> `boot`, `scheduler`,
//! `waiter`, `forwarder`; `daemon` -> `web`, `metrics`; all -> the crate `message_store_client`, which holds the SQL of the store.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod ask;
pub mod boot;
pub mod cli;
pub mod commands;
mod complaint;
pub mod config;
pub mod count;
pub mod daemon;
pub mod delivery;
pub mod doctor;
pub mod error;
mod forwarder;
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
pub mod stores;
pub mod supervisor;
pub mod ticking_role;
#[cfg(feature = "opentelemetry")]
pub mod traces;
pub mod waiter;
pub mod web;
