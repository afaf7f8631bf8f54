//! What a handler writes: where it comes from, which ids it has, and that it is written once.

use super::{LOG, store, write_to};

/// A service: a command comes in, an event goes out, by a handler of one message and by one of a
/// run.
const SERVICE: &str = r#"
    CREATE FUNCTION serve(command message_store.message) RETURNS void LANGUAGE sql AS $$
      SELECT message_store.write_messages(ARRAY[
        ROW('account-1', 'Opened', '{}', NULL, NULL, NULL),
        ROW('account-1', 'Noted', '{}',
            '{"replyStreamName": "own-1", "extra": 1}', NULL, NULL)]::message_store.new_message[])
    $$;
    CREATE FUNCTION serve(commands message_store.message[]) RETURNS void LANGUAGE sql AS $$
      SELECT message_store.write_messages(ARRAY(
        SELECT ROW('run-1', 'Ran', '{}', message_store.follow(command), NULL, NULL)
          ::message_store.new_message
        FROM unnest(commands) AS command))
    $$;
    CREATE FUNCTION serve_run(commands message_store.message[]) RETURNS void LANGUAGE sql AS $$
      SELECT serve(commands)
    $$;
    CREATE FUNCTION serve_one(command message_store.message) RETURNS void LANGUAGE sql AS $$
      SELECT serve(command)
    $$;"#;

const COMMANDS: &str = r#"[
    {"type": "Open", "metadata": {"correlationStreamName": "flow-1", "replyStreamName": "reply-1"}},
    {"type": "Open"}]"#;

#[tokio::test]
async fn a_handler_of_one_message_tells_what_its_messages_come_from() {
    let (_database, session) = store().await;
    session.run(SERVICE).await.unwrap();
    session
        .run(&write_to("account:command-1", COMMANDS, ""))
        .await
        .unwrap();
    session
        .run(
            "SELECT message_store.create_subscription('service', 'account:command',
               '{\"Open\": \"serve_one\"}');
             SELECT message_store.tick('service')",
        )
        .await
        .unwrap();
    let written = session
        .run(
            "SELECT type, metadata FROM message_store.messages
             WHERE stream_name = 'account-1' ORDER BY position",
        )
        .await
        .unwrap();
    let written: Vec<(&str, serde_json::Value)> = written
        .iter()
        .map(|row| {
            let metadata = serde_json::from_str(row[1].as_ref().unwrap()).unwrap();
            (&**row[0].as_ref().unwrap(), metadata)
        })
        .collect();
    let cause = |position: i64| {
        serde_json::json!({
            "causationMessageStreamName": "account:command-1",
            "causationMessagePosition": position,
            "causationMessageGlobalPosition": position + 1,
        })
    };
    let with = |mut cause: serde_json::Value, more: &[(&str, serde_json::Value)]| {
        for (key, value) in more {
            cause[*key] = value.clone();
        }
        cause
    };
    let text = |text: &str| serde_json::Value::from(text);
    let correlation = ("correlationStreamName", text("flow-1"));
    let own = [
        ("replyStreamName", text("own-1")),
        ("extra", serde_json::Value::from(1)),
    ];
    assert_eq!(
        written,
        [
            (
                "Opened",
                with(
                    cause(0),
                    &[correlation.clone(), ("replyStreamName", text("reply-1"))]
                )
            ),
            ("Noted", with(with(cause(0), &[correlation]), &own)),
            ("Opened", cause(1)),
            ("Noted", with(cause(1), &own)),
        ]
    );
    // `follow` says the same.
    let differing = "SELECT count(*) FROM message_store.messages AS written,
        message_store.get_stream_messages('account:command-1') AS command
      WHERE written.type = 'Opened'
        AND (written.metadata->>'causationMessagePosition')::bigint = command.position
        AND written.metadata <> message_store.follow(command)";
    assert_eq!(session.bigint(differing).await, 0);
}

#[tokio::test]
async fn what_a_handler_writes_has_the_same_id_every_time() {
    let (_database, session) = store().await;
    session.run(SERVICE).await.unwrap();
    session
        .run(&write_to("account:command-1", COMMANDS, ""))
        .await
        .unwrap();
    session
        .run(
            "SELECT message_store.create_subscription('service', 'account:command',
               '{\"Open\": \"serve_one\"}');
             SELECT message_store.create_subscription('run', 'account:command',
               '{\"Open\": \"serve_run\"}');",
        )
        .await
        .unwrap();
    let tick = "SELECT message_store.tick('service'); SELECT message_store.tick('run')";
    let ids = "SELECT id FROM message_store.messages WHERE stream_name IN ('account-1', 'run-1')
               ORDER BY stream_name, position";
    session.run("BEGIN").await.unwrap();
    session.run(tick).await.unwrap();
    let first = session.run(ids).await.unwrap();
    session.run("ROLLBACK").await.unwrap();
    session.run(tick).await.unwrap();
    assert_eq!(session.run(ids).await.unwrap(), first);
    assert_eq!(first.len(), 6);
    let distinct: std::collections::BTreeSet<_> = first.iter().collect();
    assert_eq!(distinct.len(), 6);
    for id in first.iter().flatten().flatten() {
        assert_eq!(&id[14..15], "5", "{id}");
    }
}

