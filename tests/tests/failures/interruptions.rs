//! Ticks that somebody or something ends, and definitions that change under way.

use std::sync::Arc;

use promises::{Cluster, Session, SqlError};

use crate::subscriber::{create, create_with, seen, texts, tick, tick_was, with_recorders, write};

/// Counts its calls, records, and waits at message 2 for the advisory lock 4711.
const GATED: &str = "
    CREATE SEQUENCE public.calls;
    CREATE FUNCTION public.gated(viewed bigint) RETURNS void LANGUAGE plpgsql AS $$
    BEGIN
      PERFORM nextval('public.calls'), public.record_position(viewed);
      IF viewed = 2 THEN PERFORM pg_advisory_xact_lock(4711); END IF;
    END $$";

const ATTEMPTS: &str = "SELECT attempts, position, state FROM message_store.subscription_status";

async fn tick_in_background(
    session: &Arc<Session>,
) -> tokio::task::JoinHandle<Result<promises::Rows, SqlError>> {
    let session = Arc::clone(session);
    tokio::spawn(async move { session.run("SELECT * FROM message_store.tick('s')").await })
}

#[tokio::test]
async fn a_persons_cancel_ends_the_tick_and_counts_for_nothing() {
    let (database, session) = with_recorders(Cluster::shared()).await;
    session.run(GATED).await.unwrap();
    let handlers = "{\"A\": \"public.gated\"}";
    create_with(&session, "s", "a", handlers, "{\"retries\": 0}").await;
    for _ in 0..3 {
        write(&session, "a-1", "A").await;
    }
    let gate = database.connect().await;
    gate.run("SELECT pg_advisory_lock(4711)").await.unwrap();
    let ticker = Arc::new(database.connect().await);
    for _ in 0..2 {
        let ticking = tick_in_background(&ticker).await;
        session.wait_until_blocked(ticker.pid).await;
        session
            .run(&format!("SELECT pg_cancel_backend({})", ticker.pid))
            .await
            .unwrap();
        let error = ticking.await.unwrap().unwrap_err();
        assert_eq!(error.sqlstate, "57014", "{error:?}");
        // The error is told before the transaction is taken back; this answer comes after.
        ticker.run("SELECT").await.unwrap();
        assert_eq!(texts(&session, ATTEMPTS).await, ["0 0 created"]);
    }
    gate.run("SELECT pg_advisory_unlock(4711)").await.unwrap();
    assert_eq!(
        tick(&session, "s", 1000).await,
        tick_was("progressed", 3, 3, 3)
    );
    assert_eq!(seen(&session, "s").await, [1, 2, 3]);
}

#[tokio::test]
async fn a_statement_timeout_of_the_subscription_counts() {
    let (database, session) = with_recorders(Cluster::shared()).await;
    session.run(GATED).await.unwrap();
    let handlers = "{\"A\": \"public.gated\"}";
    let options = "{\"retries\": 0, \"settings\": {\"statement_timeout\": \"2s\"}}";
    create_with(&session, "s", "a", handlers, options).await;
    for _ in 0..3 {
        write(&session, "a-1", "A").await;
    }
    let gate = database.connect().await;
    gate.run("SELECT pg_advisory_lock(4711)").await.unwrap();
    let stopped = tick(&session, "s", 1000).await;
    assert_eq!(stopped.failed(), ("stopped", "57014"), "{stopped:?}");
    assert!(stopped.error().contains("statement timeout"), "{stopped:?}");
    assert_eq!(texts(&session, ATTEMPTS).await, ["1 1 stopped"]);
    assert_eq!(seen(&session, "s").await, [1]);
}

#[tokio::test]
async fn a_statement_timeout_of_whoever_ticks_counts_for_nothing() {
    let (database, session) = with_recorders(Cluster::shared()).await;
    session.run(GATED).await.unwrap();
    let handlers = "{\"A\": \"public.gated\"}";
    // The handler may take longer than the session gives its statement.
    let options = "{\"retries\": 0, \"settings\": {\"statement_timeout\": \"1h\"}}";
    create_with(&session, "s", "a", handlers, options).await;
    for _ in 0..3 {
        write(&session, "a-1", "A").await;
    }
    let gate = database.connect().await;
    gate.run("SELECT pg_advisory_lock(4711)").await.unwrap();
    session
        .run("SET statement_timeout = '300ms'")
        .await
        .unwrap();
    let error = session.error("SELECT message_store.tick('s')").await;
    assert_eq!(error.sqlstate, "57014", "{error:?}");
    session.run("RESET statement_timeout").await.unwrap();
    gate.run("SELECT pg_advisory_unlock(4711)").await.unwrap();
    assert_eq!(
        tick(&session, "s", 1000).await,
        tick_was("progressed", 3, 3, 3)
    );
}

