//! A message whose id is known: a retry, or a mistake.

use super::{BROKEN_STREAMS, ID, LOG, OTHER_ID, element, places, store, write, write_to};
use std::sync::Arc;

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
