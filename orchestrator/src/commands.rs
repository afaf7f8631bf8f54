//! The subcommands, a file each.

use std::path::Path;

use private_cluster::Postmaster;

use crate::{
    cli::{Cli, Command, DatabaseArgs},
    config::{Config, DatabaseAddress},
    error::{Error, Result},
    logging::say,
};
use message_store_client::connection::Target;
use printable::printable;

mod adopt;
mod completion;
mod config;
mod confirm;
mod delete;
mod doctor;
mod documents;
mod erase;
mod export;
mod fields;
mod import;
mod output;
mod parked;
mod pipe;
mod progress;
mod read;
mod reader;
mod retain;
mod run;
mod shards;
mod status;
mod subscriber;
mod subscriptions;
mod table;
mod tail;
mod terminal;
mod up;
mod value;
mod write;

pub use completion::answer_shell;

/// The file in the data directory of `up` that holds the address of its
/// database while it runs.
pub const ADDRESS_FILE: &str = "url";

/// Where an address that goes above the file's comes from.
const ADDRESS_FLAG: &str = "--url or DATABASE_URL";

/// Runs what was asked for.
///
/// # Errors
/// Whatever ends the command; print it once and exit with its code.
pub async fn run(cli: Cli) -> Result<()> {
    match cli.command {
        Command::Up(args) => up::up(args).await,
        Command::Run(args) => run::run(args).await,
        Command::Write(args) => write::write(args).await,
        Command::Read(args) => read::read(args).await,
        Command::Tail(args) => tail::tail(args).await,
        Command::Status(args) => status::status(args).await,
        Command::Subscriptions(args) => subscriptions::run(args.verb).await,
        Command::Parked(args) => parked::run(args.verb).await,
        Command::Import(args) => import::import(args).await,
        Command::Export(args) => export::export(args).await,
        Command::Delete(args) => delete::delete(args).await,
        Command::Retain(args) => retain::retain(args).await,
        Command::Erase(args) => erase::erase(args).await,
        Command::Adopt(args) => adopt::adopt(args).await,
        Command::Shards(args) => shards::run(args.verb).await,
        Command::Doctor(args) => doctor::doctor(args).await,
        Command::Config(args) => config::run(args.verb).await,
        Command::Completions(args) => documents::completions(&args),
        Command::Man(args) => documents::man(&args),
    }
}

fn say_that_it_is_tried_again(lost: &Error) {
    let problem = lost.to_string();
    say(format_args!(
        "orchestrator: {}; will try again until it works",
        printable(&problem)
    ));
}

/// The database a client command talks to; see [`DatabaseArgs`].
fn target_of(args: &DatabaseArgs) -> Result<Target> {
    if let Some(url) = &args.url {
        let above = Some((url.as_str(), ADDRESS_FLAG));
        let target = DatabaseAddress::default().target(above, ADDRESS_FLAG)?;
        return target.ok_or_else(|| no_database(args));
    }
    if let Some(file) = &args.config {
        let address = Config::read(file, &[])?.database;
        let target = address.target(None, &file.display().to_string())?;
        return target.ok_or_else(|| no_url(file));
    }
    let address_file = args.data_dir.join(ADDRESS_FILE);
    let runs = Postmaster::find(&args.data_dir.join(private_cluster::PGDATA)).is_some();
    match std::fs::read_to_string(&address_file) {
        Ok(url) if runs => Ok(Target::parse(
            url.trim(),
            &address_file.display().to_string(),
        )?),
        _ => Err(no_database(args)),
    }
}

fn no_database(args: &DatabaseArgs) -> Error {
    Error::NoDatabase {
        data_dir: args.data_dir.clone(),
    }
}

fn no_url(file: &Path) -> Error {
    Error::Config {
        origin: file.display().to_string(),
        problem: "[database] url is missing; add it or url_file, or give --url or DATABASE_URL"
            .to_owned(),
    }
}