#[tokio::test]
async fn a_terminated_session_counts_for_nothing() {
    let (database, session) = with_recorders(Cluster::shared()).await;
    session.run(GATED).await.unwrap();
    let handlers = "{\"A\": \"public.gated\"}";
    create_with(&session, "s", "a", handlers, "{\"retries\": 0}").await;
    for _ in 0..3 {
        write(&session, "a-1", "A").await;
    }
    let gate = database.connect().await;
    gate.run("SELECT pg_advisory_lock(4711)").await.unwrap();
    for _ in 0..4 {
        let ticker = Arc::new(database.connect().await);
        let ticking = tick_in_background(&ticker).await;
        session.wait_until_blocked(ticker.pid).await;
        session
            .run(&format!("SELECT pg_terminate_backend({})", ticker.pid))
            .await
            .unwrap();
        // The lost connection is a panic of the session that had it.
        assert!(!matches!(ticking.await, Ok(Ok(_))));
        session
            .wait_until(&format!(
                "SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = {})",
                ticker.pid
            ))
            .await;
        assert_eq!(texts(&session, ATTEMPTS).await, ["0 0 created"]);
    }
    gate.run("SELECT pg_advisory_unlock(4711)").await.unwrap();
    assert_eq!(
        tick(&session, "s", 1000).await,
        tick_was("progressed", 3, 3, 3)
    );
    assert_eq!(seen(&session, "s").await, [1, 2, 3]);
}

#[tokio::test]
async fn a_handler_that_is_dropped_stops_its_subscription_before_its_message() {
    let (_database, session) = with_recorders(Cluster::shared()).await;
    session
        .run(
            "CREATE FUNCTION public.other(viewed bigint) RETURNS void LANGUAGE sql AS
               'SELECT public.record_position(viewed)'",
        )
        .await
        .unwrap();
    let both = "{\"A\": \"public.record_position\", \"B\": \"public.other\"}";
    create(&session, "s", "a", both).await;
    for message_type in ["A", "A", "B", "A"] {
        write(&session, "a-1", message_type).await;
    }
    session
        .run("DROP FUNCTION public.other(bigint)")
        .await
        .unwrap();
    // What comes before it is handled first; then it stops, and says which handler.
    assert_eq!(
        tick(&session, "s", 1000).await,
        tick_was("progressed", 2, 2, 2)
    );
    let stopped = tick(&session, "s", 1000).await;
    assert_eq!(stopped.failed(), ("stopped", "42883"), "{stopped:?}");
    assert!(stopped.error().contains("public.other"), "{stopped:?}");
    assert_eq!(seen(&session, "s").await, [1, 2]);

    // Another signature is another function.
    session
        .run(
            "CREATE FUNCTION public.other(viewed bigint[]) RETURNS void LANGUAGE sql AS '';
             SELECT message_store.start('s')",
        )
        .await
        .unwrap();
    let stopped = tick(&session, "s", 1000).await;
    assert_eq!(stopped.failed(), ("stopped", "42883"), "{stopped:?}");
    session
        .run(
            "CREATE FUNCTION public.other(viewed bigint) RETURNS void LANGUAGE sql AS
               'SELECT public.record_position(viewed)';
             SELECT message_store.start('s')",
        )
        .await
        .unwrap();
    assert_eq!(
        tick(&session, "s", 1000).await,
        tick_was("progressed", 2, 2, 4)
    );
    assert_eq!(seen(&session, "s").await, [1, 2, 3, 4]);
}

