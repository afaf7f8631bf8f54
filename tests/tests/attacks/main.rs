//! Promise: nobody becomes anybody else, and nobody takes the server down.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must fail loudly"
)]

mod fuzz;
mod in_sql;
mod names;
mod terminal;
mod web;

use std::fs;
use std::path::{Path, PathBuf};

/// All files in a folder and its folders whose names end so, sorted.
fn files_below(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(files_below(&path, extension));
        } else if path.extension().is_some_and(|found| found == extension) {
            files.push(path);
        }
    }
    files.sort();
    files
}
