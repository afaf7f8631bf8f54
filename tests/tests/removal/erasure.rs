//! Data of a message are erased, and the message stays in its place.

use std::fs;
use std::path::Path;

use promises::{Cluster, Session, StopMode};

use crate::subscriber::{
    create, create_with, seen, texts, tick, tick_to_the_end, with_recorders, write_data,
};

const ANY: &str = "{\"$any\": \"public.record\"}";

/// Writes messages of two people, and some of nobody.
async fn write_of_people(session: &Session) {
    session
        .run(
            "SELECT message_store.write_message(
               '00000000-0000-4000-8000-00000000000' || n, 'visit-' || n, 'Came',
               jsonb_build_object('who', person),
               jsonb_build_object('user', person, 'correlationStreamName', 'gate-' || person))
             FROM (VALUES (1, 'eve'), (2, 'bob'), (3, 'eve')) AS v (n, person);
             SELECT message_store.write_message(gen_random_uuid()::varchar, 'other-1', 'Came', '{}')",
        )
        .await
        .unwrap();
}

const ALL: &str = "SELECT global_position, stream_name, position, type, data, metadata
    FROM message_store.messages ORDER BY global_position";

#[tokio::test]
async fn data_go_and_the_place_stays() {
    let session = Cluster::shared().create_store().await.connect().await;
    write_of_people(&session).await;
    let before = "SELECT id, time FROM message_store.messages ORDER BY global_position";
    let places = texts(&session, before).await;
    session
        .run("SET message_store.actor = 'Ada'")
        .await
        .unwrap();
    let erase = "SELECT * FROM message_store.erase_message_data('eve asked', \
        metadata_path => '$ ? (@.user == $user)', variables => '{\"user\": \"eve\"}')";
    assert_eq!(texts(&session, erase).await, ["1 2 0"]);
    assert_eq!(
        texts(&session, ALL).await,
        [
            "1 visit-1 0 Came {} {\"erased\": true, \"correlationStreamName\": \"gate\"}",
            "2 visit-2 0 Came {\"who\": \"bob\"} {\"user\": \"bob\", \"correlationStreamName\": \"gate-bob\"}",
            "3 visit-3 0 Came {} {\"erased\": true, \"correlationStreamName\": \"gate\"}",
            "4 other-1 0 Came {} -",
        ]
    );
    assert_eq!(texts(&session, before).await, places);
    let kept = "SELECT erasure, metadata_path, messages, positions, role, actor, reason \
                FROM message_store.erasures";
    assert_eq!(
        texts(&session, kept).await,
        ["1 $?(@.\"user\" == $\"user\") 2 {1,3} postgres Ada eve asked"],
        "who is meant is not kept"
    );
    let correlated = "SELECT global_position FROM message_store.get_category_messages('visit', \
        correlation => 'gate')";
    assert_eq!(texts(&session, correlated).await, ["1", "2", "3"]);
}

#[tokio::test]
async fn a_stream_or_one_message_is_erased_and_erasing_again_changes_nothing() {
    let session = Cluster::shared().create_store().await.connect().await;
    write_of_people(&session).await;
    let erase = |what: &str| {
        format!(
            "SELECT erased, erased_before FROM message_store.erase_message_data('asked', {what})"
        )
    };
    let by_id = erase("id => '00000000-0000-4000-8000-000000000001'");
    assert_eq!(texts(&session, &by_id).await, ["1 0"]);
    let versions = "SELECT xmin FROM message_store.messages ORDER BY global_position";
    let unchanged = texts(&session, versions).await;
    assert_eq!(texts(&session, &by_id).await, ["0 1"]);
    let of_stream = erase("stream_name => 'visit-1'");
    assert_eq!(texts(&session, &of_stream).await, ["0 1"]);
    assert_eq!(texts(&session, versions).await, unchanged);
    assert_eq!(
        texts(&session, &erase("stream_name => 'visit-2'")).await,
        ["1 0"]
    );
    let in_category = erase("metadata_path => '$.user', category => 'visit'");
    assert_eq!(texts(&session, &in_category).await, ["1 0"]);
    for (what, sqlstate) in [
        ("stream_name => 'visit-9'", "P0002"),
        ("id => '00000000-0000-4000-8000-000000000009'", "P0002"),
        ("metadata_path => '$.user', category => 'nobody'", "P0002"),
        ("id => 'visit-1'", "22P02"),
    ] {
        let error = session.error(&erase(what)).await;
        assert_eq!(error.sqlstate, sqlstate, "{what}: {error:?}");
    }
    let kept = "SELECT count(*) FROM message_store.erasures";
    assert_eq!(session.bigint(kept).await, 5, "each that found something");
}

