//! Arguments of `orchestrator subscriptions`.

use clap::{Args, Subcommand};
use serde_json::Value;

use super::{DatabaseArgs, EXIT_CODES};

/// Arguments of `subscriptions`.
#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
pub struct SubscriptionsArgs {
    /// What to do.
    #[command(subcommand)]
    pub verb: SubscriptionsVerb,
}

/// What can be done with subscriptions. A running orchestrator follows within
/// a second.
#[derive(Debug, Subcommand)]
pub enum SubscriptionsVerb {
    /// Print every subscription that you may see: state, lag, errors, position. On a terminal, what
    /// does not fit is left out.
    #[command(after_help = EXIT_CODES)]
    List(ListArgs),
    /// Print all there is to know of one subscription, and what was done to it.
    #[command(after_help = EXIT_CODES)]
    Show(ShowArgs),
    /// Declare a subscription, or change its declaration. The position stays, and nothing is
    /// started.
    #[command(after_help = EXIT_CODES)]
    Create(CreateArgs),
    /// Change handlers or options. The position stays.
    #[command(after_help = EXIT_CODES)]
    Alter(AlterArgs),
    /// Run its init and let orchestrators tick it. Use it after a repair, too.
    #[command(after_help = EXIT_CODES)]
    Start(OneArgs),
    /// Stop a subscription until it is started again.
    #[command(after_help = EXIT_CODES)]
    Stop(EndArgs),
    /// Pause a subscription until it is started again.
    #[command(after_help = EXIT_CODES)]
    Pause(EndArgs),
    /// Empty the read model and fill it again from the first message.
    #[command(after_help = EXIT_CODES)]
    Rebuild(RebuildArgs),
    /// Replace the live read model by the copy of a rebuild side by side, in one transaction.
    #[command(after_help = EXIT_CODES)]
    Promote(PromoteArgs),
    /// Cancel a rebuild side by side. The live read model stays.
    #[command(after_help = EXIT_CODES)]
    CancelRebuild(OneArgs),
    /// Change how many members share the work.
    #[command(after_help = EXIT_CODES)]
    Resize(ResizeArgs),
    /// Set the position back. The read model stays as it is.
    #[command(after_help = EXIT_CODES)]
    Reset(MoveArgs),
    /// Skip every message up to a position.
    #[command(after_help = EXIT_CODES)]
    Skip(MoveArgs),
    /// Replay into a scratch copy, and print each row of the read model that differs. The exit code
    /// is 1 if one does.
    #[command(after_help = EXIT_CODES)]
    Verify(VerifyArgs),
    /// Try handlers on the next messages, and print the rows that they would change. Everything is
    /// rolled back.
    #[command(after_help = EXIT_CODES)]
    DryRun(DryRunArgs),
    /// Drop a subscription and its position. The read model stays.
    #[command(after_help = EXIT_CODES)]
    Drop(DropArgs),
}

/// Arguments of the verbs that need a name only.
#[derive(Debug, Args)]
pub struct OneArgs {
    /// The subscription, such as aggregators:home-page.
    pub subscriber_id: String,

    /// Which database.
    #[command(flatten)]
    pub database: DatabaseArgs,
}

/// Arguments of `subscriptions promote`.
#[derive(Debug, Args)]
pub struct PromoteArgs {
    /// The subscription, such as aggregators:home-page.
    pub subscriber_id: String,

    /// Also replace the rows of a table by none.
    #[arg(long)]
    pub may_empty: bool,

    /// Only say what would change.
    #[arg(long)]
    pub dry_run: bool,

    /// Print JSON, a line for each table.
    #[arg(long)]
    pub json: bool,

    /// Which database.
    #[command(flatten)]
    pub database: DatabaseArgs,
}

/// Arguments of `subscriptions drop`.
#[derive(Debug, Args)]
pub struct DropArgs {
    /// The subscription.
    pub subscriber_id: String,

    /// Do not ask first. Without a terminal, nothing is asked.
    #[arg(long, short)]
    pub yes: bool,

    /// Which database.
    #[command(flatten)]
    pub database: DatabaseArgs,
}

/// Arguments of `subscriptions list`.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Print JSON with every column the database has.
    #[arg(long)]
    pub json: bool,

    /// Print the table every SECONDS seconds until Ctrl-C. On a terminal it has a screen of its own.
    /// In a pipe, one table follows the other [default: once; with --watch alone: 2].
    #[arg(
        long,
        value_name = "SECONDS",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "2",
        value_parser = clap::value_parser!(u64).range(1..=86_400)
    )]
    pub watch: Option<u64>,

    /// Which database.
    #[command(flatten)]
    pub database: DatabaseArgs,
}

/// Arguments of `subscriptions show`.
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// The subscription.
    pub subscriber_id: String,

    /// Print JSON: {"status": [...], "history": [...]}.
    #[arg(long)]
    pub json: bool,

    /// How many entries of the history to print, the newest first.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(i64).range(0..))]
    pub history: i64,

    /// Which database.
    #[command(flatten)]
    pub database: DatabaseArgs,
}

/// Arguments of `subscriptions create`.
#[derive(Debug, Args)]
pub struct CreateArgs {
    /// The name that its position is kept under.
    pub subscriber_id: String,

