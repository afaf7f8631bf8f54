//! How few failing calls it takes to find the message that fails.

use promises::Cluster;

use crate::subscriber::{create_with, seen, texts, tick, tick_was, with_recorders};
use crate::{PARKED, failing_calls, repair, with_choosy};

/// Messages in a batch, at most.
const MOST: i64 = 64;

#[tokio::test]
async fn a_poisonous_message_costs_one_failing_call_of_a_scalar_handler() {
    let (_database, session) = with_choosy(Cluster::shared()).await;
    let park = "{\"on_failure\": \"park\", \"retries\": 0}";
    let handlers = "{\"$any\": \"public.choosy\"}";
    create_with(&session, "s", "a", handlers, park).await;
    for bad in [1, 2, 31, 63, 64] {
        session
            .run(&format!(
                "SELECT message_store.write_message(gen_random_uuid()::varchar, 'a-' || n,
                   CASE WHEN n = {bad} THEN 'Bad' ELSE 'Good' END, '{{}}')
                 FROM generate_series(1, {MOST}) n;
                 ALTER SEQUENCE public.failing_calls RESTART; TRUNCATE public.seen"
            ))
            .await
            .unwrap();
        let parked = tick(&session, "s", 1000).await;
        assert_eq!(parked.parked, 1);
        assert_eq!(failing_calls(&session).await, 1, "bad at {bad}");
        assert_eq!(
            seen(&session, "s").await.len() as i64,
            MOST - 1,
            "bad at {bad}"
        );
        let forget = "SELECT message_store.discard_parked('s', 'test')";
        assert_eq!(session.bigint(forget).await, 1);
    }
}

#[tokio::test]
async fn a_poisonous_message_costs_at_most_log2_failing_calls_of_an_array_handler() {
    let (_database, session) = with_choosy(Cluster::shared()).await;
    let park = "{\"on_failure\": \"park\", \"retries\": 0}";
    let handlers = "{\"$any\": \"public.choosy_run\"}";
    create_with(&session, "s", "a", handlers, park).await;
    for messages in [1, 2, 3, 5, 8, 17, 33, MOST] {
        for bad in 1..=messages {
            session
                .run(&format!(
                    "SELECT count(message_store.write_message(gen_random_uuid()::varchar, 'a-' || n,
                       CASE WHEN n = {bad} THEN 'Bad' ELSE 'Good' END, '{{}}'))
                     FROM generate_series(1, {messages}) n;
                     ALTER SEQUENCE public.failing_calls RESTART; TRUNCATE public.seen"
                ))
                .await
                .unwrap();
            let parked = tick(&session, "s", 1000).await;
            assert_eq!(
                (parked.scanned, parked.handled, parked.parked),
                (messages, messages - 1, 1)
            );
            let most = i64::from((messages as u64).ilog2())
                + 1
                + i64::from(!(messages as u64).is_power_of_two());
            let calls = failing_calls(&session).await;
            assert!(
                (1..=most).contains(&calls),
                "{calls} failing calls for {bad} of {messages}, {most} at most"
            );
            let end = parked.position;
            let expected: Vec<i64> = (end - messages + 1..=end)
                .filter(|position| *position != end - messages + bad)
                .collect();
            assert_eq!(seen(&session, "s").await, expected, "{bad} of {messages}");
            let forget = "SELECT message_store.discard_parked('s', 'test')";
            assert_eq!(session.bigint(forget).await, 1);
        }
    }
}

#[tokio::test]
async fn a_retried_run_is_called_up_to_the_failing_message_and_it_alone() {
    let (_database, session) = with_choosy(Cluster::shared()).await;
    let options = "{\"retries\": 2, \"retry_delay\": \"0\"}";
    let handlers = "{\"$any\": \"public.choosy_run\"}";
    create_with(&session, "s", "a", handlers, options).await;
    session
        .run(&format!(
            "SELECT message_store.write_message(gen_random_uuid()::varchar, 'a-1',
               CASE WHEN n = 20 THEN 'Bad' ELSE 'Good' END, '{{}}')
             FROM generate_series(1, {MOST}) n"
        ))
        .await
        .unwrap();
    let first = tick(&session, "s", 1000).await;
    assert_eq!(first.failed(), ("retrying", "ZZ002"));
    assert_eq!((first.handled, first.position), (19, 19));
    session
        .run("ALTER SEQUENCE public.failing_calls RESTART")
        .await
        .unwrap();
    assert_eq!(tick(&session, "s", 1000).await.outcome, "retrying");
    assert_eq!(failing_calls(&session).await, 1, "it is known by now");
    assert_eq!(tick(&session, "s", 1000).await.outcome, "stopped");
    assert_eq!(failing_calls(&session).await, 2);
    repair(&session).await;
    session
        .run("SELECT message_store.start('s')")
        .await
        .unwrap();
    let rest = tick(&session, "s", 1000).await;
    assert_eq!(rest, tick_was("progressed", MOST - 19, MOST - 19, MOST));
    let all: Vec<i64> = (1..=MOST).collect();
    assert_eq!(seen(&session, "s").await, all);
}

#[tokio::test]
async fn what_a_handler_defers_is_its_own_messages_failure() {
    let (_database, session) = with_recorders(Cluster::shared()).await;
    session
        .run(
            "CREATE TABLE public.parents (id bigint PRIMARY KEY);
             CREATE TABLE public.children (
               parent bigint REFERENCES public.parents DEFERRABLE INITIALLY DEFERRED);
             CREATE FUNCTION public.orphan(viewed bigint) RETURNS void LANGUAGE plpgsql AS $$
             BEGIN
               PERFORM public.record_position(viewed);
               IF viewed NOT IN (3, 5) THEN INSERT INTO public.parents VALUES (viewed); END IF;
               INSERT INTO public.children VALUES (viewed);
             END $$;
             CREATE FUNCTION public.orphans(viewed bigint[]) RETURNS void LANGUAGE sql AS
               'SELECT public.orphan(v) FROM unnest(viewed) v'",
        )
        .await
        .unwrap();
    for handler in ["orphan", "orphans"] {
        let park = "{\"on_failure\": \"park\", \"retries\": 0, \"park\": \"message\"}";
        let handlers = format!("{{\"$any\": \"public.{handler}\"}}");
        create_with(&session, handler, "a", &handlers, park).await;
        session
            .run(
                "TRUNCATE message_store.messages, public.parents, public.children RESTART IDENTITY;
                 SELECT message_store.write_message(gen_random_uuid()::varchar, 'a-1', 'A', '{}')
                 FROM generate_series(1, 7)",
            )
            .await
            .unwrap();
        let parked = tick(&session, handler, 1000).await;
        assert_eq!((parked.handled, parked.parked), (5, 2), "{parked:?}");
        assert_eq!(seen(&session, handler).await, [1, 2, 4, 6, 7], "{handler}");
        assert_eq!(
            texts(&session, PARKED).await,
            ["3 failed 1 23503", "5 failed 1 23503"]
        );
        let children = "SELECT parent FROM public.children ORDER BY 1";
        assert_eq!(texts(&session, children).await, ["1", "2", "4", "6", "7"]);
        session
            .run("SELECT message_store.discard_parked('orphan', 'test'); DELETE FROM message_store.parked")
            .await
            .unwrap();
    }
}
