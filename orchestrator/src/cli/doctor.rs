//! Arguments of `orchestrator doctor`.

use clap::Args;

use super::DatabaseArgs;

/// Arguments of `doctor`.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// After how many seconds a transaction that holds readers back is a problem.
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    pub blocked_for: u64,

    /// Print JSON: an array of {"check","level","finding","repair"}.
    #[arg(long)]
    pub json: bool,

    /// Which database.
    #[command(flatten)]
    pub database: DatabaseArgs,
}
