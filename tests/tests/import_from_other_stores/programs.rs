//! What writes into the other stores.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use promises::{Cluster, Database, Session};
use serde_json::Value;

use crate::page::repository;

/// Where they are.
pub fn folder() -> PathBuf {
    repository().join("tests/other_stores")
}

/// Runs a program of a folder in a database; returns the lines of JSON that it prints.
pub fn run(program: &mut Command, database: &Database<'_>) -> Vec<Value> {
    database.cluster.set_client_environment(program);
    let output = succeed(program.env("PGDATABASE", &database.name));
    let lines = String::from_utf8(output.stdout).unwrap();
    lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// Runs `install` where `installed` is missing, as `make setup-test` does. Tests may run at the same time: one
/// installs, the others wait for it.
pub fn install(list: &Path, installed: &Path, commands: &mut [&mut Command]) {
    let lock = File::open(list).unwrap();
    lock.lock().unwrap();
    if !installed.exists() {
        for command in commands {
            succeed(command);
        }
    }
}

/// A replay of `file`, with a variable of psql's.
pub async fn replay<'a>(file: &str, name: &str, value: &str) -> (Database<'a>, Session) {
    let database = Cluster::shared().create_database().await;
    let mut psql = database.cluster.client_command("psql");
    psql.args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-v"])
        .arg(format!("{name}={value}"))
        .arg("-f")
        .arg(folder().join(file))
        .arg(&database.name);
    succeed(&mut psql);
    let session = database.connect().await;
    (database, session)
}

/// Runs a program to its end, which must be a good one.
pub fn succeed(program: &mut Command) -> Output {
    let output = program.output().unwrap();
    assert!(output.status.success(), "{program:?}: {output:?}");
    output
}
