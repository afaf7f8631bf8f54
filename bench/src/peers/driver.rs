//! Stores that are used from another language: a driver in `bench/peers/` does a work through the
//! store's own client, and the same work through ours, and prints one line of JSON.

use std::path::{Path, PathBuf};
use std::process::Command;

use promises::{Cluster, Database};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::folder;
use crate::bench::Bench;
use crate::comparison::{Identity, Unit};
use crate::line_up::LineUp;
use crate::server::drop_database;

/// What a driver is written in, and its clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// JavaScript.
    Node,
    /// Python, in a virtual environment.
    Python,
}

impl Language {
    /// As its community writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Node => "Node",
            Self::Python => "Python",
        }
    }

    /// Whether the packages that its driver needs are there.
    pub(super) fn is_installed(self) -> bool {
        let installed = match self {
            Self::Node => "node_modules/.package-lock.json",
            Self::Python => ".venv/installed",
        };
        self.folder().join(installed).exists()
    }

    pub(super) fn folder(self) -> PathBuf {
        folder().join(match self {
            Self::Node => "node",
            Self::Python => "python",
        })
    }

    fn program(self) -> PathBuf {
        match self {
            Self::Node => PathBuf::from("node"),
            Self::Python => self.folder().join(".venv/bin/python"),
        }
    }

    fn script(self) -> &'static str {
        match self {
            Self::Node => "driver.js",
            Self::Python => "driver.py",
        }
    }
}

/// A store and the driver that uses it.
#[derive(Clone, Copy)]
pub struct Client {
    /// Of the driver.
    pub language: Language,
    /// What the driver calls the store.
    pub target: &'static str,
}

impl Client {
    /// Makes the store in an empty database.
    pub fn prepare(self, database: &Database<'_>) {
        self.run(database, &["prepare"]);
    }

    /// Messages a second that a work reaches in a new database, in which all messages are handled.
    pub fn rate(self, bench: &Bench, cluster: &Cluster, work: &str, options: &[String]) -> f64 {
        let Rate { rate, missing } = self.measure(bench, cluster, work, options);
        assert_eq!(missing, 0, "{}: {work} left messages out", self.target);
        rate
    }

    /// How late messages come to a read model, in a new database.
    pub fn latency(self, bench: &Bench, cluster: &Cluster, options: &[String]) -> Latency {
        self.measure(bench, cluster, "latency", options)
    }

    fn measure<M: DeserializeOwned>(
        self,
        bench: &Bench,
        cluster: &Cluster,
        work: &str,
        options: &[String],
    ) -> M {
        let database = bench.block_on(cluster.create_database());
        self.prepare(&database);
        let options = options.iter().map(String::as_str);
        let arguments: Vec<&str> = std::iter::once(work).chain(options).collect();
        let printed = self.run(&database, &arguments);
        bench.block_on(drop_database(database));
        read(&printed).unwrap_or_else(|error| panic!("{}: {error}: {printed}", self.target))
    }

    /// Does a work; returns what the driver printed.
    fn run(self, database: &Database<'_>, arguments: &[&str]) -> String {
        let mut driver = Command::new(self.language.program());
        database.cluster.set_client_environment(&mut driver);
        driver
            .env("PGDATABASE", &database.name)
            .arg(self.language.script())
            .current_dir(self.language.folder())
            .arg(self.target)
            .args(arguments);
        output_of(&mut driver)
    }
}

/// A peer with a client of its own.
pub struct Driven {
    /// Who it is.
    pub identity: Identity,
    /// By whom it is driven.
    pub client: Client,
}

impl Driven {
    /// Ours, by a driver in the same language.
    pub fn ours(&self) -> Client {
        Client {
            target: "message_store",
            ..self.client
        }
    }

    /// The same work with the same options by ours and by the peer, each run in a new database.
    pub fn line_up<'a>(
        &'a self,
        bench: &'a Bench,
        cluster: &'a Cluster,
        (label, ours): (&str, Identity),
        work: &'static str,
        options: &[String],
    ) -> LineUp<'a> {
        let label = format!("{label}, {}", self.client.language.name());
        let run = |client: Client| {
            let options = options.to_vec();
            move || client.rate(bench, cluster, work, &options)
        };
        LineUp::new(
            &label,
            Unit::rate("messages a second"),
            ours,
            run(self.ours()),
        )
        .against(self.identity.clone(), run(self.client))
    }
}

/// From commits until what they wrote was seen in a read model, as a driver measured it.
#[derive(Debug, PartialEq, Deserialize)]
pub struct Latency {
    /// Half of the messages came sooner.
    pub p50_ms: f64,
    /// One of a hundred came later.
    pub p99_ms: f64,
    /// Messages that never came.
    pub missing: i64,
}

/// Messages a second, as a driver measured them.
#[derive(Debug, PartialEq, Deserialize)]
struct Rate {
    rate: f64,
    /// Messages that were never handled.
    #[serde(default)]
    missing: i64,
}

/// What a driver measured, from the one line that it prints.
fn read<M: DeserializeOwned>(printed: &str) -> serde_json::Result<M> {
    serde_json::from_str(printed)
}

/// Runs a program to its end, and returns what it printed.
pub(super) fn output_of(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| {
        let program = Path::new(command.get_program()).display();
        panic!("{program}: {error}")
    });
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    let status = output.status;
    assert!(
        status.success(),
        "{command:?} ({status}): {printed}\n{errors}"
    );
    printed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_driver_s_line_has_a_rate_and_what_it_left_out() {
        for (printed, missing) in [
            ("{\"rate\": 1464.5, \"messages\": 20, \"missing\": 3}\n", 3),
            ("{\"rate\":1464.5,\"messages\":20}\n", 0),
        ] {
            let rate = 1464.5;
            assert_eq!(read::<Rate>(printed).unwrap(), Rate { rate, missing });
        }
    }

    #[test]
    fn anything_but_one_line_with_a_rate_is_no_measurement() {
        for printed in ["", "{\"prepared\":true}", "{\"rate\":1}\n{\"rate\":2}\n"] {
            assert!(read::<Rate>(printed).is_err(), "{printed}");
        }
    }
}
