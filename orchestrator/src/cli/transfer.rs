//! Arguments of `import` and `export`.

use std::path::PathBuf;

use clap::Args;
use message_store_client::database::Epoch;

use super::DatabaseArgs;

/// Arguments of `import`.
#[derive(Debug, Args)]
pub struct ImportArgs {
    /// File with lines {"stream","type","data"?,"metadata"?,"id"?}, or with lines of `export`. The
    /// store gives new positions and times; positions in the file must rise. What gzip has compressed is
    /// read too. A - reads standard input. 1000 lines are one transaction.
    pub file: PathBuf,

    /// Skip the first N lines, which an earlier import has written.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub skip_lines: u64,

    /// Skip lines that cannot be written, name each, and go on. The exit code is then 5.
    #[arg(long)]
    pub keep_going: bool,

    /// Which database.
    #[command(flatten)]
    pub database: DatabaseArgs,
}

/// Arguments of `export`.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// A stream (a name with a '-'), a category, or $all.
    #[arg(value_name = "STREAM_OR_CATEGORY")]
    pub name: String,

    /// Only messages of this type. Repeat it for more [default: all].
    #[arg(long = "type", value_name = "TYPE")]
    pub types: Vec<String>,

    /// First position to print. In a stream it is a position, from 0; otherwise a global position,
    /// from 1 [default: the first].
    #[arg(long, value_name = "N")]
    pub position: Option<i64>,

    /// The epoch that the position is of, as `SELECT message_store.epoch()` said when it was kept. Where what
    /// lies before the position is not in this log for certain, nothing is printed.
    #[arg(long, value_name = "EPOCH", requires = "position")]
    pub epoch: Option<Epoch>,

    /// A new file for the lines. It must not exist. A name that ends in .gz is compressed [default:
    /// standard output].
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,

    /// Which database.
    #[command(flatten)]
    pub database: DatabaseArgs,
}
