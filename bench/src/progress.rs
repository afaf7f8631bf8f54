//! How far a measurement is, on standard error: a bar for a person, plain lines for a log.

use std::io::{IsTerminal, stderr};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// The runs of one interleaving.
pub(crate) struct Progress {
    bar: ProgressBar,
    label: String,
}

impl Progress {
    /// Begins to show `runs` runs.
    pub(crate) fn of(label: &str, runs: usize) -> Self {
        let target = if stderr().is_terminal() {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        let bar = ProgressBar::with_draw_target(Some(runs as u64), target);
        if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} {msg}") {
            bar.set_style(style);
        }
        Self {
            bar,
            label: label.to_owned(),
        }
    }

    /// A round begins.
    pub(crate) fn round(&self, name: &str) {
        if self.bar.is_hidden() {
            eprintln!("{}: {name}", self.label);
        }
    }

    /// A contestant begins its run.
    pub(crate) fn run(&self, contestant: &str) {
        self.bar
            .set_message(format!("{}: {contestant}", self.label));
    }

    /// The run is over.
    pub(crate) fn ran(&self) {
        self.bar.inc(1);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
