//! Beside the live one: what readers see meanwhile, and what the copy does.

use super::{
    COPIES, OWN, OWN_OPTIONS, OWN_READ_MODEL, require_right_pages, view, with_aggregators,
};
use crate::subscriber::{create_with, texts, tick, tick_to_the_end, with_recorders, write};
use promises::Cluster;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn side_by_side_no_reader_ever_sees_a_wrong_or_empty_page() {
    let (database, session) = with_aggregators().await;
    view(&session, 3_000).await;
    tick_to_the_end(&session, "home").await;
    tick_to_the_end(&session, "most").await;
    // What is wrong now is right after the rebuild.
    session
        .run(
            "UPDATE message_store.video_views SET views = views - 5 WHERE video_id = '3';
             UPDATE message_store.read_model_pages SET page_data = page_data
               || jsonb_build_object('videosWatched', (page_data->>'videosWatched')::bigint - 5)
             WHERE page_name = 'home'",
        )
        .await
        .unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let mut tasks = Vec::new();
    for subscriber in ["home", "most"] {
        for id in [subscriber.to_owned(), format!("{subscriber}#rebuild")] {
            let (ticker, stop) = (database.connect().await, Arc::clone(&stop));
            tasks.push(tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let sql = format!("SELECT outcome FROM message_store.tick('{id}', 200)");
                    match ticker.run(&sql).await {
                        Ok(_) => {}
                        // The copy is not there before and after.
                        Err(error) => assert_eq!(error.sqlstate, "42704", "{error:?}"),
                    }
                }
            }));
        }
    }
    let (writer, writing) = (database.connect().await, Arc::clone(&stop));
    tasks.push(tokio::spawn(async move {
        while !writing.load(Ordering::Relaxed) {
            view(&writer, 3).await;
        }
    }));
    let (reader, reading) = (database.connect().await, Arc::clone(&stop));
    let looking = tokio::spawn(async move {
        let (mut polls, mut count, mut views) = (0, 0, 0);
        let both = "SELECT (SELECT (page_data->>'videosWatched')::bigint
                              FROM message_store.read_model_pages WHERE page_name = 'home'),
                           (SELECT sum((video->>'views')::bigint)
                              FROM message_store.read_model_pages,
                                   jsonb_array_elements(page_data->'videos') video
                             WHERE page_name = 'most-watched')";
        while !reading.load(Ordering::Relaxed) {
            let row = reader.run(both).await.unwrap().remove(0);
            let mut row = row
                .into_iter()
                .map(|value| value.expect("a page is empty").parse::<i64>().unwrap());
            let (now, views_now) = (row.next().unwrap(), row.next().unwrap());
            assert!(now >= count, "the count fell from {count} to {now}");
            assert!(views_now >= views, "views fell from {views} to {views_now}");
            (polls, count, views) = (polls + 1, now, views_now);
        }
        polls
    });
    for _ in 0..3 {
        for subscriber in ["home", "most"] {
            session
                .run(&format!(
                    "SELECT message_store.rebuild('{subscriber}', true)"
                ))
                .await
                .unwrap();
            session
                .wait_until(&format!(
                    "SELECT copy.position + 100 > live.position
                     FROM message_store.subscription_progress copy,
                          message_store.subscription_progress live
                     WHERE copy.subscriber_id = '{subscriber}#rebuild'
                       AND live.subscriber_id = '{subscriber}'"
                ))
                .await;
            session
                .run(&format!("SELECT message_store.promote('{subscriber}')"))
                .await
                .unwrap();
        }
    }
    stop.store(true, Ordering::Relaxed);
    for task in tasks {
        task.await.unwrap();
    }
    let polls: i64 = looking.await.unwrap();
    assert!(polls > 50, "only {polls} polls");
    tick_to_the_end(&session, "home").await;
    tick_to_the_end(&session, "most").await;
    require_right_pages(&session).await;
    assert_eq!(texts(&session, COPIES).await, [""; 0]);
    let subscriptions = "SELECT subscriber_id FROM message_store.subscription_status ORDER BY 1";
    assert_eq!(texts(&session, subscriptions).await, ["home", "most"]);
}

#[tokio::test]
async fn a_cancelled_rebuild_leaves_nothing_behind() {
    let (_database, session) = with_aggregators().await;
    view(&session, 50).await;
    tick_to_the_end(&session, "home").await;
    let pages = "SELECT xmin, ctid, * FROM message_store.read_model_pages";
    let before = session.run(pages).await.unwrap();
    session
        .run("SELECT message_store.rebuild('home', side_by_side => true)")
        .await
        .unwrap();
    let again = session
        .error("SELECT message_store.rebuild('home', side_by_side => true)")
        .await;
    assert_eq!(again.sqlstate, "55000", "{again:?}");
    let of_copy = session
        .error("SELECT message_store.rebuild('home#rebuild')")
        .await;
    assert_eq!(of_copy.sqlstate, "55000", "{of_copy:?}");
    tick(&session, "home#rebuild", 20).await;
    let status = "SELECT position, copy_of, replay_target FROM message_store.subscription_status \
                  WHERE subscriber_id = 'home#rebuild'";
    assert_eq!(texts(&session, status).await, ["20 home 50"]);
    for expected in ["t", "f"] {
        let cancelled = session
            .value("SELECT message_store.cancel_rebuild('home')")
            .await;
        assert_eq!(cancelled.as_deref(), Some(expected));
    }
    assert_eq!(texts(&session, COPIES).await, [""; 0]);
    assert_eq!(session.run(pages).await.unwrap(), before);
    let error = session.error("SELECT message_store.promote('home')").await;
    assert_eq!(error.sqlstate, "55000", "{error:?}");
}

