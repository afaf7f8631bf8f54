//! Promise: who has written can have the read model that shows it: by waiting for the
//! subscription, or by ticking it in the same transaction.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must fail loudly"
)]

mod subscriber;

use std::sync::Arc;
use std::time::{Duration, Instant};

use promises::{Cluster, Session};
use subscriber::{
    create, create_with, seen, tick, tick_to_the_end, tick_was, with_recorders, write,
};

const ANY: &str = "{\"$any\": \"public.record_position\"}";

async fn wait_for(session: &Session, position: i64, timeout: &str) -> bool {
    let sql = format!("SELECT message_store.wait_for('s', {position}, '{timeout}')");
    session.value(&sql).await.as_deref() == Some("t")
}

#[tokio::test]
async fn waiting_ends_when_the_read_model_has_the_message() {
    let (database, session) = with_recorders(Cluster::shared()).await;
    create(&session, "s", "a", ANY).await;
    let position = write(&session, "a-1", "A").await;
    let waiter = Arc::new(database.connect().await);
    let waiting = tokio::spawn({
        let waiter = Arc::clone(&waiter);
        async move { (wait_for(&waiter, position, "30 s").await, waiter) }
    });
    session
        .wait_until(&format!(
            "SELECT state = 'active' AND query LIKE '%wait_for%' \
             FROM pg_stat_activity WHERE pid = {}",
            waiter.pid
        ))
        .await;
    assert!(!waiting.is_finished());
    let ticked = Instant::now();
    tick(&session, "s", 10).await;
    let (reached, waiter) = waiting.await.unwrap();
    assert!(reached);
    assert!(ticked.elapsed() < Duration::from_secs(5));
    assert_eq!(seen(&waiter, "s").await, [position], "and it is there");
    assert!(wait_for(&waiter, position, "0").await);
}

#[tokio::test]
async fn waiting_ends_at_its_timeout() {
    let (_database, session) = with_recorders(Cluster::shared()).await;
    create(&session, "s", "a", ANY).await;
    let position = write(&session, "a-1", "A").await;
    let started = Instant::now();
    assert!(!wait_for(&session, position, "100 ms").await);
    assert!(started.elapsed() >= Duration::from_millis(100));
    assert!(!wait_for(&session, position, "0").await);
    // Nobody can have a position that was never drawn.
    assert!(!wait_for(&session, position + 1, "0").await);
    session.run("SET statement_timeout = '50ms'").await.unwrap();
    let sql = format!("SELECT message_store.wait_for('s', {position}, '1 h')");
    assert_eq!(session.error(&sql).await.sqlstate, "57014");
}

#[tokio::test]
async fn a_subscription_that_has_nothing_to_come_to_has_reached_everything() {
    let (database, session) = with_recorders(Cluster::shared()).await;
    create(&session, "s", "a", ANY).await;
    let position = write(&session, "b-1", "A").await;
    assert!(wait_for(&session, position, "0").await);
    let slow = database.connect().await;
    slow.run("BEGIN").await.unwrap();
    write(&slow, "a-1", "A").await;
    let behind = write(&session, "b-1", "A").await;
    assert!(!wait_for(&session, behind, "0").await, "one is in flight");
    assert!(wait_for(&session, position, "0").await);
    slow.run("ROLLBACK").await.unwrap();
    assert!(wait_for(&session, behind, "0").await);
}

#[tokio::test]
async fn every_member_of_a_group_must_have_come_there() {
    let (_database, session) = with_recorders(Cluster::shared()).await;
    create_with(&session, "s", "a", ANY, "{\"group_size\": 2}").await;
    let position = write(&session, "a-1", "A").await;
    tick(&session, "s", 10).await;
    assert!(!wait_for(&session, position, "0").await);
    tick(&session, "s", 10).await;
    assert!(wait_for(&session, position, "0").await);
}

