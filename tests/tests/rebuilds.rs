//! Promise: a read model can be made anew from the messages, in place or beside the live one,
//! which is right and whole for its readers until the moment the new one takes its place.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must fail loudly"
)]

mod subscriber;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use promises::{Cluster, Database, Session};
use subscriber::{
    create_with, seen, texts, tick, tick_to_the_end, with_recorders, write, write_data,
};

const HOME: &str = "{\"VideoViewed\": \"message_store.increment_videos_watched\"}";
const HOME_OPTIONS: &str = "{\"init\": \"message_store.ensure_home_page\", \"read_model\": \
    [{\"table\": \"message_store.read_model_pages\", \"where\": \"page_name = ''home''\"}]}";
const MOST: &str = "{\"VideoViewed\": \"message_store.count_views_per_video\"}";
const MOST_OPTIONS: &str = "{\"init\": \"message_store.ensure_most_watched\", \"read_model\": \
    [\"message_store.video_views\", \
     {\"table\": \"message_store.read_model_pages\", \"where\": \"page_name = ''most-watched''\"}]}";

/// Schemas that rebuilds and verifications make.
const COPIES: &str = "SELECT nspname FROM pg_namespace WHERE nspname LIKE 'message_store_%'";

/// The two aggregators of the demo, started.
async fn with_aggregators() -> (Database<'static>, Session) {
    let (database, session) = with_recorders(Cluster::shared()).await;
    session.install_home_page().await;
    create_with(&session, "home", "viewings", HOME, HOME_OPTIONS).await;
    create_with(&session, "most", "viewings", MOST, MOST_OPTIONS).await;
    session
        .run("SELECT message_store.start('home'), message_store.start('most')")
        .await
        .unwrap();
    (database, session)
}

/// What the pages must show, folded from the log.
const FOLD: &str = "
    SELECT jsonb_build_object('videosWatched', count(*), 'lastViewProcessed',
             coalesce(max(global_position), 0))
    FROM message_store.messages WHERE stream_name LIKE 'viewings-%'
    UNION ALL
    SELECT jsonb_build_object(
      'videos', (
        SELECT jsonb_agg(jsonb_build_object(
                 'videoId', video, 'views', views) ORDER BY views DESC, video)
        FROM (
          SELECT message_store.id(stream_name::varchar) AS video, count(*) AS views
          FROM message_store.messages WHERE stream_name LIKE 'viewings-%'
          GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 10) m),
      'recent', (
        SELECT jsonb_agg(jsonb_build_object(
                 'videoId', message_store.id(stream_name::varchar),
                 'globalPosition', global_position,
                 'time', to_char(time, 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'))
                 ORDER BY global_position DESC)
        FROM (
          SELECT * FROM message_store.messages WHERE stream_name LIKE 'viewings-%'
          ORDER BY global_position DESC LIMIT 10) m))";
const PAGES: &str = "SELECT page_data FROM message_store.read_model_pages \
    WHERE page_name IN ('home', 'most-watched') ORDER BY page_name";

async fn require_right_pages(session: &Session) {
    assert_eq!(texts(session, PAGES).await, texts(session, FOLD).await);
}

async fn view(session: &Session, viewings: i64) {
    let sql = format!(
        "SELECT count(message_store.write_message(gen_random_uuid()::varchar,
           'viewings-' || n % 13, 'VideoViewed', '{{}}')) FROM generate_series(1, {viewings}) n"
    );
    assert_eq!(session.bigint(&sql).await, viewings);
}

