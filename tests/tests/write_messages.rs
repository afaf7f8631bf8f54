//! Promise: a batch is written whole or not at all, in its order, once, and in nobody's way.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must fail loudly"
)]

use std::collections::BTreeMap;
use std::sync::Arc;

use promises::{Cluster, Database, Rows, Session, check_property, literal};
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use tokio::runtime::Runtime;

const CASES: u32 = 400;

const ID: &str = "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11";
const OTHER_ID: &str = "b0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11";

/// Streams without a hole, in which global positions rise with positions.
const BROKEN_STREAMS: &str = "
    SELECT count(*) FROM (
      SELECT position, row_number() OVER stream - 1 AS expected,
             global_position > lag(global_position, 1, 0::bigint) OVER stream AS rises
      FROM message_store.messages WINDOW stream AS (PARTITION BY stream_name ORDER BY position)
    ) AS streams WHERE position <> expected OR NOT rises";

const LOG: &str = "SELECT id, stream_name, type, position, global_position, data, metadata \
                   FROM message_store.messages ORDER BY global_position";

fn element(stream: &str, message_type: &str, id: Option<&str>, expected: Option<i64>) -> String {
    let id = literal(id);
    let expected = expected.map_or("NULL".to_owned(), |expected| expected.to_string());
    format!("ROW('{stream}', '{message_type}', '{{}}', NULL, {id}, {expected})")
}

fn write(elements: &[String], on_duplicate: &str) -> String {
    format!(
        "SELECT * FROM message_store.write_messages(\
         ARRAY[{}]::message_store.new_message[], '{on_duplicate}')",
        elements.join(", ")
    )
}

fn write_to(stream: &str, messages: &str, rest: &str) -> String {
    format!("SELECT * FROM message_store.write_messages('{stream}', '{messages}'::jsonb{rest})")
}

async fn store() -> (Database<'static>, Session) {
    let database = Cluster::shared().create_store().await;
    let session = database.connect().await;
    (database, session)
}

/// The columns of a result but for the id.
fn places(rows: &Rows) -> Vec<Vec<&str>> {
    rows.iter()
        .map(|row| {
            row[1..]
                .iter()
                .map(|value| value.as_deref().unwrap_or("NULL"))
                .collect()
        })
        .collect()
}

// --- A model --------------------------------------------------------------------------------------

#[derive(Clone, Debug)]
struct Proposed {
    stream: u8,
    message_type: bool,
    id: Option<u8>,
    /// Off the right version by this much; `None` for no expectation.
    expected_off_by: Option<i64>,
}

#[derive(Clone, Debug)]
struct Proposal {
    messages: Vec<Proposed>,
    ignore: bool,
    rolls_back: bool,
}

fn proposal() -> impl Strategy<Value = Proposal> {
    let off_by = prop_oneof![
        6 => Just(None),
        6 => Just(Some(0)),
        1 => (-2_i64..3).prop_map(Some),
    ];
    let message = (
        0..4_u8,
        any::<bool>(),
        proptest::option::weighted(0.3, 0..40_u8),
        off_by,
    )
        .prop_map(|(stream, message_type, id, expected_off_by)| Proposed {
            stream,
            message_type,
            id,
            expected_off_by,
        });
    (
        proptest::collection::vec(message, 0..8),
        any::<bool>(),
        proptest::bool::weighted(0.1),
    )
        .prop_map(|(messages, ignore, rolls_back)| Proposal {
            messages,
            ignore,
            rolls_back,
        })
}

#[derive(Clone, Default)]
struct Model {
    /// Types of a stream's messages.
    streams: BTreeMap<String, Vec<String>>,
    /// Where an id is: stream and position.
    ids: BTreeMap<String, (String, usize)>,
}

impl Model {
    /// Stream, position and whether it is a duplicate, of each; or the SQLSTATE.
    fn write(
        &mut self,
        elements: &[(String, String, Option<String>, Option<i64>)],
        ignore: bool,
    ) -> Result<Vec<(String, usize, bool)>, &'static str> {
        let mut places = Vec::new();
        let mut wrong_version = false;
        for (stream, message_type, id, expected) in elements {
            if let Some((found_in, position)) = id.as_ref().and_then(|id| self.ids.get(id)) {
                let same = found_in == stream && self.streams[stream][*position] == *message_type;
                if !ignore || !same {
                    return Err("23505");
                }
                places.push((stream.clone(), *position, true));
                continue;
            }
            let messages = self.streams.entry(stream.clone()).or_default();
            wrong_version |= expected.is_some_and(|expected| expected != messages.len() as i64 - 1);
            let position = messages.len();
            messages.push(message_type.clone());
            if let Some(id) = id {
                self.ids.insert(id.clone(), (stream.clone(), position));
            }
            places.push((stream.clone(), position, false));
        }
        if wrong_version {
            return Err("P0001");
        }
        Ok(places)
    }
}

