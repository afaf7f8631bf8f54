//! Promise: what a page of docs/ shows works as shown.
//!
//! Every page is read as a person would: from its top, in one psql session and one shell. After a
//! block of `sql` a block of `text` is what psql prints; in a block of `console` what follows a
//! command is what it prints. `…` stands for what differs from time to time, a line of it for any
//! number of lines. A command that fails, or an error that the page does not show, fails the test.
//! A block of `toml` is saved under the name in its first line; a block of another language is a
//! part of the file that its first line names.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must fail loudly"
)]

mod page;

use std::collections::BTreeSet;

use page::reader::Reader;
use page::{Page, folder};
use promises::Cluster;

/// Pages without commands: what we decided and how we differ.
const NOT_RUN: [&str; 1] = ["compatibility"];

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
    failures_are_handled_as_the_page_says => "failures",
    a_migration_goes_as_the_page_says => "migrate",
    the_index_shows_what_is_so => "README",
    a_rebuild_goes_as_the_page_says => "rebuild",
    the_reference_shows_what_is_so => "reference",
    several_run_as_the_page_says => "run-several",
    a_service_is_written_as_the_page_says => "services",
}

async fn read(name: &str) {
    let page = Page::open(name);
    let database = Cluster::shared().create_store().await;
    let mut reader = Reader::at(&database);
    for block in &page.blocks {
        reader.read(block);
    }
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
