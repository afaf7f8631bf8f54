//! Parse, run, print the failure once, exit.

use std::process::ExitCode;

use clap::Parser;
use orchestrator::{cli::Cli, commands, logging};

#[tokio::main]
async fn main() -> ExitCode {
    match commands::run(Cli::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            logging::report(&failure);
            ExitCode::from(failure.exit_code())
        }
    }
}
