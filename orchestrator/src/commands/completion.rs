//! What a shell is told while a command is typed: commands, options, and the subscriptions that there
//! are. It is switched on by `source <(COMPLETE=bash orchestrator)`.

use std::{env, ffi::OsStr, ffi::OsString, time::Duration};

use clap::{ArgMatches, Command, CommandFactory, FromArgMatches};
use clap_complete::{
    CompleteEnv,
    engine::{ArgValueCompleter, CompletionCandidate},
    env::{Elvish, Fish, Powershell, Shells, Zsh},
};
use message_store_client::database::Database;
use tokio::{runtime, time::timeout};

use super::target_of;
use crate::{
    cli::{Cli, DatabaseArgs},
    error::Result,
};

mod bash;

use bash::Bash;

/// Who waits for a proposal waits no longer.
const PATIENCE: Duration = Duration::from_secs(1);
/// The argument that names a subscription, in whatever command.
const SUBSCRIPTION: &str = "subscriber_id";

/// Answers and ends the program where a shell asks what comes next; else does nothing.
pub fn answer_shell() {
    CompleteEnv::with_factory(|| propose_subscriptions(Cli::command()))
        .shells(Shells(&[&Bash, &Elvish, &Fish, &Powershell, &Zsh]))
        .complete();
}

fn propose_subscriptions(command: Command) -> Command {
    command
        .mut_args(|argument| match argument.get_id() == SUBSCRIPTION {
            true => argument.add(ArgValueCompleter::new(subscriptions)),
            false => argument,
        })
        .mut_subcommands(propose_subscriptions)
}

/// The subscriptions whose names begin so. None where the database does not answer at once: whoever
/// types a command is not told of that.
fn subscriptions(begin: &OsStr) -> Vec<CompletionCandidate> {
    let Some(begin) = begin.to_str() else {
        return Vec::new();
    };
    let known = known_subscriptions(&typed_words()).unwrap_or_default();
    let fitting = known
        .into_iter()
        .filter(|id| id.starts_with(begin) && is_plain(id));
    fitting.map(CompletionCandidate::new).collect()
}

/// A shell takes what is proposed as if it was typed: nothing in it may mean something to a shell.
fn is_plain(id: &str) -> bool {
    let is_plain = |letter: char| letter.is_alphanumeric() || ":-_.+@/#".contains(letter);
    !id.starts_with(['-', '#']) && id.chars().all(is_plain)
}

/// The command as far as it is typed.
fn typed_words() -> Vec<OsString> {
    bash::typed_words().unwrap_or_else(|| {
        let words = env::args_os().skip_while(|word| word != "--");
        words.skip(1).collect()
    })
}

fn known_subscriptions(words: &[OsString]) -> Option<Vec<String>> {
    let parser = Cli::command().ignore_errors(true);
    let matches = parser.try_get_matches_from(words).ok()?;
    let database = DatabaseArgs::from_arg_matches(innermost(&matches)).ok()?;
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .ok()?;
    let known = runtime.block_on(async { timeout(PATIENCE, ask(&database)).await });
    // A look-up of a host may go on: nobody waits for it.
    runtime.shutdown_background();
    known.ok()?.ok()
}

async fn ask(args: &DatabaseArgs) -> Result<Vec<String>> {
    let database = Database::open(&target_of(args)?, 1)?;
    Ok(database.subscriber_ids().await?)
}

/// The arguments of the command that is typed, such as those of `subscriptions show`.
fn innermost(matches: &ArgMatches) -> &ArgMatches {
    match matches.subcommand() {
        Some((_, inner)) => innermost(inner),
        None => matches,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_mean_something_to_a_shell_is_not_proposed() {
        for id in [
            "aggregators:home-page",
            "aggregators:home-page#rebuild",
            "größe",
        ] {
            assert!(is_plain(id), "{id}");
        }
        for id in [
            "a b",
            "a$(reboot)",
            "a`b`",
            "a;b",
            "a*",
            "-a",
            "#a",
            "a\n",
            "a\u{202e}",
            "~",
        ] {
            assert!(!is_plain(id), "{id}");
        }
    }

    #[test]
    fn every_command_that_takes_a_subscription_proposes_some() {
        fn takes_and_proposes(command: &Command) -> (usize, usize) {
            let arguments = command
                .get_arguments()
                .filter(|argument| argument.get_id() == SUBSCRIPTION);
            let mut found = arguments.fold((0, 0), |(takes, proposes), argument| {
                let has_proposals = argument.get::<ArgValueCompleter>().is_some();
                (takes + 1, proposes + usize::from(has_proposals))
            });
            for inner in command.get_subcommands().map(takes_and_proposes) {
                found = (found.0 + inner.0, found.1 + inner.1);
            }
            found
        }
        let (takes, proposes) = takes_and_proposes(&propose_subscriptions(Cli::command()));
        assert!(takes >= 19, "{takes}");
        assert_eq!(takes, proposes);
    }
}