#[tokio::test]
async fn a_replay_meets_what_is_left() {
    let (_database, session) = with_recorders(Cluster::shared()).await;
    let options = "{\"read_model\": [\"public.seen\"]}";
    create_with(&session, "s", "visit", ANY, options).await;
    write_of_people(&session).await;
    tick_to_the_end(&session, "s").await;
    session
        .run("SELECT message_store.erase_message_data('asked', stream_name => 'visit-1')")
        .await
        .unwrap();
    session
        .run("SELECT message_store.rebuild('s')")
        .await
        .unwrap();
    tick_to_the_end(&session, "s").await;
    assert_eq!(seen(&session, "s").await, [1, 2, 3], "it counts as before");
    let data = "SELECT (message).data FROM public.seen ORDER BY entry";
    assert_eq!(
        texts(&session, data).await,
        ["{}", "{\"who\": \"bob\"}", "{\"who\": \"eve\"}"]
    );
}

#[tokio::test]
async fn errors_leases_and_copies_let_go_of_it() {
    let (_database, session) = with_recorders(Cluster::shared()).await;
    session
        .run(
            "CREATE FUNCTION public.fail(message message_store.message) RETURNS void
             LANGUAGE plpgsql AS $$ BEGIN RAISE 'cannot take %', (message).data
               USING DETAIL = (message).data; END $$;
             CREATE TABLE public.taken (data text);
             CREATE FUNCTION public.take(message message_store.message) RETURNS void LANGUAGE sql AS
               $$ INSERT INTO taken VALUES ((message).data) $$",
        )
        .await
        .unwrap();
    let fails = "{\"$any\": \"public.fail\"}";
    create_with(
        &session,
        "parks",
        "visit",
        fails,
        "{\"on_failure\": \"park\", \"retries\": 0}",
    )
    .await;
    create_with(&session, "stops", "visit", fails, "{\"retries\": 0}").await;
    create(&session, "fetches", "visit", "{}").await;
    let takes = "{\"$any\": \"public.take\"}";
    create_with(
        &session,
        "fills",
        "visit",
        takes,
        "{\"read_model\": [\"public.taken\"]}",
    )
    .await;
    session
        .run("SELECT message_store.start(s) FROM unnest('{stops,fills}'::varchar[]) s")
        .await
        .unwrap();
    write_data(&session, "visit-1", "Came", "{\"who\": \"eve the first\"}").await;
    for id in ["parks", "stops", "fills"] {
        tick(&session, id, 10).await;
    }
    session
        .run(
            "SELECT * FROM message_store.fetch('fetches', 10, '1 hour');
             SELECT message_store.rebuild('fills', side_by_side => true)",
        )
        .await
        .unwrap();
    tick_to_the_end(&session, "fills#rebuild").await;
    let holders = "SELECT string_agg(t::text, ' ') LIKE '%eve the first%' FROM (
          SELECT t::text FROM message_store.parked t UNION ALL
          SELECT t::text FROM message_store.subscription_progress t UNION ALL
          SELECT t::text FROM message_store.history t UNION ALL
          SELECT t::text FROM message_store.subscriptions t UNION ALL
          SELECT t::text FROM message_store.messages t) t";
    assert_eq!(session.value(holders).await.as_deref(), Some("t"));
    let copies = "SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'message_store_copy%'";
    assert_eq!(session.bigint(copies).await, 1);
    session
        .run("SELECT message_store.erase_message_data('asked', stream_name => 'visit-1')")
        .await
        .unwrap();
    assert_eq!(session.value(holders).await.as_deref(), Some("f"));
    assert_eq!(session.bigint(copies).await, 0, "the copy is given up");
    let leases = "SELECT count(*) FROM message_store.subscription_progress WHERE lease IS NOT NULL";
    assert_eq!(session.bigint(leases).await, 0);
    let again =
        "SELECT (message).data FROM message_store.fetch('fetches', 10, '1 hour') AS message";
    assert_eq!(texts(&session, again).await, ["{}"]);
    let remains =
        "SELECT place, finding FROM message_store.erasure_remains(1) WHERE place = 'fills'";
    assert_eq!(
        texts(&session, remains).await,
        [
            "fills has handled 1 of these messages: its read model, and what its handlers wrote, may hold what they said"
        ]
    );
}