#[test]
fn batches_do_what_a_simple_model_does() {
    let runtime = Runtime::new().unwrap();
    let (_database, session) = runtime.block_on(store());
    let histories = proptest::collection::vec(proposal(), 1..12);
    check_property(&runtime, CASES, &histories, async |history| {
        session
            .run("TRUNCATE message_store.messages")
            .await
            .unwrap();
        let mut model = Model::default();
        for proposal in history {
            follow_model(&session, &mut model, &proposal).await?;
        }
        prop_assert_eq!(session.bigint(BROKEN_STREAMS).await, 0);
        let count: usize = model.streams.values().map(Vec::len).sum();
        let written = session
            .bigint("SELECT count(*) FROM message_store.messages")
            .await;
        prop_assert_eq!(written, count as i64);
        Ok(())
    });
}

async fn follow_model(
    session: &Session,
    model: &mut Model,
    proposal: &Proposal,
) -> Result<(), TestCaseError> {
    let mut lengths: BTreeMap<String, i64> = model
        .streams
        .iter()
        .map(|(name, messages)| (name.clone(), messages.len() as i64))
        .collect();
    let elements: Vec<(String, String, Option<String>, Option<i64>)> = proposal
        .messages
        .iter()
        .map(|message| {
            let stream = format!("thing-{}", message.stream);
            let message_type = if message.message_type { "Made" } else { "Done" };
            let id = message
                .id
                .map(|id| format!("00000000-0000-4000-8000-0000000000{id:02}"));
            let length = lengths.entry(stream.clone()).or_default();
            let expected = message.expected_off_by.map(|off_by| *length - 1 + off_by);
            if id.as_ref().is_none_or(|id| !model.ids.contains_key(id)) {
                *length += 1;
            }
            (stream, message_type.to_owned(), id, expected)
        })
        .collect();
    let on_duplicate = if proposal.ignore { "ignore" } else { "error" };
    let as_sql: Vec<String> = elements
        .iter()
        .map(|(stream, message_type, id, expected)| {
            element(stream, message_type, id.as_deref(), *expected)
        })
        .collect();
    let mut after = model.clone();
    let wanted = after.write(&elements, proposal.ignore);
    session.run("BEGIN").await.unwrap();
    let got = session.run(&write(&as_sql, on_duplicate)).await;
    match (&wanted, got) {
        (Ok(wanted), Ok(rows)) => {
            let found: Vec<(String, usize, bool)> = rows
                .iter()
                .map(|row| {
                    let value = |number: usize| row[number].clone().unwrap();
                    (value(1), value(2).parse().unwrap(), value(4) == "t")
                })
                .collect();
            prop_assert_eq!(&found, wanted);
            let ids = elements.iter().map(|(_, _, id, _)| id);
            for (row, id) in rows.iter().zip(ids) {
                prop_assert!(id.is_none() || &row[0] == id);
            }
            let new: Vec<i64> = rows
                .iter()
                .filter(|row| row[4].as_deref() == Some("f"))
                .map(|row| row[3].as_ref().unwrap().parse().unwrap())
                .collect();
            prop_assert!(new.is_sorted_by(|one, next| one < next), "{:?}", new);
            if proposal.rolls_back {
                session.run("ROLLBACK").await.unwrap();
            } else {
                session.run("COMMIT").await.unwrap();
                *model = after;
            }
        }
        (Err(_), Err(error)) => {
            // A batch with several faults may be refused for any of them.
            prop_assert!(
                ["23505", "P0001"].contains(&&*error.sqlstate),
                "{:?}",
                error
            );
            session.run("ROLLBACK").await.unwrap();
        }
        (wanted, got) => {
            return Err(TestCaseError::fail(format!("{wanted:?} but {got:?}")));
        }
    }
    Ok(())
}

// --- What a batch is ------------------------------------------------------------------------------

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

// --- Duplicates -----------------------------------------------------------------------------------

