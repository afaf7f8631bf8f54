//! Arguments of `import` and `export`.

use std::path::PathBuf;

use clap::Args;

use super::DatabaseArgs;

/// Arguments of `import`.
#[derive(Debug, Args)]
pub struct ImportArgs {
    /// Lines {"stream","type","data"?,"metadata"?,"id"?}, or those of `export`, whose positions
    /// and times the store gives anew; - reads standard input. 1000 lines are one transaction.
    pub file: PathBuf,

    /// Leave out the first N lines: those an earlier import has written.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub skip_lines: u64,

    /// Leave out lines that cannot be written, say which, and go on; ends with exit code 5.
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

    /// Only messages of these types; repeat it for more [default: all].
    #[arg(long = "type", value_name = "TYPE")]
    pub types: Vec<String>,

    /// First position: in a stream its positions, from 0; else global
    /// positions, from 1 [default: the first].
    #[arg(long, value_name = "N")]
    pub position: Option<i64>,

    /// A file to be made; it must not be there [default: standard output].
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,

    /// Which database.
    #[command(flatten)]
    pub database: DatabaseArgs,
}
