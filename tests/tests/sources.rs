//! Promise: a subscription reads what its source and its filters say, from where it was told to
//! begin, and moves on past what they leave out.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must fail loudly"
)]

mod subscriber;

use promises::{Cluster, Session};
use subscriber::{
    create, create_with, seen, texts, tick, tick_to_the_end, tick_was, with_recorders, write,
};

const ANY: &str = "{\"$any\": \"public.record_position\"}";

/// 1 a-1 A, 2 b-1 A, 3 a-2 B, 4 a A, 5 a-1 B, 6 ab-1 A, 7 a-1+x A
async fn write_some(session: &Session) {
    for (stream, message_type) in [
        ("a-1", "A"),
        ("b-1", "A"),
        ("a-2", "B"),
        ("a", "A"),
        ("a-1", "B"),
        ("ab-1", "A"),
        ("a-1+x", "A"),
    ] {
        write(session, stream, message_type).await;
    }
}

async fn seen_from(session: &Session, name: &str, source: &str, options: &str) -> Vec<i64> {
    create_with(session, name, source, ANY, options).await;
    tick_to_the_end(session, name).await;
    seen(session, name).await
}

#[tokio::test]
async fn a_category_a_stream_or_everything() {
    let (_database, session) = with_recorders(Cluster::shared()).await;
    write_some(&session).await;
    for (name, source, expected) in [
        ("category", "a", vec![1, 3, 4, 5, 7]),
        ("stream", "a-1", vec![1, 5]),
        ("compound", "a-1+x", vec![7]),
        ("nothing", "c-1", vec![]),
        ("all", "$all", vec![1, 2, 3, 4, 5, 6, 7]),
    ] {
        assert_eq!(
            seen_from(&session, name, source, "{}").await,
            expected,
            "{name}"
        );
        assert_eq!(tick(&session, name, 1000).await.outcome, "idle");
    }
    // And on from there.
    write_some(&session).await;
    for (name, expected) in [
        ("stream", vec![1, 5, 8, 12]),
        ("all", (1..=14).collect()),
        ("nothing", vec![]),
    ] {
        tick_to_the_end(&session, name).await;
        assert_eq!(seen(&session, name).await, expected, "{name}");
    }
    // One message at a time.
    create(&session, "slowly", "a-1", ANY).await;
    for position in [1, 5, 8, 12] {
        assert_eq!(
            tick(&session, "slowly", 1).await,
            tick_was("progressed", 1, 1, position)
        );
    }
    assert_eq!(
        tick(&session, "slowly", 1).await,
        tick_was("idle", 0, 0, 12)
    );
}

#[tokio::test]
async fn writers_in_flight_hold_back_whatever_contains_their_category() {
    let (database, session) = with_recorders(Cluster::shared()).await;
    for (name, source) in [("all", "$all"), ("stream", "a-1"), ("other", "b-1")] {
        create(&session, name, source, ANY).await;
    }
    let slow = database.connect().await;
    slow.run("BEGIN").await.unwrap();
    write(&slow, "a-2", "A").await;
    write(&session, "a-1", "A").await;
    write(&session, "b-1", "A").await;
    assert_eq!(tick(&session, "all", 10).await.outcome, "held_back");
    assert_eq!(tick(&session, "stream", 10).await.outcome, "held_back");
    assert_eq!(
        tick(&session, "other", 10).await,
        tick_was("progressed", 1, 1, 3)
    );
    slow.run("ROLLBACK").await.unwrap();
    for (name, expected) in [("all", vec![2, 3]), ("stream", vec![2]), ("other", vec![3])] {
        tick_to_the_end(&session, name).await;
        assert_eq!(seen(&session, name).await, expected, "{name}");
    }
}

#[tokio::test]
async fn types_are_a_filter_that_the_position_moves_past() {
    let (_database, session) = with_recorders(Cluster::shared()).await;
    write_some(&session).await;
    let only_b = "{\"types\": [\"B\", \"C\"]}";
    for (name, source, expected) in [
        ("in a category", "a", vec![3, 5]),
        ("in a stream", "a-1", vec![5]),
        ("in all", "$all", vec![3, 5]),
    ] {
        assert_eq!(
            seen_from(&session, name, source, only_b).await,
            expected,
            "{name}"
        );
    }
    create_with(&session, "none", "a", ANY, "{\"types\": [\"Z\"]}").await;
    assert_eq!(
        tick(&session, "none", 2).await,
        tick_was("progressed", 2, 0, 3)
    );
    assert_eq!(
        tick(&session, "none", 1000).await,
        tick_was("progressed", 3, 0, 7)
    );
    assert_eq!(tick(&session, "none", 2).await, tick_was("idle", 0, 0, 7));
}

