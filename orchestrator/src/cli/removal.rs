//! Arguments of `delete`, `retain` and `erase`.

use std::path::PathBuf;

use clap::{ArgGroup, Args};
use uuid::Uuid;

use super::DatabaseArgs;

/// Arguments of `delete`.
#[derive(Debug, Args)]
pub struct DeleteArgs {
    /// A stream (a name with a '-'), or a category.
    #[arg(value_name = "STREAM_OR_CATEGORY")]
    pub name: String,

    /// Delete what is before this position: of a stream a position from 0, of a category a global
    /// position from 1 [default: all of a stream].
    #[arg(long, value_name = "N", conflicts_with = "before_time")]
    pub before_position: Option<i64>,

    /// Delete what was written before this time, of a category: '2026-01-31 12:00Z', or 'yesterday'.
    #[arg(long, value_name = "TIME")]
    pub before_time: Option<String>,

    /// Why. It is kept.
    #[arg(long, value_name = "TEXT")]
    pub reason: String,

    /// First write the messages into this new file, as `export` does, and delete only those. A name
    /// that ends in .gz is compressed.
    #[arg(long, value_name = "FILE")]
    pub archive: Option<PathBuf>,

    /// Also delete what a subscription has still to handle, or has parked.
    #[arg(long)]
    pub may_skip: bool,

    /// Let the stream begin at 0 again.
    #[arg(long, conflicts_with_all = ["before_position", "before_time", "archive"])]
    pub restart: bool,

    /// How many messages one transaction deletes.
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(i64).range(1..=1_000_000))]
    pub batch_size: i64,

    /// Which database.
    #[command(flatten)]
    pub database: DatabaseArgs,
}

/// Arguments of `retain`.
#[derive(Debug, Args)]
pub struct RetainArgs {
    /// The category. Without one, what is declared is printed.
    #[arg(requires = "keep")]
    pub category: Option<String>,

    /// How long its messages are kept, such as '90 days', or 'forever'.
    #[arg(requires = "reason")]
    pub keep: Option<String>,

    /// Why. It is kept.
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,

    /// Print JSON.
    #[arg(long)]
    pub json: bool,

    /// Which database.
    #[command(flatten)]
    pub database: DatabaseArgs,
}

/// Arguments of `erase`.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("whose").required(true).args(["stream", "id", "metadata_path", "remains"]))]
pub struct EraseArgs {
    /// The messages of this stream.
    #[arg(long, value_name = "STREAM")]
    pub stream: Option<String>,

    /// The message with this id.
    #[arg(long, value_name = "UUID")]
    pub id: Option<Uuid>,

    /// The messages whose metadata have what this SQL/JSON path finds, such as '$ ? (@.userId ==
    /// $user)'.
    #[arg(long, value_name = "PATH")]
    pub metadata_path: Option<String>,

    /// The variables of the path, a JSON object, such as '{"user": "7"}'. They are not kept.
    #[arg(
        long,
        value_name = "JSON",
        default_value = "{}",
        requires = "metadata_path"
    )]
    pub variables: String,

    /// Look for the path in this category only.
    #[arg(long, value_name = "CATEGORY", requires = "metadata_path")]
    pub category: Option<String>,

    /// Erase nothing; print where the data of the erasure of this number may still be.
    #[arg(long, value_name = "ERASURE")]
    pub remains: Option<i64>,

    /// Why. It is kept: name people by numbers.
    #[arg(
        long,
        value_name = "TEXT",
        required_unless_present = "remains",
        conflicts_with = "remains"
    )]
    pub reason: Option<String>,

    /// Print the list of what remains as JSON.
    #[arg(long)]
    pub json: bool,

    /// Which database.
    #[command(flatten)]
    pub database: DatabaseArgs,
}