#[tokio::test]
async fn a_reason_goes_also_where_somebody_has_moved_on() {
    let (_database, session) = with_recorders(Cluster::shared()).await;
    session
        .run(
            "CREATE FUNCTION public.fail(message message_store.message) RETURNS void
             LANGUAGE plpgsql AS $$ BEGIN RAISE 'cannot take %', (message).data; END $$",
        )
        .await
        .unwrap();
    let fails = "{\"$any\": \"public.fail\"}";
    create_with(&session, "stops", "visit", fails, "{\"retries\": 0}").await;
    create(&session, "rests", "visit", ANY).await;
    write_data(&session, "visit-1", "Came", "{\"who\": \"eve\"}").await;
    session
        .run("SELECT message_store.start('stops')")
        .await
        .unwrap();
    tick(&session, "stops", 10).await;
    session
        .run(
            "SELECT message_store.skip('stops', 1, 'it is broken');
             SELECT message_store.pause('rests', 'not today');
             SELECT message_store.erase_message_data('asked', stream_name => 'visit-1')",
        )
        .await
        .unwrap();
    let reasons =
        "SELECT state, state_reason FROM message_store.subscriptions ORDER BY subscriber_id";
    assert_eq!(
        texts(&session, reasons).await,
        ["paused not today", "stopped erased"]
    );
}

#[tokio::test]
async fn a_path_that_compares_does_not_mean_everybody() {
    let session = Cluster::shared().create_store().await.connect().await;
    write_of_people(&session).await;
    for path in [
        "$.user == \"eve\"",
        "$.user == $user",
        "$.user > 1",
        "exists($.user)",
        "!($.user == $user)",
        "strict $.user starts with \"e\"",
    ] {
        let error = session
            .error(&format!(
                "SELECT message_store.erase_message_data('asked', metadata_path => '{path}',
                   variables => '{{\"user\": \"eve\"}}')"
            ))
            .await;
        assert_eq!(error.sqlstate, "22023", "{path}: {error:?}");
        assert!(error.hint.contains("$ ? ("), "{path}: {error:?}");
    }
    let erased = |path: &str| {
        format!(
            "SELECT erased, erased_before FROM message_store.erase_message_data('asked',
               metadata_path => '{path}')"
        )
    };
    assert_eq!(
        texts(&session, &erased("$.user ? (@ == \"eve\")")).await,
        ["2 0"]
    );
    assert_eq!(texts(&session, &erased("$.user")).await, ["1 0"]);
}

#[tokio::test]
async fn what_only_looks_erased_is_erased() {
    let session = Cluster::shared().create_store().await.connect().await;
    session
        .run(
            "SELECT message_store.write_message(gen_random_uuid()::varchar, 'visit-1', 'Came', '{}', metadata)
             FROM (VALUES ('{\"erased\": true, \"who\": \"eve\"}'::jsonb),
                          ('{\"correlationStreamName\": {\"who\": \"eve\"}}')) AS v (metadata)",
        )
        .await
        .unwrap();
    let erase = "SELECT erased, erased_before
        FROM message_store.erase_message_data('asked', stream_name => 'visit-1')";
    assert_eq!(texts(&session, erase).await, ["2 0"]);
    assert_eq!(texts(&session, erase).await, ["0 2"]);
    let metadata = "SELECT metadata FROM message_store.messages";
    assert_eq!(
        texts(&session, metadata).await,
        ["{\"erased\": true}", "{\"erased\": true}"]
    );
}

/// Whether a file under a folder holds these bytes.
fn holders(folder: &Path, bytes: &[u8], found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            holders(&path, bytes, found);
        } else if let Ok(content) = fs::read(&path)
            && content.windows(bytes.len()).any(|window| window == bytes)
        {
            found.push(path.display().to_string());
        }
    }
}

