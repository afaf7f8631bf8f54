//! Promise: what is exported can be imported elsewhere, and a line that cannot be written takes no
//! other line with it.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must fail loudly"
)]

use std::fs::File;
use std::path::Path;

use promises::{Cluster, Database, Ended, orchestrator, run_to_end};
use serde_json::Value;

fn import(database: &Database<'_>, file: &Path, more: &[&str]) -> Ended {
    database.command(&[&["import", file.to_str().unwrap()], more].concat())
}

/// All of a message that does not belong to one store.
const KEPT: &str = "SELECT string_agg(concat_ws('|', id, stream_name, type, position,
         coalesce(data::text, 'NULL'), coalesce(metadata::text, 'NULL')), E'\\n'
         ORDER BY global_position) FROM message_store.messages";

#[tokio::test]
async fn an_export_imported_elsewhere_has_the_same_messages_in_the_same_order() {
    let (old, new) = (
        Cluster::shared().create_store().await,
        Cluster::shared().create_store().await,
    );
    let session = old.connect().await;
    session
        .run(
            r#"SELECT message_store.write_message(gen_random_uuid()::varchar,
                 'viewings-' || n % 7, 'Type' || n % 3,
                 jsonb_build_object('n', 12345678901234567890123.10::numeric + n, 's', E'ä"\\\n'),
                 CASE WHEN n % 2 = 0 THEN '{"correlationStreamName": "orders-1"}'::jsonb END)
               FROM generate_series(1, 2500) n;
               SELECT message_store.write_message(gen_random_uuid()::varchar, 'odd|name-é%', 'T',
                 NULL)"#,
        )
        .await
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("all.jsonl");
    let exported = old.command(&["export", "$all", "--output", file.to_str().unwrap()]);
    assert_eq!(exported.code, Some(0), "{exported:?}");
    assert!(exported.stderr.contains("2,501 messages"), "{exported:?}");
    let again = old.command(&["export", "$all", "--output", file.to_str().unwrap()]);
    assert_eq!(
        again.code,
        Some(5),
        "a file that is there is kept: {again:?}"
    );

    let imported = import(&new, &file, &[]);
    assert_eq!(imported.code, Some(0), "{imported:?}");
    let (kept, wanted) = (
        new.connect().await.value(KEPT).await.unwrap(),
        session.value(KEPT).await.unwrap(),
    );
    assert!(kept == wanted, "the stores differ");
}

