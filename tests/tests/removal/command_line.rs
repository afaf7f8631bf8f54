//! In a shell: messages are archived and deleted, kept as long as declared, and erased; and the
//! orchestrator applies what is declared.

use std::fs;

use promises::{Cluster, Database, Ended, orchestrator, run_to_end};

use crate::subscriber::{bigints, texts, write};

/// Runs a command as whoever owns the store.
fn command(database: &Database<'_>, arguments: &[&str]) -> Ended {
    let mut program = orchestrator();
    program
        .args(arguments)
        .args(["--url", &database.url("postgres")]);
    run_to_end(&mut program)
}

#[tokio::test]
async fn what_is_deleted_is_archived_first_and_can_be_imported_again() {
    let database = Cluster::shared().create_store().await;
    let session = database.connect().await;
    for n in 0..2_500 {
        write(&session, &format!("a-{}", n % 3), "A").await;
    }
    let folder = tempfile::tempdir().unwrap();
    let all = "SELECT id, stream_name, type, data, metadata FROM message_store.messages
        WHERE category(stream_name) = 'a' ORDER BY global_position";
    session
        .run("SET search_path = message_store")
        .await
        .unwrap();
    let before = texts(&session, all).await;
    for (name, kept) in [("part.jsonl.gz", 2001), ("rest.jsonl", 2501)] {
        let archive = folder.path().join(name);
        let archive = archive.to_str().unwrap();
        let position = kept.to_string();
        let ended = command(
            &database,
            &[
                "delete",
                "a",
                "--before-position",
                &position,
                "--reason",
                "moved",
                "--archive",
                archive,
                "--batch-size",
                "700",
            ],
        );
        assert_eq!(ended.code, Some(0), "{ended:?}");
        let left = session.bigint("SELECT count(*) FROM messages").await;
        assert_eq!(left, 2501 - kept);
        // A file that is there is somebody's.
        let again = command(
            &database,
            &["delete", "a-0", "--reason", "x", "--archive", archive],
        );
        assert_eq!(again.code, Some(5), "{again:?}");
        assert_eq!(session.bigint("SELECT count(*) FROM messages").await, left);
    }
    let packed = fs::read(folder.path().join("part.jsonl.gz")).unwrap();
    assert_eq!(packed[..2], [0x1f, 0x8b]);
    for name in ["part.jsonl.gz", "rest.jsonl"] {
        let archive = folder.path().join(name);
        let ended = command(&database, &["import", archive.to_str().unwrap()]);
        assert_eq!(ended.code, Some(0), "{ended:?}");
    }
    assert_eq!(texts(&session, all).await, before);
    let positions =
        "SELECT position FROM messages WHERE stream_name = 'a-0' ORDER BY position LIMIT 1";
    assert_eq!(session.bigint(positions).await, 834, "versions go on");
}

#[tokio::test]
async fn a_category_goes_by_time_and_a_stream_whole() {
    let database = Cluster::shared().create_store().await;
    let session = database.connect().await;
    for _ in 0..3 {
        write(&session, "a-1", "A").await;
        write(&session, "b-1", "A").await;
    }
    session
        .run(
            "UPDATE message_store.messages SET time = '2026-01-01 00:00' WHERE global_position < 4",
        )
        .await
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let archive = folder.path().join("a.jsonl");
    let ended = command(
        &database,
        &[
            "delete",
            "a",
            "--before-time",
            "2026-01-01 00:00:01Z",
            "--reason",
            "old",
            "--archive",
            archive.to_str().unwrap(),
        ],
    );
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(fs::read_to_string(&archive).unwrap().lines().count(), 2);
    let left = "SELECT global_position FROM message_store.messages ORDER BY 1";
    assert_eq!(bigints(&session, left).await, [2, 4, 5, 6]);
    let ended = command(
        &database,
        &["delete", "b-1", "--reason", "old", "--restart"],
    );
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stderr.contains("3 messages deleted"), "{ended:?}");
    assert_eq!(
        session
            .bigint("SELECT count(*) FROM message_store.tombstones")
            .await,
        0
    );
    for (arguments, problem) in [
        (&["delete", "a", "--reason", "x"][..], "up to somewhere"),
        (
            &["delete", "$all", "--before-position", "5", "--reason", "x"],
            "$all",
        ),
        (
            &["delete", "a-1", "--before-time", "now", "--reason", "x"],
            "category",
        ),
        (&["delete", "a", "--restart", "--reason", "x"], "stream"),
        (
            &["delete", "a", "--before-time", "someday", "--reason", "x"],
            "someday",
        ),
        (&["retain", "a", "soon", "--reason", "x"], "soon"),
        (
            &[
                "erase",
                "--metadata-path",
                "$.x",
                "--variables",
                "{",
                "--reason",
                "x",
            ],
            "--variables",
        ),
        (
            &["erase", "--stream", "nobody-1", "--reason", "x"],
            "nobody-1",
        ),
    ] {
        let ended = command(&database, arguments);
        assert_ne!(ended.code, Some(0), "{arguments:?}: {ended:?}");
        assert!(ended.stderr.contains(problem), "{arguments:?}: {ended:?}");
    }
    assert_eq!(bigints(&session, left).await, [5]);
}

#[tokio::test]
async fn data_are_erased_and_what_remains_is_listed() {
    let database = Cluster::shared().create_store().await;
    let session = database.connect().await;
    write(&session, "a-1", "A").await;
    let ended = command(
        &database,
        &[
            "erase",
            "--metadata-path",
            "$ ? (@.m == $m)",
            "--variables",
            "{\"m\": 1}",
            "--category",
            "a",
            "--reason",
            "ticket 12",
        ],
    );
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(
        ended.stderr.contains("erasure 1: 1 message lost"),
        "{ended:?}"
    );
    assert!(ended.stdout.contains("VACUUM"), "{ended:?}");
    let listed = command(&database, &["erase", "--remains", "1", "--json"]);
    assert!(listed.stdout.starts_with("[{"), "{listed:?}");
    let data = "SELECT data FROM message_store.messages";
    assert_eq!(session.value(data).await.as_deref(), Some("{}"));
}

#[tokio::test]
async fn the_orchestrator_applies_what_is_declared() {
    let database = Cluster::shared().create_store().await;
    let session = database.connect().await;
    write(&session, "a-1", "A").await;
    write(&session, "a-1", "A").await;
    session
        .run("UPDATE message_store.messages SET time = time - interval '2 days' WHERE position = 0")
        .await
        .unwrap();
    let ended = command(&database, &["retain", "a", "1 day", "--reason", "the law"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let listed = command(&database, &["retain"]);
    assert!(listed.stdout.contains("the law"), "{listed:?}");
    // Of subscriptions it declares none: that holds deletions off, and they come a minute later.
    let running = database.deploy("").start();
    running.wait_for_log("deleted by retention");
    assert_eq!(
        session
            .bigint("SELECT count(*) FROM message_store.messages")
            .await,
        1
    );
    running.stop();
    let ended = command(&database, &["retain", "a", "forever", "--reason", "x"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(
        session
            .bigint("SELECT count(*) FROM message_store.retention")
            .await,
        0
    );
}
