//! The arguments as typed.

use std::{net::SocketAddr, path::PathBuf};

use clap::{Args, Parser, Subcommand};
use message_store_client::database::Epoch;
use uuid::Uuid;

use crate::config::{LogFormat, Override};

mod adopt;
mod config;
mod doctor;
mod documents;
mod parked;
mod removal;
mod shards;
mod subscriptions;
mod transfer;

pub use adopt::AdoptArgs;
pub use config::{ConfigArgs, ConfigCheckArgs, ConfigVerb};
pub use doctor::DoctorArgs;
pub use documents::{CompletionsArgs, ManArgs};
pub use parked::{
    ParkedArgs, ParkedDiscardArgs, ParkedListArgs, ParkedRetryArgs, ParkedShowArgs, ParkedVerb,
    WhichArgs,
};
pub use removal::{DeleteArgs, EraseArgs, RetainArgs};
pub use shards::{ShardsArgs, ShardsSplitArgs, ShardsStatusArgs, ShardsVerb};
pub use subscriptions::{
    AlterArgs, CreateArgs, DropArgs, DryRunArgs, EndArgs, ListArgs, MoveArgs, OneArgs, PromoteArgs,
    RebuildArgs, ResizeArgs, ShowArgs, SubscriptionsArgs, SubscriptionsVerb, VerifyArgs,
};
pub use transfer::{ExportArgs, ImportArgs};

const EXIT_CODES: &str = "Exit codes:
  0  done; or ended by Ctrl-C or SIGTERM, if the command runs until then
  1  failure, or stopped before it was done
  2  wrong usage
  3  configuration cannot be used
  4  cannot connect to PostgreSQL, or the connection was lost
  5  input data cannot be used
  6  doctor or config check found a problem
130  a second signal: exited at once";

/// Ticks the subscriptions of a message_store database and shows what they do.
#[derive(Debug, Parser)]
#[command(version, after_help = EXIT_CODES, arg_required_else_help = true, help_expected = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run everything on this machine: a private PostgreSQL cluster with the
    /// extension, the subscriptions and the home page.
    #[command(after_help = EXIT_CODES)]
    Up(UpArgs),
    /// Run the subscriptions and the home page against any PostgreSQL.
    #[command(after_help = EXIT_CODES)]
    Run(RunArgs),
    /// Write one message, or a file of messages.
    #[command(after_help = EXIT_CODES)]
    Write(WriteArgs),
    /// Print messages, one JSON object a line.
    #[command(after_help = EXIT_CODES)]
    Read(ReadArgs),
    /// Print the last messages. With --follow, print each new one too.
    #[command(after_help = EXIT_CODES)]
    Tail(TailArgs),
    /// Write the messages of a file, one JSON object a line.
    #[command(after_help = EXIT_CODES)]
    Import(ImportArgs),
    /// Print the messages of a stream, a category or the whole store, in the form that `import`
    /// reads.
    #[command(after_help = EXIT_CODES)]
    Export(ExportArgs),
    /// Delete the messages of a stream, or the oldest of a category, for good.
    #[command(after_help = EXIT_CODES)]
    Delete(DeleteArgs),
    /// Say how long messages of a category are kept, or print what was said.
    #[command(after_help = EXIT_CODES)]
    Retain(RetainArgs),
    /// Take the data of one person out of messages, which stay in their places; and print where they
    /// still are.
    #[command(after_help = EXIT_CODES)]
    Erase(EraseArgs),
    /// Take over a Message DB database in place, while its clients write and read; or give it back.
    #[command(after_help = EXIT_CODES)]
    Adopt(AdoptArgs),
    /// Print how each subscription is: state, lag, errors. Short for `subscriptions list`.
    #[command(after_help = EXIT_CODES)]
    Status(ListArgs),
    /// See, declare and steer subscriptions.
    Subscriptions(SubscriptionsArgs),
    /// See, retry and discard parked messages.
    Parked(ParkedArgs),
    /// Show the shards of a store, or let it grow.
    Shards(ShardsArgs),
    /// Check a configuration file, or print its JSON Schema.
    Config(ConfigArgs),
    /// Look for what endangers the store, and say what to do.
    #[command(after_help = EXIT_CODES)]
    Doctor(DoctorArgs),
    /// Print a script that completes commands and options in a shell. `COMPLETE=bash orchestrator`
    /// prints one that completes subscriptions too.
    Completions(CompletionsArgs),
    /// Print the manual page, or write one for each command into a folder.
    Man(ManArgs),
}

