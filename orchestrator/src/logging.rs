//! Log lines on standard error, for people or for programs.

use std::io::{IsTerminal, stderr};

use tracing_subscriber::EnvFilter;

use crate::config::LogFormat;

/// The driver repeats the server's notices ("already exists, skipping") as
/// news, and the pool each lost connection that the waiter reports already.
const DEFAULT_FILTER: &str = "info,tokio_postgres=warn,deadpool=error";

/// Starts logging. What is logged: `RUST_LOG`, default `info`. Called a second
/// time it changes nothing.
pub fn start(format: LogFormat) {
    let filter =
        EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(DEFAULT_FILTER));
    let logs = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(stderr);
    // Already started is fine: the first caller decides.
    let _ = match format {
        LogFormat::Json => logs.json().flatten_event(true).try_init(),
        LogFormat::Human => logs
            .with_target(false)
            .with_ansi(stderr().is_terminal())
            .try_init(),
    };
}
