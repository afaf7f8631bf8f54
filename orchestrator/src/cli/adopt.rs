//! Arguments of `orchestrator adopt`.

use clap::Args;

use super::DatabaseArgs;

/// Arguments of `adopt`.
#[derive(Debug, Args)]
pub struct AdoptArgs {
    /// Do all of it, say what it took, and roll it back.
    #[arg(long)]
    pub dry_run: bool,

    /// Go back: give an adopted database to Message DB again.
    #[arg(long)]
    pub revert: bool,

    /// How long one try waits for transactions that have written. Writers wait with it.
    #[arg(long, value_name = "MS", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..))]
    pub lock_timeout_ms: u64,

    /// How often it is tried.
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    pub tries: u32,

    /// How long to wait for transactions that were running before the switch.
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    pub wait: u64,

    /// Which database. Its role must be a superuser.
    #[command(flatten)]
    pub database: DatabaseArgs,
}