#[tokio::test]
async fn a_copy_never_passes_the_live_one_and_dropping_takes_it_along() {
    let (_database, session) = with_aggregators().await;
    view(&session, 50).await;
    tick(&session, "home", 30).await;
    session
        .run("SELECT message_store.rebuild('home', true)")
        .await
        .unwrap();
    tick_to_the_end(&session, "home#rebuild").await;
    let position = "SELECT position FROM message_store.subscription_status \
                    WHERE subscriber_id = 'home#rebuild'";
    assert_eq!(session.bigint(position).await, 30);
    session
        .run("SELECT message_store.drop_subscription('home')")
        .await
        .unwrap();
    let left = "SELECT subscriber_id FROM message_store.subscriptions";
    assert_eq!(texts(&session, left).await, ["most"]);
    assert_eq!(texts(&session, COPIES).await, [""; 0]);
}

#[tokio::test]
async fn parked_messages_are_parked_in_the_copy_too_and_discarded_ones_stay_so() {
    let (_database, session) = with_recorders(Cluster::shared()).await;
    session.run(OWN_READ_MODEL).await.unwrap();
    create_with(&session, "s", "a", OWN, OWN_OPTIONS).await;
    for (stream, message_type) in [
        ("a-1", "Bad"),
        ("a-1", "Good"),
        ("a-2", "Bad"),
        ("a-2", "Good"),
        ("a-3", "Good"),
    ] {
        write(&session, stream, message_type).await;
    }
    tick_to_the_end(&session, "s").await;
    session
        .run("SELECT message_store.discard_parked('s', 'test', 3)")
        .await
        .unwrap();
    tick_to_the_end(&session, "s").await;
    let lines = "SELECT * FROM own.lines ORDER BY 1";
    let parked = "SELECT global_position, status FROM message_store.parked_messages \
                  WHERE subscriber_id = 's' ORDER BY 1";
    let expected = (
        vec!["4 Good".to_owned(), "5 Good".to_owned()],
        vec![
            "1 failed".to_owned(),
            "2 waiting".to_owned(),
            "3 discarded".to_owned(),
        ],
    );
    assert_eq!(
        (texts(&session, lines).await, texts(&session, parked).await),
        expected
    );
    let verified = "SELECT * FROM message_store.verify('s')";
    assert_eq!(texts(&session, verified).await, [""; 0]);
    session
        .run("SELECT message_store.rebuild('s', true)")
        .await
        .unwrap();
    tick_to_the_end(&session, "s#rebuild").await;
    session
        .run("DELETE FROM own.lines; SELECT message_store.promote('s')")
        .await
        .unwrap();
    assert_eq!(
        (texts(&session, lines).await, texts(&session, parked).await),
        expected
    );
    assert_eq!(texts(&session, verified).await, [""; 0]);
    // In place likewise.
    session
        .run("SELECT message_store.rebuild('s')")
        .await
        .unwrap();
    tick_to_the_end(&session, "s").await;
    assert_eq!(
        (texts(&session, lines).await, texts(&session, parked).await),
        expected
    );
}

#[tokio::test]
async fn a_handler_that_writes_to_the_live_table_is_refused_beside_it() {
    let (_database, session) = with_recorders(Cluster::shared()).await;
    session.run(OWN_READ_MODEL).await.unwrap();
    session
        .run(
            "CREATE FUNCTION own.stubborn(message message_store.message) RETURNS void
             LANGUAGE sql AS
               $$ INSERT INTO own.lines VALUES ((message).global_position, 'live') $$",
        )
        .await
        .unwrap();
    let options = "{\"read_model\": [\"own.lines\"], \"retries\": 0}";
    let handlers = "{\"$any\": \"own.stubborn\"}";
    create_with(&session, "s", "a", handlers, options).await;
    write(&session, "a-1", "A").await;
    tick_to_the_end(&session, "s").await;
    session
        .run("SELECT message_store.rebuild('s', true)")
        .await
        .unwrap();
    let refused = tick(&session, "s#rebuild", 10).await;
    assert_eq!(refused.failed(), ("stopped", "55000"), "{refused:?}");
    assert!(refused.error().contains("own.lines"), "{refused:?}");
    let lines = "SELECT * FROM own.lines";
    assert_eq!(texts(&session, lines).await, ["1 live"]);
    let error = session
        .error("SELECT * FROM message_store.verify('s')")
        .await;
    assert_eq!(error.sqlstate, "38000", "{error:?}");
    assert!(error.detail.contains("55000"), "{error:?}");
    assert_eq!(texts(&session, lines).await, ["1 live"]);
    // The live one is as it was.
    write(&session, "a-1", "A").await;
    assert_eq!(tick(&session, "s", 10).await.outcome, "progressed");
}