#[tokio::test]
async fn a_filter_added_later_keeps_the_position() {
    let (_database, session) = with_recorders(Cluster::shared()).await;
    write_some(&session).await;
    create(&session, "s", "a", ANY).await;
    tick(&session, "s", 2).await;
    let alter = |options: &str| {
        format!("SELECT message_store.alter_subscription('s', options => '{options}')")
    };
    let filter = alter("{\"types\": [\"B\"], \"batch_size\": 7}");
    assert_eq!(session.value(&filter).await.as_deref(), Some("t"));
    assert_eq!(session.value(&filter).await.as_deref(), Some("f"));
    tick_to_the_end(&session, "s").await;
    assert_eq!(seen(&session, "s").await, [1, 3, 5]);
    let no_filter = alter("{\"types\": null}");
    assert_eq!(session.value(&no_filter).await.as_deref(), Some("t"));
    write_some(&session).await;
    tick_to_the_end(&session, "s").await;
    assert_eq!(seen(&session, "s").await, [1, 3, 5, 8, 10, 11, 12, 14]);
    let options = "SELECT options FROM message_store.subscriptions";
    assert_eq!(texts(&session, options).await, ["{\"batch_size\": 7}"]);
}

#[tokio::test]
async fn correlation_is_message_dbs_filter() {
    let (_database, session) = with_recorders(Cluster::shared()).await;
    session
        .run(
            "SELECT message_store.write_message(gen_random_uuid()::varchar, stream, 'A', '{}',
               jsonb_build_object('correlationStreamName', correlation))
             FROM (VALUES ('a-1', 'order-1'), ('a-1', 'order'), ('a-2', NULL), ('b-1', 'order-2'),
                          ('a-1', 'orders-1'), ('a-2', 'other-order')) m (stream, correlation)",
        )
        .await
        .unwrap();
    let order = "{\"correlation\": \"order\"}";
    for (name, source, expected) in [
        ("in a category", "a", vec![1, 2]),
        ("in a stream", "a-1", vec![1, 2]),
        ("in all", "$all", vec![1, 2, 4]),
    ] {
        assert_eq!(
            seen_from(&session, name, source, order).await,
            expected,
            "{name}"
        );
    }
    let message_db = "SELECT global_position \
                      FROM message_store.get_category_messages('a', correlation => 'order')";
    assert_eq!(texts(&session, message_db).await, ["1", "2"]);
    // What the filter leaves out is passed for good: no tick finds it again.
    write(&session, "a-1", "A").await;
    tick_to_the_end(&session, "in a category").await;
    let lag = "SELECT lag FROM message_store.subscription_status \
               WHERE subscriber_id = 'in a category'";
    assert_eq!(session.bigint(lag).await, 0);
}

#[tokio::test]
async fn a_subscription_begins_where_it_is_told_to() {
    let (_database, session) = with_recorders(Cluster::shared()).await;
    write_some(&session).await;
    session
        .run(
            "UPDATE message_store.messages
             SET time = timestamp '2026-01-01' + global_position * interval '1 day'",
        )
        .await
        .unwrap();
    for (start, expected) in [
        ("\"beginning\"", vec![1, 3, 4, 5, 7]),
        ("1", vec![1, 3, 4, 5, 7]),
        ("4", vec![4, 5, 7]),
        ("6", vec![7]),
        ("8", vec![]),
        ("\"now\"", vec![]),
        ("\"2026-01-05T00:00:00Z\"", vec![4, 5, 7]),
        ("\"2026-01-05 02:00:00+02\"", vec![4, 5, 7]),
        ("\"2026-01-05T00:00:01Z\"", vec![5, 7]),
        ("\"2020-01-01\"", vec![1, 3, 4, 5, 7]),
        ("\"2030-01-01\"", vec![]),
    ] {
        let options = format!("{{\"start_from\": {start}}}");
        let name = start.replace('"', "");
        assert_eq!(
            seen_from(&session, &name, "a", &options).await,
            expected,
            "{start}"
        );
    }
    write(&session, "a-1", "A").await;
    for (name, expected) in [("now", vec![8]), ("8", vec![8]), ("2030-01-01", vec![8])] {
        tick_to_the_end(&session, name).await;
        assert_eq!(seen(&session, name).await, expected, "{name}");
    }
    // A rebuild begins there too.
    session
        .run("SELECT message_store.rebuild('4'); TRUNCATE public.seen")
        .await
        .unwrap();
    tick_to_the_end(&session, "4").await;
    assert_eq!(seen(&session, "4").await, [4, 5, 7, 8]);
}

