//! Promise: of a consumer group each entity's messages are handled by one member, once and in
//! order, also while the group grows and shrinks under load.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must fail loudly"
)]

mod subscriber;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use promises::{Cluster, Database, Session};
use subscriber::{
    bigints, create, create_with, seen, texts, tick, tick_to_the_end, tick_with, with_recorders,
    write,
};

const RECORD: &str = "{\"$any\": \"public.record\"}";

/// So many messages, to `streams` streams in turn, in one transaction.
async fn write_many(session: &Session, messages: i64, streams: i64) {
    let sql = format!(
        "SELECT count(message_store.write_message(gen_random_uuid()::varchar, 'e-' || n % {streams},
           'A', '{{}}')) FROM generate_series(1, {messages}) n"
    );
    assert_eq!(session.bigint(&sql).await, messages);
}

/// Whether every message was handled once, and each stream's in order.
async fn require_once_and_in_order(session: &Session) {
    let wrong = "
        SELECT m.global_position, count(s.entry) FROM message_store.messages m
        LEFT JOIN public.seen s ON s.at_position = m.global_position
        GROUP BY 1 HAVING count(s.entry) <> 1";
    assert_eq!(texts(session, wrong).await, [""; 0], "not once");
    let reordered = "
        SELECT * FROM (
          SELECT at_position, lag(at_position) OVER (
            PARTITION BY (message).stream_name ORDER BY entry) AS before
          FROM public.seen) s
        WHERE before > at_position";
    assert_eq!(texts(session, reordered).await, [""; 0], "out of order");
}

#[tokio::test]
async fn every_entity_belongs_to_the_member_that_message_db_says() {
    let (_database, session) = with_recorders(Cluster::shared()).await;
    create_with(&session, "s", "e", RECORD, "{\"group_size\": 3}").await;
    write_many(&session, 60, 20).await;
    write(&session, "e", "A").await;
    write(&session, "e-1+sub", "A").await;
    for member in 0..3 {
        let own = format!("'s', 1000, {member}");
        let tick = tick_with(&session, &own).await;
        assert_eq!((tick.outcome.as_str(), tick.scanned), ("progressed", 62));
        let handled = format!(
            "SELECT at_position FROM public.seen WHERE (context).member = {member} ORDER BY entry"
        );
        let message_db = format!(
            "SELECT global_position FROM message_store.get_category_messages('e',
               consumer_group_member => {member}, consumer_group_size => 3)"
        );
        let expected = bigints(&session, &message_db).await;
        let mut handled = bigints(&session, &handled).await;
        handled.retain(|position| *position != 61);
        let expected: Vec<i64> = expected.into_iter().filter(|p| *p != 61).collect();
        assert!(!expected.is_empty());
        assert_eq!(handled, expected, "member {member}");
    }
    require_once_and_in_order(&session).await;
    let members = "SELECT DISTINCT (context).member FROM public.seen \
                   WHERE (message).stream_name IN ('e-1', 'e-1+sub')";
    assert_eq!(texts(&session, members).await.len(), 1, "one cardinal id");
    let status = "SELECT member, group_size, position, lag FROM message_store.subscription_status \
                  ORDER BY 1";
    assert_eq!(
        texts(&session, status).await,
        ["0 3 62 0", "1 3 62 0", "2 3 62 0"]
    );
}

#[tokio::test]
async fn a_tick_takes_the_member_that_is_furthest_behind() {
    let (_database, session) = with_recorders(Cluster::shared()).await;
    create_with(&session, "s", "e", RECORD, "{\"group_size\": 2}").await;
    write_many(&session, 20, 7).await;
    tick_with(&session, "'s', 12, 1").await;
    for position in [5, 10, 15, 17, 20, 20] {
        assert_eq!(tick(&session, "s", 5).await.position, position);
    }
    require_once_and_in_order(&session).await;
    assert_eq!(tick(&session, "s", 5).await.outcome, "idle");
}

#[tokio::test]
async fn a_member_that_fails_holds_up_no_other() {
    let (_database, session) = with_recorders(Cluster::shared()).await;
    session
        .run(
            "CREATE FUNCTION public.not_3(message message_store.message) RETURNS void
             LANGUAGE plpgsql AS $$
             BEGIN
               IF (message).stream_name = 'e-3' THEN RAISE EXCEPTION 'not 3'; END IF;
               PERFORM public.record(message);
             END $$",
        )
        .await
        .unwrap();
    let options =
        "{\"group_size\": 4, \"retry_delay\": \"1 hour\", \"retry_max_delay\": \"1 hour\"}";
    create_with(&session, "s", "e", "{\"$any\": \"public.not_3\"}", options).await;
    write_many(&session, 100, 20).await;
    for _ in 0..12 {
        tick(&session, "s", 1000).await;
    }
    let behind = "SELECT member FROM message_store.subscription_status WHERE lag > 0";
    assert_eq!(texts(&session, behind).await.len(), 1);
    let others = "SELECT count(*) FROM message_store.messages m \
                  WHERE NOT EXISTS (SELECT FROM public.seen WHERE at_position = global_position) \
                    AND abs(message_store.hash_64(message_store.cardinal_id(stream_name::varchar))) % 4 \
                     <> abs(message_store.hash_64('3')) % 4";
    assert_eq!(session.bigint(others).await, 0);
}

