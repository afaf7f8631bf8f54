//! Promise: no interleaving of sessions makes a consumer skip a message, a stream have a gap or
//! a writer wait for what is none of its business.
//!
//! Every file in `isolation/specs` spells out interleavings of named sessions, step by step, in
//! the language of PostgreSQL's isolationtester; `isolation/expected` holds what must come out.
//! Each is a test here, in a database of its own.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must fail loudly"
)]

use std::path::{Path, PathBuf};
use std::process::Command;

use promises::{Cluster, Database};

/// A test for each spec, and the list of them.
macro_rules! specs {
    ($($name:ident)*) => {
        const SPECS: &[&str] = &[$(stringify!($name)),*];
        $(
            #[tokio::test]
            async fn $name() {
                run(stringify!($name)).await;
            }
        )*
    };
}

specs! {
    batch_announces_all_categories_before_it_draws
    batch_draws_anew_where_it_was_passed
    batches_take_streams_in_one_order
    categories_in_opposite_order_do_not_deadlock
    expected_version_waits_for_the_writer
    failed_write_holds_nobody
    idle_writer_holds_only_its_category
    late_commit_is_not_skipped
    many_categories_share_one_lock
    prepared_transaction_holds_readers
    reader_sees_its_own_open_writes
    reader_with_one_snapshot_is_refused
    recorded_horizon_is_settled_wherever_it_is_seen
    rollback_leaves_a_gap_and_holds_nobody
    second_tick_finds_the_subscriber_busy
    sequence_set_back_is_refused
    stream_owner_writes_on_while_others_wait
    streams_in_opposite_order_deadlock
    tampered_sequence_is_refused
    tick_commits_with_its_writer
    tick_is_held_back_and_then_progresses
    unlock_all_releases_no_reader
    write_after_rollback_to_savepoint_is_covered
    writers_of_one_stream_take_turns
    writers_tick_one_subscription_inline
}

#[test]
fn every_spec_is_run() {
    let mut files: Vec<String> = std::fs::read_dir(folder().join("specs"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| path.file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    files.sort();
    assert_eq!(files, SPECS);
}

async fn run(spec: &str) {
    let database = prepared_database().await;
    // Removed with what it holds unless the spec fails.
    let output = tempfile::Builder::new()
        .prefix(spec)
        .tempdir_in(env!("CARGO_TARGET_TMPDIR"))
        .unwrap();
    let mut command = Command::new(tester(database.cluster));
    database.cluster.set_client_environment(&mut command);
    // Warnings belong to what must come out. Notices do not: the tester's own long names cause some.
    command
        .env("PGOPTIONS", "-c client_min_messages=warning")
        .arg("--use-existing")
        .arg(option("--bindir", database.cluster.bin_dir()))
        .arg(option("--host", database.cluster.socket_dir()))
        .arg(format!("--dbname={}", database.name))
        .arg(option("--inputdir", &folder()))
        .arg(option("--outputdir", output.path()));
    if has_option_expecteddir(database.cluster) {
        command.arg(option("--expecteddir", &folder()));
    }
    let run = command.arg(spec).output().unwrap();
    if run.status.success() {
        return;
    }
    let kept = output.keep();
    let differences = std::fs::read_to_string(kept.join("regression.diffs")).unwrap_or_default();
    panic!(
        "{}{}\n{differences}\nresults are in {}",
        String::from_utf8_lossy(&run.stdout),
        String::from_utf8_lossy(&run.stderr),
        kept.display()
    );
}

/// A store with what `isolation/prepare.sql` adds.
async fn prepared_database() -> Database<'static> {
    let database = Cluster::shared().create_database().await;
    let session = database.connect().await;
    let prepare = std::fs::read_to_string(folder().join("prepare.sql")).unwrap();
    session.run(&prepare).await.unwrap();
    session
        .run(&format!(
            "ALTER DATABASE {} SET search_path = message_store, public",
            database.name
        ))
        .await
        .unwrap();
    database
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("isolation")
}

/// `pg_isolation_regress` comes with PostgreSQL's files for building extensions, beside the
/// `isolationtester` that it runs.
fn tester(cluster: &Cluster) -> PathBuf {
    let makefile = PathBuf::from(cluster.pg_config_value("--pgxs"));
    // .../pgxs/src/makefiles/pgxs.mk
    let source = makefile.ancestors().nth(2).unwrap();
    let tester = source.join("test/isolation/pg_isolation_regress");
    assert!(
        tester.exists(),
        "{} is missing; on Debian it comes with postgresql-server-dev-*",
        tester.display()
    );
    tester
}

/// PostgreSQL 16 and later look for expected output in a folder of its own.
fn has_option_expecteddir(cluster: &Cluster) -> bool {
    let help = Command::new(tester(cluster)).arg("--help").output();
    String::from_utf8_lossy(&help.unwrap().stdout).contains("--expecteddir")
}

fn option(name: &str, path: &Path) -> std::ffi::OsString {
    let mut option = std::ffi::OsString::from(name);
    option.push("=");
    option.push(path);
    option
}
