//! Promise: who waits for messages is woken by the next one, holds nothing back meanwhile, and can
//! be cancelled.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must fail loudly"
)]

mod subscriber;

use std::sync::Arc;
use std::time::{Duration, Instant};

use promises::{Cluster, Session};
use subscriber::write;

async fn wait_for(session: &Session, after: i64, timeout: &str) -> i64 {
    session
        .bigint(&format!(
            "CALL message_store.wait_for_messages({after}, '{timeout}')"
        ))
        .await
}

#[tokio::test]
async fn waiting_ends_with_a_new_message_and_holds_no_snapshot() {
    let database = Cluster::shared().create_store().await;
    let session = database.connect().await;
    write(&session, "a-1", "A").await;
    assert_eq!(
        wait_for(&session, 0, "30 s").await,
        1,
        "what is there is reported at once"
    );

    let waiter = Arc::new(database.connect().await);
    let waiting = tokio::spawn({
        let waiter = Arc::clone(&waiter);
        async move { wait_for(&waiter, 1, "60 s").await }
    });
    let activity = format!("FROM pg_stat_activity WHERE pid = {}", waiter.pid);
    let calls = format!(
        "SELECT state = 'active' AND query LIKE 'CALL%' AND wait_event_type = 'Extension' {activity}"
    );
    session.wait_until(&calls).await;
    // It keeps none while the log moves on either, and no message of another store wakes it.
    let vacuum_horizon = "SELECT backend_xmin IS NULL AND backend_xid IS NULL ";
    for _ in 0..50 {
        let free = session.value(&format!("{vacuum_horizon} {activity}")).await;
        assert_eq!(free.as_deref(), Some("t"));
    }
    let still_waiting = session.value(&format!("SELECT state {activity}")).await;
    assert_eq!(still_waiting.as_deref(), Some("active"));
    write(&session, "a-1", "A").await;
    let woken = tokio::time::timeout(Duration::from_secs(5), waiting).await;
    assert_eq!(woken.expect("it wakes up").unwrap(), 2);
}

#[tokio::test]
async fn waiting_ends_at_its_timeout_and_can_be_cancelled() {
    let database = Cluster::shared().create_store().await;
    let session = database.connect().await;
    let started = Instant::now();
    assert_eq!(wait_for(&session, 5, "200 ms").await, 0);
    let took = started.elapsed();
    assert!(
        took >= Duration::from_millis(200) && took < Duration::from_secs(5),
        "{took:?}"
    );
    assert_eq!(wait_for(&session, 5, "0").await, 0);

    session
        .run("SET statement_timeout = '100ms'")
        .await
        .unwrap();
    let error = session
        .error("CALL message_store.wait_for_messages(5, '1 h')")
        .await;
    assert_eq!(error.sqlstate, "57014", "{error:?}");
}

#[tokio::test]
async fn waiting_is_a_statement_of_its_own() {
    let database = Cluster::shared().create_store().await;
    let session = database.connect().await;
    let call = "CALL message_store.wait_for_messages(5, '10 ms')";
    session.run("BEGIN; SELECT 1").await.unwrap();
    let in_block = session.error(call).await;
    session.run("ROLLBACK").await.unwrap();
    session
        .run(
            "CREATE FUNCTION public.waits() RETURNS bigint LANGUAGE plpgsql AS $$
             DECLARE last bigint;
             BEGIN CALL message_store.wait_for_messages(5, '10 ms', last); RETURN last; END $$",
        )
        .await
        .unwrap();
    let in_function = session.error("SELECT public.waits()").await;
    assert_eq!(in_function.sqlstate, "25001", "{in_function:?}");
    assert_eq!(in_block.sqlstate, "25001", "{in_block:?}");
    assert_eq!(session.value(call).await.as_deref(), Some("0"));
}
