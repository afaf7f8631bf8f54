//! Promise: the help of every command and the words for every wrong usage are as they were last
//! read and found good. `SNAPSHOTS=overwrite` takes them anew, to be read again in the diff.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must fail loudly"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use promises::{orchestrator, run_to_end};
use snapbox::{Assert, Data};

const WRONG_USAGES: &[&str] = &[
    "",
    "frobnicate",
    "writ",
    "write",
    "write viewings-1",
    "write viewings-1 T --from -",
    "write viewings-1 T {} --id 7",
    "read",
    "read viewings --limit 0",
    "read viewings --positon 3",
    "tail",
    "tail viewings --count many",
    "import",
    "export",
    "status --watch=0",
    "status --yaml",
    "subscriptions",
    "subscriptions show",
    "subscriptions create a",
    "subscriptions create a viewings --handlers {",
    "subscriptions skip a 7",
    "parked",
    "parked show a",
    "parked show a first",
    "parked discard a",
    "config",
    "config check",
    "config check a.toml --set delivery=1",
    "doctor --blocked-for long",
    "completions",
    "completions csh",
    "run",
    "up --listen here",
];

/// What cannot be done, said without a database.
const FAILURES: &[&str] = &[
    "status --data-dir /nonexistent",
    "status --url postgresql://anna:geheim@localhost:many/store",
    "status --url postgresql:///store?host=/nonexistent",
    "read viewings --config /nonexistent.toml",
    "run --config /nonexistent.toml",
    "config check /nonexistent.toml",
    "write viewings-1 T {broken --url postgresql:///store?host=/nonexistent",
    "import /nonexistent.jsonl --url postgresql:///store?host=/nonexistent",
    "up --pg-config /nonexistent --data-dir /proc/nonexistent",
];

#[test]
fn every_command_has_the_help_that_was_read() {
    let mut seen = BTreeSet::new();
    read_help(&[], &mut seen);
    assert_eq!(seen, snapshots_in("help"));
}

/// Of one command, and of those below it.
fn read_help(command: &[String], seen: &mut BTreeSet<String>) {
    let ended = run_to_end(orchestrator().args(command).arg("--help"));
    assert_eq!(ended.code, Some(0), "{command:?}: {ended:?}");
    let name = match command {
        [] => "orchestrator".to_owned(),
        command => command.join("_"),
    };
    assert_as_read(&ended.stdout, "help", &name);
    seen.insert(format!("{name}.txt"));
    for below in commands_in(&ended.stdout) {
        read_help(&[command, &[below]].concat(), seen);
    }
}

fn commands_in(help: &str) -> Vec<String> {
    let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let listed = listed.take_while(|line| !line.is_empty());
    let names = listed.filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
    let names = names.filter(|name| !name.is_empty() && *name != "help");
    names.map(str::to_owned).collect()
}

#[test]
fn wrong_usage_is_told_as_it_was_read() {
    let ended = |words: &&str| told(words, Some(2));
    let all: Vec<String> = WRONG_USAGES.iter().map(ended).collect();
    assert_as_read(&all.join("\n"), "mistakes", "wrong_usage");
}

#[test]
fn failures_are_told_in_one_line_as_they_were_read() {
    let ended = |words: &&str| {
        let told = told(words, None);
        assert_eq!(told.lines().count(), 2, "{told}");
        assert!(!told.lines().last().unwrap().contains("geheim"), "{told}");
        told
    };
    let all: Vec<String> = FAILURES.iter().map(ended).collect();
    assert_as_read(&all.join("\n"), "mistakes", "failures");
}

/// The command, its exit code and what it said.
fn told(words: &str, code: Option<i32>) -> String {
    let ended = run_to_end(orchestrator().args(words.split_whitespace()));
    assert!(ended.code.is_some_and(|code| code != 0), "{words}");
    if code.is_some() {
        assert_eq!(ended.code, code, "{words}: {ended:?}");
    }
    assert_eq!(ended.stdout, "", "{words}");
    format!(
        "$ orchestrator {words}  [{}]\n{}",
        ended.code.unwrap(),
        ended.stderr
    )
}

fn assert_as_read(text: &str, folder: &str, name: &str) {
    let snapshot = folder_of(folder).join(format!("{name}.txt"));
    let expected = Data::read_from(&snapshot, None).raw();
    let assert = Assert::new().action_env("SNAPSHOTS");
    assert.eq(Data::text(text).raw(), expected);
}

fn snapshots_in(folder: &str) -> BTreeSet<String> {
    let files = fs::read_dir(folder_of(folder)).unwrap();
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    names.collect()
}

fn folder_of(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fixtures")
        .join(name)
}