#[tokio::test]
async fn from_now_on_nothing_in_flight_is_missed() {
    let (database, session) = with_recorders(Cluster::shared()).await;
    write(&session, "a-1", "A").await;
    let slow = database.connect().await;
    slow.run("BEGIN").await.unwrap();
    write(&slow, "a-2", "A").await;
    write(&session, "a-1", "A").await;
    let now = "{\"start_from\": \"now\"}";
    create_with(&session, "s", "a", ANY, now).await;
    slow.run("COMMIT").await.unwrap();
    write(&session, "a-1", "A").await;
    tick_to_the_end(&session, "s").await;
    let seen = seen(&session, "s").await;
    assert!(seen.ends_with(&[2, 3, 4]), "{seen:?}");
}

#[tokio::test]
async fn per_handler_gives_array_handlers_longer_runs() {
    let (_database, session) = with_recorders(Cluster::shared()).await;
    session
        .run(
            "CREATE TABLE public.calls (number serial, subscriber text, given bigint[]);
             CREATE FUNCTION public.ones(given bigint[]) RETURNS void LANGUAGE sql AS $$
               INSERT INTO public.calls (subscriber, given)
               VALUES ((message_store.handler_context()).subscriber_id, given) $$;
             CREATE FUNCTION public.others(given bigint[]) RETURNS void LANGUAGE sql AS $$
               INSERT INTO public.calls (subscriber, given)
               VALUES ((message_store.handler_context()).subscriber_id, given) $$",
        )
        .await
        .unwrap();
    for message_type in ["A", "B", "A", "B", "A", "X", "B"] {
        write(&session, "a-1", message_type).await;
    }
    let handlers = "{\"A\": \"public.ones\", \"B\": \"public.others\"}";
    create(&session, "strict", "a", handlers).await;
    let per_handler = "{\"order\": \"per_handler\"}";
    create_with(&session, "loose", "a", handlers, per_handler).await;
    for (name, expected) in [
        ("strict", vec!["{1}", "{2}", "{3}", "{4}", "{5}", "{7}"]),
        ("loose", vec!["{1,3,5}", "{2,4,7}"]),
    ] {
        assert_eq!(
            tick(&session, name, 1000).await,
            tick_was("progressed", 7, 6, 7)
        );
        let calls = format!(
            "SELECT given FROM public.calls WHERE subscriber = '{name}' ORDER BY given[1], number"
        );
        assert_eq!(texts(&session, &calls).await, expected, "{name}");
    }
}

#[tokio::test]
async fn per_handler_loses_nothing_where_one_fails() {
    let (_database, session) = with_recorders(Cluster::shared()).await;
    session
        .run(
            "CREATE FUNCTION public.not_5(viewed bigint[]) RETURNS void LANGUAGE plpgsql AS $$
             BEGIN
               PERFORM public.record_positions(viewed);
               IF 5 = ANY (viewed) THEN RAISE EXCEPTION 'not 5'; END IF;
             END $$",
        )
        .await
        .unwrap();
    for message_type in ["A", "B", "A", "B", "A", "B", "A"] {
        write(&session, "a-1", message_type).await;
    }
    let handlers = "{\"A\": \"public.not_5\", \"B\": \"public.record_positions\"}";
    let options = "{\"order\": \"per_handler\", \"retries\": 0}";
    create_with(&session, "s", "a", handlers, options).await;
    let stopped = tick(&session, "s", 1000).await;
    assert_eq!(stopped.failed().0, "stopped");
    assert_eq!(stopped.position, 4);
    let mut seen = seen(&session, "s").await;
    seen.sort_unstable();
    assert_eq!(seen, [1, 2, 3, 4]);
}