/// What is written again in a later version must be known again. Each message counts that the handler
/// writes for the message it handles, those with an id of their own too.
#[tokio::test]
async fn ids_are_derived_from_the_place_among_all_that_a_handler_writes() {
    let (_database, session) = store().await;
    session
        .run(
            "CREATE TABLE written (ordinal bigserial, command bigint, id varchar);
             CREATE FUNCTION write_some(command bigint, size int) RETURNS void LANGUAGE sql AS $$
               INSERT INTO written (command, id)
               SELECT command, w.id FROM message_store.write_messages(ARRAY(
                 SELECT ROW('event-' || n, 'Done', NULL, NULL,
                   CASE WHEN n % 3 = 1 THEN md5(command || '/' || size || '/' || n) END,
                   NULL)::message_store.new_message
                 FROM generate_series(0, size - 1) AS n)) AS w;
             $$;
             CREATE FUNCTION serve(command bigint) RETURNS void LANGUAGE sql AS $$
               SELECT write_some(command, size) FROM unnest(ARRAY[1, 5, 0, 150, 2]) AS size;
               INSERT INTO written (command, id)
               SELECT command, w.id FROM message_store.write_messages(
                 'event-1', '[{\"type\": \"Done\"}]'::jsonb) AS w;
             $$;
             SELECT message_store.create_subscription('service', 'command',
               '{\"Open\": \"serve\"}');",
        )
        .await
        .unwrap();
    session
        .run(&write_to("command-1", COMMANDS, ""))
        .await
        .unwrap();
    session
        .run("SELECT message_store.tick('service')")
        .await
        .unwrap();
    let ids = "SELECT command, id FROM written ORDER BY ordinal";
    let ids = session.run(ids).await.unwrap();
    let namespace = uuid::uuid!("6d657373-6167-5f73-8a1e-b0c49f2d6e37");
    let mut expected = Vec::new();
    for command in [1, 2] {
        let mut ordinal = 0;
        for size in [1, 5, 0, 150, 2] {
            for number in 0..size {
                let own = number % 3 == 1;
                let derived = format!("{command}/{ordinal}/service");
                let derived = uuid::Uuid::new_v5(&namespace, derived.as_bytes());
                expected.push((!own).then(|| derived.to_string()));
                ordinal += 1;
            }
        }
        let last = format!("{command}/{ordinal}/service");
        expected.push(Some(
            uuid::Uuid::new_v5(&namespace, last.as_bytes()).to_string(),
        ));
    }
    assert_eq!(ids.len(), expected.len());
    for (row, expected) in ids.iter().zip(expected) {
        if expected.is_some() {
            assert_eq!(row[1], expected);
        }
    }
}

#[tokio::test]
async fn a_message_handled_twice_is_answered_once() {
    let (_database, session) = store().await;
    session.run(SERVICE).await.unwrap();
    session
        .run(&write_to("account:command-1", COMMANDS, ""))
        .await
        .unwrap();
    session
        .run(
            "SELECT message_store.create_subscription('service', 'account:command',
               '{\"Open\": \"serve_one\"}');
             SELECT message_store.tick('service')",
        )
        .await
        .unwrap();
    let log = session.run(LOG).await.unwrap();
    assert_eq!(log.len(), 6);
    // As after a restore of the subscriptions alone.
    session
        .run(
            "UPDATE message_store.subscription_progress SET position = 0;
             SELECT message_store.tick('service')",
        )
        .await
        .unwrap();
    assert_eq!(session.run(LOG).await.unwrap(), log);
}

#[tokio::test]
async fn a_replay_writes_nothing() {
    let (_database, session) = store().await;
    session
        .run(
            "CREATE TABLE replied (position bigint, id varchar, is_replay boolean);
             CREATE FUNCTION serve(command message_store.message) RETURNS void LANGUAGE sql AS $$
               INSERT INTO replied SELECT w.position, w.id, c.is_replay
               FROM message_store.write_messages('account-1', '[{\"type\": \"Opened\"}]'::jsonb) AS w,
                 message_store.handler_context() AS c;
               INSERT INTO replied SELECT message_store.write_message(
                   md5(command.global_position::text), 'account-1', 'Noted', '{}'), NULL, c.is_replay
               FROM message_store.handler_context() AS c;
             $$",
        )
        .await
        .unwrap();
    session
        .run(&write_to("account:command-1", COMMANDS, ""))
        .await
        .unwrap();
    session
        .run(
            "SELECT message_store.create_subscription('service', 'account:command',
               '{\"Open\": \"serve\"}');
             SELECT message_store.tick('service')",
        )
        .await
        .unwrap();
    let log = session.run(LOG).await.unwrap();
    assert_eq!(log.len(), 6);
    let first = session.run("SELECT id FROM replied WHERE id IS NOT NULL ORDER BY 1");
    let first = first.await.unwrap();
    session.run("TRUNCATE replied").await.unwrap();
    session
        .run(
            "SELECT message_store.rebuild('service');
             SELECT message_store.tick('service')",
        )
        .await
        .unwrap();
    assert_eq!(session.run(LOG).await.unwrap(), log);
    let replayed = "SELECT count(*) FROM replied WHERE is_replay AND position IS NULL";
    assert_eq!(session.bigint(replayed).await, 4);
    let again = session.run("SELECT id FROM replied WHERE id IS NOT NULL ORDER BY 1");
    assert_eq!(again.await.unwrap(), first);
}
