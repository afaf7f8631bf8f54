//! Parse, measure, report, print the failure once, exit.

use std::fs;
use std::process::ExitCode;

use anyhow::{Context, Result};
use bench::cli::Cli;
use bench::plot::plots;
use bench::publish::Page;
use bench::record::Record;
use bench::report::{text, write_plots};
use bench::work::{WORKS, Work, choose};
use clap::Parser;

const WRONG_USAGE: u8 = 2;

fn main() -> ExitCode {
    let cli = Cli::parse();
    if cli.list {
        for work in WORKS {
            println!("{:<16} {}", work.name, work.title);
        }
        return ExitCode::SUCCESS;
    }
    let works = match choose(&cli.works) {
        Ok(works) => works,
        Err(unknown) => {
            eprintln!("bench: {unknown}");
            return ExitCode::from(WRONG_USAGE);
        }
    };
    match run(&cli, &works) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("bench: {failure:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: &Cli, works: &[&Work]) -> Result<()> {
    let output = cli.output();
    let documents = cli.publish.as_deref();
    let page = documents
        .map(|folder| Page::open(folder, works))
        .transpose()?;
    fs::create_dir_all(&output).with_context(|| format!("cannot make {}", output.display()))?;
    for work in works {
        let record = if cli.again {
            Record::load(&output, work.name)?
        } else {
            Record::measure(work, cli.rounds(), cli.quick)
        };
        let plots = plots(&record);
        write_plots(&output, &plots)?;
        let file = record.save(&output)?;
        println!("{}Raw runs: {}\n", text(&record), file.display());
        if let Some(page) = &page {
            page.publish(&record, &plots)?;
        }
    }
    Ok(())
}