struct Load {
    stop: Arc<AtomicBool>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Load {
    /// Two writers and three sessions that tick.
    async fn begin(database: &Database<'_>, subscriber: &str) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let mut tasks = Vec::new();
        for number in 0..5 {
            let session = database.connect().await;
            let stop = Arc::clone(&stop);
            let subscriber = subscriber.to_owned();
            tasks.push(tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    if number < 2 {
                        write_many(&session, 15, 23).await;
                    } else {
                        tick(&session, &subscriber, 10).await;
                    }
                }
            }));
        }
        Self { stop, tasks }
    }

    async fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        for task in self.tasks {
            task.await.unwrap();
        }
    }
}

/// Waits until all members are so many messages further than they are.
async fn wait_for_progress(session: &Session, messages: i64) {
    let least = "SELECT min(position) FROM message_store.subscription_progress";
    let now = session.bigint(least).await;
    session
        .wait_until(&format!("SELECT ({least}) >= {now} + {messages}"))
        .await;
}

async fn resize(session: &Session, size: i64) {
    let resize = format!("SELECT message_store.resize_group('s', {size})");
    session.run(&resize).await.unwrap();
    session
        .wait_until(
            "SELECT NOT EXISTS (SELECT FROM message_store.subscription_progress WHERE member < 0)",
        )
        .await;
    let members = "SELECT member, group_size FROM message_store.subscription_progress ORDER BY 1";
    let expected: Vec<String> = (0..size).map(|member| format!("{member} {size}")).collect();
    assert_eq!(texts(session, members).await, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_is_resized_under_load_without_loss_repetition_or_reordering() {
    let (database, session) = with_recorders(Cluster::shared()).await;
    create(&session, "s", "e", RECORD).await;
    let load = Load::begin(&database, "s").await;
    for size in [4, 2, 5, 1, 3] {
        wait_for_progress(&session, 100).await;
        resize(&session, size).await;
    }
    wait_for_progress(&session, 100).await;
    load.end().await;
    tick_to_the_end(&session, "s").await;
    require_once_and_in_order(&session).await;
    let members = "SELECT count(DISTINCT (context).member) FROM public.seen";
    assert_eq!(session.bigint(members).await, 5);
}

#[tokio::test]
async fn members_of_the_old_size_come_to_their_end_before_the_new_begin() {
    let (_database, session) = with_recorders(Cluster::shared()).await;
    create_with(&session, "s", "e", RECORD, "{\"group_size\": 2}").await;
    write_many(&session, 40, 7).await;
    tick_with(&session, "'s', 30, 1").await;
    session
        .run("SELECT message_store.resize_group('s', 3)")
        .await
        .unwrap();
    let members = "SELECT member, group_size, drains_until, position \
                   FROM message_store.subscription_status ORDER BY 1";
    assert_eq!(
        texts(&session, members).await,
        ["-1 2 30 0", "0 3 - 30", "1 3 - 30", "2 3 - 30"]
    );
    let again = session
        .error("SELECT message_store.resize_group('s', 4)")
        .await;
    assert_eq!(again.sqlstate, "55000", "{again:?}");
    // None of the new ones can be had before.
    let early = session.error("SELECT message_store.tick('s', 10, 1)").await;
    assert_eq!(early.sqlstate, "22023", "{early:?}");
    assert_eq!(tick(&session, "s", 20).await.position, 20);
    assert_eq!(tick(&session, "s", 20).await.position, 30);
    assert_eq!(
        texts(&session, members).await,
        ["0 3 - 30", "1 3 - 30", "2 3 - 30"]
    );
    tick_to_the_end(&session, "s").await;
    require_once_and_in_order(&session).await;
}

/// As far as a member has come is settled, but a commit may keep its announcement for a moment after
/// it has let go of the member: a member that drains up to there waits for it.
#[tokio::test]
async fn a_member_that_drains_does_not_end_before_all_is_settled() {
    for has_handlers in [true, false] {
        let (database, session) = with_recorders(Cluster::shared()).await;
        let handlers = if has_handlers { RECORD } else { "{}" };
        create_with(&session, "s", "e", handlers, "{\"group_size\": 2}").await;
        let slow = database.connect().await;
        slow.run("BEGIN").await.unwrap();
        write(&slow, "e-slow", "A").await;
        write_many(&session, 10, 7).await;
        session
            .run(
                "UPDATE message_store.subscription_progress SET position = 11 WHERE member = 0;
                 SELECT message_store.resize_group('s', 3)",
            )
            .await
            .unwrap();
        let next = if has_handlers {
            "SELECT message_store.tick('s')"
        } else {
            "SELECT message_store.fetch('s', 10, '1 min')"
        };
        session.run(next).await.unwrap();
        slow.run("COMMIT").await.unwrap();
        let draining = "SELECT member, position FROM message_store.subscription_status \
                        WHERE member < 0";
        assert_eq!(texts(&session, draining).await, ["-2 0"], "{next}");
    }
}

#[tokio::test]
async fn a_parked_message_goes_to_the_member_that_has_its_entity_now() {
    let (_database, session) = with_recorders(Cluster::shared()).await;
    session
        .run(
            "CREATE TABLE public.switch (fails boolean);
             INSERT INTO public.switch VALUES (true);
             CREATE FUNCTION public.switched(message message_store.message) RETURNS void
             LANGUAGE plpgsql AS $$
             BEGIN
               IF (message).stream_name = 'e-3' AND (SELECT fails FROM public.switch) THEN
                 RAISE EXCEPTION 'off';
               END IF;
               PERFORM public.record(message);
             END $$",
        )
        .await
        .unwrap();
    let options = "{\"group_size\": 2, \"on_failure\": \"park\", \"retries\": 0}";
    create_with(
        &session,
        "s",
        "e",
        "{\"$any\": \"public.switched\"}",
        options,
    )
    .await;
    write_many(&session, 40, 7).await;
    tick_to_the_end(&session, "s").await;
    session
        .run("SELECT message_store.resize_group('s', 5)")
        .await
        .unwrap();
    write_many(&session, 40, 7).await;
    tick_to_the_end(&session, "s").await;
    let parked = "SELECT count(*) FROM message_store.parked_messages";
    let before = session.bigint(parked).await;
    assert!(before > 2);
    session
        .run("UPDATE public.switch SET fails = false; SELECT message_store.retry_parked('s')")
        .await
        .unwrap();
    tick_to_the_end(&session, "s").await;
    assert_eq!(session.bigint(parked).await, 0);
    require_once_and_in_order(&session).await;
}

#[tokio::test]
async fn moving_a_group_by_hand_neither_loses_nor_repeats_what_it_does_not_name() {
    for (call, expected) in [
        // Back to 20: the member at 10 has not come there yet, and goes on where it is.
        ("reset('s', 20, 'test')", "10 20"),
        ("reset('s', 5, 'test')", "5 5"),
        // On to 20: the member at 30 is there already.
        ("skip('s', 20, 'test')", "20 30"),
        ("skip('s', 35, 'test')", "35 35"),
    ] {
        let (_database, session) = with_recorders(Cluster::shared()).await;
        create_with(&session, "s", "e", RECORD, "{\"group_size\": 2}").await;
        write_many(&session, 40, 7).await;
        tick_with(&session, "'s', 10, 0").await;
        tick_with(&session, "'s', 30, 1").await;
        let outcome = session.run(&format!("SELECT message_store.{call}")).await;
        let positions = "SELECT string_agg(position::text, ' ' ORDER BY position) \
                         FROM message_store.subscription_progress";
        let positions = session.value(positions).await.unwrap();
        match outcome {
            Ok(_) => assert_eq!(positions, expected, "{call}"),
            Err(error) => {
                assert_eq!(error.sqlstate, "22023", "{call}: {error:?}");
                assert_eq!(positions, "10 30", "refused, and so nothing moved");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_that_share_one_counter_count_exactly() {
    let (database, session) = with_recorders(Cluster::shared()).await;
    let handlers = "{\"A\": \"message_store.increment_videos_watched\"}";
    let options = "{\"init\": \"message_store.ensure_home_page\", \"group_size\": 4}";
    create_with(&session, "s", "e", handlers, options).await;
    session
        .run("SELECT message_store.start('s')")
        .await
        .unwrap();
    let load = Load::begin(&database, "s").await;
    for size in [1, 3] {
        wait_for_progress(&session, 100).await;
        resize(&session, size).await;
    }
    load.end().await;
    tick_to_the_end(&session, "s").await;
    let messages = session
        .bigint("SELECT count(*) FROM message_store.messages")
        .await;
    assert!(messages > 200);
    assert_eq!(session.videos_watched().await, messages);
    assert_eq!(seen(&session, "s").await, [0; 0]);
}