#[tokio::test]
async fn in_place_everything_is_emptied_and_comes_again() {
    let (_database, session) = with_aggregators().await;
    view(&session, 50).await;
    tick_to_the_end(&session, "home").await;
    tick_to_the_end(&session, "most").await;
    require_right_pages(&session).await;
    session
        .run(
            "INSERT INTO message_store.read_model_pages VALUES ('other', '{\"mine\": 1}');
             UPDATE message_store.read_model_pages
               SET page_data = page_data || '{\"videosWatched\": 7}' WHERE page_name = 'home';
             INSERT INTO message_store.video_views VALUES ('invented', 99);
             SELECT message_store.rebuild('home'), message_store.rebuild('most')",
        )
        .await
        .unwrap();
    let emptied = "SELECT page_data FROM message_store.read_model_pages ORDER BY page_name";
    assert_eq!(
        texts(&session, emptied).await,
        [
            "{\"videosWatched\": 0, \"lastViewProcessed\": 0}",
            "{\"recent\": [], \"videos\": []}",
            "{\"mine\": 1}"
        ],
        "init has run, and nobody else's rows are gone"
    );
    let views = "SELECT count(*) FROM message_store.video_views";
    assert_eq!(session.bigint(views).await, 0);
    // How far it is can be asked.
    tick(&session, "home", 20).await;
    let progress = "SELECT position, replay_target, lag FROM message_store.subscription_status \
                    WHERE subscriber_id = 'home'";
    assert_eq!(texts(&session, progress).await, ["20 50 30"]);
    tick_to_the_end(&session, "home").await;
    tick_to_the_end(&session, "most").await;
    require_right_pages(&session).await;
    assert_eq!(texts(&session, progress).await, ["50 - 0"]);
}

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

/// A read model of the user's own: a table without a key, filled by a handler that does not say
/// the schema, in a schema that the subscription's search_path leads to.
const OWN_READ_MODEL: &str = "
    CREATE SCHEMA own;
    CREATE TABLE own.lines (position bigint, text varchar);
    CREATE FUNCTION own.append(message message_store.message) RETURNS void LANGUAGE plpgsql AS $$
    BEGIN
      IF (message).type = 'Bad' THEN RAISE EXCEPTION 'bad' USING ERRCODE = 'ZZ001'; END IF;
      INSERT INTO lines VALUES ((message).global_position, (message).type);
    END $$;
    SET search_path = own, public";
const OWN: &str = "{\"$any\": \"own.append\"}";
const OWN_OPTIONS: &str =
    "{\"read_model\": [\"own.lines\"], \"on_failure\": \"park\", \"retries\": 0}";

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
async fn verify_finds_every_row_that_differs_and_no_other() {
    let (_database, session) = with_aggregators().await;
    view(&session, 50).await;
    tick_to_the_end(&session, "home").await;
    tick_to_the_end(&session, "most").await;
    for subscriber in ["home", "most"] {
        let verify = format!("SELECT * FROM message_store.verify('{subscriber}')");
        assert_eq!(texts(&session, &verify).await, [""; 0]);
    }
    session
        .run(
            "UPDATE message_store.video_views SET views = 77 WHERE video_id = '3';
             DELETE FROM message_store.video_views WHERE video_id = '4';
             INSERT INTO message_store.video_views VALUES ('invented', 1);
             UPDATE message_store.read_model_pages SET page_data = page_data || '{\"x\": 1}'
             WHERE page_name = 'home'",
        )
        .await
        .unwrap();
    let before = session
        .run("SELECT xmin, ctid, * FROM message_store.video_views")
        .await
        .unwrap();
    let verify = "SELECT read_model, difference, expected->>'video_id', expected->>'views', \
                  found->>'video_id', found->>'views' FROM message_store.verify('most') ORDER BY 2";
    assert_eq!(
        texts(&session, verify).await,
        [
            "message_store.video_views different 3 4 3 77",
            "message_store.video_views missing 4 4 - -",
            "message_store.video_views unexpected - - invented 1",
        ]
    );
    let verify = "SELECT difference, found->'page_data'->>'x' FROM message_store.verify('home')";
    assert_eq!(texts(&session, verify).await, ["different 1"]);
    assert_eq!(
        session
            .run("SELECT xmin, ctid, * FROM message_store.video_views")
            .await
            .unwrap(),
        before,
        "it only looks"
    );
    assert_eq!(texts(&session, COPIES).await, [""; 0]);
    let position = "SELECT DISTINCT position FROM message_store.subscription_status";
    assert_eq!(texts(&session, position).await, ["50"]);
}