#[tokio::test]
async fn after_what_the_list_says_no_byte_is_found() {
    const SECRET: &str = "Ermengarde of Tours";
    // Values are stored as they are, so that they can be looked for.
    let cluster = Cluster::start(&[("default_toast_compression", "pglz"), ("autovacuum", "off")]);
    let (database, session) = with_recorders(&cluster).await;
    session
        .run("ALTER TABLE message_store.messages ALTER data SET STORAGE EXTERNAL")
        .await
        .unwrap();
    for n in 1..=50 {
        let padding = "x".repeat(if n % 10 == 0 { 20_000 } else { 50 });
        let who = if n % 5 == 0 { SECRET } else { "somebody" };
        let data = format!("{{\"who\": \"{who}\", \"padding\": \"{padding} {who}\"}}");
        write_data(&session, &format!("visit-{}", n % 10), "Came", &data).await;
    }
    let options = "{\"read_model\": [\"public.seen\"]}";
    create_with(&session, "s", "visit", ANY, options).await;
    tick_to_the_end(&session, "s").await;
    session
        .run(
            "ANALYZE;
             CREATE INDEX people ON message_store.messages ((data ->> 'who'));
             CHECKPOINT",
        )
        .await
        .unwrap();
    let found = |cluster: &Cluster| {
        let mut found = Vec::new();
        holders(&cluster.data_dir(), SECRET.as_bytes(), &mut found);
        found
    };
    assert!(!found(&cluster).is_empty(), "it is there to be found");
    for stream in ["visit-0", "visit-5"] {
        session
            .run(&format!(
                "SELECT message_store.erase_message_data('asked', stream_name => '{stream}')"
            ))
            .await
            .unwrap();
    }
    let places = "SELECT place FROM message_store.erasure_remains(2)";
    let before = texts(&session, places).await;
    assert_eq!(
        before,
        [
            "s",
            "statistics",
            "index message_store.people",
            "the tables",
            "free room of pages",
            "write-ahead log",
            "backups, dumps and exports",
            "logs"
        ]
    );
    // What it says is done, in its order.
    session
        .run("SELECT message_store.rebuild('s')")
        .await
        .unwrap();
    tick_to_the_end(&session, "s").await;
    session
        .run("VACUUM (FULL, ANALYZE) public.seen")
        .await
        .unwrap();
    let repairs = "SELECT repair FROM message_store.erasure_remains(2) OFFSET 1 LIMIT 3";
    for repair in texts(&session, repairs).await {
        for statement in repair.split_inclusive(';') {
            session.run(statement).await.unwrap();
        }
    }
    assert!(
        session
            .bigint("SELECT message_store.wipe_free_room()")
            .await
            > 0
    );
    session
        .run("DROP INDEX message_store.people")
        .await
        .unwrap();
    assert_eq!(
        texts(&session, places).await,
        [&before[..1], &before[5..]].concat(),
        "what a read model holds nobody knows"
    );
    let repairs = "SELECT repair FROM message_store.erasure_remains(2) OFFSET 1 LIMIT 1";
    let of_the_log = session.value(repairs).await.unwrap();
    let (statements, _) = of_the_log.split_once(" again until").unwrap();
    let again = async || {
        for statement in statements.split_inclusive(';') {
            session.run(statement).await.unwrap();
        }
    };
    // The first checkpoint may know nothing yet of the setting, and give an old file a new name.
    again().await;
    let segments = "SELECT name FROM pg_ls_waldir()";
    let segments_before = texts(&session, segments).await;
    while texts(&session, segments)
        .await
        .iter()
        .any(|name| segments_before.contains(name))
    {
        again().await;
    }
    assert_eq!(found(&cluster), [""; 0]);
    let dump = cluster
        .client_command("pg_dump")
        .arg(&database.name)
        .output()
        .unwrap();
    assert!(dump.status.success());
    assert!(!String::from_utf8_lossy(&dump.stdout).contains(SECRET));
    // After a crash, too.
    drop(session);
    cluster.restart(StopMode::Immediate);
    assert_eq!(found(&cluster), [""; 0]);
    let session = database.connect().await;
    let count = "SELECT count(*) FROM message_store.messages WHERE data <> '{}'";
    assert_eq!(session.bigint(count).await, 40);
}
