//! Handlers that take their server process with them.

use promises::Cluster;

use crate::subscriber::{create_with, seen, texts, tick, tick_was, with_recorders};

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

/// Ticks until the server survives it; returns how often it did not, and the last outcome.
async fn tick_through_crashes(cluster: &Cluster, name: &str, subscriber: &str) -> (usize, String) {
    for crashes in 0..12 {
        let session = loop {
            // Recovery takes a moment; the server says so to whoever asks.
            let mut ready = cluster.client_command("psql");
            let ready = ready.args(["-XAtc", "SELECT 1", name]).output().unwrap();
            if ready.status.success() {
                break cluster.connect(name, "postgres").await;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        };
        let sql = format!("SELECT outcome FROM message_store.tick('{subscriber}')");
        match session.query_one(&sql, &[]).await {
            Ok(row) => return (crashes, row.get(0)),
            Err(error) => assert!(
                error.is_closed()
                    || error
                        .code()
                        .is_none_or(|code| code.code().starts_with("57P")),
                "{error:?}"
            ),
        }
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
        crate::subscriber::tick_to_the_end(&session, subscriber).await;
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
