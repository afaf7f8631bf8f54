//! Stopping, and being called again.

use promises::Cluster;

use crate::subscriber::{create_with, seen, texts, tick, tick_was, with_recorders, write};
use crate::{failing_calls, repair, with_choosy};

const CHOOSY: &str = "{\"$any\": \"public.choosy\"}";

#[tokio::test]
async fn without_retries_the_first_failure_stops_the_subscription() {
    let (_database, session) = with_choosy(Cluster::shared()).await;
    create_with(&session, "s", "a", CHOOSY, "{\"retries\": 0}").await;
    session
        .run("SELECT message_store.start('s')")
        .await
        .unwrap();
    for message_type in ["Good", "Bad", "Good"] {
        write(&session, "a-1", message_type).await;
    }
    let stopped = tick(&session, "s", 1000).await;
    assert_eq!(stopped.failed(), ("stopped", "ZZ001"), "{stopped:?}");
    assert_eq!(
        (stopped.scanned, stopped.handled, stopped.position),
        (1, 1, 1)
    );
    assert_eq!(stopped.retry_at, None);
    assert_eq!(failing_calls(&session).await, 1);
    let status = "SELECT state, position, state_reason LIKE 'bad message%', last_sqlstate, \
                  last_error LIKE 'bad message%', last_error_at <= clock_timestamp(), lag \
                  FROM message_store.subscription_status";
    assert_eq!(texts(&session, status).await, ["stopped 1 t ZZ001 t t 2"]);

    // Nobody calls the handler any more, and a tick still says why.
    let again = tick(&session, "s", 1000).await;
    assert_eq!(again.failed(), ("stopped", "ZZ001"), "{again:?}");
    assert_eq!(failing_calls(&session).await, 1);
    let booted = session
        .value("SELECT message_store.start('s', at_boot => true)")
        .await;
    assert_eq!(booted.as_deref(), Some("stopped"), "booting starts it not");
    let started = "SELECT count(*) FROM message_store.started_subscriptions()";
    assert_eq!(session.bigint(started).await, 0);

    repair(&session).await;
    let started = session.value("SELECT message_store.start('s')").await;
    assert_eq!(started.as_deref(), Some("started"));
    assert_eq!(
        tick(&session, "s", 1000).await,
        tick_was("progressed", 2, 2, 3)
    );
    assert_eq!(seen(&session, "s").await, [1, 2, 3]);
    let history = "SELECT action, position, reason LIKE 'bad message%' \
                   FROM message_store.subscription_history ORDER BY at";
    assert_eq!(
        texts(&session, history).await,
        ["create - -", "start - -", "fail 2 t", "start - -"]
    );
}

#[tokio::test]
async fn a_failing_handler_is_called_again_after_pauses_that_grow() {
    let (database, session) = with_choosy(Cluster::shared()).await;
    let options = "{\"retries\": 3, \"retry_delay\": \"40 ms\", \"retry_max_delay\": \"80 ms\"}";
    create_with(&session, "s", "a", CHOOSY, options).await;
    write(&session, "a-1", "Bad").await;
    for (attempt, longest_ms) in [(1, 40), (2, 80), (3, 80)] {
        // Every attempt in a session of its own: nothing is kept in a session's memory.
        let other = database.connect().await;
        let failed = tick(&other, "s", 1000).await;
        assert_eq!(failed.failed(), ("retrying", "ZZ001"), "{failed:?}");
        let status = format!(
            "SELECT attempts = {attempt}, retry_at > last_error_at, \
             retry_at - last_error_at BETWEEN '{} ms' AND '{} ms' \
             FROM message_store.subscription_status",
            longest_ms / 2 - 1,
            longest_ms + 1
        );
        assert_eq!(texts(&session, &status).await, ["t t t"], "{attempt}");
        session
            .wait_until(
                "SELECT retry_at <= clock_timestamp() FROM message_store.subscription_status",
            )
            .await;
    }
    let stopped = tick(&session, "s", 1000).await;
    assert_eq!(stopped.failed(), ("stopped", "ZZ001"), "{stopped:?}");
    assert_eq!(
        failing_calls(&session).await,
        4,
        "one call and three retries"
    );
    assert_eq!(seen(&session, "s").await, [0; 0]);
}

