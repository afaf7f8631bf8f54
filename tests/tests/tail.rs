//! Promise: who follows a source sees each message once, in order, and none is skipped.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must fail loudly"
)]

use promises::{Cluster, Database, Running, Session, orchestrator, run_to_end};
use serde_json::Value;

async fn write(session: &Session, stream: &str, message_type: &str) {
    let sql = format!(
        "SELECT message_store.write_message(gen_random_uuid()::varchar, '{stream}',
           '{message_type}', '{{}}')"
    );
    session.run(&sql).await.unwrap();
}

fn tail(database: &Database<'_>, arguments: &[&str]) -> std::process::Command {
    let mut command = orchestrator();
    command.arg("tail").args(arguments);
    command.args(["--url", &database.url("message_store")]);
    command
}

/// Waits for a message of `stream`. Its name alone could stand in a message's id, too.
fn wait_for(running: &Running, stream: &str) {
    running.wait_for_print(&format!("\"stream\":\"{stream}\""));
}

fn streams(printed: &str) -> Vec<String> {
    let stream = |line: &str| {
        let message: Value = serde_json::from_str(line).unwrap();
        message["stream"].as_str().unwrap().to_owned()
    };
    printed.lines().map(stream).collect()
}

#[tokio::test]
async fn the_last_messages_of_a_source_are_printed_in_order() {
    let database = Cluster::shared().create_store().await;
    let session = database.connect().await;
    for number in 0..20 {
        let message_type = if number == 3 { "Rare" } else { "Common" };
        write(&session, &format!("a-{number}"), message_type).await;
        write(&session, "b-1", "Other").await;
    }
    let printed = |arguments: &[&str]| {
        let ended = run_to_end(&mut tail(&database, arguments));
        assert_eq!(ended.code, Some(0), "{ended:?}");
        streams(&ended.stdout)
    };
    assert_eq!(printed(&["a", "-n", "3"]), ["a-17", "a-18", "a-19"]);
    assert_eq!(printed(&["a", "-n", "1", "--type", "Rare"]), ["a-3"]);
    assert_eq!(printed(&["$all", "-n", "2"]), ["a-19", "b-1"]);
    assert_eq!(printed(&["b-1", "-n", "30"]).len(), 20);
    assert_eq!(printed(&["a", "-n", "0"]), [""; 0]);
    assert_eq!(printed(&["nothing"]), [""; 0]);
}

#[tokio::test]
async fn a_message_that_commits_late_is_printed_in_its_place() {
    let database = Cluster::shared().create_store().await;
    let session = database.connect().await;
    write(&session, "a-first", "T").await;
    let running = Running::start(&mut tail(&database, &["a", "--follow"]));
    wait_for(&running, "a-first");
    let all = Running::start(&mut tail(&database, &["$all", "-f"]));
    wait_for(&all, "a-first");
    let stream = Running::start(&mut tail(&database, &["a-slow", "-f"]));

    let slow = database.connect().await;
    slow.run("BEGIN").await.unwrap();
    write(&slow, "a-slow", "T").await;
    write(&session, "a-fast", "T").await;
    // Of another category: it is printed by nobody, and wakes everybody.
    write(&session, "b-1", "T").await;
    assert!(!running.printed().contains("a-fast"));
    slow.run("COMMIT").await.unwrap();
    wait_for(&running, "a-fast");
    assert_eq!(streams(&running.printed()), ["a-first", "a-slow", "a-fast"]);
    wait_for(&stream, "a-slow");
    wait_for(&all, "b-1");
    let in_order = ["a-first", "a-slow", "a-fast", "b-1"];
    assert_eq!(streams(&all.printed()), in_order);
    write(&session, "a-fast", "T").await;
    write(&session, "a-slow", "Again").await;
    stream.wait_for_print("Again");
    assert_eq!(streams(&stream.printed()), ["a-slow", "a-slow"]);
    for running in [running, all, stream] {
        running.stop();
    }
}

#[tokio::test]
async fn what_was_in_flight_when_it_began_is_printed_too() {
    let database = Cluster::shared().create_store().await;
    let session = database.connect().await;
    write(&session, "a-first", "T").await;
    let slow = database.connect().await;
    slow.run("BEGIN").await.unwrap();
    write(&slow, "a-slow", "T").await;
    for _ in 0..10 {
        write(&session, "a-fast", "T").await;
    }
    let start = |arguments: &[&str]| Running::start(&mut tail(&database, arguments));
    let (only_new, with_last, of_all) = (
        start(&["a", "-f", "-n", "0"]),
        start(&["a", "-f", "-n", "1"]),
        start(&["$all", "-f", "-n", "1"]),
    );
    let are_waiting =
        "SELECT count(*) = 3 FROM pg_stat_activity WHERE wait_event_type = 'Extension'
        AND datname = current_database() AND query LIKE 'CALL%wait_for_messages%'";
    session.wait_until(are_waiting).await;
    slow.run("COMMIT").await.unwrap();
    write(&session, "a-last", "T").await;
    let later = [&["a-slow"], &["a-fast"; 10][..], &["a-last"]].concat();
    let with_first = [&["a-first"], &later[..]].concat();
    for (running, expected) in [
        (only_new, later),
        (with_last, with_first.clone()),
        (of_all, with_first),
    ] {
        wait_for(&running, "a-last");
        assert_eq!(streams(&running.printed()), expected);
        running.stop();
    }
}

#[tokio::test]
async fn a_lost_connection_loses_and_repeats_nothing() {
    let database = Cluster::shared().create_store().await;
    let session = database.connect().await;
    let running = Running::start(&mut tail(&database, &["a", "-f", "--type", "T"]));
    write(&session, "a-1", "T").await;
    wait_for(&running, "a-1");
    // At once: what ends later would be lost once more.
    let terminate = "SELECT coalesce(array_agg(pid) FILTER (WHERE pg_terminate_backend(pid)), '{}')
        FROM pg_stat_activity
        WHERE datname = current_database() AND application_name = 'orchestrator'";
    let terminated = session.value(terminate).await.unwrap();
    assert_ne!(terminated, "{}");
    let are_gone = format!(
        "SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = ANY ('{terminated}'))"
    );
    session.wait_until(&are_gone).await;
    write(&session, "a-2", "Unwanted").await;
    write(&session, "a-3", "T").await;
    wait_for(&running, "a-3");
    assert_eq!(streams(&running.printed()), ["a-1", "a-3"]);
    running.wait_for_log("will try again");
    assert_eq!(running.log().lines().count(), 1, "{}", running.log());
    running.stop();
}
