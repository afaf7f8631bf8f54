//! Promise: what README.md and the pages of docs/ show works as shown.
//!
//! Every page is read as a person would: from its top, in one psql session and one shell. It is read
//! twice: alone in a store, where nothing ticks but what the page starts; and where `orchestrator up`
//! runs, all pages in one store, with a pause after each statement until nothing is left to tick.
//! PROMISES_SEED chooses the order of the pages there.
//!
//! After a
//! block of `sql` a block of `text` is what psql prints; in a block of `console` what follows a
//! command is what it prints. `…` stands for what differs from time to time, a line of it for any
//! number of lines. A command that fails, or an error that the page does not show, fails the test.
//! A block of `sh` builds and installs all of this, or needs another store, and is not run.
//! A block of `toml` is saved under the name in its first line, and so is one of `sql` whose first line is
//! the name of a file without a folder; a block of another language is a
//! part of the file that its first line names.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must fail loudly"
)]

mod page;

use std::collections::BTreeSet;

use page::beside::Up;
use page::links::broken;
use page::reader::Reader;
use page::{Page, folder, repository};
use promises::{Cluster, Random, Rows, seed};

/// Pages without commands: what we decided and how we differ. `backup` needs two servers, and is
/// tried by `replication.rs` and `dump_and_restore.rs`; `kubernetes` by `kubernetes.rs`; and
/// `production` by `tests/packages/run`, in a system that it may install packages in, and by
/// `production.rs`; `scale-out` by `shards/page.rs`; `symptoms` by `symptoms.rs`, each where it is
/// produced.
const NOT_RUN: [&str; 14] = [
    "backup",
    "compatibility",
    "configuration",
    "containers",
    "dashboard",
    "glossary",
    "guarantees",
    "kubernetes",
    "monitoring",
    "performance",
    "production",
    "scale-out",
    "symptoms",
    "versions",
];

macro_rules! pages {
    ($($test:ident => $page:literal,)*) => {
        $(
            #[tokio::test]
            async fn $test() {
                read($page).await;
            }
        )*
        const READ: &[&str] = &[$($page),*];
    };
}

pages! {
    an_aggregator_is_written_as_the_page_says => "aggregator",
    applications_fetch_as_the_page_says => "applications",
    commands_do_as_the_page_says => "command-line",
    data_are_erased_as_the_page_says => "erasure",
    failures_are_handled_as_the_page_says => "failures",
    a_migration_goes_as_the_page_says => "migrate",
    the_index_shows_what_is_so => "README",
    the_orchestrator_runs_as_the_page_says => "orchestrator",
    a_rebuild_goes_as_the_page_says => "rebuild",
    the_reference_shows_what_is_so => "reference",
    messages_are_deleted_as_the_page_says => "retention",
    several_run_as_the_page_says => "run-several",
    a_service_is_written_as_the_page_says => "services",
    handlers_are_tested_as_the_page_says => "testing",
}

/// The page that is not in docs/.
const FIRST_PAGE: &str = "../README";

async fn read(name: &str) {
    let page = Page::open(name);
    let database = Cluster::shared().create_store().await;
    let mut reader = Reader::at(&database.url("postgres"));
    for block in &page.blocks {
        reader.read(block, &async || {}).await;
    }
}

/// Every page that is read, in an order that the seed chooses.
fn shuffled() -> Vec<&'static str> {
    let mut random = Random(seed());
    let mut left = [READ, &[FIRST_PAGE]].concat();
    let mut order = Vec::new();
    while let Ok(count @ 1..) = i64::try_from(left.len()) {
        let next = usize::try_from(random.below(count)).unwrap();
        order.push(left.swap_remove(next));
    }
    order
}

#[tokio::test]
async fn all_pages_show_what_is_so_beside_an_orchestrator_that_is_faster_than_the_reader() {
    let up = Up::start().await;
    let order = shuffled();
    println!("PROMISES_SEED={} reads {order:?}", seed());
    for name in order {
        if name == "erasure" && !up.has_pgcrypto().await {
            println!("left out: the page erasure needs pgcrypto");
            continue;
        }
        let mut reader = Reader::at(&up.url);
        for block in &Page::open(name).blocks {
            reader
                .read(block, &async || up.wait_until_idle().await)
                .await;
        }
    }
}