    /// What it reads: a category, a stream (a name with a '-'), or '$all'.
    pub source: String,

    /// Message type, or "$any", to SQL function, as JSON. {} means that an application fetches the
    /// messages.
    #[arg(long, value_name = "JSON", value_parser = parse_json)]
    pub handlers: Value,

    /// The options of create_subscription, as JSON.
    #[arg(long, value_name = "JSON", default_value = "{}", value_parser = parse_json)]
    pub options: Value,

    /// Which database.
    #[command(flatten)]
    pub database: DatabaseArgs,
}

/// Arguments of `subscriptions alter`.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("change").required(true).multiple(true))]
pub struct AlterArgs {
    /// The subscription.
    pub subscriber_id: String,

    /// New handlers, as JSON. They replace all the old ones [default: no change].
    #[arg(long, value_name = "JSON", value_parser = parse_json, group = "change")]
    pub handlers: Option<Value>,

    /// Options to set, as JSON. null removes one [default: no change].
    #[arg(long, value_name = "JSON", value_parser = parse_json, group = "change")]
    pub options: Option<Value>,

    /// Which database.
    #[command(flatten)]
    pub database: DatabaseArgs,
}

/// Arguments of `subscriptions stop` and `pause`.
#[derive(Debug, Args)]
pub struct EndArgs {
    /// The subscription.
    pub subscriber_id: String,

    /// The reason. It is kept and shown [default: none].
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,

    /// Which database.
    #[command(flatten)]
    pub database: DatabaseArgs,
}

/// Arguments of `subscriptions rebuild`.
#[derive(Debug, Args)]
pub struct RebuildArgs {
    /// The subscription.
    pub subscriber_id: String,

    /// Fill copies of the read model beside the live one, which stays in use. `promote` swaps them.
    #[arg(long)]
    pub side_by_side: bool,

    /// Do not ask first. Without a terminal, or side by side, nothing is asked.
    #[arg(long, short)]
    pub yes: bool,

    /// Which database.
    #[command(flatten)]
    pub database: DatabaseArgs,
}

/// Arguments of `subscriptions resize`.
#[derive(Debug, Args)]
pub struct ResizeArgs {
    /// The subscription.
    pub subscriber_id: String,

    /// The new number of members.
    #[arg(value_name = "N", value_parser = clap::value_parser!(i64).range(1..))]
    pub group_size: i64,

    /// Which database.
    #[command(flatten)]
    pub database: DatabaseArgs,
}

/// Arguments of `subscriptions reset` and `skip`.
#[derive(Debug, Args)]
pub struct MoveArgs {
    /// The subscription.
    pub subscriber_id: String,

    /// The global position after which it continues. 0 is the beginning.
    #[arg(value_parser = clap::value_parser!(i64).range(0..))]
    pub position: i64,

    /// The reason. It is kept in the history.
    #[arg(long, value_name = "TEXT")]
    pub reason: String,

    /// Do not ask first. Without a terminal, nothing is asked.
    #[arg(long, short)]
    pub yes: bool,

    /// Which database.
    #[command(flatten)]
    pub database: DatabaseArgs,
}

/// Arguments of `subscriptions verify`.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// The subscription.
    pub subscriber_id: String,

    /// Print JSON.
    #[arg(long)]
    pub json: bool,

    /// Also compare columns that the database fills by itself: identities, serials, now().
    #[arg(long)]
    pub all_columns: bool,

    /// Which database.
    #[command(flatten)]
    pub database: DatabaseArgs,
}

/// Arguments of `subscriptions dry-run`.
#[derive(Debug, Args)]
pub struct DryRunArgs {
    /// The subscription.
    pub subscriber_id: String,

    /// Handlers to try, as JSON [default: those it has].
    #[arg(long, value_name = "JSON", value_parser = parse_json)]
    pub handlers: Option<Value>,

    /// How many messages to try.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(i64).range(1..))]
    pub count: i64,

    /// Try parked messages instead of the next ones.
    #[arg(long)]
    pub parked: bool,

    /// Try the parked message at this global position. Repeat it for more.
    #[arg(long, value_name = "N")]
    pub position: Vec<i64>,

    /// Print JSON.
    #[arg(long)]
    pub json: bool,

    /// Which database.
    #[command(flatten)]
    pub database: DatabaseArgs,
}

fn parse_json(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|error| format!("not JSON: {error}"))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use crate::cli::Cli;

    fn is_taken(arguments: &str) -> bool {
        let words = ["orchestrator", "subscriptions"].into_iter();
        Cli::try_parse_from(words.chain(arguments.split(' '))).is_ok()
    }

    #[test]
    fn what_moves_a_position_asks_for_the_reason() {
        assert!(is_taken("reset a 7 --reason why"));
        assert!(is_taken("skip a 7 --reason why"));
        assert!(!is_taken("reset a 7"));
        assert!(!is_taken("skip a 7"));
        assert!(!is_taken("skip a -7 --reason why"));
    }

    #[test]
    fn an_alteration_of_nothing_is_refused() {
        assert!(is_taken("alter a --options {}"));
        assert!(is_taken("alter a --options {} --handlers {}"));
        assert!(!is_taken("alter a"));
        assert!(!is_taken("alter a --options {"));
    }
}
