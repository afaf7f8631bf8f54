//! Handlers that take their server process with them.

use promises::{Cluster, Database, Session};

use crate::subscriber::{
    create, create_with, seen, texts, tick, tick_to_the_end, tick_was, with_recorders, write,
};

/// Kills its process with SIGKILL when it comes to a message of type `Deadly`.
const DEADLY: &str = "
    CREATE TABLE public.target (pid int);
    CREATE FUNCTION public.deadly(message message_store.message) RETURNS void
    LANGUAGE plpgsql AS $$
    BEGIN
      PERFORM public.record(message);
      IF (message).type = 'Deadly' THEN
        EXECUTE format('COPY (SELECT 1) TO PROGRAM ''kill -9 %s''', pg_backend_pid());
      END IF;
    END $$;
    CREATE FUNCTION public.deadly_run(messages message_store.message[]) RETURNS void
    LANGUAGE plpgsql AS $$
    DECLARE m message_store.message;
    BEGIN
      FOREACH m IN ARRAY messages LOOP PERFORM public.deadly(m); END LOOP;
    END $$";

/// How often the server has ended all its processes because one was killed.
fn crashes_of(cluster: &Cluster) -> usize {
    cluster.log().matches("; reinitializing").count()
}

/// Waits until the server has noticed one more crash, and recovered: a client sees that its process
/// is gone before the server does.
async fn recover(cluster: &Cluster, crashes_before: usize) {
    let ready = "database system is ready to accept connections";
    while crashes_of(cluster) <= crashes_before
        || cluster.log().matches(ready).count() <= crashes_before + 1
    {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

/// Ticks; the outcome, or `None` where the server crashed.
async fn tick_or_crash(session: &Session, subscriber: &str) -> Option<String> {
    let sql = format!("SELECT outcome FROM message_store.tick('{subscriber}')");
    match session.query_one(&sql, &[]).await {
        Ok(row) => Some(row.get(0)),
        Err(error) => {
            let code = error.code().map(|code| code.code().to_owned());
            assert!(code.is_none_or(|code| code.starts_with("57P")), "{error:?}");
            None
        }
    }
}

/// Ticks until the server survives it; returns how often it did not, and the last outcome.
async fn tick_through_crashes(cluster: &Cluster, name: &str, subscriber: &str) -> (usize, String) {
    for crashes in 0..12 {
        let before = crashes_of(cluster);
        let session = cluster.connect(name, "postgres").await;
        if let Some(outcome) = tick_or_crash(&session, subscriber).await {
            return (crashes, outcome);
        }
        recover(cluster, before).await;
    }
    panic!("an endless crash loop");
}

#[tokio::test]
async fn a_message_that_kills_its_process_is_parked_after_few_crashes_and_no_other_is() {
    let cluster = Cluster::start(&[]);
    let (database, session) = with_recorders(&cluster).await;
    let name = database.name.clone();
    session.run(DEADLY).await.unwrap();
    let park = "{\"on_failure\": \"park\", \"retries\": 3, \"park\": \"message\"}";
    for (subscriber, handler) in [("one", "deadly"), ("run", "deadly_run")] {
        let handlers = format!("{{\"$any\": \"public.{handler}\"}}");
        create_with(&session, subscriber, "a", &handlers, park).await;
    }
    let stop = "{\"retries\": 0}";
    let handlers = "{\"$any\": \"public.deadly\"}";
    create_with(&session, "stops", "a", handlers, stop).await;
    let handlers = "{\"$any\": \"public.record_position\"}";
    create_with(&session, "innocent", "a", handlers, park).await;
    session
        .run(
            "SELECT message_store.write_message(gen_random_uuid()::varchar, 'a-' || n,
               CASE WHEN n = 5 THEN 'Deadly' ELSE 'Good' END, '{}')
             FROM generate_series(1, 12) n",
        )
        .await
        .unwrap();
    drop(session);

    for (subscriber, most) in [("one", 3), ("run", 6)] {
        let (crashes, outcome) = tick_through_crashes(&cluster, &name, subscriber).await;
        assert!(
            (1..=most).contains(&crashes),
            "{crashes} crashes of {subscriber}"
        );
        assert_eq!(outcome, "progressed");
        let session = cluster.connect(&name, "postgres").await;
        tick_to_the_end(&session, subscriber).await;
        let parked = format!(
            "SELECT global_position, status, sqlstate FROM message_store.parked_messages \
             WHERE subscriber_id = '{subscriber}'"
        );
        assert_eq!(texts(&session, &parked).await, ["5 failed 58000"]);
        let rest = [1, 2, 3, 4, 6, 7, 8, 9, 10, 11, 12];
        assert_eq!(seen(&session, subscriber).await, rest, "{subscriber}");
    }
    let (crashes, outcome) = tick_through_crashes(&cluster, &name, "stops").await;
    assert!((1..=3).contains(&crashes), "{crashes} crashes");
    assert_eq!(outcome, "stopped");
    let session = cluster.connect(&name, "postgres").await;
    let stopped = tick(&session, "stops", 1000).await;
    assert_eq!(stopped.failed(), ("stopped", "58000"), "{stopped:?}");
    assert_eq!(stopped.position, 4);

    // Whoever crashed along with others has done nothing.
    assert_eq!(
        tick(&session, "innocent", 1000).await,
        tick_was("progressed", 12, 12, 12)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_was_only_there_when_others_crashed_is_not_punished() {
    let cluster = Cluster::start(&[]);
    let (database, session) = with_slow_subscription(&cluster).await;
    add_deadly_subscription(&session).await;
    require_slow_one_unpunished(&cluster, &database.name, &database.name).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_was_only_there_when_another_database_crashed_is_not_punished() {
    let cluster = Cluster::start(&[]);
    let (database, _session) = with_slow_subscription(&cluster).await;
    let (elsewhere, session) = with_recorders(&cluster).await;
    add_deadly_subscription(&session).await;
    require_slow_one_unpunished(&cluster, &database.name, &elsewhere.name).await;
}

/// A subscription `slow` with one message, whose handler takes its time while `pace` says so.
async fn with_slow_subscription(cluster: &Cluster) -> (Database<'_>, Session) {
    let (database, session) = with_recorders(cluster).await;
    session
        .run(
            "CREATE TABLE public.pace (is_slow boolean); INSERT INTO public.pace VALUES (true);
             CREATE FUNCTION public.slow(viewed bigint) RETURNS void LANGUAGE plpgsql AS $$
             BEGIN
               PERFORM public.record_position(viewed);
               IF (SELECT is_slow FROM public.pace) THEN PERFORM pg_sleep(600); END IF;
             END $$",
        )
        .await
        .unwrap();
    let no_retries = "{\"retries\": 0}";
    create_with(
        &session,
        "slow",
        "a",
        "{\"A\": \"public.slow\"}",
        no_retries,
    )
    .await;
    write(&session, "a-1", "A").await;
    (database, session)
}

async fn add_deadly_subscription(session: &Session) {
    session.run(DEADLY).await.unwrap();
    create(session, "deadly", "b", "{\"$any\": \"public.deadly\"}").await;
    write(session, "b-1", "Deadly").await;
}

/// Crashes the server, as long as it can be, while the handler of `slow` is running.
async fn require_slow_one_unpunished(cluster: &Cluster, slow: &str, deadly: &str) {
    let mut session = cluster.connect(slow, "postgres").await;
    let mut crashes = 0;
    loop {
        let before = crashes_of(cluster);
        let ticker = cluster.connect(slow, "postgres").await;
        let pid = ticker.pid;
        let working = tokio::spawn(async move { tick_or_crash(&ticker, "slow").await });
        session
            .wait_until(&format!(
                "SELECT wait_event = 'PgSleep' FROM pg_stat_activity WHERE pid = {pid}"
            ))
            .await;
        assert!(
            !working.is_finished(),
            "not called after {crashes} crashes: {:?}",
            working.await
        );
        let killer = cluster.connect(deadly, "postgres").await;
        if let Some(outcome) = tick_or_crash(&killer, "deadly").await {
            // Found out, or waiting for its turn among suspects.
            assert!(["stopped", "busy"].contains(&outcome.as_str()), "{outcome}");
            session
                .run(&format!("SELECT pg_cancel_backend({pid})"))
                .await
                .unwrap();
            // Its cancel is an error of the tick's, not a crash; or it waited for its turn.
            assert!(!matches!(working.await, Ok(None)), "it was taken along");
            session
                .wait_until(&format!(
                    "SELECT NOT EXISTS (SELECT FROM pg_locks WHERE pid = {pid})"
                ))
                .await;
            break;
        }
        // Taken along, or waiting for its turn among suspects.
        let taken = working.await.unwrap();
        assert!(matches!(taken.as_deref(), None | Some("busy")), "{taken:?}");
        crashes += 1;
        assert!(crashes < 6, "an endless crash loop");
        recover(cluster, before).await;
        session = cluster.connect(slow, "postgres").await;
    }
    session
        .run("UPDATE public.pace SET is_slow = false")
        .await
        .unwrap();
    assert_eq!(
        tick(&session, "slow", 10).await,
        tick_was("progressed", 1, 1, 1)
    );
    drop(session);
    let (more, outcome) = tick_through_crashes(cluster, deadly, "deadly").await;
    assert_eq!(outcome, "stopped");
    assert!(crashes + more <= 4, "{crashes} and {more} crashes");
}
