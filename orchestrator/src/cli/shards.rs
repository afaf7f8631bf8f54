//! Arguments of `orchestrator shards`.

use clap::{Args, Subcommand};

use super::DatabaseArgs;

/// Arguments of `shards`.
#[derive(Debug, Args)]
pub struct ShardsArgs {
    /// What to do.
    #[command(subcommand)]
    pub verb: ShardsVerb,
}

/// What can be done to shards.
#[derive(Debug, Subcommand)]
pub enum ShardsVerb {
    /// Show how each shard is: how far it has written, who holds readers back, what its subscriptions have
    /// to do.
    #[command(after_help = super::EXIT_CODES)]
    Status(ShardsStatusArgs),
    /// Let each shard become two, the second of which is a standby of it until then. Stopped anywhere, the
    /// same command goes on.
    #[command(after_help = super::EXIT_CODES)]
    Split(ShardsSplitArgs),
}

/// Arguments of `shards status`.
#[derive(Debug, Args)]
pub struct ShardsStatusArgs {
    /// Print JSON.
    #[arg(long)]
    pub json: bool,

    /// Which database: a router, or any shard that knows the addresses of all.
    #[command(flatten)]
    pub database: DatabaseArgs,
}

/// Arguments of `shards split`.
#[derive(Debug, Args)]
pub struct ShardsSplitArgs {
    /// Every shard, in the order of their numbers: its libpq address. Its role must have
    /// message_store_admin.
    #[arg(long = "shard", value_name = "URL", required = true)]
    pub shards: Vec<String>,

    /// The streaming standby of each of them, in the same order: its libpq address. Its role must be a
    /// superuser.
    #[arg(long = "standby", value_name = "URL", required = true)]
    pub standbys: Vec<String>,

    /// Every router: its libpq address. Its role must own the extension message_store_router.
    #[arg(long = "router", value_name = "URL", required = true)]
    pub routers: Vec<String>,

    /// As which routers and clients are to reach each standby once it is a shard, in the same order, as libpq
    /// takes it, without user and password.
    #[arg(long = "address", value_name = "ADDRESS", required = true)]
    pub addresses: Vec<String>,

    /// Look whether it can be done, say what would be done, and do nothing.
    #[arg(long)]
    pub dry_run: bool,

    /// How long one try waits for transactions that have written. Writers of the shard wait with it. An
    /// automatic VACUUM gives way after the server's deadlock_timeout, 1 s.
    #[arg(long, value_name = "MS", default_value_t = 1500, value_parser = clap::value_parser!(u64).range(1..))]
    pub lock_timeout_ms: u64,

    /// How often it is tried.
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    pub tries: u32,

    /// How far a standby may be behind when it begins, in bytes of the write-ahead log.
    #[arg(long, value_name = "BYTES", default_value_t = 16 * 1024 * 1024)]
    pub max_behind: u64,
}