#[tokio::test]
async fn a_parked_message_is_not_waited_for() {
    let (_database, session) = with_recorders(Cluster::shared()).await;
    session
        .run(
            "CREATE FUNCTION public.fail(viewed bigint) RETURNS void LANGUAGE plpgsql AS
               $$ BEGIN RAISE EXCEPTION 'never'; END $$",
        )
        .await
        .unwrap();
    let park = "{\"on_failure\": \"park\", \"retries\": 0}";
    create_with(&session, "s", "a", "{\"A\": \"public.fail\"}", park).await;
    let position = write(&session, "a-1", "A").await;
    tick_to_the_end(&session, "s").await;
    let started = Instant::now();
    assert!(!wait_for(&session, position, "1 min").await);
    assert!(started.elapsed() < Duration::from_secs(20));
}

#[tokio::test]
async fn nobody_waits_for_what_cannot_happen() {
    let (_database, session) = with_recorders(Cluster::shared()).await;
    create(&session, "s", "a", ANY).await;
    session.run("BEGIN").await.unwrap();
    let own = write(&session, "a-1", "A").await;
    let sql = format!("SELECT message_store.wait_for('s', {own})");
    let error = session.error(&sql).await;
    assert_eq!(error.sqlstate, "25001", "{error:?}");
    assert!(error.hint.contains("Commit"), "{error:?}");
    session
        .run("ROLLBACK; BEGIN ISOLATION LEVEL REPEATABLE READ")
        .await
        .unwrap();
    assert_eq!(session.error(&sql).await.sqlstate, "25001");
    session.run("ROLLBACK").await.unwrap();
    let unknown = "SELECT message_store.wait_for('nobody', 1)";
    assert_eq!(session.error(unknown).await.sqlstate, "42704");
}

#[tokio::test]
async fn an_inline_tick_sees_its_own_messages_and_stops_before_those_in_flight() {
    let (database, session) = with_recorders(Cluster::shared()).await;
    create(&session, "s", "a", ANY).await;
    session.run("BEGIN").await.unwrap();
    write(&session, "a-1", "A").await;
    assert_eq!(
        tick(&session, "s", 10).await,
        tick_was("progressed", 1, 1, 1)
    );
    assert_eq!(seen(&session, "s").await, [1]);
    session.run("COMMIT").await.unwrap();

    let other = database.connect().await;
    other.run("BEGIN").await.unwrap();
    write(&other, "a-2", "A").await;
    session.run("BEGIN").await.unwrap();
    write(&session, "a-1", "A").await;
    // It says where it stands, and waits for nobody.
    session.run("SET statement_timeout = '30s'").await.unwrap();
    assert_eq!(
        tick(&session, "s", 10).await,
        tick_was("held_back", 0, 0, 1)
    );
    session.run("COMMIT").await.unwrap();
    assert_eq!(
        tick(&session, "s", 10).await,
        tick_was("held_back", 0, 0, 1)
    );
    other.run("COMMIT").await.unwrap();
    assert_eq!(
        tick(&session, "s", 10).await,
        tick_was("progressed", 2, 2, 3)
    );
    assert_eq!(seen(&session, "s").await, [1, 2, 3]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writers_that_tick_inline_neither_wait_nor_skip() {
    let (database, session) = with_recorders(Cluster::shared()).await;
    create(&session, "s", "a", ANY).await;
    let mut writers = Vec::new();
    for number in 0..4 {
        let writer = database.connect().await;
        writer.run("SET statement_timeout = '10s'").await.unwrap();
        writers.push(tokio::spawn(async move {
            let mut had_at_once = 0;
            for _ in 0..40 {
                writer.run("BEGIN").await.unwrap();
                let own = write(&writer, &format!("a-{number}"), "A").await;
                let tick = tick(&writer, "s", 100).await;
                assert!(
                    ["progressed", "idle", "held_back", "busy"].contains(&tick.outcome.as_str()),
                    "{tick:?}"
                );
                had_at_once += i64::from(tick.position >= own);
                let end = if own % 5 == 0 { "ROLLBACK" } else { "COMMIT" };
                writer.run(end).await.unwrap();
            }
            had_at_once
        }));
    }
    let mut had_at_once = 0;
    for writer in writers {
        had_at_once += writer.await.unwrap();
    }
    assert!(had_at_once > 0, "some saw their own message at once");
    tick_to_the_end(&session, "s").await;
    let written = "SELECT global_position FROM message_store.messages ORDER BY 1";
    let written = subscriber::bigints(&session, written).await;
    assert!(written.len() > 100);
    assert_eq!(seen(&session, "s").await, written, "each once, in order");
}
