//! What a batch is: its order, versions, ids and size.

use super::{BROKEN_STREAMS, ID, LOG, element, places, store, write, write_to};
use promises::Cluster;

#[tokio::test]
async fn rows_come_in_the_order_of_the_batch_and_versions_count_it() {
    let (_database, session) = store().await;
    let batch = [
        element("z-1", "A", None, Some(-1)),
        element("a-1", "B", None, None),
        element("z-1", "C", None, Some(0)),
    ];
    let rows = session.run(&write(&batch, "error")).await.unwrap();
    assert_eq!(
        places(&rows),
        [
            ["z-1", "0", "1", "f"],
            ["a-1", "0", "2", "f"],
            ["z-1", "1", "3", "f"]
        ]
    );
    let batch = [
        element("a-1", "D", None, None),
        element("z-1", "E", None, Some(0)),
    ];
    let error = session.error(&write(&batch, "error")).await;
    assert_eq!(error.sqlstate, "P0001");
    assert_eq!(
        error.message,
        "Wrong expected version: 0 (Stream: z-1, Stream Version: 1)"
    );
    assert_eq!(session.run(LOG).await.unwrap().len(), 3);
}

#[tokio::test]
async fn json_messages_go_to_one_stream_as_exactly_as_they_are() {
    let (_database, session) = store().await;
    let number = "123456789012345678901234567890.12345678901234567890";
    let messages = format!(
        r#"[{{"type": "A", "data": {{"n": {number}, "list": [1, null]}}, "metadata": {{"m": 1}}}},
            {{"type": "B", "data": {number}, "id": "{{{ID}}}"}},
            {{"type": "C", "data": null, "metadata": null, "id": null}}]"#
    );
    let rows = session
        .run(&write_to("thing-1", &messages, ", -1"))
        .await
        .unwrap();
    assert_eq!(
        places(&rows),
        [
            ["thing-1", "0", "1", "f"],
            ["thing-1", "1", "2", "f"],
            ["thing-1", "2", "3", "f"]
        ]
    );
    assert_eq!(rows[1][0].as_deref(), Some(ID));
    let log = session.run(LOG).await.unwrap();
    let data: Vec<Option<&str>> = log.iter().map(|row| row[5].as_deref()).collect();
    let first = format!(r#"{{"n": {number}, "list": [1, null]}}"#);
    assert_eq!(data, [Some(&*first), Some(number), None]);
    assert_eq!(log[0][6].as_deref(), Some(r#"{"m": 1}"#));
    assert_eq!(log[2][6], None);
    let error = session
        .error(&write_to("thing-1", r#"[{"type": "D"}]"#, ", 1"))
        .await;
    assert_eq!(
        error.message,
        "Wrong expected version: 1 (Stream: thing-1, Stream Version: 2)"
    );
}

#[tokio::test]
async fn a_call_needs_no_casts() {
    let (_database, session) = store().await;
    let call = r#"SELECT * FROM message_store.write_messages('thing-1', '[{"type": "A"}]')"#;
    let rows = session.run(call).await.unwrap();
    assert_eq!(places(&rows), [["thing-1", "0", "1", "f"]]);
    let statement = session
        .prepare("SELECT position FROM message_store.write_messages($1, $2)")
        .await
        .unwrap();
    let row = session
        .query_one(&statement, &[&"thing-1", &r#"[{"type": "B"}]"#])
        .await
        .unwrap();
    assert_eq!(row.get::<_, i64>(0), 1);
    let call = r#"SELECT message_store.write_messages('thing-1', '[{"type": "A"}]', 1, 'ignore')"#;
    session.run(call).await.unwrap();
    let array = "SELECT message_store.write_messages(\
                 '{\"(thing-1,C,{},,,2)\"}'::message_store.new_message[], 'ignore')";
    session.run(array).await.unwrap();
    assert_eq!(session.run(LOG).await.unwrap().len(), 4);
    let error = session
        .error("SELECT message_store.write_messages('thing-1', 'no JSON')")
        .await;
    assert_eq!(error.sqlstate, "22P02", "{error:?}");
}

#[tokio::test]
async fn new_ids_are_of_version_7_and_rise() {
    let (_database, session) = store().await;
    let batch = vec![element("thing-1", "A", None, None); 300];
    for _ in 0..3 {
        session.run(&write(&batch, "error")).await.unwrap();
    }
    let wrong = "SELECT count(*) FROM (
        SELECT id::text, lag(id) OVER (ORDER BY global_position) < id AS rises
        FROM message_store.messages) AS ids
      WHERE substr(id, 15, 1) <> '7' OR NOT rises";
    assert_eq!(session.bigint(wrong).await, 0);
    let stored = session
        .run("SELECT id FROM message_store.messages ORDER BY position DESC LIMIT 1")
        .await;
    let returned = session
        .value("SELECT id FROM message_store.get_last_stream_message('thing-1')")
        .await;
    assert_eq!(stored.unwrap()[0][0], returned);
}

#[tokio::test]
async fn an_empty_batch_writes_nothing() {
    let (_database, session) = store().await;
    assert!(session.run(&write(&[], "error")).await.unwrap().is_empty());
    let none = write_to("thing-1", "[]", ", 17");
    assert!(session.run(&none).await.unwrap().is_empty());
    let drawn = "SELECT is_called FROM message_store.messages_global_position_seq";
    assert_eq!(session.value(drawn).await.as_deref(), Some("f"));
}

#[tokio::test]
async fn a_batch_is_read_by_the_rest_of_its_transaction() {
    let (_database, session) = store().await;
    session.run("BEGIN").await.unwrap();
    session
        .run(&write(&[element("thing-1", "A", None, None)], "error"))
        .await
        .unwrap();
    session
        .run("SELECT message_store.write_message(gen_random_uuid()::varchar, 'thing-1', 'B', '{}', NULL, 0)")
        .await
        .unwrap();
    let rows = session
        .run(&write(&[element("thing-1", "C", None, Some(1))], "error"))
        .await
        .unwrap();
    assert_eq!(places(&rows), [["thing-1", "2", "3", "f"]]);
    session.run("COMMIT").await.unwrap();
}

#[tokio::test]
async fn a_batch_over_many_categories_and_ten_thousand_streams_is_written() {
    // Room for few locks: a lock a stream would not fit.
    let cluster = Cluster::start(&[
        ("max_connections", "10"),
        ("max_locks_per_transaction", "10"),
    ]);
    let database = cluster.create_store().await;
    let session = database.connect().await;
    session.run("BEGIN").await.unwrap();
    let written = session
        .run(
            "SELECT count(*), count(DISTINCT stream_name), bool_and(position = 1 - step)
             FROM message_store.write_messages(ARRAY(
               SELECT ROW('kind' || i % 40 || '-' || i * 7919 % 10000, 'T', '{}', NULL, NULL, NULL)
                 ::message_store.new_message
               FROM generate_series(0, 19999) AS i)) WITH ORDINALITY AS written
               (id, stream_name, position, global_position, is_duplicate, n)
             CROSS JOIN LATERAL (SELECT CASE WHEN n <= 10000 THEN 1 ELSE 0 END) AS half(step)",
        )
        .await
        .unwrap();
    assert_eq!(
        written,
        [["20000", "10000", "t"].map(|value| Some(value.to_owned()))]
    );
    // However many streams there were, few locks are left.
    let locks = format!(
        "SELECT count(*) FROM pg_locks WHERE pid = {} AND locktype = 'advisory'",
        session.pid
    );
    let watcher = database.connect().await;
    assert!(watcher.bigint(&locks).await <= 34);
    let held_back = watcher
        .run("SELECT * FROM message_store.get_category_messages('kind7')")
        .await;
    assert!(held_back.unwrap().is_empty());
    session.run("COMMIT").await.unwrap();
    let read = "SELECT count(*) FROM message_store.get_category_messages('kind7', 1, -1)";
    assert_eq!(watcher.bigint(read).await, 500);
    assert_eq!(session.bigint(BROKEN_STREAMS).await, 0);
    let rises = "SELECT count(*) FROM message_store.messages WHERE global_position > 20000";
    assert_eq!(session.bigint(rises).await, 0);
}

#[tokio::test]
async fn streams_have_no_hole_after_a_batch_rolled_back() {
    let (_database, session) = store().await;
    let batch = [
        element("thing-1", "A", None, None),
        element("thing-2", "A", None, None),
        element("thing-1", "B", None, None),
    ];
    session.run(&write(&batch, "error")).await.unwrap();
    for end in ["ROLLBACK", "ROLLBACK TO s; COMMIT"] {
        session.run("BEGIN; SAVEPOINT s").await.unwrap();
        session.run(&write(&batch, "error")).await.unwrap();
        session.run(end).await.unwrap();
    }
    session
        .error(&write(
            &[batch[0].clone(), element("thing-1", "C", None, Some(0))],
            "error",
        ))
        .await;
    let rows = session.run(&write(&batch, "error")).await.unwrap();
    let positions: Vec<Option<&str>> = rows.iter().map(|row| row[2].as_deref()).collect();
    assert_eq!(positions, [Some("2"), Some("1"), Some("3")]);
    assert_eq!(session.bigint(BROKEN_STREAMS).await, 0);
}

#[tokio::test]
async fn large_messages_are_written_as_they_are() {
    let (_database, session) = store().await;
    let rows = session
        .run(
            "WITH bodies AS (
               SELECT i, jsonb_build_object('body', (
                 SELECT string_agg(md5(i * 1000 + j || ''), '') FROM generate_series(1, i * 300) AS j))
                 AS body FROM generate_series(1, 40) AS i),
             written AS (
               SELECT * FROM message_store.write_messages(ARRAY(
                 SELECT ROW('thing-1', 'T', body, body, NULL, i - 2)::message_store.new_message
                 FROM bodies ORDER BY i)))
             SELECT count(*) FROM written",
        )
        .await
        .unwrap();
    assert_eq!(rows[0][0].as_deref(), Some("40"));
    let same = "SELECT count(*) FROM message_store.messages
                WHERE data = metadata AND length(data->>'body') = (position + 1) * 300 * 32";
    assert_eq!(session.bigint(same).await, 40);
}
