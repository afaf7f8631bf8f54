//! Arguments of `orchestrator parked`.

use clap::{Args, Subcommand};

use super::{DatabaseArgs, EXIT_CODES};

/// Arguments of `parked`.
#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
pub struct ParkedArgs {
    /// What to do.
    #[command(subcommand)]
    pub verb: ParkedVerb,
}

/// What can be done with parked messages.
#[derive(Debug, Subcommand)]
pub enum ParkedVerb {
    /// Print parked messages with their errors.
    #[command(after_help = EXIT_CODES)]
    List(ParkedListArgs),
    /// Print one parked message with its data, and why it failed.
    #[command(after_help = EXIT_CODES)]
    Show(ParkedShowArgs),
    /// Retry parked messages. The next ticks call their handlers.
    #[command(after_help = EXIT_CODES)]
    Retry(ParkedRetryArgs),
    /// Discard parked messages. They are never handled.
    #[command(after_help = EXIT_CODES)]
    Discard(ParkedDiscardArgs),
}

/// Arguments of `parked list`.
#[derive(Debug, Args)]
pub struct ParkedListArgs {
    /// The subscription [default: all that you may see].
    pub subscriber_id: Option<String>,

    /// Print JSON with every column the database has.
    #[arg(long)]
    pub json: bool,

    /// Which database.
    #[command(flatten)]
    pub database: DatabaseArgs,
}

/// Arguments of `parked show`.
#[derive(Debug, Args)]
pub struct ParkedShowArgs {
    /// The subscription.
    pub subscriber_id: String,

    /// Global position of the message, as `parked list` prints it.
    pub position: i64,

    /// Print JSON: {"parked": {...}, "message": {...}}.
    #[arg(long)]
    pub json: bool,

    /// Which database.
    #[command(flatten)]
    pub database: DatabaseArgs,
}

/// Arguments of `parked retry`.
#[derive(Debug, Args)]
pub struct ParkedRetryArgs {
    /// The subscription.
    pub subscriber_id: String,

    /// Which messages.
    #[command(flatten)]
    pub which: WhichArgs,

    /// Do not ask first. Without a terminal, nothing is asked.
    #[arg(long, short)]
    pub yes: bool,

    /// Which database.
    #[command(flatten)]
    pub database: DatabaseArgs,
}

/// Arguments of `parked discard`.
#[derive(Debug, Args)]
pub struct ParkedDiscardArgs {
    /// The subscription.
    pub subscriber_id: String,

    /// The reason. It is kept with the messages.
    #[arg(long, value_name = "TEXT")]
    pub reason: String,

    /// Which messages.
    #[command(flatten)]
    pub which: WhichArgs,

    /// Do not ask first. Without a terminal, nothing is asked.
    #[arg(long, short)]
    pub yes: bool,

    /// Which database.
    #[command(flatten)]
    pub database: DatabaseArgs,
}

/// Which parked messages: those that match all that is given.
#[derive(Debug, Args)]
pub struct WhichArgs {
    /// The message at this global position [default: any].
    #[arg(long, value_name = "N")]
    pub position: Option<i64>,

    /// Messages of this stream [default: any].
    #[arg(long, value_name = "STREAM")]
    pub stream: Option<String>,

    /// Messages that failed with this SQLSTATE, such as 23505 [default: any].
    #[arg(long, value_name = "CODE")]
    pub sqlstate: Option<String>,
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use crate::cli::Cli;

    #[test]
    fn giving_up_asks_for_the_reason() {
        let discard = ["o", "parked", "discard", "a", "--position", "7"];
        assert!(Cli::try_parse_from(discard).is_err());
        let with_reason = discard.into_iter().chain(["--reason", "why"]);
        assert!(Cli::try_parse_from(with_reason).is_ok());
        assert!(Cli::try_parse_from(["o", "parked", "retry", "a"]).is_ok());
    }
}
