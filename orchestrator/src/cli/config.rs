//! Arguments of `orchestrator config`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::EXIT_CODES;
use crate::config::Override;

/// Arguments of `config`.
#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
pub struct ConfigArgs {
    /// What to do.
    #[command(subcommand)]
    pub verb: ConfigVerb,
}

/// What can be done with a configuration.
#[derive(Debug, Subcommand)]
pub enum ConfigVerb {
    /// Read a file as `run` does, and print what it results in.
    #[command(after_help = EXIT_CODES)]
    Check(ConfigCheckArgs),
    /// Print the JSON Schema of the file, for editors.
    #[command(after_help = EXIT_CODES)]
    Schema,
}

/// Arguments of `config check`.
#[derive(Debug, Args)]
pub struct ConfigCheckArgs {
    /// Configuration file.
    pub file: PathBuf,

    /// libpq address of the database. It overrides the file's `[database] url`.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    pub url: Option<String>,

    /// Override a key of the file. Repeat it for more.
    #[arg(long, value_name = "TABLE.KEY=VALUE")]
    pub set: Vec<Override>,

    /// Also connect to the database, say which server answers, and try what every subscription needs
    /// there: functions, tables and rights. Nothing is changed, and no handler is called.
    #[arg(long)]
    pub connect: bool,
}