#[tokio::test]
async fn a_handler_that_is_altered_while_it_runs_changes_the_next_tick() {
    let (database, session) = with_recorders(Cluster::shared()).await;
    session.run(GATED).await.unwrap();
    create(&session, "s", "a", "{\"A\": \"public.gated\"}").await;
    for _ in 0..3 {
        write(&session, "a-1", "A").await;
    }
    let gate = database.connect().await;
    gate.run("SELECT pg_advisory_lock(4711)").await.unwrap();
    let ticker = Arc::new(database.connect().await);
    let ticking = tick_in_background(&ticker).await;
    session.wait_until_blocked(ticker.pid).await;
    session
        .run("ALTER FUNCTION public.gated(bigint) RENAME TO gone")
        .await
        .unwrap();
    gate.run("SELECT pg_advisory_unlock(4711)").await.unwrap();
    let rows = ticking.await.unwrap().unwrap();
    assert_eq!(rows[0][0].as_deref(), Some("progressed"), "{rows:?}");
    assert_eq!(seen(&session, "s").await, [1, 2, 3]);
    write(&session, "a-1", "A").await;
    assert_eq!(
        tick(&session, "s", 1000).await.failed(),
        ("stopped", "42883")
    );
    assert_eq!(seen(&session, "s").await, [1, 2, 3]);
}

#[tokio::test]
async fn dropping_a_subscription_waits_for_its_tick() {
    let (database, session) = with_recorders(Cluster::shared()).await;
    session.run(GATED).await.unwrap();
    create(&session, "s", "a", "{\"A\": \"public.gated\"}").await;
    for _ in 0..3 {
        write(&session, "a-1", "A").await;
    }
    let gate = database.connect().await;
    gate.run("SELECT pg_advisory_lock(4711)").await.unwrap();
    let ticker = Arc::new(database.connect().await);
    let ticking = tick_in_background(&ticker).await;
    session.wait_until_blocked(ticker.pid).await;
    let dropper = Arc::new(database.connect().await);
    let dropping = tokio::spawn({
        let dropper = Arc::clone(&dropper);
        async move {
            dropper
                .value("SELECT message_store.drop_subscription('s')")
                .await
        }
    });
    session.wait_until_blocked(dropper.pid).await;
    gate.run("SELECT pg_advisory_unlock(4711)").await.unwrap();
    let rows = ticking.await.unwrap().unwrap();
    assert_eq!(rows[0][0].as_deref(), Some("progressed"), "{rows:?}");
    assert_eq!(dropping.await.unwrap().as_deref(), Some("t"));
    assert_eq!(seen(&session, "s").await, [1, 2, 3], "the tick was whole");
    let error = session.error("SELECT message_store.tick('s')").await;
    assert_eq!(error.sqlstate, "42704", "{error:?}");
    let left = "SELECT (SELECT count(*) FROM message_store.subscription_progress) \
                     + (SELECT count(*) FROM message_store.subscriptions)";
    assert_eq!(session.bigint(left).await, 0);
}

#[tokio::test]
async fn a_subscription_dropped_by_its_own_handler_loses_nothing() {
    let (_database, session) = with_recorders(Cluster::shared()).await;
    session
        .run(
            "CREATE FUNCTION public.leave(viewed bigint) RETURNS void LANGUAGE plpgsql AS $$
             BEGIN
               PERFORM public.record_position(viewed);
               IF viewed = 2 THEN PERFORM message_store.drop_subscription('s'); END IF;
             END $$",
        )
        .await
        .unwrap();
    create_with(
        &session,
        "s",
        "a",
        "{\"A\": \"public.leave\"}",
        "{\"retries\": 0}",
    )
    .await;
    for _ in 0..3 {
        write(&session, "a-1", "A").await;
    }
    // Refused, and then that message failed; or done, and then it is gone. Nothing in between.
    let rows = session
        .run("SELECT outcome FROM message_store.tick('s')")
        .await;
    let exists = session
        .bigint("SELECT count(*) FROM message_store.subscriptions")
        .await;
    match (&rows, exists) {
        (Ok(rows), 1) => {
            assert_eq!(rows[0][0].as_deref(), Some("stopped"), "{rows:?}");
            assert_eq!(seen(&session, "s").await, [1]);
            assert_eq!(texts(&session, ATTEMPTS).await, ["1 1 stopped"]);
        }
        (_, 0) => assert!([vec![1, 2, 3], vec![]].contains(&seen(&session, "s").await)),
        other => panic!("{other:?}"),
    }
}
