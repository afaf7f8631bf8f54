//! Promise: whoever changes a module of the extension finds what it touches. Modules use each other
//! in one direction, without circles; SQL against a table of the store stands in one file, and so does
//! what differs between the versions of PostgreSQL.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must fail loudly"
)]

#[path = "rooms/modules.rs"]
mod modules;

use modules::{Module, circle, read};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Statements that truly need two tables.
const OF_SEVERAL_TABLES: &str = "tables/joined/";
/// The one table whose room is a folder.
const MESSAGES: &str = "tables/messages/";

fn repository() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// But for the tests that run inside PostgreSQL, which speak as users do.
fn modules() -> Vec<Module> {
    let mut modules = read(&repository().join("extension/src"));
    modules.retain(|module| !module.is_within("pg_tests"));
    modules
}

#[test]
fn no_modules_of_the_extension_use_each_other_in_a_circle() {
    let found = circle(&modules());
    assert!(found.is_empty(), "a circle: {}", found.join(" -> "));
}

#[test]
fn a_circle_is_found_and_named() {
    let module = |name: &str, text: &str| Module::of(name, text);
    let modules = [
        module("a", "use crate::b::{self, c::C};"),
        module("b", "mod c;\nfn f() { crate::d::g(c::h()) }"),
        module("b::c", "// use super::B;\npub struct C;"),
        module(
            "d",
            "fn g() { super::a::f() }\n#[cfg(test)]\nmod tests { use crate::b::c; }",
        ),
    ];
    assert_eq!(circle(&modules), ["a", "b", "d", "a"]);
    assert!(circle(&modules[..3]).is_empty());
}

#[test]
fn the_fence_knows_nothing_of_what_is_outside() {
    let all = modules();
    for fenced in all.iter().filter(|module| module.is_within("pg")) {
        let outside: Vec<_> = fenced
            .used(&all)
            .into_iter()
            .filter(|used| !used.is_within("pg"))
            .map(|used| used.name())
            .collect();
        assert!(outside.is_empty(), "{} uses {outside:?}", fenced.name());
    }
}

#[test]
fn sql_against_a_table_stands_in_one_file() {
    let mut files: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for module in modules() {
        for table in tables() {
            let file = module.file();
            if !file.starts_with(OF_SEVERAL_TABLES) && module.has_sql_of(&table) {
                let room = if file.starts_with(MESSAGES) {
                    MESSAGES
                } else {
                    file
                };
                files.entry(table).or_default().insert(room.to_owned());
            }
        }
    }
    assert!(files.contains_key("subscription_progress"), "{files:?}");
    files.retain(|_, files| files.len() > 1);
    assert!(files.is_empty(), "{files:?}");
}

#[test]
fn what_differs_between_versions_of_postgresql_stands_in_one_file() {
    // In parts, so that this file does not ask.
    let questions = [
        concat!("feature = \"", "pg1"),
        concat!("server_", "version_num"),
        concat!("PG_VERSION", "_NUM"),
    ];
    let asking: BTreeSet<String> = sources()
        .into_iter()
        .filter(|path| {
            let text = fs::read_to_string(path).unwrap();
            questions.iter().any(|question| text.contains(question))
        })
        .map(|path| {
            let path = path.strip_prefix(repository()).unwrap();
            path.to_str().unwrap().to_owned()
        })
        .collect();
    assert_eq!(
        asking,
        BTreeSet::from(["extension/src/pg/versions.rs".to_owned()])
    );
}

/// The Rust and SQL of all crates.
fn sources() -> Vec<PathBuf> {
    let crates = fs::read_dir(repository()).unwrap();
    let mut folders: Vec<_> = crates
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.join("Cargo.toml").exists() || path.ends_with("sql") || path.ends_with("examples")
        })
        .collect();
    let mut sources = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.ends_with("node_modules") {
                folders.push(path);
            } else if path
                .extension()
                .is_some_and(|end| end == "rs" || end == "sql")
            {
                sources.push(path);
            }
        }
    }
    sources
}

/// Of the store.
fn tables() -> Vec<String> {
    let files = fs::read_dir(repository().join("sql/tables")).unwrap();
    let name = |entry: fs::DirEntry| {
        let path = entry.path();
        path.file_stem().unwrap().to_str().unwrap().to_owned()
    };
    files.map(|entry| name(entry.unwrap())).collect()
}