#[tokio::test]
async fn ticks_before_the_time_do_nothing() {
    let (_database, session) = with_choosy(Cluster::shared()).await;
    create_with(
        &session,
        "s",
        "a",
        CHOOSY,
        "{\"retry_delay\": \"1 hour\", \"retry_max_delay\": \"1 hour\"}",
    )
    .await;
    write(&session, "a-1", "Bad").await;
    let failed = tick(&session, "s", 1000).await;
    let row = "SELECT xmin, ctid, * FROM message_store.subscription_progress";
    let before = session.run(row).await.unwrap();
    for _ in 0..3 {
        let waiting = tick(&session, "s", 1000).await;
        assert_eq!(waiting.retry_at, failed.retry_at);
        assert_eq!(waiting.error, failed.error);
        assert_eq!(waiting.outcome, "retrying");
    }
    assert_eq!(session.run(row).await.unwrap(), before);
    assert_eq!(failing_calls(&session).await, 1);
    // start() forgets the failed attempts.
    repair(&session).await;
    session
        .run("SELECT message_store.start('s')")
        .await
        .unwrap();
    assert_eq!(
        tick(&session, "s", 1000).await,
        tick_was("progressed", 1, 1, 1)
    );
}

#[tokio::test]
async fn a_success_forgets_the_attempts_before_it() {
    let (_database, session) = with_recorders(Cluster::shared()).await;
    // Every message fails twice.
    session
        .run(
            "CREATE FUNCTION public.third_time(viewed bigint) RETURNS void LANGUAGE plpgsql AS $$
             BEGIN
               PERFORM public.record_position(viewed);
               IF (message_store.handler_context()).attempt < 3 THEN
                 RAISE EXCEPTION 'not yet';
               END IF;
             END $$",
        )
        .await
        .unwrap();
    let handlers = "{\"$any\": \"public.third_time\"}";
    create_with(
        &session,
        "s",
        "a",
        handlers,
        "{\"retries\": 2, \"retry_delay\": \"0\"}",
    )
    .await;
    for _ in 0..4 {
        write(&session, "a-1", "A").await;
    }
    let mut ticks = 0;
    while tick(&session, "s", 1000).await.outcome != "idle" {
        ticks += 1;
        assert!(ticks < 20, "two retries are enough for each");
    }
    assert_eq!(seen(&session, "s").await, [1, 2, 3, 4]);
    let attempts = "SELECT attempts, retry_at FROM message_store.subscription_status";
    assert_eq!(texts(&session, attempts).await, ["0 -"]);
    let told = "SELECT (context).attempt FROM public.seen";
    assert_eq!(texts(&session, told).await, ["3"; 4]);
}

/// Errors that pass by themselves.
const TRANSIENT: [&str; 7] = [
    "40001", "40P01", "55P03", "53300", "57P01", "57P02", "57P03",
];

#[tokio::test]
async fn errors_that_pass_by_themselves_do_not_count() {
    let (_database, session) = with_choosy(Cluster::shared()).await;
    let options = "{\"retries\": 0, \"retry_delay\": \"0\", \"retry_max_delay\": \"0\"}";
    create_with(&session, "s", "a", CHOOSY, options).await;
    write(&session, "a-1", "Bad").await;
    for (number, sqlstate) in (1..).zip(TRANSIENT) {
        session
            .run(&format!("SET promises.sqlstate = '{sqlstate}'"))
            .await
            .unwrap();
        let failed = tick(&session, "s", 1000).await;
        assert_eq!(failed.failed(), ("retrying", sqlstate), "{failed:?}");
        assert_eq!(failing_calls(&session).await, number);
    }
    let attempts = "SELECT attempts, last_sqlstate FROM message_store.subscription_status";
    assert_eq!(texts(&session, attempts).await, ["0 57P03"]);
    // Another one counts.
    session.run("RESET promises.sqlstate").await.unwrap();
    assert_eq!(
        tick(&session, "s", 1000).await.failed(),
        ("stopped", "ZZ001")
    );
}

#[tokio::test]
async fn after_their_limit_errors_that_pass_by_themselves_count() {
    let (_database, session) = with_choosy(Cluster::shared()).await;
    let options = "{\"retries\": 1, \"retry_delay\": \"0\", \"transient_limit\": \"0 s\"}";
    create_with(&session, "s", "a", CHOOSY, options).await;
    write(&session, "a-1", "Bad").await;
    session
        .run("SET promises.sqlstate = '40001'")
        .await
        .unwrap();
    assert_eq!(
        tick(&session, "s", 1000).await.failed(),
        ("retrying", "40001")
    );
    assert_eq!(
        tick(&session, "s", 1000).await.failed(),
        ("stopped", "40001")
    );
}