/// Arguments of `up`.
#[derive(Debug, Args)]
pub struct UpArgs {
    /// Folder of the private cluster. It is made if it is missing, and kept for the next time.
    #[arg(
        long,
        env = "ORCHESTRATOR_DATA_DIR",
        default_value = ".message_store",
        value_name = "DIR"
    )]
    pub data_dir: PathBuf,

    /// Address of the home page [default: 127.0.0.1:8080, or another port if that is taken].
    #[arg(long, env = "ORCHESTRATOR_LISTEN", value_name = "ADDRESS:PORT")]
    pub listen: Option<SocketAddr>,

    /// Serve the dashboard too, as `[dashboard] enabled` does. Whoever reaches it at its default
    /// address can act [default address: 127.0.0.1:8081].
    #[arg(long)]
    pub dashboard: bool,

    /// pg_config of the PostgreSQL to run, 15 or newer [default: the one in PATH, else the newest
    /// under /usr/lib/postgresql].
    #[arg(long, env = "PG_CONFIG", value_name = "PATH")]
    pub pg_config: Option<PathBuf>,

    /// Override a key of the file, such as delivery.retry_max_ms=1000. Repeat it for more.
    #[arg(long, value_name = "TABLE.KEY=VALUE")]
    pub set: Vec<Override>,

    /// Configuration file to use instead of the demo's. Its `[database] url` is not used [default:
    /// the demo, orchestrator/example.toml].
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Logging.
    #[command(flatten)]
    pub log: LogArgs,
}

/// Arguments of `run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// Configuration file in TOML. orchestrator/example.toml explains each key.
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,

    /// libpq address of the database. It overrides the file's `[database] url`.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    pub url: Option<String>,

    /// Override a key of the file, such as delivery.retry_max_ms=1000. Repeat it for more. In the
    /// environment: ORCHESTRATOR__DELIVERY__RETRY_MAX_MS=1000.
    #[arg(long, value_name = "TABLE.KEY=VALUE")]
    pub set: Vec<Override>,

    /// Address of the home page. It overrides the file's `[web] listen` [default: 127.0.0.1:8080].
    #[arg(long, env = "ORCHESTRATOR_LISTEN", value_name = "ADDRESS:PORT")]
    pub listen: Option<SocketAddr>,

    /// Logging.
    #[command(flatten)]
    pub log: LogArgs,
}

/// Arguments of `write`.
#[derive(Debug, Args)]
pub struct WriteArgs {
    /// Stream to append to, such as viewings-1.
    #[arg(required_unless_present = "from", conflicts_with = "from")]
    pub stream: Option<String>,

    /// Message type, such as VideoViewed.
    #[arg(
        id = "type",
        value_name = "TYPE",
        required_unless_present = "from",
        conflicts_with = "from"
    )]
    pub message_type: Option<String>,

    /// Message data, JSON.
    #[arg(default_value = "{}", conflicts_with = "from")]
    pub data: String,

    /// Message metadata, JSON [default: none].
    #[arg(long, value_name = "JSON", conflicts_with = "from")]
    pub metadata: Option<String>,

    /// Unique id of the message [default: a random one].
    #[arg(long, value_name = "UUID", conflicts_with = "from")]
    pub id: Option<Uuid>,

    /// Version that the stream must have: its last position, or -1 if it has no messages [default:
    /// any].
    #[arg(
        long,
        value_name = "N",
        allow_negative_numbers = true,
        conflicts_with = "from"
    )]
    pub expected_version: Option<i64>,

    /// Write the messages of a file, as `import` does.
    #[arg(long, value_name = "FILE")]
    pub from: Option<PathBuf>,

    /// Skip the first N lines of --from, which an earlier run has written.
    #[arg(long, value_name = "N", default_value_t = 0, requires = "from")]
    pub skip_lines: u64,

    /// Which database.
    #[command(flatten)]
    pub database: DatabaseArgs,
}