#[tokio::test]
async fn dry_run_shows_what_a_handler_would_change_and_keeps_nothing() {
    let (_database, session) = with_recorders(Cluster::shared()).await;
    session.run(OWN_READ_MODEL).await.unwrap();
    session
        .run(
            "ALTER TABLE own.lines ADD PRIMARY KEY (position);
             CREATE FUNCTION own.changed(message message_store.message) RETURNS void
             LANGUAGE plpgsql AS $$
             BEGIN
               INSERT INTO lines VALUES ((message).global_position, 'new');
               UPDATE lines SET text = 'old' WHERE position = 1;
               DELETE FROM lines WHERE position = 2;
             END $$",
        )
        .await
        .unwrap();
    create_with(&session, "s", "a", OWN, OWN_OPTIONS).await;
    for message_type in ["A", "B", "C", "D"] {
        write(&session, "a-1", message_type).await;
    }
    tick(&session, "s", 2).await;
    let everything = "SELECT 'l', xmin::text, l::text FROM own.lines l UNION ALL
                      SELECT 'p', p.xmin::text, p::text FROM message_store.subscription_progress p";
    let before = session.run(everything).await.unwrap();
    let dry_run = |arguments: &str| {
        format!(
            "SELECT read_model, difference, before->>'text', after->>'text', \
             after->>'position' FROM message_store.dry_run('s'{arguments}) \
             ORDER BY coalesce(before->>'position', after->>'position')"
        )
    };
    assert_eq!(
        texts(&session, &dry_run("")).await,
        ["own.lines added - C 3", "own.lines added - D 4"]
    );
    let changed = ", '{\"$any\": \"own.changed\"}', 1";
    assert_eq!(
        texts(&session, &dry_run(changed)).await,
        [
            "own.lines changed A old 1",
            "own.lines removed B - -",
            "own.lines added - new 3",
        ]
    );
    assert_eq!(session.run(everything).await.unwrap(), before);
    assert_eq!(texts(&session, COPIES).await, [""; 0]);

    // And over parked messages.
    write(&session, "a-2", "Bad").await;
    write(&session, "a-2", "E").await;
    tick_to_the_end(&session, "s").await;
    let failing = session.error(&dry_run(", parked => true")).await;
    assert_eq!(failing.sqlstate, "38000", "{failing:?}");
    assert!(failing.message.contains("bad"), "{failing:?}");
    let repaired = ", '{\"$any\": \"own.changed\"}', parked => true";
    assert_eq!(
        texts(&session, &dry_run(repaired)).await,
        [
            "own.lines changed A old 1",
            "own.lines removed B - -",
            "own.lines added - new 5",
        ]
    );
    let parked = "SELECT global_position, status, attempts FROM message_store.parked_messages \
                  ORDER BY 1";
    assert_eq!(texts(&session, parked).await, ["5 failed 1", "6 waiting 0"]);

    // And over some of them only.
    write(&session, "a-3", "Bad").await;
    tick_to_the_end(&session, "s").await;
    let copies = ", '{\"$any\": \"own.copy\"}', global_positions => ";
    let copy = "CREATE FUNCTION own.copy(message message_store.message) RETURNS void \
         LANGUAGE sql AS $$ INSERT INTO lines VALUES ((message).global_position, 'copy') $$";
    session.run(copy).await.unwrap();
    for (among, added) in [
        ("'{7}'", &["own.lines added - copy 7"][..]),
        ("'{1,7,NULL,99}'", &["own.lines added - copy 7"]),
        ("'{}'", &[]),
        (
            "'{5,7}'",
            &["own.lines added - copy 5", "own.lines added - copy 7"],
        ),
    ] {
        let tried = texts(&session, &dry_run(&format!("{copies}{among}"))).await;
        let added_only: Vec<_> = tried.iter().filter(|row| !row.contains("copy 6")).collect();
        assert_eq!(added_only, added, "{among}");
    }
    assert_eq!(texts(&session, parked).await[2], "7 failed 1");
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
async fn a_service_does_not_send_again_in_a_replay() {
    let (_database, session) = with_recorders(Cluster::shared()).await;
    session
        .run(
            "CREATE TABLE public.answers (position bigint, answer text);
             CREATE FUNCTION public.answer(message message_store.message) RETURNS void
             LANGUAGE plpgsql AS $$
             BEGIN
               INSERT INTO answers VALUES ((message).global_position,
                 coalesce(message_store.write_message(gen_random_uuid()::varchar, 'answers-1',
                   'Answer', (message).data::jsonb)::text, 'none'));
             END $$",
        )
        .await
        .unwrap();
    let options = "{\"read_model\": [\"public.answers\"]}";
    let handlers = "{\"Question\": \"public.answer\"}";
    create_with(&session, "s", "a", handlers, options).await;
    for number in 0..3 {
        write_data(
            &session,
            "a-1",
            "Question",
            &format!("{{\"number\": {number}}}"),
        )
        .await;
    }
    tick_to_the_end(&session, "s").await;
    let answers = "SELECT data->>'number' FROM message_store.messages \
                   WHERE stream_name = 'answers-1' ORDER BY position";
    assert_eq!(texts(&session, answers).await, ["0", "1", "2"]);
    let kept = "SELECT answer FROM public.answers ORDER BY position";
    assert_eq!(texts(&session, kept).await, ["0", "1", "2"]);

    session
        .run("SELECT message_store.rebuild('s')")
        .await
        .unwrap();
    write_data(&session, "a-1", "Question", "{\"number\": 3}").await;
    tick_to_the_end(&session, "s").await;
    assert_eq!(texts(&session, answers).await, ["0", "1", "2", "3"]);
    assert_eq!(texts(&session, kept).await, ["none", "none", "none", "3"]);

    for look in [
        "SELECT message_store.rebuild('s', true)",
        "SELECT message_store.tick('s#rebuild')",
        "SELECT message_store.promote('s')",
        "SELECT message_store.verify('s')",
    ] {
        session.run(look).await.unwrap();
    }
    assert_eq!(texts(&session, answers).await, ["0", "1", "2", "3"]);
    assert_eq!(seen(&session, "s").await, [0; 0]);
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
async fn a_group_is_promoted_exactly() {
    let (_database, session) = with_recorders(Cluster::shared()).await;
    session.run(OWN_READ_MODEL).await.unwrap();
    let options = "{\"read_model\": [\"own.lines\"], \"group_size\": 3}";
    create_with(&session, "s", "viewings", OWN, options).await;
    view(&session, 60).await;
    for (member, messages) in [(0, 20), (1, 35), (2, 60)] {
        let tick = format!("SELECT message_store.tick('s', {messages}, {member})");
        session.run(&tick).await.unwrap();
    }
    session
        .run("SELECT message_store.rebuild('s', true)")
        .await
        .unwrap();
    tick_to_the_end(&session, "s#rebuild").await;
    let early = session.run("SELECT message_store.promote('s')").await;
    tick_to_the_end(&session, "s").await;
    if let Err(error) = early {
        assert_eq!(error.sqlstate, "55000", "{error:?}");
        session
            .run("SELECT message_store.promote('s')")
            .await
            .unwrap();
    }
    view(&session, 10).await;
    tick_to_the_end(&session, "s").await;
    let twice = "SELECT position FROM own.lines GROUP BY 1 HAVING count(*) > 1";
    assert_eq!(texts(&session, twice).await, [""; 0]);
    let lines = "SELECT count(*) FROM own.lines";
    assert_eq!(session.bigint(lines).await, 70);
}

/// A transaction that wrote a message and handled it lets go of the subscription a moment before the
/// announcement of its message. Here another writer's announcement stands for the one that is left.
#[tokio::test]
async fn what_a_commit_has_not_given_back_yet_hides_no_message_that_is_handled() {
    let (database, session) = with_recorders(Cluster::shared()).await;
    session.run(OWN_READ_MODEL).await.unwrap();
    create_with(&session, "s", "a", OWN, OWN_OPTIONS).await;
    write(&session, "a-1", "Good").await;
    tick_to_the_end(&session, "s").await;
    session
        .run("SELECT message_store.rebuild('s', true)")
        .await
        .unwrap();
    tick_to_the_end(&session, "s#rebuild").await;
    let slow = database.connect().await;
    slow.run("BEGIN").await.unwrap();
    write(&slow, "a-2", "Good").await;
    write(&session, "a-3", "Good").await;
    session
        .run(
            "INSERT INTO own.lines VALUES (3, 'Good');
             UPDATE message_store.subscription_progress SET position = 3
             WHERE subscriber_id = 's'",
        )
        .await
        .unwrap();
    let verify = "SELECT * FROM message_store.verify('s')";
    assert_eq!(texts(&session, verify).await, [""; 0]);
    session
        .run("SELECT message_store.promote('s')")
        .await
        .unwrap();
    let lines = "SELECT position FROM own.lines ORDER BY 1";
    assert_eq!(texts(&session, lines).await, ["1", "3"]);
}

const VISITS: &str = "
    CREATE TABLE public.visits (
      number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
      serial serial,
      place bigint NOT NULL,
      times bigint NOT NULL DEFAULT 1,
      CONSTRAINT one_of_each UNIQUE (place, times));
    CREATE FUNCTION public.visit(at bigint) RETURNS void LANGUAGE sql AS
      'INSERT INTO visits (place) VALUES (at) ON CONFLICT ON CONSTRAINT one_of_each
         DO UPDATE SET times = excluded.times'";

async fn with_visits() -> (Database<'static>, Session) {
    let (database, session) = with_recorders(Cluster::shared()).await;
    session.run(VISITS).await.unwrap();
    let options = "{\"read_model\": [\"visits\"]}";
    create_with(&session, "v", "viewings", "{\"$any\": \"visit\"}", options).await;
    session
        .run("SELECT message_store.start('v')")
        .await
        .unwrap();
    (database, session)
}

#[tokio::test]
async fn sequences_of_a_read_model_go_on_behind_what_was_promoted() {
    let (_database, session) = with_visits().await;
    view(&session, 10).await;
    tick_to_the_end(&session, "v").await;
    // The new handler makes more rows of the same messages.
    session
        .run(
            "CREATE OR REPLACE FUNCTION public.visit(at bigint) RETURNS void LANGUAGE sql AS
               'INSERT INTO visits (place, times) SELECT at, n FROM generate_series(1, 3) n';
             SELECT message_store.rebuild('v', true)",
        )
        .await
        .unwrap();
    tick_to_the_end(&session, "v#rebuild").await;
    session
        .run("SELECT message_store.promote('v')")
        .await
        .unwrap();
    view(&session, 2).await;
    tick_to_the_end(&session, "v").await;
    let rows = "SELECT count(*) FROM public.visits";
    assert_eq!(session.bigint(rows).await, 36);
    let repeated = "SELECT count(*) - count(DISTINCT serial) FROM public.visits";
    assert_eq!(session.bigint(repeated).await, 0);
}

#[tokio::test]
async fn a_copy_has_the_names_of_its_constraints() {
    let (_database, session) = with_visits().await;
    view(&session, 5).await;
    tick_to_the_end(&session, "v").await;
    session
        .run("SELECT message_store.rebuild('v', true)")
        .await
        .unwrap();
    tick_to_the_end(&session, "v#rebuild").await;
    let names = |schema: &str| {
        format!(
            "SELECT string_agg(conname || ' ' || pg_get_constraintdef(oid), ', ' ORDER BY conname)
             FROM pg_constraint WHERE conrelid = '{schema}.visits'::regclass"
        )
    };
    let copy = session.value(COPIES).await.unwrap();
    assert_eq!(
        session.value(&names(&copy)).await,
        session.value(&names("public")).await
    );
    session
        .run("SELECT message_store.promote('v')")
        .await
        .unwrap();
    assert_eq!(session.bigint("SELECT count(*) FROM visits").await, 5);
}

#[tokio::test]
async fn what_a_copy_would_not_have_is_refused_and_rebuilt_in_place() {
    let (_database, session) = with_visits().await;
    session
        .run(
            "CREATE TABLE public.places (place bigint PRIMARY KEY);
             CREATE FUNCTION public.noted() RETURNS trigger LANGUAGE plpgsql AS
               'BEGIN RETURN NEW; END'",
        )
        .await
        .unwrap();
    for (make, named, unmake) in [
        (
            "CREATE TRIGGER noted BEFORE INSERT ON visits FOR EACH ROW EXECUTE FUNCTION noted()",
            "triggers",
            "DROP TRIGGER noted ON visits",
        ),
        (
            "CREATE RULE never AS ON DELETE TO visits DO ALSO NOTHING",
            "rules",
            "DROP RULE never ON visits",
        ),
        (
            "ALTER TABLE visits ENABLE ROW LEVEL SECURITY",
            "row-level security",
            "ALTER TABLE visits DISABLE ROW LEVEL SECURITY",
        ),
        (
            "CREATE TABLE older_visits () INHERITS (visits)",
            "inheritance",
            "DROP TABLE older_visits",
        ),
        (
            "ALTER TABLE visits ADD CONSTRAINT known FOREIGN KEY (place) REFERENCES places \
               ON DELETE CASCADE NOT VALID",
            "a foreign key",
            "ALTER TABLE visits DROP CONSTRAINT known",
        ),
    ] {
        session.run(make).await.unwrap();
        for call in ["verify('v')", "rebuild('v', true)", "dry_run('v')"] {
            let error = session.error(&format!("SELECT message_store.{call}")).await;
            assert_eq!(error.sqlstate, "0A000", "{call} {error:?}");
            assert!(error.message.contains(named), "{call} {error:?}");
        }
        let in_place = "SELECT message_store.rebuild('v')";
        session.run(in_place).await.unwrap();
        session.run(unmake).await.unwrap();
    }
}

#[tokio::test]
async fn rows_are_replaced_by_none_only_when_that_is_said() {
    let (_database, session) = with_recorders(Cluster::shared()).await;
    // The first row is made by hand, and no init makes it again.
    session
        .run(
            "CREATE TABLE public.total (viewings bigint NOT NULL);
             INSERT INTO public.total VALUES (0);
             CREATE FUNCTION public.add(bigint) RETURNS void LANGUAGE sql AS
               'UPDATE total SET viewings = viewings + 1'",
        )
        .await
        .unwrap();
    let options = "{\"read_model\": [\"total\"]}";
    create_with(&session, "v", "viewings", "{\"$any\": \"add\"}", options).await;
    session
        .run("SELECT message_store.start('v')")
        .await
        .unwrap();
    view(&session, 3).await;
    tick_to_the_end(&session, "v").await;
    session
        .run("SELECT message_store.rebuild('v', true)")
        .await
        .unwrap();
    tick_to_the_end(&session, "v#rebuild").await;
    let error = session.error("SELECT message_store.promote('v')").await;
    assert_eq!(error.sqlstate, "55000", "{error:?}");
    assert!(error.hint.contains("may_empty"), "{error:?}");
    let total = "SELECT viewings FROM public.total";
    assert_eq!(session.bigint(total).await, 3);
    session
        .run("SELECT message_store.promote('v', may_empty => true)")
        .await
        .unwrap();
    let rows = "SELECT count(*) FROM public.total";
    assert_eq!(session.bigint(rows).await, 0);
}

#[tokio::test]
async fn tables_with_foreign_keys_between_them_are_emptied_together() {
    let (_database, session) = with_recorders(Cluster::shared()).await;
    session
        .run(
            "CREATE TABLE public.parents (id bigint PRIMARY KEY);
             CREATE TABLE public.children (id bigint REFERENCES parents);
             CREATE FUNCTION public.add(bigint) RETURNS void LANGUAGE sql AS
               'INSERT INTO parents VALUES ($1); INSERT INTO children VALUES ($1)'",
        )
        .await
        .unwrap();
    let options = "{\"read_model\": [\"parents\", \"children\"]}";
    create_with(&session, "v", "viewings", "{\"$any\": \"add\"}", options).await;
    session
        .run("SELECT message_store.start('v')")
        .await
        .unwrap();
    view(&session, 3).await;
    tick_to_the_end(&session, "v").await;
    session
        .run("SELECT message_store.rebuild('v')")
        .await
        .unwrap();
    let children = "SELECT count(*) FROM public.children";
    assert_eq!(session.bigint(children).await, 0);
    tick_to_the_end(&session, "v").await;
    assert_eq!(session.bigint(children).await, 3);
}

#[tokio::test]
async fn a_promote_that_waited_for_the_copy_to_be_given_up_says_that_there_is_none() {
    let (database, session) = with_aggregators().await;
    let promoting = Arc::new(database.connect().await);
    for sql in [
        "SELECT message_store.rebuild('home', true)",
        "BEGIN",
        "SELECT message_store.cancel_rebuild('home')",
    ] {
        session.run(sql).await.unwrap();
    }
    let promote = tokio::spawn({
        let promoting = Arc::clone(&promoting);
        async move {
            promoting
                .error("SELECT message_store.promote('home')")
                .await
        }
    });
    database
        .connect()
        .await
        .wait_until_blocked(promoting.pid)
        .await;
    session.run("COMMIT").await.unwrap();
    let error = promote.await.unwrap();
    assert_eq!(error.sqlstate, "55000", "{error:?}");
    assert!(
        error.message.contains("has no copy to promote"),
        "{error:?}"
    );
}
