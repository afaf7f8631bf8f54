//! Promise: a subscription gives every message of its category to its handler once, in order;
//! effect and position commit together, and nobody gets in another's way.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must fail loudly"
)]

mod subscriber;

use std::sync::Arc;

use promises::Cluster;
use subscriber::{create, create_with, seen, texts, tick, tick_was, with_recorders, write};

#[tokio::test]
async fn creating_again_keeps_the_position_and_replaces_handlers() {
    let (_database, session) = with_recorders(Cluster::shared()).await;
    let recording = "{\"A\": \"public.record\"}";
    assert_eq!(
        create(&session, "s", "a", recording).await.as_deref(),
        Some("t")
    );
    assert_eq!(
        create(&session, "s", "a", recording).await.as_deref(),
        Some("f")
    );
    write(&session, "a-1", "A").await;
    write(&session, "a-1", "B").await;
    assert_eq!(
        tick(&session, "s", 1000).await,
        tick_was("progressed", 2, 1, 2)
    );

    let positions = "{\"B\": \"public.record_position\"}";
    assert_eq!(
        create(&session, "s", "a", positions).await.as_deref(),
        Some("t"),
        "it changed"
    );
    assert_eq!(
        tick(&session, "s", 1000).await,
        tick_was("idle", 0, 0, 2),
        "position was kept"
    );
    write(&session, "a-1", "A").await;
    write(&session, "a-1", "B").await;
    assert_eq!(
        tick(&session, "s", 1000).await,
        tick_was("progressed", 2, 1, 4)
    );
    assert_eq!(seen(&session, "s").await, [1, 4]);

    let error = session
        .error("SELECT message_store.create_subscription('s', 'b', '{\"A\": \"public.record\"}')")
        .await;
    assert_eq!(error.sqlstate, "42710", "{error:?}");
    assert!(
        error.message.contains("\"s\" already reads \"a\""),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_tick_reads_only_its_category_in_batches_and_then_is_idle() {
    let (_database, session) = with_recorders(Cluster::shared()).await;
    create(&session, "s", "a", "{\"A\": \"public.record_position\"}").await;
    assert_eq!(tick(&session, "s", 10).await, tick_was("idle", 0, 0, 0));
    for (stream, message_type) in [
        ("a-1", "A"),
        ("b-1", "A"),
        ("a-2", "A"),
        ("a-1", "A"),
        ("ab-1", "A"),
        ("a", "A"),
    ] {
        write(&session, stream, message_type).await;
    }
    assert_eq!(
        tick(&session, "s", 2).await,
        tick_was("progressed", 2, 2, 3)
    );
    assert_eq!(
        tick(&session, "s", 2).await,
        tick_was("progressed", 2, 2, 6)
    );
    assert_eq!(tick(&session, "s", 2).await, tick_was("idle", 0, 0, 6));
    assert_eq!(seen(&session, "s").await, [1, 3, 4, 6]);
}

#[tokio::test]
async fn any_takes_the_types_that_have_no_handler_of_their_own() {
    let (_database, session) = with_recorders(Cluster::shared()).await;
    create(&session, "some", "a", "{\"A\": \"public.record_position\"}").await;
    let both = "{\"A\": \"public.record\", \"$any\": \"public.record_position\"}";
    create(&session, "all", "a", both).await;
    for message_type in ["A", "B", "$any", "A"] {
        write(&session, "a-1", message_type).await;
    }
    assert_eq!(
        tick(&session, "some", 1000).await,
        tick_was("progressed", 4, 2, 4)
    );
    assert_eq!(
        tick(&session, "all", 1000).await,
        tick_was("progressed", 4, 4, 4)
    );
    assert_eq!(seen(&session, "some").await, [1, 4]);
    assert_eq!(seen(&session, "all").await, [1, 2, 3, 4]);
    let whole =
        "SELECT count(*) FROM public.seen WHERE subscriber = 'all' AND (message).type = 'A'";
    assert_eq!(session.bigint(whole).await, 2, "A went to the handler of A");
}

#[tokio::test]
async fn an_array_handler_gets_runs_that_only_another_handler_breaks() {
    let (_database, session) = with_recorders(Cluster::shared()).await;
    session
        .run(
            "CREATE TABLE public.calls (number serial, handler text, given bigint[]);
             CREATE FUNCTION public.positions(given bigint[]) RETURNS void LANGUAGE sql AS
               $$ INSERT INTO public.calls (handler, given) VALUES ('positions', given) $$;
             CREATE FUNCTION public.messages(given message_store.message[]) RETURNS void
               LANGUAGE sql AS $$
               INSERT INTO public.calls (handler, given)
               SELECT 'messages', array_agg(m.global_position ORDER BY m.ordinality)
                 FROM unnest(given) WITH ORDINALITY m $$;
             CREATE FUNCTION public.single(given bigint) RETURNS void LANGUAGE sql AS
               $$ INSERT INTO public.calls (handler, given) VALUES ('single', ARRAY[given]) $$;",
        )
        .await
        .unwrap();
    // A and B share a handler; X is nobody's.
    for (number, message_type) in "AXBACCXCSSA".chars().enumerate() {
        write(
            &session,
            &format!("run-{number}"),
            &message_type.to_string(),
        )
        .await;
    }
    let handlers = "{\"A\": \"public.positions\", \"B\": \"public.positions\", \
                     \"C\": \"public.messages\", \"S\": \"public.single\"}";
    create(&session, "runs", "run", handlers).await;
    assert_eq!(
        tick(&session, "runs", 100).await,
        tick_was("progressed", 11, 9, 11)
    );
    let calls = session
        .run("SELECT handler, given FROM public.calls ORDER BY number")
        .await
        .unwrap();
    let calls: Vec<(&str, &str)> = calls
        .iter()
        .map(|call| (call[0].as_deref().unwrap(), call[1].as_deref().unwrap()))
        .collect();
    let expected = [
        ("positions", "{1,3,4}"),
        ("messages", "{5,6,8}"),
        ("single", "{9}"),
        ("single", "{10}"),
        ("positions", "{11}"),
    ];
    assert_eq!(calls, expected);
}

#[tokio::test]
async fn types_that_nobody_handles_are_passed_over_for_good() {
    let (_database, session) = with_recorders(Cluster::shared()).await;
    create(&session, "s", "a", "{\"A\": \"public.record_position\"}").await;
    for _ in 0..5 {
        write(&session, "a-1", "Other").await;
    }
    assert_eq!(
        tick(&session, "s", 3).await,
        tick_was("progressed", 3, 0, 3)
    );
    assert_eq!(
        tick(&session, "s", 3).await,
        tick_was("progressed", 2, 0, 5)
    );
    assert_eq!(tick(&session, "s", 3).await, tick_was("idle", 0, 0, 5));
}

#[tokio::test]
async fn a_handler_gets_the_message_as_readers_get_it_and_its_context() {
    let (_database, session) = with_recorders(Cluster::shared()).await;
    create(&session, "s:1", "a", "{\"$any\": \"public.record\"}").await;
    write(&session, "a-1", "A").await;
    write(&session, "a-2+x", "B").await;
    session
        .run("SELECT message_store.write_message(gen_random_uuid()::varchar, 'a-3', 'C', NULL)")
        .await
        .unwrap();
    tick(&session, "s:1", 1000).await;
    let given = "SELECT (message).* FROM public.seen ORDER BY entry";
    let read = "SELECT * FROM message_store.get_category_messages('a')";
    let read = session.run(read).await.unwrap();
    assert_eq!(read.len(), 3);
    assert_eq!(session.run(given).await.unwrap(), read);

    let context = "SELECT (context).* FROM public.seen ORDER BY entry";
    let context = session.run(context).await.unwrap();
    for (number, row) in context.iter().enumerate() {
        let position = (number + 1).to_string();
        let row: Vec<&str> = row
            .iter()
            .map(|value| value.as_deref().unwrap_or("-"))
            .collect();
        assert_eq!(row, ["s:1", "0", position.as_str(), "1", "f", "f", "-"]);
    }
    let outside = session
        .value("SELECT message_store.handler_context() IS NULL")
        .await;
    assert_eq!(outside.as_deref(), Some("t"), "NULL outside a handler");
}

#[tokio::test]
async fn a_failing_handler_keeps_what_came_before_it_and_nothing_of_its_own() {
    let (_database, session) = with_recorders(Cluster::shared()).await;
    session
        .run(
            "CREATE FUNCTION public.fail_at_b(message message_store.message) RETURNS void
             LANGUAGE plpgsql AS $$
             BEGIN
               PERFORM public.record(message);
               IF (message).type = 'B' THEN
                 RAISE EXCEPTION 'no B today' USING ERRCODE = 'ZZ001';
               END IF;
             END $$",
        )
        .await
        .unwrap();
    let at_once = "{\"retry_delay\": \"0\"}";
    let handlers = "{\"$any\": \"public.fail_at_b\"}";
    create_with(&session, "picky", "a", handlers, at_once).await;
    for message_type in ["A", "A", "B", "A"] {
        write(&session, "a-1", message_type).await;
    }
    for (scanned, attempts) in [(2, 1), (0, 2)] {
        session.take_notices();
        let failed = tick(&session, "picky", 1000).await;
        assert_eq!(failed.failed(), ("retrying", "ZZ001"));
        assert_eq!(failed.error(), "no B today");
        assert!(failed.error_details().contains("picky"), "{failed:?}");
        assert!(failed.error_details().contains("position 3"), "{failed:?}");
        assert_eq!((failed.scanned, failed.position), (scanned, 2));
        let warned = session.take_notices();
        assert_eq!(warned.len(), 1, "{warned:?}");
        assert_eq!(warned[0].severity, "WARNING");
        assert!(warned[0].message.contains("no B today"), "{warned:?}");
        let status = "SELECT position, attempts, last_sqlstate, state \
                      FROM message_store.subscription_status";
        assert_eq!(
            texts(&session, status).await,
            [format!("2 {attempts} ZZ001 created")]
        );
        assert_eq!(seen(&session, "picky").await, [1, 2]);
    }
    let outside = session
        .value("SELECT message_store.handler_context() IS NULL")
        .await;
    assert_eq!(
        outside.as_deref(),
        Some("t"),
        "the context ended with the failure"
    );

    session
        .run(
            "CREATE OR REPLACE FUNCTION public.fail_at_b(message message_store.message)
             RETURNS void LANGUAGE sql AS 'SELECT public.record(message)'",
        )
        .await
        .unwrap();
    assert_eq!(
        tick(&session, "picky", 1000).await,
        tick_was("progressed", 2, 2, 4)
    );
    assert_eq!(seen(&session, "picky").await, [1, 2, 3, 4]);
}

#[tokio::test]
async fn a_tick_that_is_rolled_back_takes_its_effects_along() {
    let (_database, session) = with_recorders(Cluster::shared()).await;
    create(&session, "s", "a", "{\"A\": \"public.record_position\"}").await;
    write(&session, "a-1", "A").await;
    session.run("BEGIN").await.unwrap();
    assert_eq!(
        tick(&session, "s", 1000).await,
        tick_was("progressed", 1, 1, 1)
    );
    session.run("ROLLBACK").await.unwrap();
    assert_eq!(seen(&session, "s").await, [0; 0]);
    assert_eq!(
        tick(&session, "s", 1000).await,
        tick_was("progressed", 1, 1, 1)
    );
    assert_eq!(seen(&session, "s").await, [1]);
}

#[tokio::test]
async fn a_second_session_finds_the_subscription_busy_and_returns_at_once() {
    let (database, session) = with_recorders(Cluster::shared()).await;
    session
        .run(
            "CREATE FUNCTION public.wait_for_gate(viewed bigint) RETURNS void LANGUAGE plpgsql AS $$
             BEGIN
               PERFORM pg_advisory_xact_lock(4711);
               PERFORM public.record_position(viewed);
             END $$",
        )
        .await
        .unwrap();
    create(&session, "s", "a", "{\"A\": \"public.wait_for_gate\"}").await;
    create(
        &session,
        "other",
        "a",
        "{\"A\": \"public.record_position\"}",
    )
    .await;
    write(&session, "a-1", "A").await;
    write(&session, "a-1", "A").await;
    let gate = database.connect().await;
    gate.run("SELECT pg_advisory_lock(4711)").await.unwrap();
    let first = Arc::new(database.connect().await);
    let ticking = tokio::spawn({
        let first = Arc::clone(&first);
        async move { tick(&first, "s", 1000).await }
    });
    session.wait_until_blocked(first.pid).await;

    session.run("SET statement_timeout = '30s'").await.unwrap();
    assert_eq!(tick(&session, "s", 1000).await, tick_was("busy", 0, 0, 0));
    assert_eq!(
        tick(&session, "other", 1000).await,
        tick_was("progressed", 2, 2, 2),
        "another subscription goes on meanwhile"
    );
    gate.run("SELECT pg_advisory_unlock(4711)").await.unwrap();
    assert_eq!(ticking.await.unwrap(), tick_was("progressed", 2, 2, 2));
    assert_eq!(tick(&session, "s", 1000).await, tick_was("idle", 0, 0, 2));
    assert_eq!(seen(&session, "s").await, [1, 2], "each message once");
    assert_eq!(seen(&session, "other").await, [1, 2]);
}

#[tokio::test]
async fn a_writer_in_flight_holds_back_its_category_only() {
    let (database, session) = with_recorders(Cluster::shared()).await;
    create(&session, "a", "a", "{\"A\": \"public.record_position\"}").await;
    create(&session, "b", "b", "{\"A\": \"public.record_position\"}").await;
    write(&session, "a-1", "A").await;
    let slow = database.connect().await;
    slow.run("BEGIN").await.unwrap();
    write(&slow, "a-2", "A").await;
    write(&session, "a-3", "A").await;
    write(&session, "b-1", "A").await;

    assert_eq!(
        tick(&session, "a", 1000).await,
        tick_was("progressed", 1, 1, 1)
    );
    assert_eq!(
        tick(&session, "a", 1000).await,
        tick_was("held_back", 0, 0, 1)
    );
    assert_eq!(
        tick(&session, "b", 1000).await,
        tick_was("progressed", 1, 1, 4)
    );
    assert_eq!(tick(&session, "b", 1000).await, tick_was("idle", 0, 0, 4));
    slow.run("COMMIT").await.unwrap();
    assert_eq!(
        tick(&session, "a", 1000).await,
        tick_was("progressed", 2, 2, 3)
    );
    assert_eq!(tick(&session, "a", 1000).await, tick_was("idle", 0, 0, 3));
    assert_eq!(seen(&session, "a").await, [1, 2, 3]);
    assert_eq!(seen(&session, "b").await, [4]);
}

#[tokio::test]
async fn a_subscription_that_fails_does_not_disturb_another() {
    let (_database, session) = with_recorders(Cluster::shared()).await;
    session
        .run(
            "CREATE FUNCTION public.fail(viewed bigint) RETURNS void LANGUAGE plpgsql AS $$
             BEGIN RAISE EXCEPTION 'never'; END $$",
        )
        .await
        .unwrap();
    create(&session, "failing", "a", "{\"A\": \"public.fail\"}").await;
    create(
        &session,
        "working",
        "a",
        "{\"A\": \"public.record_position\"}",
    )
    .await;
    for _ in 0..3 {
        write(&session, "a-1", "A").await;
        assert_eq!(tick(&session, "failing", 1000).await.outcome, "retrying");
        assert_eq!(tick(&session, "working", 1000).await.handled, 1);
    }
    assert_eq!(seen(&session, "working").await, [1, 2, 3]);
    let positions = "SELECT subscriber_id, position, lag FROM message_store.subscription_status \
                     ORDER BY 1";
    let positions = session.run(positions).await.unwrap();
    let text = |value: &str| Some(value.to_owned());
    assert_eq!(positions[0], [text("failing"), text("0"), text("3")]);
    assert_eq!(positions[1], [text("working"), text("3"), text("0")]);
}

#[tokio::test]
async fn start_runs_init_as_the_owner_and_marks_the_subscription() {
    let (_database, session) = with_recorders(Cluster::shared()).await;
    session
        .run(
            "SELECT message_store.create_subscription('aggregators:home-page', 'viewings',
               '{\"VideoViewed\": \"message_store.increment_videos_watched\"}',
               '{\"init\": \"message_store.ensure_home_page\"}')",
        )
        .await
        .unwrap();
    let state = "SELECT state FROM message_store.subscription_status";
    assert_eq!(session.value(state).await.as_deref(), Some("created"));
    for _ in 0..2 {
        session
            .run("SELECT message_store.start('aggregators:home-page')")
            .await
            .unwrap();
        assert_eq!(session.value(state).await.as_deref(), Some("started"));
    }
    for _ in 0..3 {
        write(&session, "viewings-1", "VideoViewed").await;
    }
    let progressed = tick_was("progressed", 3, 3, 3);
    assert_eq!(
        tick(&session, "aggregators:home-page", 1000).await,
        progressed
    );
    let page = "SELECT page_data->>'videosWatched' FROM message_store.read_model_pages";
    assert_eq!(session.bigint(page).await, 3);
}

#[tokio::test]
async fn a_handler_may_write_messages_of_its_own() {
    let (_database, session) = with_recorders(Cluster::shared()).await;
    session
        .run(
            "CREATE FUNCTION public.answer(message message_store.message) RETURNS void
             LANGUAGE sql AS $$
               SELECT message_store.write_message(gen_random_uuid()::varchar, 'a-answers', 'Answer',
                 jsonb_build_object('to', (message).global_position)) $$",
        )
        .await
        .unwrap();
    create(&session, "s", "a", "{\"A\": \"public.answer\"}").await;
    write(&session, "a-1", "A").await;
    write(&session, "a-2", "A").await;
    // Its own answers lie in its category; they come with the next tick, so that a tick ends.
    assert_eq!(
        tick(&session, "s", 1000).await,
        tick_was("progressed", 2, 2, 2)
    );
    assert_eq!(
        tick(&session, "s", 1000).await,
        tick_was("progressed", 2, 0, 4)
    );
    let answers = "SELECT data FROM message_store.get_stream_messages('a-answers')";
    assert_eq!(session.run(answers).await.unwrap().len(), 2);
}

#[tokio::test]
async fn altering_keeps_what_names_mean_to_handlers() {
    let (database, session) = with_recorders(Cluster::shared()).await;
    session
        .run(
            "CREATE SCHEMA own; CREATE TABLE own.lines (position bigint);
             CREATE FUNCTION own.append(viewed bigint) RETURNS void LANGUAGE plpgsql AS
               $$ BEGIN INSERT INTO lines VALUES (viewed); END $$;
             SET search_path = own",
        )
        .await
        .unwrap();
    create(&session, "s", "a", "{\"A\": \"append\"}").await;
    write(&session, "a-1", "A").await;
    let other = database.connect().await;
    for change in [
        "options => '{\"retries\": 0}'",
        "'{\"A\": \"own.append\", \"B\": \"own.append\"}'",
    ] {
        let alter = format!("SELECT message_store.alter_subscription('s', {change})");
        assert_eq!(other.value(&alter).await.as_deref(), Some("t"));
        write(&session, "a-1", "A").await;
        let tick = tick(&other, "s", 1).await;
        assert_eq!(tick.outcome, "progressed", "{tick:?}");
    }
}