#[tokio::test]
async fn names_mean_the_same_to_handlers_beside_whoever_rebuilds() {
    let (database, session) = with_recorders(Cluster::shared()).await;
    session.run(OWN_READ_MODEL).await.unwrap();
    session
        .run(
            "CREATE TABLE own.words (word varchar); INSERT INTO own.words VALUES ('own');
             CREATE TABLE public.words (word varchar); INSERT INTO public.words VALUES ('public');
             CREATE FUNCTION own.word(viewed bigint) RETURNS void LANGUAGE plpgsql AS
               $$ BEGIN INSERT INTO lines SELECT viewed, word FROM words; END $$",
        )
        .await
        .unwrap();
    create_with(&session, "s", "a", "{\"$any\": \"own.word\"}", OWN_OPTIONS).await;
    write(&session, "a-1", "A").await;
    tick_to_the_end(&session, "s").await;
    let other = database.connect().await;
    for step in [
        "SELECT message_store.rebuild('s', true)",
        "SELECT message_store.tick('s#rebuild')",
        "SELECT message_store.promote('s')",
    ] {
        other.run(step).await.unwrap();
    }
    assert_eq!(texts(&session, "SELECT * FROM own.lines").await, ["1 own"]);
    let verified = "SELECT * FROM message_store.verify('s')";
    assert_eq!(texts(&other, verified).await, [""; 0]);
}

#[tokio::test]
async fn a_copy_that_is_dropped_by_its_name_leaves_nothing_behind() {
    let (_database, session) = with_aggregators().await;
    view(&session, 5).await;
    for _ in 0..2 {
        session
            .run("SELECT message_store.rebuild('home', true)")
            .await
            .unwrap();
        let dropped = session
            .value("SELECT message_store.drop_subscription('home#rebuild')")
            .await;
        assert_eq!(dropped.as_deref(), Some("t"));
        assert_eq!(texts(&session, COPIES).await, [""; 0]);
    }
}

#[tokio::test]
async fn what_the_copy_has_handled_is_not_discarded() {
    let database = Cluster::shared().create_store().await;
    let session = database.connect().await;
    session
        .run(
            "CREATE TABLE public.counted (position bigint PRIMARY KEY);
             CREATE TABLE public.broken (stream text);
             INSERT INTO public.broken VALUES ('a-1'), ('a-2');
             GRANT ALL ON public.counted, public.broken TO message_store;
             CREATE FUNCTION public.count_one(message message_store.message) RETURNS void
             LANGUAGE plpgsql AS $$
             BEGIN
               IF EXISTS (SELECT FROM broken WHERE stream = (message).stream_name) THEN
                 RAISE 'broken';
               END IF;
               INSERT INTO counted VALUES ((message).global_position);
             END $$",
        )
        .await
        .unwrap();
    let options = r#"{"on_failure": "park", "retries": 0, "read_model": ["public.counted"]}"#;
    create_with(
        &session,
        "s",
        "a",
        r#"{"$any": "public.count_one"}"#,
        options,
    )
    .await;
    for stream in ["a-1", "a-2", "a-3"] {
        write(&session, stream, "T").await;
    }
    tick_to_the_end(&session, "s").await;
    session
        .run("DELETE FROM public.broken WHERE stream = 'a-1'; SELECT message_store.rebuild('s', true)")
        .await
        .unwrap();
    tick_to_the_end(&session, "s#rebuild").await;
    // The copy has parked the second one too, and handled the first.
    let discard =
        |arguments: &str| format!("SELECT message_store.discard_parked('s', 'why'{arguments})");
    for arguments in [
        "",
        ", 1",
        ", stream_name => 'a-1'",
        ", global_positions => '{2,1}'",
    ] {
        let refused = session.error(&discard(arguments)).await;
        assert_eq!(refused.sqlstate, "55000", "{arguments}: {refused:?}");
        assert!(refused.hint.contains("cancel_rebuild"), "{refused:?}");
    }
    assert_eq!(session.bigint(&discard(", 2")).await, 1);
    session
        .run("SELECT message_store.promote('s')")
        .await
        .unwrap();
    let left = "SELECT (SELECT string_agg(position::text, ' ' ORDER BY position) FROM public.counted), \
                  (SELECT string_agg(global_position || ' ' || status, ' ') FROM message_store.parked)";
    assert_eq!(texts(&session, left).await, ["1 3 2 discarded"]);
}