#[tokio::test]
async fn a_retry_after_a_lost_reply_returns_what_the_first_one_wrote() {
    let (_database, session) = store().await;
    let batch = [
        element("thing-1", "A", Some(ID), Some(-1)),
        element("thing-2", "B", Some(OTHER_ID), Some(-1)),
    ];
    let first = session.run(&write(&batch, "ignore")).await.unwrap();
    assert_eq!(
        places(&first),
        [["thing-1", "0", "1", "f"], ["thing-2", "0", "2", "f"]]
    );
    let later = [element("thing-1", "Later", None, None)];
    session.run(&write(&later, "error")).await.unwrap();
    let log = session.run(LOG).await.unwrap();
    let again = session.run(&write(&batch, "ignore")).await.unwrap();
    assert_eq!(
        places(&again),
        [["thing-1", "0", "1", "t"], ["thing-2", "0", "2", "t"]]
    );
    // And as JSON for one stream, with the version from before the batch.
    let messages = format!(r#"[{{"type": "A", "id": "{ID}"}}]"#);
    let again = session
        .run(&write_to("thing-1", &messages, ", -1, 'ignore'"))
        .await
        .unwrap();
    assert_eq!(places(&again), [["thing-1", "0", "1", "t"]]);
    assert_eq!(session.run(LOG).await.unwrap(), log);
}

#[tokio::test]
async fn a_batch_that_is_only_in_part_a_retry_has_its_version_checked() {
    let (_database, session) = store().await;
    let first = format!(r#"[{{"type": "A", "id": "{ID}"}}]"#);
    session
        .run(&write_to("thing-1", &first, ", -1, 'ignore'"))
        .await
        .unwrap();
    let both = format!(r#"[{{"type": "A", "id": "{ID}"}}, {{"type": "B"}}]"#);
    let error = session
        .error(&write_to("thing-1", &both, ", -1, 'ignore'"))
        .await;
    assert_eq!(error.sqlstate, "P0001", "{error:?}");
    let rows = session
        .run(&write_to("thing-1", &both, ", 0, 'ignore'"))
        .await
        .unwrap();
    let places = places(&rows);
    assert_eq!(places[0], ["thing-1", "0", "1", "t"]);
    assert_eq!(places[1][..2], ["thing-1", "1"]);
}

#[tokio::test]
async fn an_id_in_use_is_refused_by_name() {
    let (_database, session) = store().await;
    session
        .run(&write(&[element("thing-1", "A", Some(ID), None)], "error"))
        .await
        .unwrap();
    let batch = [
        element("thing-2", "B", None, None),
        element("thing-1", "A", Some(ID), None),
    ];
    let error = session.error(&write(&batch, "error")).await;
    assert_eq!(error.sqlstate, "23505");
    assert!(error.message.contains(ID), "{error:?}");
    assert!(error.hint.contains("ignore"), "{error:?}");
    let raised = session.simple_query(&write(&batch, "error")).await;
    let raised = raised.unwrap_err();
    assert_eq!(
        raised.as_db_error().unwrap().constraint(),
        Some("messages_id")
    );
    // Twice in one batch.
    let twice = [
        element("thing-2", "B", Some(OTHER_ID), None),
        element("thing-2", "B", Some(OTHER_ID), None),
    ];
    let error = session.error(&write(&twice, "error")).await;
    assert_eq!(error.sqlstate, "23505");
    assert!(error.message.contains(OTHER_ID), "{error:?}");
    let rows = session.run(&write(&twice, "ignore")).await.unwrap();
    let is_duplicate: Vec<Option<&str>> = rows.iter().map(|row| row[4].as_deref()).collect();
    assert_eq!(is_duplicate, [Some("f"), Some("t")]);
    assert_eq!(rows[0][1..4], rows[1][1..4]);
    // What is another message is no retry.
    for other in [
        element("thing-2", "A", Some(ID), None),
        element("thing-1", "B", Some(ID), None),
    ] {
        let error = session.error(&write(&[other], "ignore")).await;
        assert_eq!(error.sqlstate, "23505");
        assert!(error.message.contains(ID), "{error:?}");
        assert!(error.detail.contains("thing-1"), "{error:?}");
    }
    // Another error says what it always says.
    session
        .run("CREATE UNIQUE INDEX only_one ON message_store.messages ((data->>'one'))")
        .await
        .unwrap();
    let ones = r#"[{"type": "A", "data": {"one": 1}}, {"type": "A", "data": {"one": 1}}]"#;
    let error = session.error(&write_to("thing-3", ones, "")).await;
    assert_eq!(error.sqlstate, "23505");
    assert!(error.message.contains("only_one"), "{error:?}");
}

#[tokio::test]
async fn a_retry_waits_for_the_first_try_and_then_decides() {
    let (database, first) = store().await;
    let retry = Arc::new(database.connect().await);
    let watcher = database.connect().await;
    let batch = [
        element("thing-1", "A", Some(ID), Some(-1)),
        element("thing-1", "B", None, None),
    ];
    for (end, is_duplicate) in [("ROLLBACK", "f"), ("COMMIT", "t")] {
        watcher
            .run("TRUNCATE message_store.messages")
            .await
            .unwrap();
        first.run("BEGIN").await.unwrap();
        first.run(&write(&batch, "ignore")).await.unwrap();
        let session = Arc::clone(&retry);
        let statement = write(&batch[..1], "ignore");
        let waiting = tokio::spawn(async move { session.run(&statement).await });
        watcher.wait_until_blocked(retry.pid).await;
        first.run(end).await.unwrap();
        let rows = waiting.await.unwrap().unwrap();
        assert_eq!(rows[0][2].as_deref(), Some("0"), "{end}");
        assert_eq!(rows[0][4].as_deref(), Some(is_duplicate), "{end}");
        assert_eq!(watcher.bigint(BROKEN_STREAMS).await, 0);
    }
    // Of another stream: refused once that one is settled.
    watcher
        .run("TRUNCATE message_store.messages")
        .await
        .unwrap();
    first.run("BEGIN").await.unwrap();
    first.run(&write(&batch, "ignore")).await.unwrap();
    let session = Arc::clone(&retry);
    let statement = write(&[element("thing-2", "A", Some(ID), None)], "ignore");
    let waiting = tokio::spawn(async move { session.run(&statement).await });
    watcher.wait_until_blocked(retry.pid).await;
    first.run("COMMIT").await.unwrap();
    let error = waiting.await.unwrap().unwrap_err();
    assert_eq!(error.sqlstate, "23505", "{error:?}");
}

// --- Others -----------------------------------------------------------------------------------------

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batches_over_the_same_streams_in_opposite_order_never_deadlock() {
    // More streams than a batch locks at a time, and fewer.
    for (streams, rounds) in [(20, 150), (150, 40)] {
        let (database, admin) = store().await;
        let mut writers = Vec::new();
        for backwards in [false, true, false, true] {
            let session = database.connect().await;
            writers.push(tokio::spawn(async move {
                let mut batch: Vec<String> = (0..streams)
                    .map(|stream| element(&format!("thing-{stream}"), "T", None, None))
                    .collect();
                if backwards {
                    batch.reverse();
                }
                let statement = write(&batch, "error");
                for round in 0..rounds {
                    let end = if round % 7 == 6 { "ROLLBACK" } else { "COMMIT" };
                    session.run("BEGIN").await.unwrap();
                    session.run(&statement).await.unwrap();
                    session.run(end).await.unwrap();
                }
            }));
        }
        for writer in writers {
            writer.await.unwrap();
        }
        assert_eq!(admin.bigint(BROKEN_STREAMS).await, 0);
        let kept = rounds - rounds / 7;
        let count = "SELECT count(*) FROM message_store.messages";
        assert_eq!(admin.bigint(count).await, 4 * kept * streams);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn single_writes_and_batches_share_streams_without_a_hole() {
    let (database, admin) = store().await;
    let mut writers = Vec::new();
    for number in 0..4 {
        let session = database.connect().await;
        writers.push(tokio::spawn(async move {
            let batch: Vec<String> = (0..100)
                .map(|stream| element(&format!("thing-{}", stream * 37 % 100), "T", None, None))
                .collect();
            let batch = write(&batch, "error");
            for round in 0..100 {
                let single = format!(
                    "SELECT message_store.write_message(gen_random_uuid()::varchar, \
                     'thing-{}', 'S', '{{}}')",
                    (round * 13 + number * 29) % 100
                );
                let statement = if number % 2 == 0 { &batch } else { &single };
                session.run(statement).await.unwrap();
            }
        }));
    }
    for writer in writers {
        writer.await.unwrap();
    }
    assert_eq!(admin.bigint(BROKEN_STREAMS).await, 0);
    let count = "SELECT count(*) FROM message_store.messages";
    assert_eq!(admin.bigint(count).await, 2 * 100 * 100 + 2 * 100);
}

// --- The table's own rules ------------------------------------------------------------------------

#[tokio::test]
async fn triggers_columns_and_constraints_of_the_user_see_every_row() {
    let (_database, session) = store().await;
    session
        .run(
            "ALTER TABLE message_store.messages
               ADD size integer GENERATED ALWAYS AS (length(data::text)) STORED,
               ADD note text DEFAULT 'none',
               ADD CONSTRAINT not_forbidden CHECK (type <> 'Forbidden');
             CREATE TABLE seen (what text, count bigint);
             CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN
               IF TG_LEVEL = 'ROW' THEN
                 INSERT INTO seen VALUES (TG_WHEN || ' ' || NEW.type, NEW.position);
                 RETURN NEW;
               END IF;
               INSERT INTO seen SELECT 'STATEMENT', count(*) FROM new_rows;
               RETURN NULL;
             END $$;
             CREATE TRIGGER after_row AFTER INSERT ON message_store.messages
               FOR EACH ROW EXECUTE FUNCTION see();
             CREATE TRIGGER after_statement AFTER INSERT ON message_store.messages
               REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION see();",
        )
        .await
        .unwrap();
    let batch = [
        element("thing-2", "A", None, None),
        element("thing-1", "B", None, None),
    ];
    let one_by_one = "CREATE TRIGGER before_row BEFORE INSERT ON message_store.messages
                      FOR EACH ROW EXECUTE FUNCTION see()";
    let mut expected = vec!["AFTER A 0", "AFTER B 0", "STATEMENT 2"];
    for prepare in ["SELECT 1", one_by_one] {
        session
            .run("TRUNCATE message_store.messages, seen")
            .await
            .unwrap();
        session.run(prepare).await.unwrap();
        session.run(&write(&batch, "error")).await.unwrap();
        let seen = session
            .run("SELECT what || ' ' || count FROM seen ORDER BY 1")
            .await
            .unwrap();
        let seen: Vec<String> = seen.into_iter().flatten().flatten().collect();
        assert_eq!(seen, expected);
        expected = vec![
            "AFTER A 0",
            "AFTER B 0",
            "BEFORE A 0",
            "BEFORE B 0",
            "STATEMENT 2",
        ];
        let computed =
            "SELECT count(*) FROM message_store.messages WHERE size = 2 AND note = 'none'";
        assert_eq!(session.bigint(computed).await, 2);
    }
    let forbidden = [
        batch[0].clone(),
        element("thing-1", "Forbidden", None, None),
    ];
    let error = session.error(&write(&forbidden, "error")).await;
    assert_eq!(error.sqlstate, "23514", "{error:?}");
}

#[tokio::test]
async fn a_trigger_that_moves_or_drops_a_message_is_an_error() {
    let (_database, session) = store().await;
    for (action, text) in [
        ("NEW.stream_name := 'other-1'; RETURN NEW", "stream_name"),
        ("NEW.position := 7; RETURN NEW", "position"),
        ("RETURN NULL", "kept the message"),
    ] {
        session
            .run(&format!(
                "CREATE OR REPLACE FUNCTION meddle() RETURNS trigger LANGUAGE plpgsql AS
                   $$ BEGIN {action}; END $$;
                 CREATE OR REPLACE TRIGGER meddle BEFORE INSERT ON message_store.messages
                   FOR EACH ROW WHEN (NEW.type = 'B') EXECUTE FUNCTION meddle()"
            ))
            .await
            .unwrap();
        let batch = [
            element("thing-1", "A", None, None),
            element("thing-1", "B", None, None),
        ];
        let error = session.error(&write(&batch, "error")).await;
        assert_eq!(error.sqlstate, "39P01", "{error:?}");
        assert!(error.message.contains(text), "{error:?}");
    }
    assert!(session.run(LOG).await.unwrap().is_empty());
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

// --- Bad input --------------------------------------------------------------------------------------

#[tokio::test]
async fn what_cannot_be_meant_is_refused_with_its_place() {
    let (_database, session) = store().await;
    let fine = element("thing-1", "A", None, None);
    let long = "x".repeat(2_601);
    let array = |element: String| write(&[fine.clone(), element], "error");
    let nulls = |stream: &str, message_type: &str| {
        format!("ROW({stream}, {message_type}, NULL, NULL, NULL, NULL)")
    };
    let json = |second: &str| write_to("thing-1", &format!(r#"[{{"type": "A"}}, {second}]"#), "");
    let cases = [
        (array("NULL".to_owned()), "22023", "messages[2] must not be NULL"),
        (array(nulls("NULL", "'T'")), "22023", "messages[2].stream_name"),
        (array(nulls("''", "'T'")), "22023", "messages[2].stream_name"),
        (array(nulls(&format!("'{long}'"), "'T'")), "22023", "messages[2].stream_name has 2601"),
        (array(nulls("'thing-1'", "NULL")), "22023", "messages[2].type"),
        (array(nulls("'thing-1'", "''")), "22023", "messages[2].type"),
        (array(element("thing-1", "A", Some("no-uuid"), None)), "22P02", "messages[2].id"),
        (
            array(format!(
                "ROW('thing-1', 'T', NULL, '{{\"correlationStreamName\": \"{long}\"}}', NULL, NULL)"
            )),
            "22023",
            "messages[2].metadata",
        ),
        (write(std::slice::from_ref(&fine), "skip"), "22023", "on_duplicate must be 'error' or 'ignore': skip"),
        (
            "SELECT message_store.write_messages(NULL::message_store.new_message[])".to_owned(),
            "22023",
            "messages must not be NULL",
        ),
        (
            format!(
                "SELECT message_store.write_messages(ARRAY[[{fine}], [{fine}]]\
                 ::message_store.new_message[])"
            ),
            "22023",
            "messages has 2 dimensions",
        ),
        (
            format!("SELECT message_store.write_messages(ARRAY[{fine}]::message_store.new_message[], NULL)"),
            "22023",
            "on_duplicate",
        ),
        (json("17"), "22023", "messages[1] must be a JSON object"),
        (json("[]"), "22023", "messages[1] must be a JSON object"),
        (json(r#"{"data": 1}"#), "22023", "messages[1].type"),
        (json(r#"{"type": null}"#), "22023", "messages[1].type"),
        (json(r#"{"type": 5}"#), "22023", "messages[1].type must be a string"),
        (json(r#"{"type": {}}"#), "22023", "messages[1].type must be a string"),
        (json(r#"{"type": "T", "id": 5}"#), "22023", "messages[1].id must be a string"),
        (json(r#"{"type": "T", "id": ""}"#), "22P02", "messages[1].id"),
        (json(r#"{"type": "T", "idd": 5}"#), "22023", "messages[1] has an unknown key \"idd\""),
        (write_to("thing-1", "{}", ""), "22023", "messages must be a JSON array"),
        (write_to("thing-1", "7", ""), "22023", "messages must be a JSON array"),
        (write_to("", "[]", ""), "22023", "stream_name must not be NULL or empty"),
        (
            "SELECT message_store.write_messages(NULL::varchar, '[]'::jsonb)".to_owned(),
            "22023",
            "stream_name must not be NULL or empty",
        ),
        (
            "SELECT message_store.write_messages('thing-1', NULL::jsonb)".to_owned(),
            "22023",
            "messages must not be NULL",
        ),
        ("SELECT message_store.follow(NULL)".to_owned(), "22023", "message must not be NULL"),
        (
            "SELECT message_store.follow(m, '[]') FROM (SELECT NULL::message_store.message) AS n(x), \
             LATERAL (SELECT ROW(NULL, 's-1', 'T', 0, 1, NULL, NULL, NULL)::message_store.message) AS o(m)"
                .to_owned(),
            "22023",
            "metadata must be a JSON object",
        ),
    ];
    for (sql, sqlstate, text) in cases {
        let error = session.error(&sql).await;
        assert_eq!(error.sqlstate, sqlstate, "{sql}\n{error:?}");
        assert!(error.message.contains(text), "{sql}\n{error:?}");
        assert!(!error.hint.is_empty(), "{sql}\n{error:?}");
    }
    session.run("BEGIN READ ONLY").await.unwrap();
    let error = session.error(&write(&[fine], "error")).await;
    assert_eq!(error.sqlstate, "25006", "{error:?}");
    session.run("ROLLBACK").await.unwrap();
    assert!(session.run(LOG).await.unwrap().is_empty());
}

// --- Handlers -------------------------------------------------------------------------------------

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
