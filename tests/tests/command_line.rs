//! Promise: `orchestrator write`, `read` and `status` do what they say, and a mistake is named
//! with its place, by an exit code of its own.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must fail loudly"
)]

use std::fmt::Write;

use promises::{Cluster, Database, Ended, HOME_PAGE, orchestrator, run_to_end};
use serde_json::{Value, json};

fn run(database: &Database<'_>, arguments: &[&str]) -> Ended {
    let mut command = orchestrator();
    command
        .args(arguments)
        .args(["--url", &database.url("message_store")]);
    run_to_end(&mut command)
}

fn lines_of(ended: &Ended) -> Vec<Value> {
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let lines = ended.stdout.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[tokio::test]
async fn what_is_written_is_read_back_to_the_digit() {
    let database = Cluster::shared().create_store().await;
    let id = "9b2ba0c4-93f3-4d3e-8f6f-0a1a5b3a7c11";
    let data = r#"{"n": 12345678901234567890123, "s": "it's \"ä\""}"#;
    let write = [
        "write",
        "viewings-1",
        "VideoViewed",
        data,
        "--id",
        id,
        "--metadata",
        "{\"m\":1}",
    ];
    let written = lines_of(&run(&database, &write));
    assert_eq!(
        written,
        [json!({"id": id, "stream": "viewings-1", "position": 0})]
    );
    lines_of(&run(&database, &["write", "other-2", "T"]));
    lines_of(&run(&database, &["write", "viewings-2", "VideoViewed"]));

    let stream = run(&database, &["read", "viewings-1"]);
    assert!(
        stream.stdout.contains("12345678901234567890123"),
        "{stream:?}"
    );
    let messages = lines_of(&stream);
    let message = messages[0].as_object().unwrap();
    assert_eq!(
        (messages.len(), &message["type"]),
        (1, &json!("VideoViewed"))
    );
    assert_eq!(
        (&message["position"], &message["globalPosition"]),
        (&json!(0), &json!(1))
    );
    assert_eq!(
        (&message["data"]["s"], &message["metadata"]),
        (&json!("it's \"ä\""), &json!({"m": 1}))
    );

    let positions = |arguments: &[&str]| -> Vec<i64> {
        let messages = lines_of(&run(&database, arguments));
        messages
            .iter()
            .map(|m| m["globalPosition"].as_i64().unwrap())
            .collect()
    };
    assert_eq!(positions(&["read", "viewings"]), [1, 3]);
    assert_eq!(positions(&["read", "$all"]), [1, 2, 3]);
    assert_eq!(
        positions(&["read", "$all", "--position", "2", "--limit", "1"]),
        [2]
    );
    assert_eq!(positions(&["read", "viewings", "--position", "2"]), [3]);
    assert!(positions(&["read", "nothing"]).is_empty());
}

#[tokio::test]
async fn a_category_longer_than_a_batch_is_read_whole() {
    let database = Cluster::shared().create_store().await;
    let session = database.connect().await;
    session.write_viewings(2_500).await;
    assert_eq!(
        lines_of(&run(&database, &["read", "viewings"])).len(),
        2_500
    );
    let limited = run(&database, &["read", "$all", "--limit", "1500"]);
    assert_eq!(lines_of(&limited).len(), 1_500);
}

#[tokio::test]
async fn an_expected_version_is_met_or_refused() {
    let database = Cluster::shared().create_store().await;
    let write = |version: &str| {
        run(
            &database,
            &["write", "account-1", "T", "--expected-version", version],
        )
    };
    assert_eq!(write("-1").code, Some(0));
    assert_eq!(write("0").code, Some(0));
    let refused = write("0");
    assert_eq!((refused.code, refused.stdout.as_str()), (Some(1), ""));
    let text = "Wrong expected version: 0 (Stream: account-1, Stream Version: 1)";
    assert!(refused.stderr.contains(text), "{refused:?}");
    assert_eq!(lines_of(&run(&database, &["read", "account-1"])).len(), 2);
}

#[tokio::test]
async fn status_shows_where_each_subscription_is() {
    let database = Cluster::shared().create_store().await;
    let session = database.connect().await;
    let running = database.deploy(HOME_PAGE).start();
    session.write_viewings(3).await;
    session.assert_videos_watched(3).await;
    running.stop();
    session.write_viewings(2).await;
    let status = lines_of(&run(&database, &["status", "--json"])).remove(0);
    let row = &status[0];
    assert_eq!(row["subscriber_id"], "aggregators:home-page");
    assert_eq!(
        (&row["position"], &row["head"], &row["lag"]),
        (&json!(3), &json!(5), &json!(2))
    );
    let table = run(&database, &["status"]);
    assert!(table.stdout.contains("aggregators:home-page"), "{table:?}");
}

#[tokio::test]
async fn a_bad_line_is_named_and_the_load_goes_on_after_its_repair() {
    let database = Cluster::shared().create_store().await;
    let session = database.connect().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("viewings.jsonl");
    let lines = |bad: &str| {
        (1..=1_500).fold(String::new(), |mut text, number| {
            if number == 1_234 {
                writeln!(text, "{bad}").unwrap();
            } else {
                writeln!(
                    text,
                    r#"{{"stream":"viewings-{number}","type":"VideoViewed"}}"#
                )
                .unwrap();
            }
            text
        })
    };
    let load = |skip: &str| {
        run(
            &database,
            &[
                "write",
                "--from",
                file.to_str().unwrap(),
                "--skip-lines",
                skip,
            ],
        )
    };
    // One that cannot be read, and one that the database refuses: it is there already.
    std::fs::write(&file, lines("{\"stream\": \"viewings-1\"}")).unwrap();
    let ended = load("0");
    assert_eq!(ended.code, Some(5), "{ended:?}");
    assert!(ended.stderr.contains("line 1234"), "{ended:?}");
    assert!(
        ended.stderr.contains("lines 1 to 1233 are written"),
        "{ended:?}"
    );
    let count = "SELECT count(*) FROM message_store.messages";
    assert_eq!(session.bigint(count).await, 1_233);

    let first = "SELECT id::varchar FROM message_store.messages ORDER BY 1 LIMIT 1";
    let id = session.value(first).await.unwrap();
    let again = format!(r#"{{"stream":"viewings-1","type":"VideoViewed","id":"{id}"}}"#);
    std::fs::write(&file, lines(&again)).unwrap();
    let ended = load("1233");
    assert_eq!(ended.code, Some(5), "{ended:?}");
    assert!(ended.stderr.contains("line 1234"), "{ended:?}");
    assert!(ended.stderr.contains("--skip-lines 1233"), "{ended:?}");
    assert_eq!(session.bigint(count).await, 1_233);

    std::fs::write(
        &file,
        lines(r#"{"stream":"viewings-1","type":"VideoViewed"}"#),
    )
    .unwrap();
    let ended = load("1233");
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(session.bigint(count).await, 1_500);
}

#[tokio::test]
async fn an_address_nobody_answers_at_is_exit_code_4() {
    let missing = "postgresql://message_store@/store?host=/nonexistent";
    for arguments in [["status", "--json"], ["read", "viewings"]] {
        let ended = run_to_end(orchestrator().args(arguments).args(["--url", missing]));
        assert_eq!(ended.code, Some(4), "{ended:?}");
        assert!(ended.stderr.contains("/nonexistent"), "{ended:?}");
    }
    let database = Cluster::shared().create_database().await;
    let url = database
        .url("message_store")
        .replace(&database.name, "no_such_database");
    let ended = run_to_end(orchestrator().args(["status", "--url", &url]));
    assert_eq!(ended.code, Some(4), "{ended:?}");
    let folder = tempfile::tempdir().unwrap();
    let nothing = run_to_end(orchestrator().arg("status").current_dir(folder.path()));
    assert_eq!(nothing.code, Some(4), "{nothing:?}");
    assert!(nothing.stderr.contains("orchestrator up"), "{nothing:?}");
}

#[test]
fn a_bad_configuration_is_exit_code_3_with_the_key_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.toml");
    let one = "[[aggregators]]\nsubscriber_id='a'\ncategory='c'\nhandlers={X='f'}\n";
    for (text, named) in [
        ("[database]\npool_sizes = 4".to_owned(), "pool_sizes"),
        ("[database]\npool_size = 'many'".to_owned(), "pool_size"),
        (format!("{one}batch_size = 0"), "batch_size"),
        (format!("{one}{one}"), "subscriber_id"),
        (one.replace("'c'", "'c-1'"), "category"),
        (one.replace("category='c'\n", ""), "category"),
        (one.to_owned(), "[database] url"),
        ("[web]\nlisten = 'here'".to_owned(), "listen"),
    ] {
        std::fs::write(&file, &text).unwrap();
        let ended = run_to_end(orchestrator().args(["run", "--config"]).arg(&file));
        assert_eq!(ended.code, Some(3), "{text}\n{ended:?}");
        assert!(ended.stderr.contains(named), "{text}\n{ended:?}");
        assert!(ended.stderr.contains("config.toml"), "{text}\n{ended:?}");
    }
    let ended = run_to_end(orchestrator().args(["run", "--config", "/nonexistent.toml"]));
    assert_eq!(ended.code, Some(3), "{ended:?}");
}
