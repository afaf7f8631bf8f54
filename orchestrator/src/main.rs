//! Parse, run, print the failure once, exit.

use std::process::ExitCode;

use clap::Parser;
use orchestrator::{cli::Cli, commands, logging};

fn main() -> ExitCode {
    // Before anything else runs: it may end the program.
    commands::answer_shell();
    run()
}

#[tokio::main]
async fn run() -> ExitCode {
    match commands::run(Cli::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            logging::report(&failure);
            ExitCode::from(failure.exit_code())
        }
    }
}
