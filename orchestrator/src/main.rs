//! Parse, run, print the failure once, exit.

use std::process::ExitCode;

use clap::Parser;
use orchestrator::{cli::Cli, commands, error};

#[tokio::main]
async fn main() -> ExitCode {
    match commands::run(Cli::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("orchestrator: {}", error::chain(&failure));
            ExitCode::from(failure.exit_code())
        }
    }
}