/// Arguments of `read`.
#[derive(Debug, Args)]
pub struct ReadArgs {
    /// A stream (a name with a '-'), a category, or $all.
    #[arg(value_name = "STREAM_OR_CATEGORY")]
    pub name: String,

    /// First position to print. In a stream it is a position, from 0; otherwise a global position,
    /// from 1 [default: the first].
    #[arg(long, value_name = "N")]
    pub position: Option<i64>,

    /// The epoch that the position is of, as `SELECT message_store.epoch()` said when it was kept. Where what
    /// lies before the position is not in this log for certain, nothing is printed.
    #[arg(long, value_name = "EPOCH", requires = "position")]
    pub epoch: Option<Epoch>,

    /// Only messages of this type. Repeat it for more [default: all].
    #[arg(long = "type", value_name = "TYPE")]
    pub types: Vec<String>,

    /// How many messages to print at most [default: all].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub limit: Option<u64>,

    /// Which database.
    #[command(flatten)]
    pub database: DatabaseArgs,
}

/// Arguments of `tail`.
#[derive(Debug, Args)]
pub struct TailArgs {
    /// A stream (a name with a '-'), a category, or $all.
    #[arg(value_name = "STREAM_OR_CATEGORY")]
    pub name: String,

    /// Then print each new message, in order and without a gap, until Ctrl-C.
    #[arg(long, short)]
    pub follow: bool,

    /// How many of the last messages to print first. With --type, they are looked for among the
    /// last 10,000.
    #[arg(long, short = 'n', value_name = "N", default_value_t = 10)]
    pub count: u64,

    /// Only messages of this type. Repeat it for more [default: all].
    #[arg(long = "type", value_name = "TYPE")]
    pub types: Vec<String>,

    /// Which database.
    #[command(flatten)]
    pub database: DatabaseArgs,
}

/// Which database a command talks to. The first given of: --url, DATABASE_URL,
/// the `[database] url` of --config, the private cluster running in --data-dir.
#[derive(Debug, Args)]
pub struct DatabaseArgs {
    /// libpq address of the database.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    pub url: Option<String>,

    /// Configuration file whose `[database] url` is used.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Folder of a private cluster started by `orchestrator up`.
    #[arg(
        long,
        env = "ORCHESTRATOR_DATA_DIR",
        default_value = ".message_store",
        value_name = "DIR"
    )]
    pub data_dir: PathBuf,
}

/// How to log. What to log: RUST_LOG, default info.
#[derive(Debug, Args)]
pub struct LogArgs {
    /// Log lines for people or as JSON [default: the file's `[log] format`, else human].
    #[arg(long, env = "ORCHESTRATOR_LOG_FORMAT", value_enum)]
    pub log_format: Option<LogFormat>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_file_takes_the_place_of_stream_and_type() {
        assert!(Cli::try_parse_from(["o", "write", "--from", "-"]).is_ok());
        assert!(Cli::try_parse_from(["o", "write", "s-1", "T"]).is_ok());
        assert!(Cli::try_parse_from(["o", "write", "s-1"]).is_err());
        assert!(Cli::try_parse_from(["o", "write", "s-1", "T", "--from", "-"]).is_err());
        assert!(
            Cli::try_parse_from(["o", "write", "s-1", "T", "--expected-version", "-1"]).is_ok()
        );
    }
}
