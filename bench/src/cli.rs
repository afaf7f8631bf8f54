//! The arguments as typed.

use std::path::{Path, PathBuf};

use clap::Parser;

/// Measures message_store beside others, and prints how many times better or worse it is.
#[derive(Debug, Parser)]
#[command(name = "bench", help_expected = true)]
pub struct Cli {
    /// What to measure, in this order [default: all of --list].
    #[arg(value_name = "WORK")]
    pub works: Vec<String>,

    /// Rounds in which everybody of a line-up runs once [default: 5, or 1 with --quick].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub rounds: Option<u16>,

    /// Only see that everything runs: tiny sizes, whose figures mean nothing.
    #[arg(long, conflicts_with = "publish")]
    pub quick: bool,

    /// Measure nothing: report what earlier runs left in the folder of --output.
    #[arg(long, conflicts_with_all = ["quick", "rounds"])]
    pub again: bool,

    /// Print the works and what each measures, and do no more.
    #[arg(long)]
    pub list: bool,

    /// Folder of the raw runs and plots [default: bench in CARGO_TARGET_DIR, or target/bench].
    #[arg(long, value_name = "DIR")]
    pub output: Option<PathBuf>,

    /// Folder of documents whose performance.md gets the tables, between the lines
    /// `<!-- bench: WORK -->` and `<!-- /bench -->`, and whose folder performance gets the plots.
    #[arg(long, value_name = "DIR")]
    pub publish: Option<PathBuf>,
}

impl Cli {
    /// How many rounds to run.
    pub fn rounds(&self) -> usize {
        let default = if self.quick { 1 } else { 5 };
        self.rounds.unwrap_or(default).into()
    }

    /// Where the files go.
    pub fn output(&self) -> PathBuf {
        self.output.clone().unwrap_or_else(|| {
            let target = std::env::var_os("CARGO_TARGET_DIR").filter(|folder| !folder.is_empty());
            let beside_us = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../target");
            target.map_or_else(beside_us, PathBuf::from).join("bench")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_are_five_unless_it_is_quick_or_somebody_says() {
        for (arguments, expected) in [
            (vec!["bench"], 5),
            (vec!["bench", "--quick"], 1),
            (vec!["bench", "write", "--quick", "--rounds", "7"], 7),
        ] {
            assert_eq!(Cli::parse_from(arguments).rounds(), expected);
        }
        assert!(Cli::try_parse_from(["bench", "--rounds", "0"]).is_err());
    }

    #[test]
    fn figures_of_a_quick_run_are_not_published() {
        assert!(Cli::try_parse_from(["bench", "--quick", "--publish", "docs"]).is_err());
    }
}