#[tokio::test]
async fn an_export_of_a_category_has_the_types_that_were_asked_for() {
    let database = Cluster::shared().create_store().await;
    for (stream, message_type) in [("a-1", "X"), ("b-1", "X"), ("a-2", "Y"), ("a-3", "Z")] {
        database.command(&["write", stream, message_type]);
    }
    let exported = database.command(&["export", "a", "--type", "Y", "--type", "Z"]);
    let lines = exported.stdout.lines();
    let streams: Vec<String> = lines
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["stream"].to_string())
        .collect();
    assert_eq!(streams, [r#""a-2""#, r#""a-3""#]);
}

#[tokio::test]
async fn told_to_keep_going_it_leaves_out_bad_lines_and_names_each() {
    let database = Cluster::shared().create_store().await;
    let session = database.connect().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("some-are-bad.jsonl");
    let id = r#""id":"9b2ba0c4-93f3-4d3e-8f6f-0a1a5b3a7c11""#;
    let mut lines: Vec<String> = (1..=2_100)
        .map(|n| format!(r#"{{"stream":"viewings-{n}","type":"VideoViewed"}}"#))
        .collect();
    lines[9] = r#"{"stream":"viewings-10","type":"VideoViewed""#.to_owned();
    lines[49] = format!(r#"{{"stream":"viewings-50","type":"VideoViewed",{id}}}"#);
    // The database refuses these two: the id is there already, and text has no such character.
    lines[1_999] = format!(r#"{{"stream":"viewings-2000","type":"VideoViewed",{id}}}"#);
    lines[2_000] = r#"{"stream":"s-1","type":"T","data":{"s":"\u0000"}}"#.to_owned();
    std::fs::write(&file, lines.join("\n")).unwrap();

    let ended = import(&database, &file, &["--keep-going"]);
    assert_eq!(ended.code, Some(5), "{ended:?}");
    for line in [
        "line 10:",
        "line 2000:",
        "line 2001:",
        "3 lines were left out",
    ] {
        assert!(ended.stderr.contains(line), "{line}: {ended:?}");
    }
    let count = "SELECT count(*) FROM message_store.messages";
    assert_eq!(session.bigint(count).await, 2_097);
    let order = "SELECT count(*) FROM (SELECT substr(stream_name, 10)::int
        > lag(substr(stream_name, 10)::int) OVER (ORDER BY global_position) AS rises
        FROM message_store.messages) o WHERE NOT rises";
    assert_eq!(session.bigint(order).await, 0, "the order of the file");
}

#[tokio::test]
async fn what_is_not_the_lines_fault_ends_it_and_leaves_none_out() {
    let database = Cluster::shared().create_store().await;
    let session = database.connect().await;
    let refuse = "
        CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS
          $$ BEGIN RAISE 'no space' USING ERRCODE = 'disk_full'; END $$;
        CREATE TRIGGER refuse BEFORE INSERT ON message_store.messages
          FOR EACH ROW EXECUTE FUNCTION public.refuse()";
    session.run(refuse).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("good.jsonl");
    std::fs::write(&file, "{\"stream\":\"s-1\",\"type\":\"T\"}\n").unwrap();
    for more in [&[][..], &["--keep-going"]] {
        let ended = import(&database, &file, more);
        assert_eq!(ended.code, Some(1), "{ended:?}");
        for part in ["good.jsonl line 1", "no space", "nothing is written"] {
            assert!(ended.stderr.contains(part), "{part}: {ended:?}");
        }
        assert!(!ended.stderr.contains("left out"), "{ended:?}");
    }
    session
        .run("DROP TRIGGER refuse ON message_store.messages")
        .await
        .unwrap();
    assert_eq!(import(&database, &file, &[]).code, Some(0));
}

#[tokio::test]
async fn a_bad_line_is_named_by_number_and_column() {
    let database = Cluster::shared().create_store().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bad.jsonl");
    std::fs::write(
        &file,
        "{\"stream\":\"s-1\",\"type\":\"T\"}\n{\"stream\": oops}\n",
    )
    .unwrap();
    let ended = import(&database, &file, &[]);
    assert_eq!(ended.code, Some(5), "{ended:?}");
    for part in ["bad.jsonl line 2:", "at column 12", "--skip-lines 1"] {
        assert!(ended.stderr.contains(part), "{part}: {ended:?}");
    }
    assert_eq!(ended.stderr.lines().count(), 1, "{ended:?}");
}

/// Lines of one stream each, with these global positions, and ids that stay the same.
fn lines_at(global_positions: impl IntoIterator<Item = usize>) -> String {
    let lines = global_positions.into_iter().map(|position| {
        format!(
            r#"{{"stream":"s-{position}","type":"T","globalPosition":{position},"id":"{}"}}"#,
            uuid::Uuid::from_u128(position as u128)
        )
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn a_file_with_repeated_or_decreasing_positions_is_refused_before_a_line_of_it_is_written() {
    let database = Cluster::shared().create_store().await;
    let session = database.connect().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("shuffled.jsonl");
    let in_stream = |positions: [u64; 3]| {
        let lines = positions
            .map(|position| format!(r#"{{"stream":"s-1","type":"T","position":{position}}}"#));
        lines.join("\n")
    };
    for (text, problem) in [
        (
            lines_at((1..=1_500).chain([1_500])),
            "line 1501: \"globalPosition\" is 1500 again, as in line 1500: leave out what comes twice",
        ),
        (
            lines_at((2..=1_500).chain([1])),
            "line 1500: \"globalPosition\" is 1, after 1500 in line 1499: sort the lines by it",
        ),
        (
            in_stream([0, 2, 1]),
            "line 3: \"position\" in s-1 is 1, after 2 in line 2: sort the lines by it",
        ),
    ] {
        std::fs::write(&file, text).unwrap();
        let ended = import(&database, &file, &[]);
        assert_eq!(ended.code, Some(5), "{ended:?}");
        for part in [problem, "take it out of all lines", "nothing is written"] {
            assert!(ended.stderr.contains(part), "{part}: {ended:?}");
        }
        assert_eq!(ended.stderr.lines().count(), 1, "{ended:?}");
    }
    let count = "SELECT count(*) FROM message_store.messages";
    assert_eq!(session.bigint(count).await, 0);

    let left_out = import(&database, &file, &["--keep-going"]);
    assert!(
        left_out.stderr.contains("1 line was left out"),
        "{left_out:?}"
    );
    assert_eq!(session.bigint(count).await, 2);
}

#[tokio::test]
async fn what_comes_through_a_pipe_out_of_order_says_which_lines_are_written_already() {
    let database = Cluster::shared().create_store().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("shuffled.jsonl");
    std::fs::write(&file, lines_at((2..=1_500).chain([1, 1_501]))).unwrap();
    let from_pipe = |more: &[&str]| {
        let mut command = orchestrator();
        command.args(["import", "-", "--url", &database.url("message_store")]);
        run_to_end(command.args(more).stdin(File::open(&file).unwrap()))
    };
    let ended = from_pipe(&[]);
    assert_eq!(ended.code, Some(5), "{ended:?}");
    for part in [
        "line 1500: \"globalPosition\" is 1, after 1500 in line 1499",
        "lines 1 to 1499 are written: import what is sorted into an empty store",
        "with --skip-lines 1499",
    ] {
        assert!(ended.stderr.contains(part), "{part}: {ended:?}");
    }
    let went_on = from_pipe(&["--skip-lines", "1499"]);
    assert_eq!(went_on.code, Some(0), "{went_on:?}");
    let session = database.connect().await;
    let count = "SELECT count(*) FROM message_store.messages";
    assert_eq!(session.bigint(count).await, 1_501);
}

#[tokio::test]
async fn a_file_that_is_imported_again_adds_nothing_and_says_so() {
    let database = Cluster::shared().create_store().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("twice.jsonl");
    std::fs::write(&file, lines_at(1..=2_500)).unwrap();
    assert_eq!(import(&database, &file, &[]).code, Some(0));
    let again = import(&database, &file, &[]);
    assert_eq!(again.code, Some(5), "{again:?}");
    for part in ["line 1:", "already exists", "nothing is written"] {
        assert!(again.stderr.contains(part), "{part}: {again:?}");
    }
    let session = database.connect().await;
    let count = "SELECT count(*) FROM message_store.messages";
    assert_eq!(session.bigint(count).await, 2_500);
}
