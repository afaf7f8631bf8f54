//! How fast message_store is beside others: works measure contestants in interleaved rounds on
//! one machine, and what counts is how many times better or worse ours is.
//!
//! A server that cannot be set up, and a contestant that does not do its work, panic with what
//! PostgreSQL said: there is nothing to measure then.
#![allow(
    clippy::unwrap_used,
    reason = "a benchmark that cannot be set up must fail loudly"
)]

pub mod bench;
pub mod cli;
pub mod comparison;
pub mod delays;
pub mod figure;
pub mod filled;
pub mod goal;
pub mod line_up;
pub mod log;
pub mod machine;
pub mod observer;
pub mod peers;
pub mod pgbench;
pub mod plot;
pub mod processor;
mod progress;
pub mod publish;
pub mod record;
pub mod report;
mod rows;
#[cfg(test)]
mod sample;
pub mod series;
pub mod server;
pub mod spread;
pub mod subscribers;
pub mod viewing;
pub mod work;
mod works;