#[tokio::test]
async fn the_first_page_shows_what_is_so() {
    read(FIRST_PAGE).await;
}

#[test]
fn every_page_is_read() {
    let files = std::fs::read_dir(folder()).unwrap();
    let there: BTreeSet<String> = files
        .filter_map(|entry| {
            let name = entry.unwrap().file_name().into_string().unwrap();
            name.strip_suffix(".md").map(str::to_owned)
        })
        .collect();
    let known = READ.iter().chain(&NOT_RUN).map(|name| (*name).to_owned());
    assert_eq!(there, known.collect());
}

#[test]
fn links_lead_somewhere() {
    let others = ["README.md", "CONTRIBUTING.md", "examples/README.md"];
    let mut pages: Vec<_> = others.map(|name| repository().join(name)).into();
    for part in ["", "decisions"] {
        let files = std::fs::read_dir(folder().join(part)).unwrap();
        let paths = files.map(|entry| entry.unwrap().path());
        pages.extend(paths.filter(|path| path.extension().is_some_and(|kind| kind == "md")));
    }
    let broken: Vec<String> = pages.iter().flat_map(|page| broken(page)).collect();
    assert_eq!(broken, [""; 0]);
}

/// Message DB's functions, which the reference leaves to it.
const MESSAGE_DB: &str = "'{acquire_lock, cardinal_id, category, get_category_messages, \
     get_last_stream_message, get_stream_messages, hash_64, id, is_category, \
     message_store_version, stream_version, write_message}'";

/// The text of docs/reference.md, and what is set as code in it.
fn reference() -> (String, BTreeSet<String>) {
    let text = std::fs::read_to_string(folder().join("reference.md")).unwrap();
    let code = text.split('`').skip(1).step_by(2).map(str::to_owned);
    let code = code.collect();
    (text, code)
}

fn first_column(rows: Rows) -> BTreeSet<String> {
    rows.into_iter()
        .filter_map(|row| row.into_iter().next().flatten())
        .collect()
}

#[tokio::test]
async fn the_reference_has_every_function_as_it_is() {
    let session = Cluster::shared().create_store().await.connect().await;
    let signatures = format!(
        "SELECT regexp_replace(replace( \
             format('%s(%s)', proname, pg_get_function_arguments(oid)) \
               || coalesce(' → ' || pg_get_function_result(oid), ''), \
             'character varying', 'varchar'), '(message_store\\.|::[a-z ]+(\\[\\])?|\")', '', 'g') \
         FROM pg_proc WHERE pronamespace = 'message_store'::regnamespace \
           AND proname <> ALL ({MESSAGE_DB})"
    );
    let there = first_column(session.run(&signatures).await.unwrap());
    let (text, _) = reference();
    let shown: BTreeSet<String> = text
        .lines()
        .filter_map(|line| line.strip_prefix('`')?.strip_suffix('`'))
        .map(str::to_owned)
        .collect();
    assert_eq!(shown, there);
}

#[tokio::test]
async fn the_reference_names_every_column_and_option() {
    let session = Cluster::shared().create_store().await.connect().await;
    let columns = "SELECT attname FROM pg_attribute WHERE attnum > 0 AND attrelid = ANY ( \
         '{message_store.subscription_status, message_store.parked_messages, \
           message_store.subscription_history, message_store.tick_result, \
           message_store.handler_call, message_store.fetched_message, \
           message_store.new_message, message_store.written_message, \
           message_store.deletions, message_store.erasures, message_store.retention, \
           message_store.epochs, message_store.horizons, message_store.shard, message_store.tombstones}'::regclass[])";
    let mut there = first_column(session.run(columns).await.unwrap());
    let refusal = session
        .error("SELECT message_store.create_subscription('a', 'b', '{}', '{\"none\": 1}')")
        .await;
    let known = refusal.hint.strip_prefix("Known options: ").unwrap();
    let options = known.trim_end_matches('.').split(", ");
    let names = options.filter_map(|option| option.split([' ', '(']).next());
    let words = names.filter(|word| !word.ends_with(')'));
    there.extend(words.map(str::to_owned));
    let (_, code) = reference();
    let missing: Vec<_> = there.difference(&code).collect();
    assert!(missing.is_empty(), "docs/reference.md lacks {missing:?}");
}
