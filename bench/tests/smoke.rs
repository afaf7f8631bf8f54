//! The real program, with sizes that measure nothing: everything runs, and every file is written.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must fail loudly"
)]

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// The works, as `--list` names them.
fn works() -> Vec<String> {
    let output = bench(&["--list"]);
    let names = output.lines().filter_map(|line| line.split(' ').next());
    names.map(str::to_owned).collect()
}

fn bench(arguments: &[&str]) -> String {
    let program = env!("CARGO_BIN_EXE_bench");
    let output = Command::new(program).args(arguments).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// The contests of a record, those along an axis too.
fn contests(record: &Value) -> Vec<&Value> {
    let comparisons = record["comparisons"].as_array().unwrap();
    let contests =
        comparisons
            .iter()
            .flat_map(|comparison| match comparison["points"].as_array() {
                Some(points) => points.iter().map(|point| &point["contest"]).collect(),
                None => vec![comparison],
            });
    contests.collect()
}

fn contestants(contest: &Value) -> Vec<&Value> {
    let others = contest["others"].as_array().unwrap();
    std::iter::once(&contest["ours"]).chain(others).collect()
}

fn pictures_of(folder: &Path, work: &str) -> usize {
    let names = fs::read_dir(folder).unwrap();
    let names = names.map(|file| file.unwrap().file_name().into_string().unwrap());
    let ours = names.filter(|name| {
        let rest = name.strip_prefix(work).unwrap_or_default();
        rest == ".svg" || (rest.starts_with('-') && rest.ends_with(".svg"))
    });
    ours.count()
}

#[test]
fn every_work_runs_and_leaves_its_runs_a_table_of_all_contestants_and_plots() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().to_str().unwrap();
    let table = bench(&["--quick", "--output", output]);
    assert!(!works().is_empty());
    for work in works() {
        let text = fs::read_to_string(folder.path().join(format!("{work}.json"))).unwrap();
        let record: Value = serde_json::from_str(&text).unwrap();
        assert!(table.contains(record["title"].as_str().unwrap()), "{work}");
        for contestant in contests(&record).into_iter().flat_map(contestants) {
            let name = contestant["name"].as_str().unwrap();
            assert!(table.contains(name), "{work}: {name} is not in\n{table}");
            let runs = contestant["runs"].as_array().unwrap();
            assert!(!runs.is_empty(), "{work}: {name} did not run");
            for run in runs {
                assert!(run.as_f64().unwrap() > 0.0, "{work}: {name} measured {run}");
            }
        }
        // What is only held to a figure of its own has nobody to be drawn beside. Along an axis it
        // has itself.
        let is_beside_others = contests(&record)
            .into_iter()
            .any(|contest| contestants(contest).len() > 1);
        let comparisons = record["comparisons"].as_array().unwrap();
        let is_along_an_axis = comparisons.iter().any(|one| one["points"].is_array());
        assert_eq!(
            pictures_of(folder.path(), &work) > 0,
            is_beside_others || is_along_an_axis,
            "plots of {work}"
        );
    }
    let again = bench(&["--again", "--output", output]);
    assert_eq!(again, table, "a report of what is saved is the same");
}
